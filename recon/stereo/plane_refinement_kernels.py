"""The compiled kernels of `plane_refinement`: one pixel at a time, its window in vector registers.

Every function has one exit: with several, the compiler keeps counting references to the arrays, which costs more than
the work itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recon.geometry.compiled import compiled
from recon.stereo.plane_sweep import FASTMATH, NO_SCORE, bilinear

STEEPEST = 5.0
"""Largest slope: relative change of inverse depth over a focal length, about the tangent of the tilt."""
DAMPING = 0.01
SLOPE_DAMPING = 0.3
"""Added to the normal equations, in shares of their diagonal; that of the slopes in shares of what the depth has."""
COLOUR_SCALE = 22.0
"""Distance in RGB from the centre's colour at which a pixel of the window weighs an eighth. Far colours have to weigh
so little that they add little to the variance too: else the edge of a roof is all that matters in the sky beside it."""
NEGLIGIBLE = 0.02
"""Step in units at the window's rim below which a plane is fitted."""
SAME_PLANE = 0.2
"""Difference in units at the window's rim below which a neighbour's plane is the one already there."""
WORTH_FITTING = 0.6
"""Sources with less than this share of the best source's correlation take no part in a step."""

_MOMENTS = 18


class Limits(NamedTuple):
    """What the kernels read of `Bounds` and `Matching`; numbers only, as arrays in it would be counted again too."""

    unit: np.float32
    lowest: np.float32
    highest: np.float32
    steepest: np.float32
    """Largest slope of the inverse depth per pixel, as a share of the inverse depth."""
    noise: np.float32
    """Variance in squared grey levels."""
    agreeing: int
    """Sources whose correlations are averaged."""


@compiled(fastmath=FASTMATH)
def refine_band(  # type: ignore[no-untyped-def]
    first,
    last,
    reference,
    wanted,
    quads,
    size,
    visible,
    warp,
    taps,
    count,
    limits,
    reaches,
    fits,
    planes,
    scores,
    better,
    better_scores,
    information,
):
    """Rows `first` to before `last` of `plane_refinement.refine`; the result goes to `better` and `better_scores`.

    Args:
        first, last: rows.
        reference: (h, w) red, green, blue and grey of the reference, in one word from the lowest byte on.
        wanted: (h, w) False where the reference is masked: NO_SCORE there. (0, 0): nowhere.
        quads: (S · H · W,) sources as `pack_quads` gives them.
        size: H and W.
        visible: (S · H · W,) False where a source is not to be matched. (0,): nowhere.
        warp: (S, 3, 4) to homogeneous source pixels from (column, row, 1, inverse depth).
        taps: (2, K) columns and rows of the window, of which the first `count` are used.
        count: see there.
        limits: of the hypotheses.
        reaches: distances at which neighbours are tried, none for no neighbours.
        fits: Gauss-Newton steps, at least one.
        planes, scores: (3, h, w) and (h, w) before.
        better, better_scores: the same after.
        information: (h, w) as of `plane_refinement.Refined`.
    """
    width = reference.shape[1]
    sources = len(warp)
    window = np.empty((4, taps.shape[1]), np.float32)  # columns, rows, weights (sum 1), grey levels around 0
    radius = np.float32(0)
    for k in range(taps.shape[1]):
        window[0, k], window[1, k] = taps[0, k], taps[1, k]
        radius = max(radius, taps[0, k], taps[1, k])
    found, after, share = np.empty(sources, np.float32), np.empty(sources, np.float32), np.empty(sources, np.float32)
    moments = np.empty((sources, _MOMENTS), np.float32)
    normal = np.empty(9, np.float32)
    for y in range(first, last):
        for x in range(width):
            if len(wanted) > 0 and not wanted[y, x]:
                better[0, y, x], better[1, y, x], better[2, y, x] = planes[0, y, x], np.float32(0), np.float32(0)
                better_scores[y, x] = np.float32(NO_SCORE)
                information[y, x] = np.float32(0)
                continue
            level = _fill_window(reference, wanted, x, y, count, limits.noise, window)
            w, along_x, along_y, score = planes[0, y, x], planes[1, y, x], planes[2, y, x], scores[y, x]
            for direction in range(4 if len(reaches) > 0 else 0):
                column, row = _best_neighbour(scores, x, y, direction, reaches)
                if column < 0:
                    continue
                new_x, new_y = planes[1, row, column], planes[2, row, column]
                new_w = planes[0, row, column] + new_x * np.float32(x - column) + new_y * np.float32(y - row)
                change = abs(new_w - w) + radius * (abs(new_x - along_x) + abs(new_y - along_y))
                if not limits.lowest <= new_w <= limits.highest or change < np.float32(SAME_PLANE) * limits.unit:
                    continue
                for source in range(sources):
                    after[source] = np.float32(1)  # as good as the sources not yet looked at may be
                hopeful, source = True, 0
                while hopeful and source < sources:
                    after[source] = _correlation(
                        quads, visible, warp, size, source, x, y, (new_w, new_x, new_y), window, level, limits.noise
                    )
                    source += 1
                    hopeful = _mean_of_best(after, limits.agreeing) > score
                new_score = _mean_of_best(after, limits.agreeing)
                if hopeful:
                    w, along_x, along_y, score = new_w, new_x, new_y, new_score
            for source in range(sources):
                found[source] = _moments(
                    quads, visible, warp, size, source, x, y, (w, along_x, along_y), window, level, limits, moments
                )
            score = _mean_of_best(found, limits.agreeing)
            left, known = fits if score > 0 else 0, np.float32(0)
            while left > 0:
                left -= 1
                step_w, step_x, step_y = _gauss_newton(found, share, moments, level, limits, normal)
                known = normal[0]
                step_w = min(max(step_w, np.float32(-1)), np.float32(1))
                if abs(step_w) + radius * (abs(step_x) + abs(step_y)) > np.float32(NEGLIGIBLE):
                    new_w = min(max(w + limits.unit * step_w, limits.lowest), limits.highest)
                    bound = limits.steepest * new_w
                    new_x = min(max(along_x + limits.unit * step_x, -bound), bound)
                    new_y = min(max(along_y + limits.unit * step_y, -bound), bound)
                    plane = (new_w, new_x, new_y)
                    for source in range(sources):
                        if left > 0:
                            after[source] = _moments(
                                quads, visible, warp, size, source, x, y, plane, window, level, limits, moments
                            )
                        else:
                            after[source] = _correlation(
                                quads, visible, warp, size, source, x, y, plane, window, level, limits.noise
                            )
                    gained = np.float32(0)
                    for source in range(sources):
                        gained += share[source] * (max(after[source], np.float32(NO_SCORE)) - found[source])
                    if gained > 0:
                        w, along_x, along_y = new_w, new_x, new_y
                        for source in range(sources):
                            found[source] = after[source]
                        score = _mean_of_best(found, limits.agreeing)
                    else:
                        left = 0
                else:
                    left = 0
            better[0, y, x], better[1, y, x], better[2, y, x] = w, along_x, along_y
            better_scores[y, x] = score
            information[y, x] = known


@compiled(fastmath=FASTMATH, forceinline=True)
def _fill_window(reference, wanted, x, y, count, noise, window):  # type: ignore[no-untyped-def]
    """Take the pixel's grey levels and weights; returns their weighted mean and deviation, noise included."""
    height, width = reference.shape
    pixels = reference.reshape(-1)
    first, right, bottom = np.int32(0), np.int32(width - 1), np.int32(height - 1)
    centre = reference[y, x]
    red, green, blue = np.int32(centre & 255), np.int32((centre >> 8) & 255), np.int32((centre >> 16) & 255)
    scale = np.float32(1 / COLOUR_SCALE**2)
    total = np.float32(0)
    for k in range(window.shape[1]):
        column, row = np.int32(x) + np.int32(window[0, k]), np.int32(y) + np.int32(window[1, k])
        column, row = min(max(column, first), right), min(max(row, first), bottom)
        word = pixels[np.uint32(row * np.int32(width) + column)]
        off_red, off_green = np.int32(word & 255) - red, np.int32((word >> 8) & 255) - green
        off_blue = np.int32((word >> 16) & 255) - blue
        away = np.float32(off_red * off_red + off_green * off_green + off_blue * off_blue) * scale
        weight = np.float32(1) / ((np.float32(1) + away) * (np.float32(1) + away) * (np.float32(1) + away))
        weight = weight if k < count else np.float32(0)
        window[3, k] = np.float32(np.int32(word >> 24)) - np.float32(128)
        window[2, k] = weight
        total += weight
    if len(wanted) > 0:
        total = np.float32(0)
        for k in range(count):
            x_there = min(max(x + np.int64(window[0, k]), 0), width - 1)
            y_there = min(max(y + np.int64(window[1, k]), 0), height - 1)
            window[2, k] = window[2, k] if wanted[y_there, x_there] else np.float32(0)
            total += window[2, k]
    share = np.float32(1) / total
    mean, square = np.float32(0), np.float32(0)
    for k in range(window.shape[1]):
        window[2, k] *= share
        mean += window[2, k] * window[3, k]
        square += window[2, k] * window[3, k] * window[3, k]
    return mean, math.sqrt(max(square - mean * mean, np.float32(0)) + noise)


@compiled(fastmath=FASTMATH, forceinline=True)
def _best_neighbour(scores, x, y, direction, reaches):  # type: ignore[no-untyped-def]
    """Column and row of the best-scored pixel in a direction; -1, -1 where none is scored."""
    height, width = scores.shape
    best, best_column, best_row = np.float32(NO_SCORE), -1, -1
    for k in range(len(reaches)):
        column = x + (reaches[k] if direction == 0 else -reaches[k] if direction == 1 else 0)
        row = y + (reaches[k] if direction == 2 else -reaches[k] if direction == 3 else 0)
        if 0 <= column < width and 0 <= row < height and scores[row, column] > best:
            best, best_column, best_row = scores[row, column], column, row
    return best_column, best_row


@compiled(fastmath=FASTMATH, forceinline=True)
def _mean_of_best(found, agreeing):  # type: ignore[no-untyped-def]
    """Mean of the `agreeing` largest correlations (S,), none less than NO_SCORE."""
    total, last, left = np.float32(0), np.float32(2), agreeing
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


@compiled(fastmath=FASTMATH, forceinline=True)
def _project(visible, warp, size, source, x, y, plane):  # type: ignore[no-untyped-def]
    """Homogeneous source pixel of the window's centre, its change per column and per row, and whether it is seen."""
    height, width = size
    column, row = np.float32(x), np.float32(y)
    w, along_x, along_y = plane
    u = warp[source, 0, 0] * column + warp[source, 0, 1] * row + warp[source, 0, 2] + warp[source, 0, 3] * w
    v = warp[source, 1, 0] * column + warp[source, 1, 1] * row + warp[source, 1, 2] + warp[source, 1, 3] * w
    z = warp[source, 2, 0] * column + warp[source, 2, 1] * row + warp[source, 2, 2] + warp[source, 2, 3] * w
    across_u = warp[source, 0, 0] + warp[source, 0, 3] * along_x
    across_v = warp[source, 1, 0] + warp[source, 1, 3] * along_x
    across_z = warp[source, 2, 0] + warp[source, 2, 3] * along_x
    down_u = warp[source, 0, 1] + warp[source, 0, 3] * along_y
    down_v = warp[source, 1, 1] + warp[source, 1, 3] * along_y
    down_z = warp[source, 2, 1] + warp[source, 2, 3] * along_y
    half = np.float32(0.5)
    right, bottom = np.float32(width) - half, np.float32(height) - half
    seen = (z > 0) & (u >= -half * z) & (u <= right * z) & (v >= -half * z) & (v <= bottom * z)
    if seen and len(visible) > 0:
        nearest_column = min(np.int64(u / z + half), width - 1)
        nearest_row = min(np.int64(v / z + half), height - 1)
        seen = visible[source * height * width + nearest_row * width + nearest_column]
    return (u, v, z), (across_u, across_v, across_z), (down_u, down_v, down_z), seen


@compiled(fastmath=FASTMATH, forceinline=True)
def _sample(quads, first, width, height, u, v):  # type: ignore[no-untyped-def]
    """Sample of a source at a pixel, around 0, and its derivatives by u and v; outside the image its border goes on."""
    u = u if u > np.float32(0) else np.float32(0)
    u = u if u < np.float32(width - 1) else np.float32(width - 1)
    v = v if v > np.float32(0) else np.float32(0)
    v = v if v < np.float32(height - 1) else np.float32(height - 1)
    left, upper = np.int32(u), np.int32(v)
    quad = quads[first + np.uint32(upper * np.int32(width) + left)]
    return bilinear(quad, u - np.float32(left), v - np.float32(upper))


@compiled(fastmath=FASTMATH, forceinline=True)
def _correlation(quads, visible, warp, size, source, x, y, plane, window, level, noise):  # type: ignore[no-untyped-def]
    """Weighted zero-mean normalised cross-correlation of the window with its image through the plane."""
    centre, across, down, seen = _project(visible, warp, size, source, x, y, plane)
    mean, deviation = level
    height, width = size
    first = np.uint64(source * height * width)
    total, square, product = np.float32(0), np.float32(0), np.float32(0)
    for k in range(window.shape[1] if seen else 0):
        over_z = np.float32(1) / (centre[2] + window[0, k] * across[2] + window[1, k] * down[2])
        u = (centre[0] + window[0, k] * across[0] + window[1, k] * down[0]) * over_z
        v = (centre[1] + window[0, k] * across[1] + window[1, k] * down[1]) * over_z
        sample = _sample(quads, first, width, height, u, v)[0]
        weighted = window[2, k] * sample
        total += weighted
        square += weighted * sample
        product += weighted * window[3, k]
    variance = max(square - total * total, np.float32(0)) + noise
    return (product - total * mean) / (deviation * math.sqrt(variance)) if seen else np.float32(NO_SCORE)


@compiled(fastmath=FASTMATH, forceinline=True)
def _gauss_newton(found, share, moments, level, limits, normal):  # type: ignore[no-untyped-def]
    """Step of inverse depth and slopes, in units, towards the best correlation with the sources that show the pixel.

    `share` (S,) takes the weight of each source: the correlation `found` with it, or nothing.
    """
    best = np.float32(NO_SCORE)
    for source in range(len(found)):
        best = max(best, found[source])
    for k in range(len(normal)):
        normal[k] = np.float32(0)
    for source in range(len(found)):
        share[source] = found[source] if found[source] > np.float32(WORTH_FITTING) * best else np.float32(0)
        if share[source] > 0:
            _add_equations(moments, source, level, limits.noise, share[source], normal)
    return _solve(normal)


@compiled(fastmath=FASTMATH, forceinline=True)
def _moments(quads, visible, warp, size, source, x, y, plane, window, level, limits, moments):  # type: ignore[no-untyped-def]
    """Weighted sums over the window that the equations of one source are made of; returns its correlation.

    g is the derivative of a sample by the inverse depth at its pixel, in units; by the slopes it is g times the tap's
    offset. Order: s, s², r s; g, gx, gy; g², g²x, g²y, g²x², g²xy, g²y²; s g, s gx, s gy; r g, r gx, r gy.
    """
    centre, across, down, seen = _project(visible, warp, size, source, x, y, plane)
    mean, deviation = level
    height, width = size
    first = np.uint64(source * height * width)
    shift_u, shift_v, shift_z = warp[source, 0, 3], warp[source, 1, 3], warp[source, 2, 3]
    s0 = ss = rs = np.float32(0)
    g0 = gx = gy = np.float32(0)
    gg = ggx = ggy = ggxx = ggxy = ggyy = np.float32(0)
    sg = sgx = sgy = np.float32(0)
    rg = rgx = rgy = np.float32(0)
    for k in range(window.shape[1] if seen else 0):
        tx, ty, weight, value = window[0, k], window[1, k], window[2, k], window[3, k]
        over_z = np.float32(1) / (centre[2] + tx * across[2] + ty * down[2])
        u = (centre[0] + tx * across[0] + ty * down[0]) * over_z
        v = (centre[1] + tx * across[1] + ty * down[1]) * over_z
        sample, by_u, by_v = _sample(quads, first, width, height, u, v)
        g = (by_u * (shift_u - u * shift_z) + by_v * (shift_v - v * shift_z)) * over_z * limits.unit
        ws, wr, wg = weight * sample, weight * value, weight * g
        wgx, wgy = wg * tx, wg * ty
        s0 += ws
        ss += ws * sample
        rs += ws * value
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
        rgx += wgx * value
        rgy += wgy * value
    sums = (s0, ss, rs, g0, gx, gy, gg, ggx, ggy, ggxx, ggxy, ggyy, sg, sgx, sgy, rg, rgx, rgy)
    for k in range(_MOMENTS):
        moments[source, k] = sums[k]
    variance = max(ss - s0 * s0, np.float32(0)) + limits.noise
    return (rs - s0 * mean) / (deviation * math.sqrt(variance)) if seen else np.float32(NO_SCORE)


@compiled(fastmath=FASTMATH, forceinline=True)
def _add_equations(moments, source, level, noise, weight, normal):  # type: ignore[no-untyped-def]
    """Add one source's Gauss-Newton matrix (upper triangle: 6) and gradient of the correlation (3) to `normal`.

    With samples s' and reference r' of zero mean and unit deviation, |s' - r'|² / 2 = 1 - correlation; the derivatives
    of s' have their share along s' and along constants taken out.
    """
    mean, deviation = level
    total = moments[source, 0]
    variance = max(moments[source, 1] - total * total, np.float32(0)) + noise
    covariance = moments[source, 2] - total * mean
    over = np.float32(1) / variance
    scale = np.float32(1) / (deviation * math.sqrt(variance))
    place = 0
    for i in range(3):
        g_i = moments[source, 3 + i]
        with_s = moments[source, 12 + i] - g_i * total
        with_r = moments[source, 15 + i] - g_i * mean
        normal[6 + i] += weight * scale * (with_r - covariance * with_s * over)
        for j in range(i, 3):
            g_j = moments[source, 3 + j]
            also_with_s = moments[source, 12 + j] - g_j * total
            normal[place] += weight * over * (moments[source, 6 + place] - g_i * g_j - with_s * also_with_s * over)
            place += 1


@compiled(fastmath=FASTMATH, forceinline=True)
def _solve(normal):  # type: ignore[no-untyped-def]
    """Damped solution of the symmetric equations; zeros where the depth is not determined."""
    extra = normal[0] * np.float32(SLOPE_DAMPING)
    a = normal[0] * np.float32(1 + DAMPING)
    d = normal[3] * np.float32(1 + DAMPING) + extra
    f = normal[5] * np.float32(1 + DAMPING) + extra
    b, c, e = normal[1], normal[2], normal[4]
    co_a, co_b, co_c = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * co_a + b * co_b + c * co_c
    step_w = step_x = step_y = np.float32(0)
    if normal[0] > np.float32(1e-6) and determinant > np.float32(1e-9) * a * d * f:
        p, q, r = normal[6], normal[7], normal[8]
        step_w = (co_a * p + co_b * q + co_c * r) / determinant
        step_x = (co_b * p + (a * f - c * c) * q + (b * c - a * e) * r) / determinant
        step_y = (co_c * p + (b * c - a * e) * q + (a * d - b * b) * r) / determinant
    return step_w, step_x, step_y
