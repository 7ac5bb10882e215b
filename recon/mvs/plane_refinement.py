"""Slanted planes per pixel: taken over from neighbours where they match better, then fitted by Gauss-Newton steps.

A pixel's hypothesis is the plane through its surface point, as inverse depth w and its slopes along columns and rows:
inverse depth is affine in the pixels on a plane. Hypotheses spread as in PatchMatch stereo (Bleyer et al., BMVC 2011)
and its version for many views (Galliani et al., ICCV 2015), every pixel at once, so that neither the order of pixels
nor the number of threads matters. Matching weighs the window's pixels by their likeness to its centre, so that windows
across an edge follow the side they belong to.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recon.mvs.plane_sweep import FASTMATH, NO_SCORE
from recon.mvs.stereo_images import Matching, in_bands, pack_quads

REACHES = np.array([1, 2, 4, 7], np.int64)
"""Distances in pixels at which a plane may be taken over; in each of four directions the best-scored one is tried."""

UNSCORED = -2.0
"""Score of a hypothesis that was not evaluated yet."""

_STEEPEST = 5.0
"""Largest slope: relative change of inverse depth over a focal length, about the tangent of the tilt."""
DAMPING = 0.01
SLOPE_DAMPING = 0.3
"""Added to the normal equations, in shares of their diagonal; that of the slopes in shares of what the depth has."""
COLOUR_SCALE = 18.0
"""Distance in RGB from the centre's colour at which a pixel of the window weighs a quarter."""
NEGLIGIBLE = 0.02
"""Change in units at the window's rim below which a hypothesis is the one already there."""

WORTH_FITTING = 0.6
"""Sources with less than this share of the best source's correlation take no part in a step."""

_MOMENTS = 18
_BAND = 8
"""Rows worked on at a time: few, because easy and hard rows lie together."""


class Bounds(NamedTuple):
    """What a hypothesis may be."""

    unit: float
    """A change of inverse depth that moves a match by about a pixel: the largest step, and the scale of small ones."""
    lowest: float
    """Inverse depth."""
    highest: float
    """Inverse depth."""
    focal: float
    """Pixels: limits the slopes."""

    @property
    def steepest(self) -> float:
        """Largest slope of the inverse depth per pixel, as a share of the inverse depth."""
        return _STEEPEST / self.focal


def refine(
    matching: Matching,
    planes: NDArray[np.float32],
    scores: NDArray[np.float32],
    bounds: Bounds,
    window: int,
    spread: bool,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One pass over all pixels on the CPU: perhaps take over a neighbour's plane, then a Gauss-Newton step on the own.

    Args:
        matching: the views.
        planes: (3, H, W) inverse depth, and its change per column and per row.
        scores: (H, W) of these planes; `UNSCORED` where not known.
        bounds: of the hypotheses.
        window: odd diameter of the correlation window in pixels.
        spread: whether neighbours are tried.
        pool: what the bands of rows are worked on by.

    Returns:
        Planes and scores after the pass, new arrays. A step that makes the score worse is not taken.
    """
    better, better_scores = np.empty_like(planes), np.empty_like(scores)
    taps = window_taps(window)
    count = int(taps[2].sum())
    quads = pack_quads(matching.sources).reshape(-1)
    in_bands(
        pool,
        len(matching.reference),
        _BAND,
        lambda first, last: _refine_band(
            first,
            last,
            matching.reference,
            matching.colours,
            quads,
            matching.warp.matrix,
            matching.warp.shift,
            planes,
            scores,
            taps[0],
            taps[1],
            count,
            np.float32(bounds.unit),
            np.float32(bounds.lowest),
            np.float32(bounds.highest),
            np.float32(bounds.steepest),
            matching.agreeing,
            np.float32(matching.noise**2),
            REACHES if spread else REACHES[:0],
            better,
            better_scores,
        ),
    )
    return better, better_scores


def window_taps(window: int) -> NDArray[np.float32]:
    """(3, K) columns and rows of a window with rounded corners, and 1; padded with zeros to whole vector registers."""
    radius = window // 2
    across, down = np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1))
    within = across**2 + down**2 <= radius**2 + radius // 2
    count = int(within.sum())
    taps = np.zeros((3, -(-count // 16) * 16), np.float32)
    taps[0, :count], taps[1, :count], taps[2, :count] = across[within], down[within], 1
    return taps


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _refine_band(  # type: ignore[no-untyped-def]
    first, last, reference, colours, quads, matrix, shift, planes, scores, tap_x, tap_y, count,
    unit, lowest, highest, steepest, agreeing, noise, reaches, better, better_scores
):  # fmt: skip
    height, width = reference.shape
    sources = len(matrix)
    radius = np.float32(tap_x.max())
    negligible = np.float32(NEGLIGIBLE) * unit
    weights, values = np.zeros(len(tap_x), np.float32), np.zeros(len(tap_x), np.float32)
    found = np.empty(sources, np.float32)
    moments = np.empty((sources, _MOMENTS), np.float32)
    normal = np.empty(9, np.float32)
    for y in range(first, last):
        for x in range(width):
            mean, deviation = _window(reference, colours, x, y, tap_x, tap_y, count, noise, weights, values)
            w, along_x, along_y, score = planes[0, y, x], planes[1, y, x], planes[2, y, x], scores[y, x]
            if score <= np.float32(UNSCORED):
                score = _score(
                    quads, matrix, shift, x, y, height, width, w, along_x, along_y,
                    tap_x, tap_y, weights, values, mean, deviation, noise, agreeing, found,
                )  # fmt: skip
            for direction in range(4 if len(reaches) > 0 else 0):
                column, row = _best_neighbour(scores, x, y, direction, reaches)
                if column < 0:
                    continue
                new_x, new_y = planes[1, row, column], planes[2, row, column]
                new_w = planes[0, row, column] + new_x * np.float32(x - column) + new_y * np.float32(y - row)
                change = abs(new_w - w) + radius * (abs(new_x - along_x) + abs(new_y - along_y))
                if not lowest <= new_w <= highest or change < negligible:
                    continue
                new_score = _score(
                    quads, matrix, shift, x, y, height, width, new_w, new_x, new_y,
                    tap_x, tap_y, weights, values, mean, deviation, noise, agreeing, found,
                )  # fmt: skip
                if new_score > score:
                    w, along_x, along_y, score = new_w, new_x, new_y, new_score
            if score > 0:
                best = np.float32(NO_SCORE)
                for source in range(sources):
                    found[source] = _moments(
                        quads, matrix, shift, source, x, y, height, width, w, along_x, along_y,
                        tap_x, tap_y, weights, values, mean, deviation, noise, unit, moments,
                    )  # fmt: skip
                    best = max(best, found[source])
                normal[:] = np.float32(0)
                for source in range(sources):
                    if found[source] > np.float32(WORTH_FITTING) * best:
                        _add_equations(moments, source, mean, deviation, noise, found[source], normal)
                step_w, step_x, step_y = _solve(normal)
                step_w = min(max(step_w, np.float32(-1)), np.float32(1))
                if abs(step_w) + radius * (abs(step_x) + abs(step_y)) > np.float32(NEGLIGIBLE):
                    new_w = min(max(w + unit * step_w, lowest), highest)
                    bound = steepest * new_w
                    new_x = min(max(along_x + unit * step_x, -bound), bound)
                    new_y = min(max(along_y + unit * step_y, -bound), bound)
                    new_score = _score(
                        quads, matrix, shift, x, y, height, width, new_w, new_x, new_y,
                        tap_x, tap_y, weights, values, mean, deviation, noise, agreeing, found,
                    )  # fmt: skip
                    if new_score > score:
                        w, along_x, along_y, score = new_w, new_x, new_y, new_score
            better[0, y, x], better[1, y, x], better[2, y, x] = w, along_x, along_y
            better_scores[y, x] = score


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _window(reference, colours, x, y, tap_x, tap_y, count, noise, weights, values):  # type: ignore[no-untyped-def]
    """Grey levels and weights (sum 1) of the window; returns their weighted mean and deviation, noise included."""
    height, width = reference.shape
    for k in range(count):
        column = min(max(x + np.int64(tap_x[k]), 0), width - 1)
        row = min(max(y + np.int64(tap_y[k]), 0), height - 1)
        values[k] = np.float32(reference[row, column]) - np.float32(128)
    red, green, blue = int(colours[y, x, 0]), int(colours[y, x, 1]), int(colours[y, x, 2])
    likeness = np.float32(1 / COLOUR_SCALE**2)
    total = np.float32(0)
    for k in range(count):
        column = min(max(x + np.int64(tap_x[k]), 0), width - 1)
        row = min(max(y + np.int64(tap_y[k]), 0), height - 1)
        off_red, off_green = int(colours[row, column, 0]) - red, int(colours[row, column, 1]) - green
        off_blue = int(colours[row, column, 2]) - blue
        away = np.float32(off_red * off_red + off_green * off_green + off_blue * off_blue) * likeness
        weight = np.float32(1) / ((np.float32(1) + away) * (np.float32(1) + away))
        weights[k] = weight
        total += weight
    share = np.float32(1) / total
    mean, square = np.float32(0), np.float32(0)
    for k in range(count):
        weights[k] *= share
    for k in range(count):
        mean += weights[k] * values[k]
        square += weights[k] * values[k] * values[k]
    return mean, math.sqrt(max(square - mean * mean, np.float32(0)) + noise)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _best_neighbour(scores, x, y, direction, reaches):  # type: ignore[no-untyped-def]
    """Column and row of the best-scored pixel in a direction; -1, -1 where none is scored."""
    height, width = scores.shape
    best, best_column, best_row = np.float32(NO_SCORE), -1, -1
    for k in range(len(reaches)):
        reach = reaches[k]
        column = x + (reach if direction == 0 else -reach if direction == 1 else 0)
        row = y + (reach if direction == 2 else -reach if direction == 3 else 0)
        if 0 <= column < width and 0 <= row < height and scores[row, column] > best:
            best, best_column, best_row = scores[row, column], column, row
    return best_column, best_row


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _score(  # type: ignore[no-untyped-def]
    quads,
    matrix,
    shift,
    x,
    y,
    height,
    width,
    w,
    along_x,
    along_y,
    tap_x,
    tap_y,
    weights,
    values,
    mean,
    deviation,
    noise,
    agreeing,
    found,
):
    """Mean correlation with the `agreeing` best sources; `found` (S,) takes that with each."""
    for source in range(len(matrix)):
        found[source] = _correlation(
            quads,
            matrix,
            shift,
            source,
            x,
            y,
            height,
            width,
            w,
            along_x,
            along_y,
            tap_x,
            tap_y,
            weights,
            values,
            mean,
            deviation,
            noise,
        )
    total = np.float32(0)
    last = np.float32(2)
    left = agreeing
    while left > 0:  # the next smaller score, ties counted
        best, ties = np.float32(NO_SCORE), 0
        for source in range(len(found)):
            score = found[source]
            if score < last:
                if score > best:
                    best, ties = score, 1
                elif score == best:
                    ties += 1
        taken = min(left, max(ties, 1))
        total += best * np.float32(taken)
        left -= taken
        last = best
    return total / np.float32(agreeing)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, forceinline=True)
def _correlation(  # type: ignore[no-untyped-def]
    quads,
    matrix,
    shift,
    source,
    x,
    y,
    height,
    width,
    w,
    along_x,
    along_y,
    tap_x,
    tap_y,
    weights,
    values,
    mean,
    deviation,
    noise,
):
    """Weighted zero-mean normalised cross-correlation of the window with its image through the plane."""
    column, row = np.float32(x), np.float32(y)
    start_u = matrix[source, 0, 0] * column + matrix[source, 0, 1] * row + matrix[source, 0, 2] + shift[source, 0] * w
    start_v = matrix[source, 1, 0] * column + matrix[source, 1, 1] * row + matrix[source, 1, 2] + shift[source, 1] * w
    start_z = matrix[source, 2, 0] * column + matrix[source, 2, 1] * row + matrix[source, 2, 2] + shift[source, 2] * w
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    reach_x, reach_y = (right + np.float32(0.5)) * start_z, (bottom + np.float32(0.5)) * start_z
    margin = np.float32(-0.5) * start_z
    visible = (start_z > 0) & (start_u >= margin) & (start_u <= reach_x) & (start_v >= margin) & (start_v <= reach_y)
    across_u, down_u = (
        matrix[source, 0, 0] + shift[source, 0] * along_x,
        matrix[source, 0, 1] + shift[source, 0] * along_y,
    )
    across_v, down_v = (
        matrix[source, 1, 0] + shift[source, 1] * along_x,
        matrix[source, 1, 1] + shift[source, 1] * along_y,
    )
    across_z, down_z = (
        matrix[source, 2, 0] + shift[source, 2] * along_x,
        matrix[source, 2, 1] + shift[source, 2] * along_y,
    )
    stride, first = np.int32(width), np.uint64(source * height * width)
    total, square, product = np.float32(0), np.float32(0), np.float32(0)
    for k in range(len(tap_x) if visible else 0):
        over_z = np.float32(1) / (start_z + tap_x[k] * across_z + tap_y[k] * down_z)
        u = (start_u + tap_x[k] * across_u + tap_y[k] * down_u) * over_z
        v = (start_v + tap_x[k] * across_v + tap_y[k] * down_v) * over_z
        u = u if u > np.float32(0) else np.float32(0)
        u = u if u < right else right
        v = v if v > np.float32(0) else np.float32(0)
        v = v if v < bottom else bottom
        left, upper = np.int32(u), np.int32(v)
        fraction_x, fraction_y = u - np.float32(left), v - np.float32(upper)
        quad = quads[first + np.uint32(upper * stride + left)]
        a = np.float32(np.int32(quad & 255))
        b = np.float32(np.int32((quad >> 8) & 255))
        c = np.float32(np.int32((quad >> 16) & 255))
        d = np.float32(np.int32(quad >> 24))
        above = a + fraction_x * (b - a)
        below = c + fraction_x * (d - c)
        sample = above + fraction_y * (below - above) - np.float32(128)
        weighted = weights[k] * sample
        total += weighted
        square += weighted * sample
        product += weighted * values[k]
    variance = max(square - total * total, np.float32(0)) + noise
    return (product - total * mean) / (deviation * math.sqrt(variance)) if visible else np.float32(NO_SCORE)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, forceinline=True)
def _moments(  # type: ignore[no-untyped-def]
    quads,
    matrix,
    shift,
    source,
    x,
    y,
    height,
    width,
    w,
    along_x,
    along_y,
    tap_x,
    tap_y,
    weights,
    values,
    mean,
    deviation,
    noise,
    unit,
    moments,
):
    """Weighted sums over the window that the Gauss-Newton equations of one source are made of.

    g is the derivative of a sample by the inverse depth at its pixel, in `unit`; by the slopes it is g times the tap's
    offset. Order: s, s², r s; g, gx, gy; g², g²x, g²y, g²x², g²xy, g²y²; s g, s gx, s gy; r g, r gx, r gy.
    """
    column, row = np.float32(x), np.float32(y)
    start_u = matrix[source, 0, 0] * column + matrix[source, 0, 1] * row + matrix[source, 0, 2] + shift[source, 0] * w
    start_v = matrix[source, 1, 0] * column + matrix[source, 1, 1] * row + matrix[source, 1, 2] + shift[source, 1] * w
    start_z = matrix[source, 2, 0] * column + matrix[source, 2, 1] * row + matrix[source, 2, 2] + shift[source, 2] * w
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    reach_x, reach_y = (right + np.float32(0.5)) * start_z, (bottom + np.float32(0.5)) * start_z
    margin = np.float32(-0.5) * start_z
    visible = (start_z > 0) & (start_u >= margin) & (start_u <= reach_x) & (start_v >= margin) & (start_v <= reach_y)
    across_u, down_u = (
        matrix[source, 0, 0] + shift[source, 0] * along_x,
        matrix[source, 0, 1] + shift[source, 0] * along_y,
    )
    across_v, down_v = (
        matrix[source, 1, 0] + shift[source, 1] * along_x,
        matrix[source, 1, 1] + shift[source, 1] * along_y,
    )
    across_z, down_z = (
        matrix[source, 2, 0] + shift[source, 2] * along_x,
        matrix[source, 2, 1] + shift[source, 2] * along_y,
    )
    shift_u, shift_v, shift_z = shift[source, 0] * unit, shift[source, 1] * unit, shift[source, 2] * unit
    stride, first = np.int32(width), np.uint64(source * height * width)
    s1 = ss = rs = np.float32(0)
    g0 = gx = gy = np.float32(0)
    gg = ggx = ggy = ggxx = ggxy = ggyy = np.float32(0)
    sg = sgx = sgy = np.float32(0)
    rg = rgx = rgy = np.float32(0)
    for k in range(len(tap_x) if visible else 0):
        over_z = np.float32(1) / (start_z + tap_x[k] * across_z + tap_y[k] * down_z)
        u = (start_u + tap_x[k] * across_u + tap_y[k] * down_u) * over_z
        v = (start_v + tap_x[k] * across_v + tap_y[k] * down_v) * over_z
        u = u if u > np.float32(0) else np.float32(0)
        u = u if u < right else right
        v = v if v > np.float32(0) else np.float32(0)
        v = v if v < bottom else bottom
        left, upper = np.int32(u), np.int32(v)
        fraction_x, fraction_y = u - np.float32(left), v - np.float32(upper)
        quad = quads[first + np.uint32(upper * stride + left)]
        a = np.float32(np.int32(quad & 255))
        b = np.float32(np.int32((quad >> 8) & 255))
        c = np.float32(np.int32((quad >> 16) & 255))
        d = np.float32(np.int32(quad >> 24))
        above = a + fraction_x * (b - a)
        below = c + fraction_x * (d - c)
        sample = above + fraction_y * (below - above) - np.float32(128)
        by_u = (b - a) + fraction_y * ((d - c) - (b - a))
        by_v = below - above
        g = (by_u * (shift_u - u * shift_z) + by_v * (shift_v - v * shift_z)) * over_z
        weight = weights[k]
        tx, ty = tap_x[k], tap_y[k]
        ws, wr, wg = weight * sample, weight * values[k], weight * g
        wgx, wgy = wg * tx, wg * ty
        s1 += ws
        ss += ws * sample
        rs += ws * values[k]
        g0 += wg
        gx += wgx
        gy += wgy
        gg += wg * g
        ggx += wgx * g
        ggy += wgy * g
        ggxx += wgx * g * tx
        ggxy += wgx * g * ty
        ggyy += wgy * g * ty
        sg += ws * g
        sgx += wgx * sample
        sgy += wgy * sample
        rg += wr * g
        rgx += wgx * values[k]
        rgy += wgy * values[k]
    moments[source, 0], moments[source, 1], moments[source, 2] = s1, ss, rs
    moments[source, 3], moments[source, 4], moments[source, 5] = g0, gx, gy
    (
        moments[source, 6],
        moments[source, 7],
        moments[source, 8],
        moments[source, 9],
        moments[source, 10],
        moments[source, 11],
    ) = gg, ggx, ggy, ggxx, ggxy, ggyy
    moments[source, 12], moments[source, 13], moments[source, 14] = sg, sgx, sgy
    moments[source, 15], moments[source, 16], moments[source, 17] = rg, rgx, rgy
    correlation = (rs - s1 * mean) / (deviation * math.sqrt(max(ss - s1 * s1, np.float32(0)) + noise))
    return correlation if visible else np.float32(NO_SCORE)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _add_equations(moments, source, mean, deviation, noise, weight, normal):  # type: ignore[no-untyped-def]
    """Add one source's Gauss-Newton matrix (upper triangle: 6) and gradient of the correlation (3) to `normal`.

    With samples s' and reference r' of zero mean and unit deviation, |s' - r'|² / 2 = 1 - correlation; the derivatives
    of s' have their share along s' and along constants taken out.
    """
    total = moments[source, 0]
    variance = max(moments[source, 1] - total * total, np.float32(0)) + noise
    covariance = moments[source, 2] - total * mean
    over = np.float32(1) / variance
    scale = np.float32(1) / (deviation * math.sqrt(variance))
    for i in range(3):
        g_i = moments[source, 3 + i]
        with_s = moments[source, 12 + i] - g_i * total
        with_r = moments[source, 15 + i] - g_i * mean
        normal[6 + i] += weight * scale * (with_r - covariance * with_s * over)
    place = 0
    for i in range(3):
        for j in range(i, 3):
            between = moments[source, 6 + place] - moments[source, 3 + i] * moments[source, 3 + j]
            s_i = moments[source, 12 + i] - moments[source, 3 + i] * total
            s_j = moments[source, 12 + j] - moments[source, 3 + j] * total
            normal[place] += weight * over * (between - s_i * s_j * over)
            place += 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _solve(normal):  # type: ignore[no-untyped-def]
    """Damped solution of the symmetric equations; zeros where the depth is not determined."""
    if not normal[0] > np.float32(1e-6):
        return np.float32(0), np.float32(0), np.float32(0)
    a = normal[0] * np.float32(1 + DAMPING)
    extra = normal[0] * np.float32(SLOPE_DAMPING)
    d = normal[3] * np.float32(1 + DAMPING) + extra
    f = normal[5] * np.float32(1 + DAMPING) + extra
    b, c, e = normal[1], normal[2], normal[4]
    co_a, co_b, co_c = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * co_a + b * co_b + c * co_c
    if not determinant > np.float32(1e-9) * a * d * f:
        return np.float32(0), np.float32(0), np.float32(0)
    over = np.float32(1) / determinant
    p, q, r = normal[6], normal[7], normal[8]
    step_w = (co_a * p + co_b * q + co_c * r) * over
    step_x = (co_b * p + (a * f - c * c) * q + (b * c - a * e) * r) * over
    step_y = (co_c * p + (b * c - a * e) * q + (a * d - b * b) * r) * over
    return step_w, step_x, step_y
