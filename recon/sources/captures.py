"""What the exports of capture apps have in common: photos in order, cameras in metres, depth of a laser scanner.

Such apps record the pose of each frame as ARKit tracks it, and on phones with a LiDAR sensor a small map of depth,
along z and in line with the photo, with three levels of confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.sources.calibrated import CalibratedSource
from recon.sources.lazy_sequence import LazySequence
from recon.sources.source import Source
from recon.types.cameras import Cameras

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""ARKit's cameras look along -z and have y up."""

_POINTS, _FEWEST_OF_A_VIEW = 20_000, 40
"""That stand for the depth of a capture, in all and at least of each of its views."""
_SAME_SURFACE = 0.03
"""Share of the depth by which another view's may differ where it sees the same point."""


@dataclass(frozen=True)
class CaptureFrame:
    """What a capture says of one of its photos."""

    camera_to_world: NDArray[np.float64]
    """(4, 4) in metres, in OpenCV's axes."""
    intrinsics: NDArray[np.float64]
    """(3, 3) in pixels of the photo."""
    size: tuple[int, int]
    """Width and height of the photo."""
    depth: Callable[[], NDArray[np.float32]] | None = None
    """(h, w) metres along z, NaN where they are not known or not to be trusted, of the whole photo at a resolution of
    its own. None: there is no depth of this frame."""


def captured(
    photos: Source, frames: Sequence[CaptureFrame], label: str, chosen: Sequence[int] | None = None
) -> CalibratedSource:
    """A source of N photos with cameras; its points are some of those that the depth shows.

    Args:
        photos: all or more.
        frames: N.
        label: of the capture, in messages.
        chosen: of each frame, its photo [one after the other].

    Raises:
        InputError: cameras that are none.
    """
    to_world = np.stack([frame.camera_to_world for frame in frames])
    intrinsics = np.stack([frame.intrinsics for frame in frames])
    try:
        checked = Cameras.from_arrays(invert_rigid(to_world), intrinsics, count=len(frames))
    except InputError as error:
        raise InputError(f"'{label}': {error}") from None
    cameras = replace(
        checked, sizes=np.array([frame.size for frame in frames], np.int64), origin="given", scale="metric"
    )
    source = CalibratedSource(photos, tuple(range(len(frames)) if chosen is None else chosen), cameras)
    if all(frame.depth is None for frame in frames):
        warn(f"'{label}' holds no depth: it is found from the photos, with the cameras of the capture")
        return source

    def depth(index: int) -> NDArray[np.float32]:
        load = frames[index].depth
        return np.full((1, 1), np.nan, np.float32) if load is None else load()

    depths = LazySequence(len(frames), depth)
    return replace(source, depths=depths, points=points_of_depth(depths, cameras))


def usable_depth(
    millimetres: NDArray[np.generic], confidence: NDArray[np.generic] | None, low: float
) -> NDArray[np.float32]:
    """(h, w) metres; NaN for 0, and where the confidence, of the same shape, is at most `low`."""
    metres = millimetres.astype(np.float32) / np.float32(1000)
    metres[metres <= 0] = np.nan
    if confidence is not None and confidence.shape == metres.shape:
        metres[confidence.astype(np.float32) <= low] = np.nan
    return metres


def points_of_depth(depths: Sequence[NDArray[np.float32]], cameras: Cameras) -> SparsePoints:
    """Points of measured depth, and which of the N views see them: those whose own depth is the same there.

    Args:
        depths: N maps (h, w) in the scale of the cameras, NaN where unknown.
        cameras: complete, with sizes.
    """
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    assert cameras.sizes is not None
    count = len(depths)
    of_a_view = max(_POINTS // count, _FEWEST_OF_A_VIEW)
    maps = [np.asarray(depth, np.float32) for depth in depths]
    to_world = invert_rigid(cameras.world_to_camera)
    world = []
    for view, depth in enumerate(maps):
        rows, columns = np.nonzero(np.isfinite(depth))
        chosen = np.linspace(0, len(rows) - 1, min(of_a_view, len(rows))).astype(np.intp)
        rows, columns = rows[chosen], columns[chosen]
        scale = cameras.sizes[view] / np.array(depth.shape[::-1])
        pixels = (np.stack([columns, rows], axis=1) + 0.5) * scale
        rays = np.linalg.solve(cameras.intrinsics[view], np.c_[pixels, np.ones(len(pixels))].T).T
        in_camera = rays * depth[rows, columns, None]
        world.append(in_camera @ to_world[view, :3, :3].T + to_world[view, :3, 3])
    points = np.concatenate(world)
    observed = [np.flatnonzero(_seen(points, depth, cameras, view)).astype(np.intp) for view, depth in enumerate(maps)]
    return SparsePoints(points, tuple(observed))


def _seen(points: NDArray[np.float64], depth: NDArray[np.float32], cameras: Cameras, view: int) -> NDArray[np.bool_]:
    """(P,) whether the view's depth is that of the point where it falls."""
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    assert cameras.sizes is not None
    in_camera = points @ cameras.world_to_camera[view, :3, :3].T + cameras.world_to_camera[view, :3, 3]
    z = in_camera[:, 2]
    seen = z > 1e-6
    pixels = (in_camera / np.where(seen, z, 1)[:, None]) @ cameras.intrinsics[view].T
    places = np.floor(pixels[:, :2] / cameras.sizes[view] * np.array(depth.shape[::-1])).astype(np.int64)
    seen &= ((places >= 0) & (places < depth.shape[::-1])).all(axis=1)
    places[~seen] = 0
    measured = depth[places[:, 1], places[:, 0]]
    with np.errstate(invalid="ignore"):
        return seen & (np.abs(measured - z) < _SAME_SURFACE * z)
