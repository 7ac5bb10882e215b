"""Cameras of a free frame and scale, brought to where GPS says that they stood.

Positions of single photos are off by metres, or of another place altogether. The fit that most photos agree with is
found from samples of three (least median of squares: Rousseeuw, JASA 1984); then the photos that agree with it are
fitted by least squares, again and again until they stay the same. What the scatter of the positions leaves open of
scale and turn decides how much of the fit is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import Similarity, nearest_rotation, umeyama
from recon.geometry.up import estimate_up

FEWEST = 3
"""Positions that a fit takes."""
SURE_SCALE = 0.05
"""Relative standard deviation of the scale, from which on it is not believed."""
SURE_TURN = 5.0
"""Standard deviation of the turn about any axis, in degrees, from which on it is not believed."""
_TRIES = 500
_MEDIAN_OF_CHI3 = 1.538
"""Median length of a vector whose three parts have standard deviation 1."""
_PARAMETERS = 7
_FAR = 5.0
"""Standard deviations of one axis, from which on a photo is left out."""
_NEAR = 1.0
"""Metres within which none is."""
_USUAL_NOISE = 3.0
"""Metres: of the GPS of a phone or a drone, for photos too few to tell their own."""
_FEW = 4
"""Photos up to which they are."""
_HELD_LEVEL = np.radians(5.0)
"""Standard deviation of the direction that cameras are held upright by."""
_ALONG = np.cos(np.radians(30.0))
"""A line that is nearer to the cameras' own up than 30° is not turned by it."""
_ROUNDS = 20


@dataclass(frozen=True)
class PositionFit:
    """What positions of N cameras say of their frame and scale."""

    similarity: Similarity | None
    """From the frame of the cameras to that of the positions; None where not even the scale is sure."""
    turn_known: bool
    """Whether it turns the cameras, too; otherwise it only scales them."""
    upright: bool
    """Whether the direction that cameras are held upright by says how they are turned about the line they stand on."""
    used: NDArray[np.bool_]
    """(N,) False for positions that do not go with the others."""
    residuals: NDArray[np.float64]
    """(N,) metres between positions and cameras after the fit; after the best there is, where that is not sure."""
    scale_uncertainty: float
    """Standard deviation, relative; infinite where positions say nothing."""
    north_uncertainty: float
    """Standard deviation, in degrees, of the turn about the vertical."""
    tilt_uncertainty: float
    """Standard deviation, in degrees, of the vertical."""


def fit_to_positions(
    world_to_camera: NDArray[np.float64], positions: NDArray[np.float64], seed: int = 0
) -> PositionFit:
    """The robust similarity from cameras to positions.

    Args:
        world_to_camera: (N, 4, 4), at least three.
        positions: (N, 3) metres east, north and up.
        seed: of the samples.
    """
    centres = camera_centres(world_to_camera)
    used = _agreeing(positions, centres, seed)
    fit = _judged(positions, centres, used, None)
    if fit.scale_uncertainty >= SURE_SCALE or fit.turn_known:
        return fit
    up = estimate_up(world_to_camera)
    along = np.linalg.svd(centres[used] - centres[used].mean(axis=0))[2][0]
    if abs(float(along @ up)) < _ALONG:
        by_cameras = _judged(positions, centres, used, up)
        if by_cameras.turn_known:
            return by_cameras
    assert fit.similarity is not None
    return replace(fit, similarity=Similarity(fit.similarity.scale, np.eye(3), np.zeros(3)))


def _agreeing(positions: NDArray[np.float64], centres: NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
    """(N,) True for positions that go with each other."""
    count = len(positions)
    generator = np.random.default_rng(seed)
    best, least = umeyama_or_none(positions, centres), np.inf
    for _ in range(_TRIES if count > FEWEST else 0):
        sample = generator.choice(count, size=FEWEST, replace=False)
        candidate = umeyama_or_none(positions[sample], centres[sample])
        if candidate is not None:
            median = float(np.median(_residuals(candidate, positions, centres)))
            if median < least:
                best, least = candidate, median
    if best is None:
        return np.ones(count, bool)
    used = np.zeros(count, bool)
    for _ in range(_ROUNDS):
        residuals = _residuals(best, positions, centres)
        noise = float(np.median(residuals)) / _MEDIAN_OF_CHI3 * (1 + 5 / max(count - FEWEST + 1, 1))
        chosen = residuals <= max(_FAR * noise, _NEAR)
        refitted = umeyama_or_none(positions[chosen], centres[chosen]) if chosen.sum() >= FEWEST else None
        if refitted is None or (chosen == used).all():
            break
        best, used = refitted, chosen
    return used if used.sum() >= FEWEST else np.ones(count, bool)


def umeyama_or_none(target: NDArray[np.float64], source: NDArray[np.float64]) -> Similarity | None:
    """As `umeyama`; None where points of either coincide."""
    for points in (target, source):
        if np.ptp(points, axis=0).max() <= 1e-12 * max(1.0, float(np.abs(points).max())):
            return None
    return umeyama(target, source)


def _residuals(
    similarity: Similarity, positions: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(similarity.apply(centres) - positions, axis=1), np.float64)


def _judged(
    positions: NDArray[np.float64],
    centres: NDArray[np.float64],
    used: NDArray[np.bool_],
    up: NDArray[np.float64] | None,
) -> PositionFit:
    """The least-squares fit of the photos `used`, and what their scatter leaves open.

    A turn by a small angle a moves x by a × x: what N positions with standard deviation s say of it has the information
    sum(|x|² I - x xᵀ) / s², x from their middle; what they say of the scale, sum(|x|²) / s². `up` (3,), where it is
    given, is to be upwards, within `_HELD_LEVEL`.
    """
    similarity = umeyama_or_none(positions[used], centres[used])
    if similarity is None:
        nothing = np.linalg.norm(positions - positions[used].mean(axis=0), axis=1)
        return PositionFit(None, False, False, used, nothing, np.inf, np.inf, np.inf)
    noise = _noise(similarity, positions[used], centres[used])
    information = np.zeros((3, 3))
    if up is not None:
        similarity = _turned_upright(similarity, positions[used], centres[used], up, noise)
        information += np.diag([1.0, 1.0, 0.0]) / _HELD_LEVEL**2
    moved = similarity.scale * (centres[used] - centres[used].mean(axis=0)) @ similarity.rotation.T
    squares = float((moved**2).sum())
    information += (squares * np.eye(3) - moved.T @ moved) / noise**2
    scale_uncertainty = noise / np.sqrt(squares) if similarity.scale > 0 and squares > 0 else np.inf
    values, axes = np.linalg.eigh(information)
    variances = np.divide(1.0, values, out=np.full(3, np.inf), where=values > 1e-12)
    with np.errstate(invalid="ignore"):
        about = np.nan_to_num((axes**2 * variances).sum(axis=1), nan=np.inf, posinf=np.inf)  # (3,) about x, y and z
    return PositionFit(
        similarity=None if scale_uncertainty >= SURE_SCALE else similarity,
        turn_known=bool(scale_uncertainty < SURE_SCALE and np.degrees(np.sqrt(variances.max())) < SURE_TURN)
        if up is None
        else bool(np.degrees(np.sqrt(about[2])) < SURE_TURN),
        upright=up is not None,
        used=used,
        residuals=_residuals(similarity, positions, centres),
        scale_uncertainty=float(scale_uncertainty),
        north_uncertainty=float(np.degrees(np.sqrt(about[2]))),
        tilt_uncertainty=float(np.degrees(np.sqrt(about[0] + about[1]))),
    )


def _noise(similarity: Similarity, positions: NDArray[np.float64], centres: NDArray[np.float64]) -> float:
    """Standard deviation of the positions along one axis, in metres."""
    count = len(positions)
    squares = float((_residuals(similarity, positions, centres) ** 2).sum())
    found = float(np.sqrt(squares / (3 * count - _PARAMETERS)))
    return max(found, _USUAL_NOISE) if count <= _FEW else max(found, 1e-9)


def _turned_upright(
    similarity: Similarity,
    positions: NDArray[np.float64],
    centres: NDArray[np.float64],
    up: NDArray[np.float64],
    noise: float,
) -> Similarity:
    """With the turn that positions and the cameras' own up say together, each as far as it is sure."""
    target_middle, source_middle = positions.mean(axis=0), centres.mean(axis=0)
    target, source = positions - target_middle, centres - source_middle
    by_positions = similarity.scale * target.T @ source / noise**2
    rotation, _ = nearest_rotation(by_positions + np.outer([0.0, 0.0, 1.0], up) / _HELD_LEVEL**2)
    scale = float((target * (source @ rotation.T)).sum() / (source**2).sum())
    return Similarity(scale, rotation, target_middle - scale * (rotation @ source_middle))
