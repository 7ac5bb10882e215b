"""Tile-based splatting on the CPU: project, bin to tiles, sort by depth, blend front to back.

The kernels are compiled by numba when first called and kept in its cache. They release the interpreter's lock, so plain
threads run them side by side; each works on its own range of splats or tiles, and no sum depends on how the ranges are
cut. The image is therefore the same for any number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.splats.cpu_blending import blend_tiles
from recon.splats.cpu_projection import COLOR_FIELDS, DEPTH, SPLAT_FIELDS, project
from recon.splats.cpu_tiles import TILE, count_pairs, fill_pairs, sort_pairs
from recon.splats.rasterizer import RenderedView, RenderSettings
from recon.types import Gaussians

_TASKS_PER_THREAD = 8
"""Ranges each stage is cut into, so that a thread whose ranges were easy takes over some of the others'."""
_SPLATS_PER_TASK = 4096
"""At least; fewer would not be worth the handing out."""
_MAX_PAIRS = 1 << 25
"""Pairs of splats and tiles in memory at a time (256 MiB): more are binned and blended band by band."""


@dataclass(frozen=True)
class Range:
    """Consecutive splats or tiles, from `first` to before `last`."""

    first: int
    last: int


@dataclass(frozen=True)
class Splats:
    """Gaussians as one camera sees them."""

    geometry: NDArray[np.float64]
    """(G, SPLAT_FIELDS), of which only `ranges` are filled."""
    colors: NDArray[np.float32]
    """(G, COLOR_FIELDS) likewise."""
    ranges: list[Range]
    """Where the visible splats are, in the order of the Gaussians."""


@dataclass(frozen=True)
class Bins:
    """The splats that touch each tile of a band of tiles."""

    band: Range
    pairs: NDArray[np.uint64]
    """See `cpu_tiles`."""
    starts: NDArray[np.int64]
    """(tiles + 1,) where the pairs of each tile begin; 0 for the tiles before the band."""


class CpuRenderer:
    """Draws views of the same Gaussians, which must be finite; memory is reused from view to view."""

    def __init__(self, gaussians: Gaussians, settings: RenderSettings) -> None:
        self._means = _float32(gaussians.means)
        self._scales = _float32(gaussians.scales)
        self._rotations = _float32(gaussians.rotations)
        self._harmonics = _float32(gaussians.harmonics)
        self._opacities = _float32(gaussians.opacities)
        self._height, self._width = settings.size
        self._mode = settings.mode
        self._background = settings.background
        self._near, self._far = float(settings.near), float(settings.far)
        self._threads = settings.threads or usable_cores()
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._geometry = _aligned(len(gaussians), SPLAT_FIELDS)
        self._colors = np.empty((len(gaussians), COLOR_FIELDS), np.float32)
        self._indices = np.empty(len(gaussians), np.int32)
        self._pairs = np.empty(0, np.uint64)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        """One view.

        Args:
            world_to_camera: (4, 4).
            intrinsics: (3, 3) pixels of the view, without skew.
        """
        color = np.empty((self._height, self._width, 3), np.float32)
        depth = np.empty((self._height, self._width), np.float32)
        alpha = np.empty((self._height, self._width), np.float32)
        splats = self.project(world_to_camera, intrinsics)
        for bins in self.bin(splats):
            self.sort(bins)
            self.blend(splats, bins, color, depth, alpha)
        return RenderedView(color, None if self._mode == "RGB" else depth, alpha)

    def project(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> Splats:
        """The Gaussians that can reach a pixel, valid until the next call."""
        centre = np.linalg.inv(world_to_camera)[:3, 3].astype(np.float64)

        def run(part: Range) -> Range:
            kept = project(
                self._means,
                self._scales,
                self._rotations,
                self._harmonics,
                self._opacities,
                part.first,
                part.last,
                world_to_camera,
                centre,
                intrinsics,
                self._height,
                self._width,
                self._near,
                self._far,
                self._geometry,
                self._colors,
                self._indices,
            )
            return Range(part.first, part.first + kept)

        return Splats(
            self._geometry, self._colors, self.spread(run, self._cut(Range(0, len(self._means)), _SPLATS_PER_TASK))
        )

    def bin(self, splats: Splats) -> Iterator[Bins]:
        """The pairs of splats and tiles, unsorted, in one band of tiles or several; each valid until the next."""
        tiles = -(-self._height // TILE) * -(-self._width // TILE)
        depth_bits = splats.colors.view(np.uint32)[:, DEPTH]
        counts = np.zeros((len(splats.ranges), tiles), np.int64)

        def count(part: int) -> None:
            visible = splats.ranges[part]
            count_pairs(splats.geometry, visible.first, visible.last, self._height, self._width, counts[part])

        self.spread(count, range(len(splats.ranges)))
        for band in _bands(counts.sum(axis=0)):
            # Tile by tile, and within a tile range by range, so that its pairs are in the order of the Gaussians.
            ends = np.cumsum(counts[:, band.first : band.last].T).reshape(-1, len(counts))  # (tiles of band, ranges)
            starts = np.zeros(tiles + 1, np.int64)
            starts[band.first + 1 : band.last + 1] = ends[:, -1]
            places = np.zeros_like(counts)
            places[:, band.first : band.last] = ends.T - counts[:, band.first : band.last]
            pairs = self._room_for_pairs(int(ends[-1, -1]))

            def fill(
                part: int, band: Range = band, places: NDArray[np.int64] = places, pairs: NDArray[np.uint64] = pairs
            ) -> None:
                visible = splats.ranges[part]
                fill_pairs(
                    splats.geometry,
                    depth_bits,
                    visible.first,
                    visible.last,
                    self._height,
                    self._width,
                    band.first,
                    band.last,
                    places[part],
                    pairs,
                )

            self.spread(fill, range(len(splats.ranges)))
            yield Bins(band, pairs, starts)

    def sort(self, bins: Bins) -> None:
        """Put the pairs of each tile in order, in place."""
        self.spread(lambda part: sort_pairs(bins.pairs, bins.starts, part.first, part.last), self._cut(bins.band))

    def blend(
        self,
        splats: Splats,
        bins: Bins,
        color: NDArray[np.float32],
        depth: NDArray[np.float32],
        alpha: NDArray[np.float32],
    ) -> None:
        """Write the pixels of a sorted band to images (H, W, 3), (H, W) and (H, W)."""

        def run(part: Range) -> None:
            blend_tiles(
                splats.geometry,
                splats.colors,
                bins.pairs,
                bins.starts,
                part.first,
                part.last,
                self._background,
                self._mode == "RGB+ED",
                color,
                depth,
                alpha,
            )

        self.spread(run, self._cut(bins.band))

    def _cut(self, whole: Range, smallest: int = 1) -> list[Range]:
        """`whole` in consecutive parts of about equal length, at least `smallest` if it has that many."""
        length = whole.last - whole.first
        parts = max(1, min(self._threads * _TASKS_PER_THREAD, length // smallest))
        ends = [whole.first + length * part // parts for part in range(parts + 1)]
        return [Range(first, last) for first, last in itertools.pairwise(ends)]

    def spread(self, function: Callable[[Any], Any], arguments: Any) -> list[Any]:
        """`function` of each argument, on all threads."""
        arguments = list(arguments)
        if self._pool is None:
            return [function(argument) for argument in arguments]
        found: list[Any] = [None] * len(arguments)
        places = iter(range(len(arguments)))

        def work() -> None:  # each thread takes the next one: to hand them out singly costs more than some take
            for place in places:
                found[place] = function(arguments[place])

        for thread in [self._pool.submit(work) for _ in range(self._threads)]:
            thread.result()
        return found

    def _room_for_pairs(self, count: int) -> NDArray[np.uint64]:
        if len(self._pairs) < count:
            self._pairs = np.empty(count + count // 4, np.uint64)
        return self._pairs[:count]


def _bands(counts: NDArray[np.int64]) -> Iterator[Range]:
    """All tiles in as few consecutive bands as hold `_MAX_PAIRS` each; a tile with more than that is a band of its own.

    Args:
        counts: (tiles,) pairs of each tile.
    """
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _MAX_PAIRS, side="right")))
        yield Range(first, last)
        first = last


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """As the kernels are compiled for: contiguous, aligned, writable; a copy only where it is not so already."""
    return np.require(array, np.float32, ["C", "A", "W"])


def _aligned(rows: int, columns: int) -> NDArray[np.float64]:
    """An empty (rows, columns) array that starts with a cache line, so that a row of eight numbers is one to fetch."""
    room = np.empty(rows * columns + 8)
    skip = -room.ctypes.data // 8 % 8
    return room[skip : skip + rows * columns].reshape(rows, columns)
