"""Cameras of a free frame and scale, brought to where GPS says that they stood.

Positions of single photos are off by metres, or of another place altogether. The fit that most photos agree with is
found from samples of three (least median of squares: Rousseeuw, JASA 1984); then the photos that agree with it are
fitted by least squares, again and again until they stay the same; a position counts by how exact it is said to be. What
the scatter of the positions leaves open of scale and turn decides how much of the fit is believed.

The cameras stay as the photos have them. Positions that are off by metres say nothing of their shape: in bundle
adjustment, as a prior, 3 m of noise on 40 cameras moved nothing by more than 0.1 mm, at three times the time.
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
USUAL_ACCURACY = 3.0
"""Metres along one axis: of the GPS of a phone or a drone, where EXIF does not say."""
_TOGETHER = 3.0
"""Times the accuracy: photos that were taken so close together are not told apart."""
_LEAST_ACCURACY = 0.01
"""Metres: what is said to be more exact is not."""
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
    extent: float
    """Metres: root mean square of how far the positions are from their middle."""
    accuracy: float
    """Metres that the positions are said to be within, the median."""

    @property
    def together(self) -> bool:
        """Whether all positions are within their error of one place."""
        return self.extent <= _TOGETHER * self.accuracy


def fit_to_positions(
    world_to_camera: NDArray[np.float64],
    positions: NDArray[np.float64],
    seed: int = 0,
    accuracies: NDArray[np.float64] | None = None,
) -> PositionFit:
    """The robust similarity from cameras to positions.

    Args:
        world_to_camera: (N, 4, 4), at least three.
        positions: (N, 3) metres east, north and up.
        seed: of the samples.
        accuracies: (N,) metres that each position is said to be within; `USUAL_ACCURACY` where that is NaN.
    """
    said = np.full(len(positions), np.nan) if accuracies is None else accuracies
    accuracy = np.maximum(np.where(np.isfinite(said), said, USUAL_ACCURACY), _LEAST_ACCURACY)
    measured = _Positions(positions, camera_centres(world_to_camera), accuracy)
    used = _agreeing(measured, seed)
    fit = _judged(measured.rows(used), measured, used, None)
    if fit.scale_uncertainty >= SURE_SCALE or fit.turn_known:
        return fit
    up = estimate_up(world_to_camera)
    centres = measured.centres[used]
    along = np.linalg.svd(centres - centres.mean(axis=0))[2][0]
    if abs(float(along @ up)) < _ALONG:
        by_cameras = _judged(measured.rows(used), measured, used, up)
        if by_cameras.turn_known:
            return by_cameras
    assert fit.similarity is not None
    return replace(fit, similarity=Similarity(fit.similarity.scale, np.eye(3), np.zeros(3)))


@dataclass(frozen=True)
class _Positions:
    """N positions, the centres of their cameras, and how exact they are."""

    positions: NDArray[np.float64]
    """(N, 3) metres."""
    centres: NDArray[np.float64]
    """(N, 3) in the frame of the cameras."""
    accuracy: NDArray[np.float64]
    """(N,) metres."""

    @property
    def relative(self) -> NDArray[np.float64]:
        """(N,) how many times the usual error is to be expected."""
        return np.asarray(self.accuracy / np.median(self.accuracy), np.float64)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(N,) of squared errors; their sum is N."""
        weights = self.relative**-2.0
        return np.asarray(weights * (len(weights) / weights.sum()), np.float64)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> _Positions:
        return _Positions(self.positions[chosen], self.centres[chosen], self.accuracy[chosen])

    def fitted(self) -> Similarity | None:
        """The least-squares similarity; None where positions or centres coincide."""
        return umeyama_or_none(self.positions, self.centres, self.weights)

    def residuals(self, similarity: Similarity) -> NDArray[np.float64]:
        """(N,) metres."""
        return np.asarray(np.linalg.norm(similarity.apply(self.centres) - self.positions, axis=1), np.float64)


def _agreeing(measured: _Positions, seed: int) -> NDArray[np.bool_]:
    """(N,) True for positions that go with each other."""
    count, relative = len(measured.positions), measured.relative
    generator = np.random.default_rng(seed)
    best, least = measured.fitted(), np.inf
    for _ in range(_TRIES if count > FEWEST else 0):
        sample = generator.choice(count, size=FEWEST, replace=False)
        candidate = measured.rows(sample).fitted()
        if candidate is not None:
            median = float(np.median(measured.residuals(candidate) / relative))
            if median < least:
                best, least = candidate, median
    if best is None:
        return np.ones(count, bool)
    used = np.zeros(count, bool)
    for _ in range(_ROUNDS):
        residuals = measured.residuals(best) / relative
        noise = float(np.median(residuals)) / _MEDIAN_OF_CHI3 * (1 + 5 / max(count - FEWEST + 1, 1))
        chosen = residuals <= max(_FAR * noise, _NEAR)
        refitted = measured.rows(chosen).fitted() if chosen.sum() >= FEWEST else None
        if refitted is None or (chosen == used).all():
            break
        best, used = refitted, chosen
    return used if used.sum() >= FEWEST else np.ones(count, bool)


def umeyama_or_none(
    target: NDArray[np.float64], source: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> Similarity | None:
    """As `umeyama`; None where points of either coincide."""
    for points in (target, source):
        if np.ptp(points, axis=0).max() <= 1e-12 * max(1.0, float(np.abs(points).max())):
            return None
    return umeyama(target, source, weights)


def _judged(
    measured: _Positions, everything: _Positions, used: NDArray[np.bool_], up: NDArray[np.float64] | None
) -> PositionFit:
    """The least-squares fit of the photos `used`, and what their scatter leaves open.

    A turn by a small angle a moves x by a × x: what N positions with standard deviation s say of it has the information
    sum(|x|² I - x xᵀ) / s², x from their middle; what they say of the scale, sum(|x|²) / s². `up` (3,), where it is
    given, is to be upwards, within `_HELD_LEVEL`.
    """
    weights = measured.weights
    similarity = measured.fitted()
    middle = weights @ measured.positions / len(weights)
    away = np.linalg.norm(everything.positions - middle, axis=1)
    extent = float(np.sqrt(weights @ away[used] ** 2 / len(weights)))
    accuracy = float(np.median(everything.accuracy))
    if similarity is None:
        return PositionFit(None, False, False, used, away, np.inf, np.inf, np.inf, extent, accuracy)
    noise = _noise(similarity, measured)
    information = np.zeros((3, 3))
    if up is not None:
        similarity = _turned_upright(similarity, measured, up, noise)
        information += np.diag([1.0, 1.0, 0.0]) / _HELD_LEVEL**2
    moved = similarity.scale * (measured.centres - weights @ measured.centres / len(weights)) @ similarity.rotation.T
    moved = np.sqrt(weights)[:, None] * moved
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
        residuals=everything.residuals(similarity),
        scale_uncertainty=float(scale_uncertainty),
        north_uncertainty=float(np.degrees(np.sqrt(about[2]))),
        tilt_uncertainty=float(np.degrees(np.sqrt(about[0] + about[1]))),
        extent=extent,
        accuracy=accuracy,
    )


def _noise(similarity: Similarity, measured: _Positions) -> float:
    """Standard deviation of the positions along one axis, in metres, where the weight is 1."""
    count = len(measured.positions)
    squares = float(measured.weights @ measured.residuals(similarity) ** 2)
    found = float(np.sqrt(squares / (3 * count - _PARAMETERS)))
    return max(found, float(np.median(measured.accuracy))) if count <= _FEW else max(found, 1e-9)


def _turned_upright(similarity: Similarity, measured: _Positions, up: NDArray[np.float64], noise: float) -> Similarity:
    """With the turn that positions and the cameras' own up say together, each as far as it is sure."""
    weights = measured.weights
    target_middle, source_middle = (weights @ of / len(weights) for of in (measured.positions, measured.centres))
    target, source = measured.positions - target_middle, measured.centres - source_middle
    weighted = weights[:, None] * target
    by_positions = similarity.scale * weighted.T @ source / noise**2
    rotation, _ = nearest_rotation(by_positions + np.outer([0.0, 0.0, 1.0], up) / _HELD_LEVEL**2)
    scale = float((weighted * (source @ rotation.T)).sum() / (weights @ (source**2).sum(axis=1)))
    return Similarity(scale, rotation, target_middle - scale * (rotation @ source_middle))
