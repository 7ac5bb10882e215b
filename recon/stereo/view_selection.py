"""Which views help a view, and how far away the things it sees are, both told by sparse points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import project_points
from recon.types.cameras import Cameras

FEWEST_POINTS = 8
"""Points that a view must see for its depth range to mean anything."""

_GOOD_ANGLE = 5.0
"""Degrees between the rays to a point from which on depth is well determined; below, a point counts for less."""
_WIDE_ANGLE = 22.0
"""Degrees at which views begin to look too different to be matched."""
_UNTRACKED = 0.2
"""Worth of a point that lies within the source's image and was not found there."""
_LEAST_WORTH = 1e-3
"""Below it, all the points a source shares are seen from the same direction."""
_LEAST_OVERLAP = 0.05
"""Share of a view's points that a source must have in its image."""


class ViewPlan(NamedTuple):
    """What the depth of one view is looked for with."""

    sources: NDArray[np.intp]
    """(S,) the views to match with, best first; empty where none overlaps."""
    checking_views: NDArray[np.intp]
    """(S or more,) the sources and further views, whose depth that of this one is checked against."""
    inverse_depths: tuple[float, float]
    """Smallest and largest inverse depth to search."""


def plan_view(
    view: int,
    cameras: Cameras,
    sparse: SparsePoints,
    sizes: NDArray[np.int64],
    sources: int,
    checking_views: int,
) -> ViewPlan | None:
    """Sources and depth range of one view; None where it sees fewer than `FEWEST_POINTS`.

    A source is worth the sum over the view's points of how well the angle between the two rays suits (Yao et al., ECCV
    2018, after COLMAP): it should be wide enough to triangulate and narrow enough to look alike.

    Args:
        view: index of the view.
        cameras: of all N views, complete, in pixels of images of these `sizes`.
        sparse: points that the views see.
        sizes: (N, 2) width and height, or (2,) of all.
        sources: most views to match with.
        checking_views: most views to hold the depth against.
    """
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    points = sparse.points[sparse.observed[view]]
    depth = sparse.depths(view, cameras.world_to_camera)
    points, seen = points[depth > 0], sparse.observed[view][depth > 0]
    if len(points) < FEWEST_POINTS:
        return None
    centres = invert_rigid(cameras.world_to_camera)[:, :3, 3]
    rays = points[None] - centres[:, None]  # (N, K, 3)
    rays /= np.maximum(np.linalg.norm(rays, axis=2, keepdims=True), 1e-300)
    angles = np.degrees(np.arccos(np.clip((rays * rays[view]).sum(axis=2), -1, 1)))  # (N, K)
    pixels, depths = project_points(np.broadcast_to(points, rays.shape), cameras.intrinsics, cameras.world_to_camera)
    inside = (depths > 0) & (pixels >= 0).all(axis=2) & (pixels < np.reshape(sizes, (-1, 1, 2))).all(axis=2)
    tracked = np.stack([np.isin(seen, indices, assume_unique=True) for indices in sparse.observed])
    suits = np.minimum(angles / _GOOD_ANGLE, 1) ** 2 / (1 + (angles / _WIDE_ANGLE) ** 4)
    worth = (suits * inside * np.where(tracked, 1.0, _UNTRACKED)).sum(axis=1)  # (N,)
    worth[inside.mean(axis=1) < _LEAST_OVERLAP] = 0
    worth[view] = 0
    order = np.argsort(-worth, kind="stable")
    order = order[worth[order] > _LEAST_WORTH]
    return ViewPlan(order[:sources], order[: max(sources, checking_views)], _range(1 / depth[depth > 0]))


def _range(inverse_depths: NDArray[np.float64]) -> tuple[float, float]:
    """Inverse depths around those of the points, with room for what no point lies on."""
    far, near = np.quantile(inverse_depths, (0.01, 0.99))
    return 0.65 * float(far), 1.35 * float(near)
