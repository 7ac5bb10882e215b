"""Which of the pixels that show the same surface in several views become splats, and which ones a budget drops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_4x4
from recon.geometry.unprojection import pixel_centres
from recon.refine.surface import beside_depth_edges, plane_normals
from recon.types import FloatArray

OVERLAP_TOLERANCE = 4.0
"""Two views see the same surface where their depths differ by less than this many pixels' width at that depth."""
LEAST_COSINE = 0.5
"""And where their normals differ by less than 60°, which the two sides of a crease and of a sheet do not."""
EDGE_PENALTY = 8
"""Levels that a pixel beside a depth edge counts coarser: its colour is a mix of two surfaces."""
_COARSEST = 100
"""Levels are clipped here."""

FLAT_IMPORTANCE = 0.2
"""Importance of a pixel without any contrast, where 1 is that between black and white."""
_DITHER = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence (Roberts 2018): pixels where frac(x · step + y · step) < p are spread evenly for any p."""


@dataclass(frozen=True)
class ViewSurface:
    """What one view sees."""

    depth: NDArray[np.float32]
    """(H, W)."""
    kept: NDArray[np.bool_]
    """(H, W) pixels worth a splat."""
    slopes: NDArray[np.float32]
    """(2, H, W) of `recon.refine.surface.measure_slopes`."""
    levels: NDArray[np.int8]
    """(H, W) of `resolution_levels`."""
    intrinsics: FloatArray
    """(3, 3) in pixels."""
    extrinsics: FloatArray
    """(3, 4) world to camera."""

    @property
    def pixel_angle(self) -> float:
        """Of one pixel at the image centre, radians."""
        return pixel_angle(self.intrinsics)

    @cached_property
    def covering(self) -> NDArray[np.bool_]:
        """(H, W) kept pixels whose eight neighbours are kept too: inside them, splats leave no gap."""
        width = self.kept.shape[1]
        padded = np.pad(self.kept, 1)
        rows = padded[:-2] & padded[1:-1] & padded[2:]  # (H, W + 2)
        return rows[:, :width] & rows[:, 1 : width + 1] & rows[:, 2:]

    @cached_property
    def world_to_pixels(self) -> NDArray[np.float64]:
        """(4, 4) from world points (X, Y, Z, 1) to (x z, y z, z, 1), seen at the pixel (x, y) and depth z."""
        projection = np.eye(4)
        projection[:3, :3] = self.intrinsics
        return projection @ to_4x4(np.asarray(self.extrinsics, np.float64))


def pixel_angle(intrinsics: FloatArray) -> float:
    """Of one pixel at the image centre, radians: the root of its solid angle."""
    return float(1 / np.sqrt(np.float64(intrinsics[0, 0]) * intrinsics[1, 1]))


def resolution_levels(
    depth: FloatArray,
    kept: NDArray[np.bool_],
    slopes: FloatArray,
    intrinsics: FloatArray,
    unit: float,
) -> NDArray[np.int8]:
    """(H, W) logarithm to base √2 of the area that a pixel covers on the surface, in squares of `unit`, rounded down.

    Smaller is finer. Pixels beside a depth edge count `EDGE_PENALTY` levels coarser.
    """
    height, width = depth.shape
    centres = np.moveaxis(pixel_centres(height, width).astype(np.float32), 2, 0)  # (2, H, W)
    normals = plane_normals(slopes.reshape(2, -1), centres.reshape(2, -1), intrinsics)
    stretch = np.sqrt((normals * normals).sum(axis=0)).reshape(depth.shape)
    with np.errstate(all="ignore"):  # of pixels that are not kept
        width_on_surface = depth * np.float32(pixel_angle(intrinsics) / unit)
        levels = np.floor(np.log2(width_on_surface) * 4 + np.log2(stretch) * 2)
    levels += EDGE_PENALTY * beside_depth_edges(depth, kept)
    return np.where(kept, np.clip(levels, -_COARSEST, _COARSEST), _COARSEST).astype(np.int8)


def not_seen_better(views: Sequence[ViewSurface], index: int) -> NDArray[np.intp]:
    """(P,) the kept pixels of one view, flattened, whose surface no other view sees at a finer level.

    Of views that see it at the same level the first one has it. So there is a view for every piece of surface, whatever
    the number of views: levels and indices make one order.
    """
    view = views[index]
    remaining = np.flatnonzero(view.kept)
    for other_index, other in enumerate(views):
        if other_index == index or not len(remaining):
            continue
        sight = _look(view, other, remaining)
        levels, own_levels = other.levels.ravel()[sight.targets], view.levels.ravel()[remaining[sight.indices]]
        better = levels <= own_levels if other_index < index else levels < own_levels
        better &= sight.differences <= np.float32(OVERLAP_TOLERANCE * other.pixel_angle)
        better &= sight.cosines > LEAST_COSINE
        better &= other.covering.ravel()[sight.targets]
        gone = np.zeros(len(remaining), bool)
        gone[sight.indices] = better
        remaining = remaining[~gone]
    return remaining


class _Sight(NamedTuple):
    """What one view sees where C of the pixels of another one lie."""

    indices: NDArray[np.intp]
    """(C,) which of the pixels: those that lie in the image."""
    targets: NDArray[np.intp]
    """(C,) flattened pixels they lie in."""
    differences: NDArray[np.float32]
    """(C,) between the depth of the pixel and that of what is seen there, relative to it; or NaN."""
    cosines: NDArray[np.float32]
    """(C,) between the normals of the two."""


def _look(view: ViewSurface, other: ViewSurface, pixels: NDArray[np.intp]) -> _Sight:
    """What `other` sees at the surface points of (P,) flattened pixels of `view`."""
    rows, columns = np.divmod(pixels, view.kept.shape[1])
    x, y = columns.astype(np.float32) + np.float32(0.5), rows.astype(np.float32) + np.float32(0.5)
    depth = view.depth.ravel()[pixels]
    to_other = (other.world_to_pixels @ np.linalg.inv(view.world_to_pixels)).astype(np.float32)
    height, width = other.kept.shape
    with np.errstate(all="ignore"):  # of points at or behind the camera
        u, v, z = (depth * (m[0] * x + m[1] * y + m[2]) + m[3] for m in to_other[:3])
        u, v = u / z, v / z
        inside = np.flatnonzero((z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height))
    u, v, z, x, y = (values[inside] for values in (u, v, z, x, y))
    columns, rows = u.astype(np.intp), v.astype(np.intp)
    targets = rows * width + columns
    slopes = other.slopes.reshape(2, -1)[:, targets]
    centres = np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)  # (2, C)
    turn = (other.extrinsics[:3, :3] @ view.extrinsics[:3, :3].T).astype(np.float32)
    own_normals = turn @ plane_normals(view.slopes.reshape(2, -1)[:, pixels[inside]], np.stack([x, y]), view.intrinsics)
    normals = plane_normals(slopes, centres, other.intrinsics)
    with np.errstate(all="ignore"):  # of pixels that are not kept
        surface = other.depth.ravel()[targets] / (1 + slopes[0] * (u - centres[0]) + slopes[1] * (v - centres[1]))
        differences = np.abs(surface - z) / z
    return _Sight(inside, targets, differences, _cosines(own_normals, normals))


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P,) cosines between (3, P) vectors."""
    return (left * right).sum(axis=0) / np.sqrt((left * left).sum(axis=0) * (right * right).sum(axis=0))


def importance(image: NDArray[np.uint8], depth: FloatArray, kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) how much of the picture a splat holds: contrast to its neighbours, and all of it beside a depth edge.

    Where an (H, W, 3) image is even, few large splats look the same as many small ones.
    """
    grey = image.astype(np.float32).mean(axis=2) / 255
    contrast = np.zeros_like(grey)
    for values, largest in ((grey, contrast), (grey.T, contrast.T)):  # along columns, along rows
        difference = np.abs(values[1:] - values[:-1])
        np.maximum(largest[1:], difference, out=largest[1:])
        np.maximum(largest[:-1], difference, out=largest[:-1])
    return np.where(beside_depth_edges(depth, kept), np.float32(1), contrast) + np.float32(FLAT_IMPORTANCE)


def dither(pixels: NDArray[np.intp], width: int) -> NDArray[np.float32]:
    """(P,) thresholds in (0, 1] for flattened pixels, spread so that any share of them covers the image evenly."""
    rows, columns = np.divmod(pixels, width)
    return (1 - np.modf(columns * _DITHER[0] + rows * _DITHER[1])[0]).astype(np.float32)


def within_budget(
    importances: NDArray[np.float32], thresholds: NDArray[np.float32], budget: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The `budget` splats to keep of P, and how far apart they then are.

    Splats stay with a probability in proportion to their (P,) importance, up to 1; `thresholds` (P,) are the dice.

    Returns:
        (budget,) indices, ascending, and (budget,) distances ≥ 1 between splats, in pixels.
    """
    keys = importances / thresholds
    least = np.partition(keys, len(keys) - budget)[len(keys) - budget]
    chosen = keys > least
    ties = np.flatnonzero(keys == least)
    chosen[ties[: budget - int(chosen.sum())]] = True
    kept = np.flatnonzero(chosen)
    probability = np.minimum(importances[kept] / least, 1)
    return kept, 1 / np.sqrt(probability)
