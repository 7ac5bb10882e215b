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
_OTHER_SCALE = 2.0
"""Ratio of a point's distances from two views at which they see it too differently large to be matched."""
_UNTRACKED = 0.2
"""Worth of a point that lies within the source's image and was not found there."""
_LEAST_WORTH = 1e-3
"""Below it, all the points a source shares are seen from the same direction."""
_CELLS = 12
"""Along either side of the image: points count by cells, so that a near road weighs as much as a rich facade."""
_MOST_POINTS = 4000
"""Looked at per view."""
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
    depth = sparse.depths(view, cameras.world_to_camera)
    depth = depth[depth > 0]
    if len(depth) < FEWEST_POINTS:
        return None
    size = np.broadcast_to(sizes, (len(cameras.world_to_camera), 2))[view]
    chosen, in_image, shares = _in_image(view, cameras, sparse, size)
    points = sparse.points[chosen]
    centres = invert_rigid(cameras.world_to_camera)[:, :3, 3]
    rays = points[None] - centres[:, None]  # (N, K, 3)
    rays /= np.maximum(np.linalg.norm(rays, axis=2, keepdims=True), 1e-300)
    angles = np.degrees(np.arccos(np.clip((rays * rays[view]).sum(axis=2), -1, 1)))  # (N, K)
    pixels, depths = project_points(np.broadcast_to(points, rays.shape), cameras.intrinsics, cameras.world_to_camera)
    inside = (depths > 0) & (pixels >= 0).all(axis=2) & (pixels < np.reshape(sizes, (-1, 1, 2))).all(axis=2)
    tracked = np.stack([np.isin(chosen, indices, assume_unique=True) for indices in sparse.observed])
    suits = np.minimum(angles / _GOOD_ANGLE, 1) ** 2 / (1 + (angles / _WIDE_ANGLE) ** 4)
    octaves = np.log2(np.where(inside, depths, in_image) / in_image) / np.log2(_OTHER_SCALE)
    worth = suits * inside * np.where(tracked & tracked[view], 1.0, _UNTRACKED) / (1 + octaves**4)  # (N, K)
    own = tracked[view]
    worth[inside[:, own].mean(axis=1) < _LEAST_OVERLAP] = 0
    worth[view] = 0
    order = _in_order_of_gain(worth, shares, max(sources, checking_views))
    return ViewPlan(order[:sources], order, _range(1 / depth, 1 / in_image))


def _in_image(
    view: int, cameras: Cameras, sparse: SparsePoints, size: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Indices and depths (K,) of the points that lie in a view's image, whoever sees them, and the share of the image
    that each stands for."""
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    pixels, depths = project_points(sparse.points[None], cameras.intrinsics[[view]], cameras.world_to_camera[[view]])
    inside = (depths[0] > 0) & (pixels[0] >= 0).all(axis=1) & (pixels[0] < size).all(axis=1)
    chosen = np.flatnonzero(inside)
    chosen = chosen[:: -(-len(chosen) // _MOST_POINTS)] if len(chosen) else chosen
    cells = (pixels[0][chosen] / size * _CELLS).astype(np.intp) @ (1, _CELLS)
    _, which, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return chosen, depths[0][chosen], 1 / counts[which] / max(len(counts), 1)


def _in_order_of_gain(worth: NDArray[np.float64], shares: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Up to `most` of N views, each time the one that adds most, by what it is worth for each of K points (N, K), of
    which each stands for a share (K,) of the image.

    A point that others serve already counts for less: a good second source, half as much as the first.
    """
    chosen: list[int] = []
    left = shares.copy()
    total = worth.sum(axis=1)
    for _ in range(most):
        gain = np.where(total > _LEAST_WORTH, worth @ left, -1.0)
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        if gain[best] < 0:
            break
        chosen.append(best)
        left *= 2.0 ** -worth[best]
    return np.array(chosen, np.intp)


def _range(inverse_depths: NDArray[np.float64], in_image: NDArray[np.float64]) -> tuple[float, float]:
    """Inverse depths around those of a view's points, with room for what no point lies on.

    What is nearest is often found by neighbouring views alone, from where it is farther away: the near end is that of
    all points in the image. Of these some are hidden, so that the far end is not.
    """
    far, near = np.quantile(inverse_depths, (0.01, 0.99))
    near = max(near, np.quantile(in_image, 0.99)) if len(in_image) else near
    return 0.65 * float(far), 1.35 * float(near)
