"""A second layer of splats, coarse and behind the first.

Small splats render sharply and leave gaps, which show the background. What shines through them should be the surface's
own colour: so every second pixel of every second row has a larger splat a little behind. There are some too where depth
is unknown or doubtful, at a depth completed from the pixels around, unless another view reliably sees past that place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.refine.ellipsoids import LARGEST_STRETCH
from recon.refine.surface import beside_depth_edges, measure_slopes
from recon.refine.thinning import ViewSurface

SPACING = 2
"""Pixels between the splats of the layer."""
BEHIND = 4.0
"""How far it is behind the first one, in widths of a pixel; more by the slope, so that no larger splat comes to lie
before the smaller ones around it."""
EDGE_MARGIN = 3
"""Pixels that the layer stays away from depth edges, which it would blur."""
FREE_SPACE = 0.02
"""Completed depth goes where another view reliably sees something at it or behind it, to this relative tolerance."""


@dataclass(frozen=True)
class SecondLayer:
    """The layer behind one view: B splats."""

    pixels: NDArray[np.intp]
    """(B,) flattened, ascending: the centres."""
    depth: NDArray[np.float32]
    """(B,) of the surface that they stand behind."""
    slopes: NDArray[np.float32]
    """(2, B) of that surface, as of `recon.refine.surface.measure_slopes`."""
    completed: NDArray[np.bool_]
    """(B,) True where that depth is not reliable."""

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> SecondLayer:
        """Some of its splats."""
        return SecondLayer(self.pixels[chosen], self.depth[chosen], self.slopes[:, chosen], self.completed[chosen])


def make_second_layer(
    views: Sequence[ViewSurface],
    index: int,
    first_layer: NDArray[np.intp],
    doubtful: NDArray[np.bool_],
    image: NDArray[np.uint8],
    none: NDArray[np.bool_] | None,
) -> SecondLayer:
    """The layer behind one view.

    Args:
        views: all of them.
        index: of the view.
        first_layer: (P,) flattened pixels of the view that have a splat.
        doubtful: (H, W) pixels whose depth is usable and of low confidence.
        image: (H, W, 3) RGB, along whose edges depth is completed.
        none: (H, W) pixels that get none unless they have depth, as the sky; or None.
    """
    view = views[index]
    height, width = view.depth.shape
    at_edge = beside_depth_edges(view.depth, view.kept).astype(np.uint8)
    near_edge = cv2.dilate(at_edge, np.ones((2 * EDGE_MARGIN + 1,) * 2, np.uint8)) > 0
    has_splat = np.zeros(height * width, np.uint8)
    has_splat[first_layer] = 1
    around = cv2.dilate(has_splat.reshape(height, width), np.ones((SPACING, SPACING), np.uint8)) > 0
    covered = around & view.covering & ~near_edge
    known = view.kept | doubtful
    unknown = ~view.kept if none is None else ~view.kept & ~none
    if not known.any():
        unknown = np.zeros_like(known)  # there is nothing to complete it from
    grid = np.zeros((height, width), bool)
    grid[SPACING // 2 :: SPACING, SPACING // 2 :: SPACING] = True
    pixels = np.flatnonzero(grid & (covered | unknown))
    depth, slopes = view.depth, view.slopes
    if unknown.any():
        depth = _completed(view.depth, known, image)
        slopes = _with_slopes_of(depth, view)
    completed = unknown.ravel()[pixels]
    second_layer = SecondLayer(pixels, depth.ravel()[pixels], slopes.reshape(2, -1)[:, pixels], completed)
    return second_layer.select(~completed | ~_before_something(second_layer, views, index))


def depth_behind(second_layer: SecondLayer, pixel_angle: float) -> NDArray[np.float32]:
    """(B,) depth that the splats stand at."""
    steepness = np.minimum(np.hypot(*second_layer.slopes) / np.float32(pixel_angle), np.float32(LARGEST_STRETCH))
    return second_layer.depth * (1 + np.float32(BEHIND * pixel_angle) * (1 + steepness))


def _completed(depth: NDArray[np.float32], known: NDArray[np.bool_], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) depth: where it is known that, and from there what is smooth between."""
    from recon.stereo.filling import fill  # imports numba

    inverse = np.zeros(depth.shape, np.float32)
    np.divide(1, depth, out=inverse, where=known)
    inverse = fill(inverse, image)
    return np.asarray(1 / np.maximum(inverse, np.finfo(np.float32).tiny), np.float32)


def _with_slopes_of(depth: NDArray[np.float32], view: ViewSurface) -> NDArray[np.float32]:
    """(2, H, W) the slopes of the view, and where it has none, those of completed depth, from every second pixel."""
    height, width = depth.shape
    coarse = depth[::SPACING, ::SPACING]
    slopes = measure_slopes(coarse, np.ones(coarse.shape, bool), SPACING * view.pixel_angle) / SPACING
    finer = slopes.repeat(SPACING, axis=1).repeat(SPACING, axis=2)[:, :height, :width]
    return np.where(view.kept, view.slopes, finer)


def _before_something(second_layer: SecondLayer, views: Sequence[ViewSurface], index: int) -> NDArray[np.bool_]:
    """(B,) True where another view reliably sees something at a splat or behind it."""
    view = views[index]
    height, width = view.depth.shape
    rows, columns = np.divmod(second_layer.pixels, width)
    x, y, depth = columns + 0.5, rows + 0.5, depth_behind(second_layer, view.pixel_angle)
    to_view = np.linalg.inv(view.world_to_pixels)
    result = np.zeros(len(depth), bool)
    for other_index, other in enumerate(views):
        if other_index == index:
            continue
        to_other = other.world_to_pixels @ to_view
        with np.errstate(all="ignore"):  # of points at or behind the camera
            u, v, z = (depth * (m[0] * x + m[1] * y + m[2]) + m[3] for m in to_other[:3])
            u, v = u / z, v / z
            inside = np.flatnonzero((z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height))
        targets = v[inside].astype(np.intp) * width + u[inside].astype(np.intp)
        seen = np.where(other.kept.ravel()[targets], other.depth.ravel()[targets], 0)
        result[inside] |= z[inside] < seen * (1 + FREE_SPACE)
    return result
