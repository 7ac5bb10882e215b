"""The surface that a depth map samples: its slope at every pixel, and the pixels that lie on none.

Inverse depth of a plane is an affine function of the pixel coordinates, so slopes are taken of inverse depth, per pixel
and relative to the pixel's own: exact on planes at any tilt, and without unit. A pixel's plane is then
`N · X = z` for points X in the camera frame, with z the pixel's depth and N = Kᵀ (a, b, 1 - a x - b y) its normal,
for slopes a, b at the pixel (x, y) and intrinsics K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray

GRAZING_TANGENT = 15.0
"""Tangent of the angle between normal and line of sight (86°) from which on a slope may be a depth edge instead."""
EDGE_GAP = 0.03
"""Nor are relative differences of inverse depth between neighbours below this ever a depth edge."""
EDGE_REACH = 6
"""Pixels that a depth edge may be blurred over, to either side."""
EDGE_STRAIGHTNESS = 0.75
"""A slope that goes on over the reach, at this share or more of its own steepness, is a surface and no edge."""

MIXED_TANGENT = 8.0
"""As `GRAZING_TANGENT`, for pixels mixed of two surfaces: 83°, which matters where pixels are large."""
MIXED_REACH = 9
"""As `EDGE_REACH`, likewise."""
LEAST_MIXED = 0.005
"""A pixel that is off one surface by less than this share is not called mixed."""
LEAVES = 3.0
"""A pixel leaves a surface where it is off its neighbour by more than this many times what that is off the next."""
NOISE_FACTOR = 4.0
"""Standard deviations of the noise of inverse depth that are no sign of an edge."""

NOISE_TANGENT = 0.1
"""Tilt of normals by the noise of depth, as a tangent, from which on slopes are fitted over a window."""
FIT_RADIUS = 2
"""Pixels to either side that the fit takes in."""
FIT_TOLERANCE = 3.0
"""Neighbours that miss the plane by this many standard deviations of the noise count a quarter."""

_TINY = np.float32(1e-30)
_STEEPEST = np.float32(1e4)


def measure_slopes(depth: FloatArray, usable: NDArray[np.bool_], pixel_angle: float) -> NDArray[np.float32]:
    """(2, H, W) slopes along x and y of the surface at each pixel, from neighbours on it; 0 where there are none.

    Of the differences to the two neighbours of a row or column the smaller counts most, so that a slope does not bridge
    a depth edge; equal ones are averaged (the limiter of van Albada et al. 1982). Where the noise of the depth would
    tilt normals visibly, planes are fitted to a window of 5 × 5 pixels instead.

    Args:
        depth: (H, W).
        usable: (H, W) False where depth is not to be used.
        pixel_angle: of one pixel at the image centre, radians.
    """
    inverse = inverse_depth(depth, usable)
    gaps_x, gaps_y = _gaps(inverse, 1), _gaps(inverse, 0)
    slopes = np.stack([_limited(*gaps_x), _limited(*gaps_y)])
    noise = max(_noise(*gaps_x), _noise(*gaps_y))
    return _fitted(inverse, slopes, FIT_TOLERANCE * noise) if noise > NOISE_TANGENT * pixel_angle else slopes


def at_depth_edges(depth: FloatArray, usable: NDArray[np.bool_], pixel_angle: float) -> NDArray[np.bool_]:
    """(H, W) True for pixels that float between a foreground and a background, arguments as of `measure_slopes`.

    Such a pixel lies between its two neighbours in a row or column, far from both, and the steep slope is over within
    a few pixels. The two sides of a clean step each have a near neighbour and stay, as do surfaces seen at a grazing
    angle, whose slope goes on.
    """
    inverse = inverse_depth(depth, usable)
    least = max(EDGE_GAP, GRAZING_TANGENT * pixel_angle)
    floating = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        before, after = _gaps(inverse, axis)
        far = np.minimum(np.abs(before), np.abs(after)) > least  # False for NaN
        far &= before * after > 0
        if not far.any():
            continue
        floating |= far & ~_goes_on(inverse, axis, before, after, EDGE_REACH)
    return floating


def mixed_pixels(
    depth: FloatArray, usable: NDArray[np.bool_], pixel_angle: float, gap: float = EDGE_GAP
) -> NDArray[np.bool_]:
    """(H, W) True for pixels whose depth is mixed of a foreground and a background, be it of one of them by little.

    Stricter than `at_depth_edges`: besides pixels far from both neighbours there are those far from one alone, if they
    leave the surface of the other for it: by several times as much as that surface's own slope, and its noise. The
    outline of a round body, which turns away ever faster, does not.

    Args:
        depth: (H, W).
        usable: (H, W) False where depth is not to be used.
        pixel_angle: of one pixel at the image centre, radians.
        gap: relative difference of inverse depth between neighbours from which on they may be of two surfaces.
    """
    inverse = inverse_depth(depth, usable)
    gaps = [_gaps(inverse, axis) for axis in (0, 1)]
    noise = NOISE_FACTOR * max(_noise(*both) for both in gaps)
    step, little = max(gap, MIXED_TANGENT * pixel_angle, noise), max(LEAST_MIXED, noise)
    mixed = np.zeros(depth.shape, bool)
    for axis, (before, after) in enumerate(gaps):
        rising = before * after > 0  # False for NaN
        sizes = np.abs(before), np.abs(after)
        # What lies beyond the nearer neighbour: how steep the surface is that the pixel may have left.
        beyond_before, beyond_after = np.full_like(before, np.nan), np.full_like(after, np.nan)
        for beyond, size, shift in ((beyond_before, sizes[0], 1), (beyond_after, sizes[1], -1)):
            source, target = np.moveaxis(size, axis, 0), np.moveaxis(beyond, axis, 0)
            if shift > 0:
                target[1:] = source[:-1]
            else:
                target[:-1] = source[1:]
        far = np.minimum(*sizes) > step
        for near, other, beyond in ((sizes[0], sizes[1], beyond_before), (sizes[1], sizes[0], beyond_after)):
            far |= (other > step) & (near > little) & (near > LEAVES * beyond)
        candidates = far & rising
        if candidates.any():
            mixed |= candidates & ~_goes_on(inverse, axis, before, after, MIXED_REACH)
    return mixed


def _goes_on(
    inverse: NDArray[np.float32], axis: int, before: NDArray[np.float32], after: NDArray[np.float32], reach: int
) -> NDArray[np.bool_]:
    """(H, W) True where the slope along an axis is that of `reach` pixels to either side: of a surface, not an edge."""
    wide_before, wide_after = _gaps(inverse, axis, reach)
    wide = np.where(np.isnan(wide_before), wide_after, wide_before)
    wide = (wide + np.where(np.isnan(wide_after), wide, wide_after)) / (2 * reach)
    # NaN, no neighbour at the reach on either side, says nothing against an edge.
    return np.asarray(wide * np.sign(after) >= EDGE_STRAIGHTNESS / 2 * np.abs(before + after))


def beside_depth_edges(depth: FloatArray, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) True for pixels with a neighbour in row or column on another surface, arguments as of `measure_slopes`."""
    inverse = inverse_depth(depth, usable)
    beside = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        for gaps in _gaps(inverse, axis):
            beside |= np.abs(gaps) > EDGE_GAP  # False for NaN
    return beside


def plane_normals(slopes: FloatArray, pixels: FloatArray, intrinsics: FloatArray) -> NDArray[np.float32]:
    """(3, P) normals N in the camera frame of the planes N · X = z, not of unit length, away from the camera.

    Args:
        slopes: (2, P) along x and y.
        pixels: (2, P) x and y.
        intrinsics: (3, 3) in pixels.
    """
    (a, b), (x, y) = slopes, pixels
    k = intrinsics.astype(np.float32)
    rest = 1 - a * x - b * y
    return np.stack([k[0, 0] * a, k[0, 1] * a + k[1, 1] * b, k[0, 2] * a + k[1, 2] * b + rest])


def inverse_depth(depth: FloatArray, usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) 1 / depth, NaN where not usable."""
    inverse = np.full(depth.shape, np.nan, np.float32)
    with np.errstate(over="ignore"):
        np.divide(np.float32(1), depth.astype(np.float32, copy=False), out=inverse, where=usable)
    return inverse


def _gaps(inverse: NDArray[np.float32], axis: int, reach: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much inverse depth rises from the pixel before and to the one after, relative to the pixel's own; or NaN."""
    inverse = np.moveaxis(inverse, axis, 0)
    before, after = np.full_like(inverse, np.nan), np.full_like(inverse, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        before[reach:] = 1 - inverse[:-reach] / inverse[reach:]
        after[:-reach] = inverse[reach:] / inverse[:-reach] - 1
    for gaps in (before, after):
        np.clip(gaps, -_STEEPEST, _STEEPEST, out=gaps)
    return np.moveaxis(before, 0, axis), np.moveaxis(after, 0, axis)


def _limited(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """One slope of two differences: their mean where they agree, the smaller where they do not."""
    squares = before * before + after * after
    slope = before * after * (before + after) / (squares + _TINY)
    slope = np.where(np.isnan(before), after, np.where(np.isnan(after), before, slope))
    return np.nan_to_num(slope, copy=False, nan=0.0)


def _noise(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Standard deviation of what looks like noise in inverse depth, independent from pixel to pixel, relative to it.

    From the median absolute second difference, of which independent noise of deviation 1 has 0.6745 √6.
    """
    second = np.abs(after - before).ravel()
    second = second[~np.isnan(second)]
    return float(np.median(second)) / (0.6745 * 6**0.5) if len(second) else 0.0


def _fitted(inverse: NDArray[np.float32], slopes: NDArray[np.float32], tolerance: float) -> NDArray[np.float32]:
    """Slopes of planes fitted to a window around each pixel; neighbours off the plane of `slopes` count little."""
    height, width = inverse.shape
    padded = np.pad(inverse, FIT_RADIUS, constant_values=np.nan)
    total, x, y, xx, xy, yy, v, xv, yv = np.zeros((9, height, width), np.float32)
    offsets = range(-FIT_RADIUS, FIT_RADIUS + 1)
    for dy in offsets:
        for dx in offsets:
            rows, columns = FIT_RADIUS + dy, FIT_RADIUS + dx
            with np.errstate(over="ignore", invalid="ignore"):
                rise = padded[rows : rows + height, columns : columns + width] / inverse - 1
                miss = (rise - dx * slopes[0] - dy * slopes[1]) / np.float32(tolerance)
                weight = 1 / (1 + miss * miss) ** 2  # Geman and McClure 1987
            weight[np.isnan(weight)] = 0
            rise[weight == 0] = 0
            total += weight
            weighted = weight * rise
            v += weighted
            if dx:
                x += dx * weight
                xx += dx * dx * weight
                xv += dx * weighted
            if dy:
                y += dy * weight
                yy += dy * dy * weight
                yv += dy * weighted
            if dx and dy:
                xy += dx * dy * weight
    total = np.maximum(total, _TINY)
    xx -= x * x / total
    yy -= y * y / total
    xy -= x * y / total
    xv -= x * v / total
    yv -= y * v / total
    determinant = xx * yy - xy * xy
    sound = determinant > 0.1  # less than three pixels that are not in line fix no plane
    scale = 1 / np.where(sound, determinant, 1)
    return np.where(sound, np.stack([yy * xv - xy * yv, xx * yv - xy * xv]) * scale, slopes)
