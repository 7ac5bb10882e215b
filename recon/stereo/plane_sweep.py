"""Plane sweep (Collins, CVPR 1996) in inverse depth, with zero-mean normalised cross-correlation over a square window.

One pass over a band of rows per plane and source: sample, multiply, sum over the window by running sums, and keep per
pixel only the best two peaks of the score along its ray. No cost volume is stored.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.stereo.images import Matching, in_bands, pack_quads

_BAND = 32
"""Rows swept at a time: small enough that the sums of all sources stay in the cache of a core."""

NO_SCORE = 0.0
"""Correlation with a source that does not show the pixel, and the least one there is: what does not correlate cannot
be worse than hidden. Score where no peak was found."""

# Sums may be reordered and products fused; NaN and infinity keep their meaning.
FASTMATH = {"reassoc", "nsz", "contract", "arcp"}


class Sweep(NamedTuple):
    """The best two peaks of the score along each pixel's ray; where there is none, NO_SCORE at inverse depth 0."""

    inverse_depth: NDArray[np.float32]
    """(2, h, w) best first, interpolated between the planes."""
    score: NDArray[np.float32]
    """(2, h, w) in [0, 1]."""


def sweep(matching: Matching, inverse_depths: NDArray[np.float32], window: int, pool: ThreadPoolExecutor) -> Sweep:
    """Score planes parallel to the image at every pixel, on the CPU.

    Args:
        matching: the views.
        inverse_depths: (P,) evenly spaced; a peak at the first or last of them is none.
        window: odd side of the correlation window in pixels.
        pool: what the bands of rows are worked on by.
    """
    height, width = matching.reference.shape
    inverse_depth = np.zeros((2, height, width), np.float32)
    score = np.full((2, height, width), NO_SCORE, np.float32)
    quads, visible = pack_quads(matching.sources), matching.visible_or_empty
    in_bands(
        pool,
        height,
        _BAND,
        lambda first, last: _sweep_band(
            first,
            last,
            matching.reference,
            quads,
            matching.sources.shape[1:],
            visible,
            matching.warp.matrix,
            matching.warp.shift,
            inverse_depths,
            window // 2,
            matching.agreeing,
            np.float32(matching.noise**2),
            inverse_depth,
            score,
        ),
    )
    return Sweep(inverse_depth, score)


@compiled(fastmath=FASTMATH)
def _sweep_band(  # type: ignore[no-untyped-def]
    top,
    bottom,
    reference,
    quads,
    source_size,
    visible,
    matrix,
    shift,
    inverse_depths,
    radius,
    agreeing,
    noise,
    best_depth,
    best_score,
):
    height, width = reference.shape
    rows = bottom - top
    padded_rows = rows + 2 * radius
    # Grey levels are centred so that variances lose no digits to the mean.
    values = np.empty((padded_rows, width), np.float32)
    for j in range(padded_rows):
        y = min(max(top + j - radius, 0), height - 1)
        for x in range(width):
            values[j, x] = np.float32(reference[y, x]) - np.float32(128)
    mean = np.empty((rows, width), np.float32)
    deviation = np.empty((rows, width), np.float32)
    _window_moments(values, radius, noise, mean, deviation)

    sampled = np.empty((padded_rows, width), np.float32)
    inside = np.empty((rows, width), np.bool_)
    fractions = np.empty((2, width), np.float32)
    places = np.empty(width, np.int32)
    row_quads = np.empty(width, np.uint32)
    sums = np.empty((3, width + 2 * radius), np.float32)
    wide = np.empty((3, width), np.float32)
    correlation = np.empty(width, np.float32)
    leading = np.empty((3, agreeing, rows, width), np.float32)  # for three planes in turn
    combined = np.empty((3, rows, width), np.float32)
    for plane in range(len(inverse_depths)):
        now = plane % 3
        for place in range(agreeing):
            _fill(leading[now, place], np.float32(NO_SCORE))
        for source in range(len(quads)):
            _sample_plane(
                quads[source],
                source_size,
                visible[source * quads.shape[1] : (source + 1) * quads.shape[1]],
                matrix[source],
                shift[source],
                inverse_depths[plane],
                top,
                radius,
                height,
                fractions,
                places,
                row_quads,
                sampled,
                inside,
            )
            _fill(sums, np.float32(0))
            for j in range(padded_rows):
                _add_row(sampled[j], values[j], np.float32(1), radius, sums)
                row = j - 2 * radius
                if row < 0:
                    continue
                _across(sums, radius, wide)
                _correlate(wide, mean[row], deviation[row], inside[row], noise, radius, correlation)
                for place in range(agreeing):
                    _insert(correlation, leading[now, place, row])
                _add_row(sampled[row], values[row], np.float32(-1), radius, sums)
        for row in range(rows):
            _average(leading[now, :, row], combined[now, row])
        if plane >= 2:
            step = inverse_depths[plane] - inverse_depths[plane - 1]
            before, peak = (plane - 2) % 3, (plane - 1) % 3
            for row in range(rows):
                _note_peaks(
                    combined[before, row],
                    combined[peak, row],
                    combined[now, row],
                    inverse_depths[plane - 1],
                    step,
                    best_depth[:, top + row],
                    best_score[:, top + row],
                )


@compiled(forceinline=True)
def _fill(rows, value):  # type: ignore[no-untyped-def]
    """Numba takes seconds to compile an assignment to a whole slice: it brings the text of its error message."""
    for row in rows:
        for x in range(len(row)):
            row[x] = value


@compiled(fastmath=FASTMATH, forceinline=True)
def _window_moments(values, radius, noise, mean, deviation):  # type: ignore[no-untyped-def]
    """Mean and standard deviation (noise included) of the reference over the window of each pixel of the band."""
    rows, width = mean.shape
    sums = np.empty((3, width + 2 * radius), np.float32)
    _fill(sums, np.float32(0))
    wide = np.empty((3, width), np.float32)
    area = np.float32((2 * radius + 1) ** 2)
    for j in range(rows + 2 * radius):
        _add_row(values[j], values[j], np.float32(1), radius, sums)
        row = j - 2 * radius
        if row < 0:
            continue
        _across(sums, radius, wide)
        for x in range(width):
            average = wide[0, x] / area
            variance = max(wide[1, x] / area - average * average, np.float32(0))
            mean[row, x] = average
            deviation[row, x] = math.sqrt(variance + noise)
        _add_row(values[row], values[row], np.float32(-1), radius, sums)


@compiled(fastmath=FASTMATH, forceinline=True)
def _sample_plane(  # type: ignore[no-untyped-def]
    quads,
    source_size,
    visible,
    matrix,
    shift,
    inverse_depth,
    top,
    radius,
    height,
    fractions,
    places,
    row_quads,
    sampled,
    inside,
):
    """Sample one source where the plane sends the band's pixels; outside the image its border goes on.

    Three loops per row, because the compiler turns those without scattered loads into vector instructions.
    """
    padded_rows, width = sampled.shape
    right, bottom = np.float32(source_size[1] - 1), np.float32(source_size[0] - 1)
    for j in range(padded_rows):
        y = np.float32(min(max(top + j - radius, 0), height - 1))
        start_u = matrix[0, 1] * y + matrix[0, 2] + shift[0] * inverse_depth
        start_v = matrix[1, 1] * y + matrix[1, 2] + shift[1] * inverse_depth
        start_z = matrix[2, 1] * y + matrix[2, 2] + shift[2] * inverse_depth
        _locate_row(
            start_u,
            start_v,
            start_z,
            matrix[0, 0],
            matrix[1, 0],
            matrix[2, 0],
            right,
            bottom,
            fractions[0],
            fractions[1],
            places,
        )
        for x in range(width):
            row_quads[x] = quads[np.uint32(places[x])]
        _blend_row(row_quads, fractions[0], fractions[1], sampled[j])
        if 0 <= j - radius < len(inside):
            _inside_row(
                start_u, start_v, start_z, matrix[0, 0], matrix[1, 0], matrix[2, 0], right, bottom, inside[j - radius]
            )
            if len(visible) > 0:
                _visible_row(visible, fractions[0], fractions[1], places, source_size[1], inside[j - radius])


@compiled(fastmath=FASTMATH, forceinline=True)
def _locate_row(  # type: ignore[no-untyped-def]
    start_u,
    start_v,
    start_z,
    step_u,
    step_v,
    step_z,
    right,
    bottom,
    across,
    down,
    places,
):
    stride = np.int32(right) + np.int32(1)
    for x in range(len(places)):
        column = np.float32(x)
        over_z = np.float32(1) / (start_z + step_z * column)
        u = (start_u + step_u * column) * over_z
        v = (start_v + step_v * column) * over_z
        u = u if u > np.float32(0) else np.float32(0)
        u = u if u < right else right
        v = v if v > np.float32(0) else np.float32(0)
        v = v if v < bottom else bottom
        left, upper = np.int32(u), np.int32(v)
        across[x] = u - np.float32(left)
        down[x] = v - np.float32(upper)
        places[x] = upper * stride + left


@compiled(fastmath=FASTMATH, forceinline=True)
def _blend_row(quads, across, down, sampled):  # type: ignore[no-untyped-def]
    for x in range(len(sampled)):
        sampled[x] = bilinear(quads[x], across[x], down[x])[0]


@compiled(fastmath=FASTMATH, forceinline=True)
def bilinear(quad, across, down):  # type: ignore[no-untyped-def]
    """Value around 0 between the four pixels of a quad, and its derivatives to the right and downwards."""
    a, b = np.float32(np.int32(quad & 255)), np.float32(np.int32((quad >> 8) & 255))
    c, d = np.float32(np.int32((quad >> 16) & 255)), np.float32(np.int32(quad >> 24))
    above, below = a + across * (b - a), c + across * (d - c)
    by_across = (b - a) + down * ((d - c) - (b - a))
    return above + down * (below - above) - np.float32(128), by_across, below - above


@compiled(fastmath=FASTMATH, forceinline=True)
def _inside_row(start_u, start_v, start_z, step_u, step_v, step_z, right, bottom, inside):  # type: ignore[no-untyped-def]
    """Whether the pixels lie in front of the source and within half a pixel of its centres' rectangle."""
    half = np.float32(0.5)
    for x in range(len(inside)):
        column = np.float32(x)
        z = start_z + step_z * column
        u, v = start_u + step_u * column, start_v + step_v * column
        inside[x] = (
            (z > 0) & (u >= -half * z) & (u <= (right + half) * z) & (v >= -half * z) & (v <= (bottom + half) * z)
        )


@compiled(fastmath=FASTMATH, forceinline=True)
def _visible_row(visible, across, down, places, stride, inside):  # type: ignore[no-untyped-def]
    """Leave True where the source's pixel nearest to the place of a sample is visible, too."""
    half = np.float32(0.5)
    for x in range(len(inside)):
        nearest = places[x] + (across[x] >= half) + stride * (down[x] >= half)
        inside[x] = inside[x] and visible[nearest]


@compiled(fastmath=FASTMATH, forceinline=True)
def _add_row(sampled, values, sign, radius, sums):  # type: ignore[no-untyped-def]
    """Add (or take away) a row's samples, their squares, and their products with the reference to the column sums."""
    width = len(sampled)
    first = sums[0, radius : radius + width]
    second = sums[1, radius : radius + width]
    third = sums[2, radius : radius + width]
    for x in range(width):
        first[x] += sign * sampled[x]
    for x in range(width):
        second[x] += sign * sampled[x] * sampled[x]
    for x in range(width):
        third[x] += sign * sampled[x] * values[x]


@compiled(fastmath=FASTMATH, forceinline=True)
def _across(sums, radius, wide):  # type: ignore[no-untyped-def]
    """Sum columns over the window's width; the border columns go on beyond the image."""
    width = wide.shape[1]
    for k in range(3):
        source, target = sums[k], wide[k]
        for x in range(radius):
            source[x] = source[radius]
            source[radius + width + x] = source[radius + width - 1]
        for x in range(width):
            target[x] = source[x]
        for offset in range(1, 2 * radius, 2):
            _add_two(source[offset : offset + width], source[offset + 1 : offset + 1 + width], target)


@compiled(fastmath=FASTMATH, forceinline=True)
def _add_two(first, second, target):  # type: ignore[no-untyped-def]
    for x in range(len(target)):
        target[x] += first[x] + second[x]


@compiled(fastmath=FASTMATH, forceinline=True)
def _correlate(wide, mean, deviation, inside, noise, radius, correlation):  # type: ignore[no-untyped-def]
    over_area = np.float32(1) / np.float32((2 * radius + 1) ** 2)
    first, second, third = wide[0], wide[1], wide[2]
    for x in range(len(correlation)):
        average = first[x] * over_area
        variance = max(second[x] * over_area - average * average, np.float32(0))
        covariance = third[x] * over_area - average * mean[x]
        value = covariance / (deviation[x] * math.sqrt(variance + noise))
        correlation[x] = value if inside[x] else np.float32(NO_SCORE)


@compiled(fastmath=FASTMATH, forceinline=True)
def _insert(candidate, place):  # type: ignore[no-untyped-def]
    """Leave the larger in `place`, the smaller in `candidate`."""
    for x in range(len(place)):
        larger = max(place[x], candidate[x])
        candidate[x] = min(place[x], candidate[x])
        place[x] = larger


@compiled(fastmath=FASTMATH, forceinline=True)
def _average(leading, combined):  # type: ignore[no-untyped-def]
    share = np.float32(1) / np.float32(len(leading))
    first = leading[0]
    for x in range(len(combined)):
        combined[x] = first[x] * share
    for place in range(1, len(leading)):
        row = leading[place]
        for x in range(len(combined)):
            combined[x] += row[x] * share


@compiled(fastmath=FASTMATH, forceinline=True)
def _note_peaks(before, peak, after, inverse_depth, step, best_depth, best_score):  # type: ignore[no-untyped-def]
    """Keep the better of local maxima; their place is the vertex of the parabola through three planes' scores."""
    for x in range(len(peak)):
        score = peak[x]
        if score < before[x] or score <= after[x] or score <= best_score[1, x]:
            continue
        bend = before[x] - np.float32(2) * score + after[x]
        found = inverse_depth + step * np.float32(0.5) * (before[x] - after[x]) / bend
        if score > best_score[0, x]:
            best_depth[1, x], best_score[1, x] = best_depth[0, x], best_score[0, x]
            best_depth[0, x], best_score[0, x] = found, score
        else:
            best_depth[1, x], best_score[1, x] = found, score
