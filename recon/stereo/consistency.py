"""Depth maps of several views held against each other, and what of one is kept then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.stereo.images import Warp, in_bands

_FRACTION = 0.15
"""Pixels by which a depth moves a match in the other view that cannot be told apart: the tolerance is not less."""
_LOOSEST = 3.0
"""Times the tolerance that it is at most."""
_SLOPE_STEP = 2.0**-15
"""Relative change of inverse depth per pixel that a stored slope counts in."""


def store_slopes(planes: NDArray[np.float32]) -> NDArray[np.int16]:
    """Relative change of the inverse depth per column and row (2, h, w) of planes (3, h, w), in two bytes each."""
    relative = planes[1:] / np.maximum(planes[0], 1e-30)
    return np.clip(np.rint(relative / _SLOPE_STEP), -(2**15), 2**15 - 1).astype(np.int16)


def read_slopes(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    """What `store_slopes` has stored, as relative changes per pixel."""
    return np.ascontiguousarray(stored) * np.float32(_SLOPE_STEP)


class Agreement(NamedTuple):
    """How well other views confirm the depth of one."""

    with_each: NDArray[np.float32]
    """(S, h, w): 1 for perfect agreement, falling to 0 at the tolerance; 0 where there is none."""
    within: NDArray[np.uint8]
    """(h, w) how many sources have the pixel's surface point within their image, where that is visible."""


class DepthMaps(NamedTuple):
    """What N views have found."""

    inverse_depth: NDArray[np.float32]
    """(N, H, W), 0 where unknown."""
    slopes: NDArray[np.int16] | None = None
    """(N, 2, H, W) as `store_slopes` gives them: between pixels, surfaces go on along them. None: they are level."""
    visible: NDArray[np.bool_] | None = None
    """(N, H, W) False where a view shows nothing. None: nowhere."""


def agreement(
    inverse_depth: NDArray[np.float32],
    maps: DepthMaps,
    sources: NDArray[np.intp],
    there: Warp,
    back: Warp,
    tolerance: float,
    pixels: float,
    pool: ThreadPoolExecutor,
) -> Agreement:
    """How well each pixel's depth agrees with each source's depth map, there and back again.

    A pixel is sent into the source by its own depth, and from there back by the depth the source has found at that
    place. It agrees if it comes back within `pixels` of where it started, at a depth within a share `tolerance` of its
    own (Schönberger et al., ECCV 2016, and most of multi-view stereo since). Where the views stand so near to each
    other that a share `tolerance` moves a match by less than a seventh of a pixel, depth may be off by that much,
    but by three times the tolerance at most; such agreement counts for less.

    Args:
        inverse_depth: (h, w) of the reference view; 0 where unknown.
        maps: of all views.
        sources: (S,) the views to hold it against.
        there: from the reference view to the sources.
        back: `matrix` (S, 3, 3) and `shift` (S, 3) from each source to the reference view.
        tolerance: relative difference of depth.
        pixels: distance in the reference view.
        pool: what the bands of rows are worked on by.
    """
    size = inverse_depth.shape
    result = Agreement(np.zeros((len(sources), *size), np.float32), np.zeros(size, np.uint8))
    seen = np.zeros((0, 0, 0), np.bool_) if maps.visible is None else maps.visible
    slopes = np.zeros((0, 0, 0, 0), np.int16) if maps.slopes is None else maps.slopes
    in_bands(
        pool,
        len(inverse_depth),
        32,
        lambda first, last: _agree(
            first,
            last,
            inverse_depth,
            sources,
            maps.inverse_depth,
            slopes,
            seen,
            there.matrix,
            there.shift,
            back.matrix,
            back.shift,
            np.float32(tolerance),
            np.float32(pixels),
            result.with_each,
            result.within,
        ),
    )
    return result


@compiled()
def _agree(  # type: ignore[no-untyped-def]
    first,
    last,
    inverse_depth,
    sources,
    maps,
    slopes,
    visible,
    matrix,
    shift,
    back_matrix,
    back_shift,
    tolerance,
    pixels,
    result,
    within,
):
    count, (height, width) = len(sources), maps.shape[1:]
    for y in range(first, last):
        for x in range(inverse_depth.shape[1]):
            w = inverse_depth[y, x]
            if not w > 0:
                continue
            for s in range(count):
                column, row = np.float32(x), np.float32(y)
                u = matrix[s, 0, 0] * column + matrix[s, 0, 1] * row + matrix[s, 0, 2] + shift[s, 0] * w
                v = matrix[s, 1, 0] * column + matrix[s, 1, 1] * row + matrix[s, 1, 2] + shift[s, 1] * w
                z = matrix[s, 2, 0] * column + matrix[s, 2, 1] * row + matrix[s, 2, 2] + shift[s, 2] * w
                if not z > 0:
                    continue
                u, v = u / z, v / z
                if not (np.float32(-0.5) <= u < width - np.float32(0.5)):
                    continue
                if not (np.float32(-0.5) <= v < height - np.float32(0.5)):
                    continue
                if len(visible) > 0:
                    nearest_row = min(int(v + np.float32(0.5)), height - 1)
                    nearest_column = min(int(u + np.float32(0.5)), width - 1)
                    if not visible[sources[s], nearest_row, nearest_column]:
                        continue
                within[y, x] += 1
                by_u, by_v = (shift[s, 0] - u * shift[s, 2]) / z, (shift[s, 1] - v * shift[s, 2]) / z
                parallax = (by_u * by_u + by_v * by_v) ** np.float32(0.5) * w
                loose = min(max(tolerance, np.float32(_FRACTION) / parallax), np.float32(_LOOSEST) * tolerance)
                w_there = _interpolate(maps, slopes, sources[s], u, v, w / z, loose)
                if not w_there > 0:
                    continue
                again_u = back_matrix[s, 0, 0] * u + back_matrix[s, 0, 1] * v + back_matrix[s, 0, 2]
                again_v = back_matrix[s, 1, 0] * u + back_matrix[s, 1, 1] * v + back_matrix[s, 1, 2]
                again_z = back_matrix[s, 2, 0] * u + back_matrix[s, 2, 1] * v + back_matrix[s, 2, 2]
                again_u += back_shift[s, 0] * w_there
                again_v += back_shift[s, 1] * w_there
                again_z += back_shift[s, 2] * w_there
                if not again_z > 0:
                    continue
                # depth again: again_z / w_there; relative to the own depth 1 / w
                off_depth = abs(again_z / w_there * w - np.float32(1))
                off_x, off_y = again_u / again_z - column, again_v / again_z - row
                off_pixels = (off_x * off_x + off_y * off_y) ** np.float32(0.5) / pixels
                off, off_loose = max(off_depth / tolerance, off_pixels), max(off_depth / loose, off_pixels)
                if off_loose < 1:
                    result[s, y, x] = max(np.float32(1) - off, (np.float32(1) - off_loose) * tolerance / loose)


@compiled(forceinline=True)
def _interpolate(maps, slopes, view, u, v, expected, tolerance):  # type: ignore[no-untyped-def]
    """Inverse depth between pixels, from those planes of the four around that are near what is expected; else 0."""
    height, width = maps.shape[1:]
    left, top = int(np.floor(u)), int(np.floor(v))
    fraction_x, fraction_y = u - np.float32(left), v - np.float32(top)
    total, weights = np.float32(0), np.float32(0)
    for j in range(2):
        for i in range(2):
            column, row = min(max(left + i, 0), width - 1), min(max(top + j, 0), height - 1)
            w = maps[view, row, column]
            if len(slopes) > 0:
                along_x = np.float32(slopes[view, 0, row, column]) * (u - np.float32(column))
                along_y = np.float32(slopes[view, 1, row, column]) * (v - np.float32(row))
                w *= np.float32(1) + np.float32(_SLOPE_STEP) * (along_x + along_y)
            share_x = fraction_x if i == 1 else np.float32(1) - fraction_x
            share_y = fraction_y if j == 1 else np.float32(1) - fraction_y
            if w > 0 and abs(w - expected) < np.float32(2) * tolerance * expected:
                total += share_x * share_y * w
                weights += share_x * share_y
    return total / weights if weights > np.float32(0.1) else np.float32(0)


@compiled()
def extend(
    inverse_depth: NDArray[np.float32],
    candidates: NDArray[np.float32],
    slopes: NDArray[np.float32],
    tolerance: float,
    neighbours: int = 3,
) -> None:
    """Add, in place, the candidates that go on with the surface beside them, and those beside them in turn.

    A candidate's plane must come within a share `tolerance` of so many of its eight `neighbours`; with five, gaps are
    closed and no border moves outwards. As thresholds with
    hysteresis do (Canny, PAMI 1986), this keeps weak pixels beside strong ones alone; the order of pixels does not
    matter.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        candidates: (H, W) inverse depth, 0 where there is none.
        slopes: (2, H, W) relative change of the candidates' inverse depth per column and row.
        tolerance: relative difference.
    """
    height, width = inverse_depth.shape
    stack = [(-1, -1)]
    for y in range(height):
        for x in range(width):
            if inverse_depth[y, x] == 0 and candidates[y, x] > 0:
                stack.append((y, x))
    while len(stack) > 1:
        y, x = stack.pop()
        w = candidates[y, x]
        if inverse_depth[y, x] > 0:
            continue
        near = 0
        for row in range(max(y - 1, 0), min(y + 2, height)):
            for column in range(max(x - 1, 0), min(x + 2, width)):
                there = inverse_depth[row, column]
                slope = np.float32(slopes[0, y, x]) * (column - x) + np.float32(slopes[1, y, x]) * (row - y)
                near += there > 0 and abs(there - w - slope * w) < tolerance * w
        if near < neighbours:
            continue
        inverse_depth[y, x] = w
        for row in range(max(y - 1, 0), min(y + 2, height)):
            for column in range(max(x - 1, 0), min(x + 2, width)):
                if inverse_depth[row, column] == 0 and candidates[row, column] > 0:
                    stack.append((row, column))


@compiled()
def close_gaps(
    inverse_depth: NDArray[np.float32], slopes: NDArray[np.float32], wanted: NDArray[np.bool_], tolerance: float
) -> None:
    """Give, in place, single pixels without depth that of the surface that surrounds them.

    Six of the eight neighbours must have depth, and their planes must come within a share `tolerance` of their mean.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        slopes: (2, H, W) its relative change per column and row, by the pixels' planes.
        wanted: (H, W) False where there is to be no depth.
        tolerance: relative difference.
    """
    height, width = inverse_depth.shape
    before = inverse_depth.copy()
    there = np.empty(8, np.float32)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if before[y, x] > 0 or not wanted[y, x]:
                continue
            count, total = 0, np.float32(0)
            for row in range(y - 1, y + 2):
                for column in range(x - 1, x + 2):
                    w = before[row, column]
                    if w > 0:
                        slope = slopes[0, row, column] * (x - column) + slopes[1, row, column] * (y - row)
                        there[count] = w * (np.float32(1) + np.float32(slope))
                        total += there[count]
                        count += 1
            if count < 6:
                continue
            mean, alike = total / np.float32(count), True
            for k in range(count):
                alike = alike and abs(there[k] - mean) < tolerance * mean
            if alike:
                inverse_depth[y, x] = mean


@compiled()
def remove_speckles(
    inverse_depth: NDArray[np.float32], slopes: NDArray[np.float32], smallest: int, tolerance: float
) -> None:
    """Set to 0, in place, the connected patches of fewer than `smallest` pixels.

    Neighbours are connected where the plane through either comes within a share `tolerance` of the other: on ground
    seen at a slant, inverse depth itself changes by more from one row to the next.

    Args:
        inverse_depth: (H, W), 0 where unknown.
        slopes: (2, H, W) its relative change per column and row, by the pixels' planes.
        smallest: pixels.
        tolerance: relative difference.
    """
    height, width = inverse_depth.shape
    labels = np.zeros((height, width), np.int32)
    stack = np.empty((height * width, 2), np.int32)
    label = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] != 0 or not inverse_depth[y, x] > 0:
                continue
            label += 1
            labels[y, x] = label
            stack[0, 0], stack[0, 1] = y, x
            head, size = 0, 1
            while head < size:
                row, column = stack[head, 0], stack[head, 1]
                head += 1
                w = inverse_depth[row, column]
                for k in range(4):
                    next_row = row + (k == 0) - (k == 1)
                    next_column = column + (k == 2) - (k == 3)
                    if not (0 <= next_row < height and 0 <= next_column < width):
                        continue
                    other = inverse_depth[next_row, next_column]
                    if labels[next_row, next_column] != 0 or not other > 0:
                        continue
                    axis = 1 if k < 2 else 0
                    step = (next_row - row) + (next_column - column)
                    own = w * (1 + step * np.float32(slopes[axis, row, column]))
                    back = other * (1 - step * np.float32(slopes[axis, next_row, next_column]))
                    if min(abs(other - own), abs(w - back)) < tolerance * w:
                        labels[next_row, next_column] = label
                        stack[size, 0], stack[size, 1] = next_row, next_column
                        size += 1
            if size < smallest:
                for k in range(size):
                    inverse_depth[stack[k, 0], stack[k, 1]] = 0
