"""Two reconstructions brought together by the views that both hold.

A view that two reconstructions have shows the same points in both, pixel by pixel: the similarity between their worlds
is the one that moves these points onto each other. It is found by iteratively reweighted least squares: a point counts
for less the farther it is off, relative to its depth (Cauchy's weights), and the less sure its depth is. Rotation and
translation are those of Umeyama (PAMI 1991); the scale is the ratio of the points' spreads (Horn, JOSA A 1987, eq. 6),
which noise in either of the two does not shrink: along a chain of many joints that would add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import camera_centres, invert_rigid, to_4x4
from recon.geometry.similarity import Similarity, align_cameras, nearest_rotation
from recon.types import FloatArray

_MOST_POINTS = 20_000
"""Of all shared views together, on an even grid."""
_FEWEST_POINTS = 50
_ITERATIONS = 30
_CONVERGED = 1e-6
"""How far a point moves between two iterations, relative to its depth, that makes no further ones worth it."""
_CAUCHY = 2.385
"""Of the weights: 95 % as good as least squares where errors are normal."""
_SIGMA_OF_MEDIAN = 1.4826
_LEAST_SIGMA = 1e-6
_NARROW = 0.02
"""Spread of points across their longest direction, relative to that along it, below which they leave a turn open."""
_SURE = 90.0
"""Percentile of the confidence, from which on a pixel counts in full."""

RotationFrom = Literal["points", "cameras", "given"]


@dataclass(frozen=True)
class SharedViews:
    """V views as one of the reconstructions has them."""

    depth: FloatArray
    """(V, H, W) z-depth."""
    usable: NDArray[np.bool_]
    """(V, H, W) True where it is to be relied on."""
    conf: FloatArray | None
    """(V, H, W), higher is better; None: all are equally sure."""
    intrinsics: FloatArray
    """(V, 3, 3) in pixels."""
    world_to_camera: FloatArray
    """(V, 3, 4) or (V, 4, 4)."""


@dataclass(frozen=True)
class Joint:
    """How the world of one reconstruction lies in that of another."""

    similarity: Similarity
    """From the source world to the target world."""
    views: int
    """That both have."""
    points: int
    """That were compared; 0 where only cameras tell."""
    residual: float | None
    """Median distance between the two places of a point, relative to its depth; None without points."""
    depth_ratio: float | None
    """Median of the target's depth by the source's at the same pixel; None without points."""
    rotation_from: RotationFrom
    """What tells the rotation: the points, or the cameras where the points leave it open."""

    @property
    def weight(self) -> float:
        """For who weighs several joints: one over the square of the residual."""
        return 1.0 / max(1e-3 if self.residual is None else self.residual, 1e-4) ** 2


def join_views(target: SharedViews, source: SharedViews, *, keep_scale: bool = False) -> Joint | None:
    """The similarity from the world of `source` to that of `target`, by the same V views in both.

    Args:
        target, source: the same views in the same order.
        keep_scale: both are in one unit: only a rotation and a translation are sought.

    Returns:
        None where there is nothing to go by: no view, or neither points nor cameras that tell the scale.
    """
    views = len(target.depth)
    if views == 0:
        return None
    points = _paired_points(target, source)
    if points is None:
        by_cameras = _by_cameras(target, source, keep_scale)
        return None if by_cameras is None else Joint(by_cameras, views, 0, None, None, "cameras")
    at_target, at_source, distance, weights, ratio = points
    scale = 1.0 if keep_scale else ratio
    rotation = _mean_rotation(target, source)
    shift = np.median(at_target - scale * at_source @ rotation.T, axis=0)
    found = Similarity(scale, rotation, shift)
    turn_is_open = _is_narrow(at_source, weights)
    residuals = _residuals(found, at_target, at_source, distance)
    for _ in range(_ITERATIONS):
        sigma = max(_SIGMA_OF_MEDIAN * float(np.median(residuals)), _LEAST_SIGMA)
        robust = weights / (1 + (residuals / (_CAUCHY * sigma)) ** 2)
        before = found
        found = _fit(at_target, at_source, robust, rotation if turn_is_open else None, keep_scale)
        residuals = _residuals(found, at_target, at_source, distance)
        if _change(before, found, at_source, distance) < _CONVERGED:
            break
    return Joint(
        found, views, len(weights), float(np.median(residuals)), ratio, "cameras" if turn_is_open else "points"
    )


def compare_views(target: SharedViews, source: SharedViews) -> Joint:
    """How the same views differ in two reconstructions that are in one world already, which are left as they are."""
    same = Similarity(1.0, np.eye(3), np.zeros(3))
    points = _paired_points(target, source)
    if points is None:
        return Joint(same, len(target.depth), 0, None, None, "given")
    at_target, at_source, distance, weights, ratio = points
    residuals = _residuals(same, at_target, at_source, distance)
    return Joint(same, len(target.depth), len(weights), float(np.median(residuals)), ratio, "given")


_Pairs = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]


def _paired_points(target: SharedViews, source: SharedViews) -> _Pairs | None:
    """(P, 3) points in either world, (P,) depth in target units and weights, and the median ratio of depths.

    None where there are too few.
    """
    views, height, width = target.depth.shape
    step = max(int(np.ceil(np.sqrt(views * height * width / _MOST_POINTS))), 1)
    rows, columns = slice(step // 2, None, step), slice(step // 2, None, step)
    grid = (slice(None), rows, columns)
    chosen = target.usable[grid] & source.usable[grid]
    if int(chosen.sum()) < _FEWEST_POINTS:
        return None
    first, second = (np.asarray(one.depth[grid], np.float64) for one in (target, source))
    ratio = float(np.median(first[chosen] / second[chosen]))
    x, y = np.arange(width)[columns] + 0.5, np.arange(height)[rows] + 0.5
    pixels = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], axis=-1)  # (h, w, 3)
    at_target = _places(target, first, pixels)[chosen]
    at_source = _places(source, second, pixels)[chosen]
    distance = np.sqrt(first[chosen] * ratio * second[chosen])  # of both alike, so that neither's noise counts more
    weights = 1 / distance**2
    for one in (target, source):
        if one.conf is not None:
            conf = np.asarray(one.conf[grid], np.float64)[chosen]
            least, sure = float(conf.min()), float(np.percentile(conf, _SURE))
            if sure > least:
                weights = weights * np.clip((conf - least) / (sure - least), 1e-3, 1)
    return at_target, at_source, distance, weights / weights.sum(), ratio


def _places(views: SharedViews, depth: NDArray[np.float64], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, h, w, 3) points in the world of pixels (h, w, 3) with depth (V, h, w)."""
    camera_to_world = invert_rigid(to_4x4(np.asarray(views.world_to_camera, np.float64)))
    to_ray = camera_to_world[:, :3, :3] @ np.linalg.inv(np.asarray(views.intrinsics, np.float64))  # (V, 3, 3)
    rays = np.einsum("vij,hwj->vhwi", to_ray, pixels)
    return np.asarray(rays * depth[..., None] + camera_to_world[:, None, None, :3, 3], np.float64)


def _fit(
    target: NDArray[np.float64],
    source: NDArray[np.float64],
    weights: NDArray[np.float64],
    rotation: NDArray[np.float64] | None,
    keep_scale: bool,
) -> Similarity:
    """Weighted least squares on points (P, 3); with a `rotation` that is known where it is not None."""
    weights = weights / weights.sum()
    target_mean, source_mean = weights @ target, weights @ source
    of_target, of_source = target - target_mean, source - source_mean
    if rotation is None:
        rotation, _ = nearest_rotation((of_target * weights[:, None]).T @ of_source)
    scale = 1.0
    if not keep_scale:
        spreads = [float(weights @ (one**2).sum(axis=1)) for one in (of_target, of_source)]
        scale = float(np.sqrt(spreads[0] / max(spreads[1], np.finfo(np.float64).tiny)))
    return Similarity(scale, rotation, target_mean - scale * (rotation @ source_mean))


def _residuals(
    similarity: Similarity,
    target: NDArray[np.float64],
    source: NDArray[np.float64],
    distance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(P,) distances between the two places of each point, relative to its depth."""
    return np.asarray(np.linalg.norm(similarity.apply(source) - target, axis=1) / distance, np.float64)


def _change(before: Similarity, after: Similarity, source: NDArray[np.float64], distance: NDArray[np.float64]) -> float:
    """How far a point moves at most between two fits, relative to its depth, over some of the points."""
    some = slice(None, None, max(len(source) // 200, 1))
    moved = np.linalg.norm(before.apply(source[some]) - after.apply(source[some]), axis=1) / distance[some]
    return float(moved.max())


def _is_narrow(points: NDArray[np.float64], weights: NDArray[np.float64]) -> bool:
    """Whether points (P, 3) are so nearly on a line that they leave the turn about it open."""
    centred = points - weights @ points
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh((centred * weights[:, None]).T @ centred), 0))  # ascending
    return bool(spread[1] < _NARROW * spread[2])


def _mean_rotation(target: SharedViews, source: SharedViews) -> NDArray[np.float64]:
    """From the source world to the target world, as the views are turned in both (chordal L2 mean)."""
    of_target, of_source = (
        np.asarray(one.world_to_camera, np.float64)[:, :3, :3].swapaxes(1, 2) for one in (target, source)
    )  # (V, 3, 3) camera to world
    return nearest_rotation((of_target @ of_source.swapaxes(1, 2)).sum(axis=0))[0]


def _by_cameras(target: SharedViews, source: SharedViews, keep_scale: bool) -> Similarity | None:
    """From the cameras alone; None where they do not tell the scale."""
    if not keep_scale:
        return align_cameras(target.world_to_camera, source.world_to_camera)
    rotation = _mean_rotation(target, source)
    centres = [camera_centres(np.asarray(one.world_to_camera, np.float64)).mean(axis=0) for one in (target, source)]
    return Similarity(1.0, rotation, centres[0] - rotation @ centres[1])
