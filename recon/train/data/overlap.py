"""Which views of a scene go together: those that see each other's surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.unprojection import unproject_depth
from recon.train.data.read_cache import ReadCache
from recon.train.data.scene import Scene

_GRID = (18, 24)
"""Rows and columns of the points that stand for a view's surface."""
_BEHIND = 1.1
"""A point that is so many times as far as what a view sees there is hidden from it."""
_CANDIDATES = 64
"""Views that are looked at in one step: half of them the nearest in order, half anywhere."""
_FEWEST = 4
"""Points that tell anything."""


@dataclass(frozen=True)
class _Surface:
    """What a view sees, at the points of the grid."""

    points: NDArray[np.float32]
    """(P, 3) in the world."""
    depth: NDArray[np.float32]
    """(rows, columns); NaN where there is none."""


@dataclass(frozen=True)
class Overlaps:
    """Of the views of a scene with cameras and depth."""

    scene: Scene
    cache: ReadCache
    _grid_cameras: NDArray[np.float64] = field(init=False)
    """(M, 3, 3) intrinsics in cells of the grid."""

    def __post_init__(self) -> None:
        cameras = self.scene.cameras
        assert cameras is not None
        assert cameras.intrinsics is not None
        assert cameras.sizes is not None
        to_grid = np.tile(np.eye(3), (len(self.scene), 1, 1))
        to_grid[:, 0, 0], to_grid[:, 1, 1] = _GRID[1] / cameras.sizes[:, 0], _GRID[0] / cameras.sizes[:, 1]
        object.__setattr__(self, "_grid_cameras", to_grid @ cameras.intrinsics)

    def between(self, first: int, second: int) -> float:
        """The smaller of the shares of either's surface that the other sees: 0 to 1."""
        return min(self._seen(first, second), self._seen(second, first))

    def choose(self, first: int, count: int, least: float, random: np.random.Generator) -> list[int]:
        """`count` views, `first` at the front, each of which overlaps by `least` with one before it.

        Raises InputError, naming the photo, where there are not as many.
        """
        chosen = [first]
        refused: dict[int, set[int]] = {first: set()}
        """Of each view that may have another beside it, those that are none."""
        while len(chosen) < count and refused:
            end = list(refused)[int(random.integers(len(refused)))]
            found = self._next(end, {*chosen, *refused[end]}, least, random, refused[end])
            if found is None:
                del refused[end]
            else:
                chosen.append(found)
                refused[found] = set()
        if len(chosen) < count:
            raise InputError(
                f"{self.scene.label(first)}: only {len(chosen)} views overlap by {least:g} of what they see, and a "
                f"sample has {count}"
            )
        return chosen

    def _next(
        self, end: int, excluded: set[int], least: float, random: np.random.Generator, refused: set[int]
    ) -> int | None:
        """Any view that overlaps with `end`; those that do not go to `refused`."""
        candidates = self._candidates(end, excluded, random)
        in_sight = self._in_sight(end, candidates)
        for view, share in zip(candidates.tolist(), in_sight.tolist(), strict=True):
            if share >= least and self.between(end, view) >= least:
                return int(view)
            refused.add(view)
        return None

    def _candidates(self, end: int, excluded: set[int], random: np.random.Generator) -> NDArray[np.intp]:
        others = np.array([view for view in range(len(self.scene)) if view not in excluded], np.intp)
        if len(others) > _CANDIDATES:
            near = np.argsort(np.abs(others - end), kind="stable")[: _CANDIDATES // 2]
            anywhere = random.choice(len(others), _CANDIDATES // 2, replace=False)
            others = others[np.unique(np.concatenate([near, anywhere]))]
        return random.permutation(others)

    def _in_sight(self, view: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """(C,) share of the view's surface that is in front of each of the others and in its picture."""
        points = self._surface(view).points
        if len(points) < _FEWEST or not len(others):
            return np.zeros(len(others))
        cells, depth = self._project(points, others)
        inside = (depth > 0) & (cells >= 0).all(axis=-1) & (cells < _GRID[::-1]).all(axis=-1)
        return inside.mean(axis=1)

    def _seen(self, view: int, other: int) -> float:
        """Share of the view's surface that is in the other's picture and not hidden there."""
        points = self._surface(view).points
        if len(points) < _FEWEST:
            return 0.0
        cells, depth = (one[0] for one in self._project(points, np.array([other])))
        inside = (depth > 0) & (cells >= 0).all(axis=-1) & (cells < _GRID[::-1]).all(axis=-1)
        columns, rows = np.floor(cells[inside]).astype(np.intp).T
        there = self._surface(other).depth[rows, columns]
        hidden = depth[inside] > _BEHIND * np.where(np.isfinite(there), there, np.inf)
        return float((~hidden).sum() / len(points))

    def _project(
        self, points: NDArray[np.float32], views: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cells (V, P, 2) and depth (V, P) of points (P, 3) in each of V views."""
        assert self.scene.cameras is not None
        assert self.scene.cameras.world_to_camera is not None
        matrices = self.scene.cameras.world_to_camera[views]
        in_camera = points @ matrices[:, :3, :3].swapaxes(1, 2) + matrices[:, None, :3, 3]  # (V, P, 3)
        homogeneous = in_camera @ self._grid_cameras[views].swapaxes(1, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(homogeneous[..., :2] / homogeneous[..., 2:], nan=-1.0), in_camera[..., 2]

    def _surface(self, view: int) -> _Surface:
        return self.cache.get(
            ("surface", id(self.scene), view), lambda: self._read_surface(view), lambda one: one.points.nbytes
        )

    def _read_surface(self, view: int) -> _Surface:
        cameras = self.scene.cameras
        assert self.scene.read_labels is not None
        assert cameras is not None
        assert cameras.sizes is not None
        assert cameras.world_to_camera is not None
        width, height = cameras.sizes[view].tolist()
        to_photo = np.diag([width / _GRID[1], height / _GRID[0], 1.0])
        labels = self.scene.read_labels(view, _GRID, to_photo)
        depth = np.where(np.isfinite(labels.depth) & (labels.depth > 0), labels.depth, np.float32(np.nan))
        if labels.sky is not None:
            depth[labels.sky] = np.nan
        points = unproject_depth(depth[None], self._grid_cameras[[view]], cameras.world_to_camera[[view]])
        return _Surface(points[0][np.isfinite(depth)], depth)
