"""From Gaussians in the world to splats in an image: perspective, culling, and colours seen from the camera.

Definitions are those of gsplat 1.5's classic mode: the affine approximation of the projection (Zwicker et al., "EWA
Volume Splatting", 2001) with its Jacobian taken no further than 15 % of the image outside the frame, and 0.3 pixels²
added to the variance in each direction.

Geometry is in float64. Whether a pixel is inside a splat decides about 1/255 of its colour, so an exponent that is
wrong in the sixth digit would show.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled

SPLAT_FIELDS = 8
"""A projected splat, float64: x, y, p, q, r, peak, half width, half height; pixels.

At a pixel centre (dx, dy) away from (x, y), log2(alpha) / 8 = peak - (p dx + q dy)² - (r dy)². The splat reaches the
smallest alpha that counts within its half width and half height. One eighth, because blending computes alpha as the
eighth power of a number between 1/2 and 1, which a short polynomial gives.
"""
X, Y, P, Q, R, PEAK, HALF_WIDTH, HALF_HEIGHT = range(SPLAT_FIELDS)

COLOR_FIELDS = 4
"""Red, green, blue and depth of a projected splat, float32."""
DEPTH = 3

DILATION = 0.3
"""Variance in pixels² added to every splat, so that none falls between the pixel centres."""
FRAME_MARGIN = 0.3
"""How far the Jacobian follows a mean outside the frame, as a fraction of half the frame."""
ALPHA_MIN = 1 / 255
"""A splat does not count at pixels where its alpha is lower."""
CUTOFF = math.log2(ALPHA_MIN) / 8
"""The same as an exponent of a projected splat."""
SHARPNESS = math.sqrt(math.log2(math.e) / 16)
"""Root of the factor between the squared Mahalanobis distance and the exponent of a projected splat."""
CONSTANT_BASIS = 0.28209479177387814
"""The spherical harmonic of degree 0, 1 / (2 √π)."""
_SLACK = 1 + 1e-9
"""Widens the extents by more than their rounding."""


@compiled(fastmath=FUSED)
def project(
    means: NDArray[np.float32],
    scales: NDArray[np.float32],
    rotations: NDArray[np.float32],
    harmonics: NDArray[np.float32],
    opacities: NDArray[np.float32],
    first: int,
    last: int,
    world_to_camera: NDArray[np.float64],
    camera_centre: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    height: int,
    width: int,
    near: float,
    far: float,
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    indices: NDArray[np.int32],
) -> int:
    """Project the Gaussians from `first` to before `last`, and keep those that can reach a pixel.

    Args:
        means, scales, rotations, harmonics, opacities: as in `Gaussians`; a quaternion of any length will do, and 0
            stands for the identity.
        world_to_camera: (4, 4).
        camera_centre: (3,) in the world.
        intrinsics: (3, 3) pixels, without skew.
        splats: (G, SPLAT_FIELDS) receives the kept ones from `first` on, in their order.
        colors: (G, COLOR_FIELDS) likewise.
        indices: (G,) likewise which Gaussian each is.

    Returns:
        How many were kept.
    """
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    right_limit = (width - cx) / fx + FRAME_MARGIN * 0.5 * width / fx
    left_limit = -cx / fx - FRAME_MARGIN * 0.5 * width / fx
    bottom_limit = (height - cy) / fy + FRAME_MARGIN * 0.5 * height / fy
    top_limit = -cy / fy - FRAME_MARGIN * 0.5 * height / fy
    # Rows of the world-to-camera rotation and translation.
    xx, xy, xz, xt = world_to_camera[0]
    yx, yy, yz, yt = world_to_camera[1]
    zx, zy, zz, zt = world_to_camera[2]
    coefficients = harmonics.shape[2]
    basis = np.full(coefficients, CONSTANT_BASIS)

    kept = first
    for g in range(first, last):
        opacity = np.float64(opacities[g])
        mx, my, mz = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
        z = zx * mx + zy * my + zz * mz + zt
        if opacity < ALPHA_MIN or z < near or z > far:
            continue
        inverse_z = 1 / z
        tangent_x = (xx * mx + xy * my + xz * mz + xt) * inverse_z
        tangent_y = (yx * mx + yy * my + yz * mz + yt) * inverse_z
        x = fx * tangent_x + cx
        y = fy * tangent_y + cy

        # Rows of the Jacobian times the world-to-camera rotation: pixels per unit of each world axis.
        slope_x = min(right_limit, max(left_limit, tangent_x))
        slope_y = min(bottom_limit, max(top_limit, tangent_y))
        zoom_x, zoom_y = fx * inverse_z, fy * inverse_z
        ax, ay, az = (xx - slope_x * zx) * zoom_x, (xy - slope_x * zy) * zoom_x, (xz - slope_x * zz) * zoom_x
        bx, by, bz = (yx - slope_y * zx) * zoom_y, (yy - slope_y * zy) * zoom_y, (yz - slope_y * zz) * zoom_y

        # Images of the three semi-axes: (a1, b1), (a2, b2), (a3, b3) in pixels.
        r11, r12, r13, r21, r22, r23, r31, r32, r33 = rotation_matrix(rotations, g)
        s1, s2, s3 = np.float64(scales[g, 0]), np.float64(scales[g, 1]), np.float64(scales[g, 2])
        a1, b1 = (ax * r11 + ay * r21 + az * r31) * s1, (bx * r11 + by * r21 + bz * r31) * s1
        a2, b2 = (ax * r12 + ay * r22 + az * r32) * s2, (bx * r12 + by * r22 + bz * r32) * s2
        a3, b3 = (ax * r13 + ay * r23 + az * r33) * s3, (bx * r13 + by * r23 + bz * r33) * s3

        var_x, var_y = a1 * a1 + a2 * a2 + a3 * a3, b1 * b1 + b2 * b2 + b3 * b3
        covariance = a1 * b1 + a2 * b2 + a3 * b3
        # The determinant as a sum of squares (Cauchy-Binet): the usual difference would cancel for needles.
        determinant = (a1 * b2 - a2 * b1) ** 2 + (a1 * b3 - a3 * b1) ** 2 + (a2 * b3 - a3 * b2) ** 2
        determinant += DILATION * (var_x + var_y) + DILATION * DILATION
        var_x += DILATION
        var_y += DILATION
        if not math.isfinite(var_y * determinant):
            continue

        peak = math.log2(opacity) / 8
        reach = math.sqrt(peak - CUTOFF) / SHARPNESS * _SLACK  # standard deviations
        deviation_y = math.sqrt(var_y)
        half_width, half_height = reach * math.sqrt(var_x), reach * deviation_y
        if x + half_width < 0.5 or x - half_width > width - 0.5:
            continue
        if y + half_height < 0.5 or y - half_height > height - 0.5:
            continue

        # Cholesky factor of the inverse covariance: p, q in its first row, r in its second.
        r = SHARPNESS / deviation_y
        inverse_root = 1 / math.sqrt(determinant)
        splats[kept, X] = x
        splats[kept, Y] = y
        splats[kept, P] = SHARPNESS * deviation_y * inverse_root
        splats[kept, Q] = -covariance * inverse_root * r
        splats[kept, R] = r
        splats[kept, PEAK] = peak
        splats[kept, HALF_WIDTH] = half_width
        splats[kept, HALF_HEIGHT] = half_height

        if coefficients > 1:
            dx, dy, dz = mx - camera_centre[0], my - camera_centre[1], mz - camera_centre[2]
            inverse_length = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
            fill_basis(dx * inverse_length, dy * inverse_length, dz * inverse_length, basis)
        for channel in range(3):
            value = 0.5
            for k in range(coefficients):
                value += basis[k] * harmonics[g, channel, k]
            colors[kept, channel] = max(value, 0.0)
        colors[kept, DEPTH] = z
        indices[kept] = g
        kept += 1
    return kept - first


@compiled(fastmath=FUSED)
def rotation_matrix(
    rotations: NDArray[np.float32], g: int
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """The entries, row by row, of one quaternion's rotation."""
    w, x, y, z = (
        np.float64(rotations[g, 0]),
        np.float64(rotations[g, 1]),
        np.float64(rotations[g, 2]),
        np.float64(rotations[g, 3]),
    )
    squared_norm = w * w + x * x + y * y + z * z
    double = 2 / squared_norm if squared_norm > 0 else 0.0
    return (
        1 - double * (y * y + z * z),
        double * (x * y - w * z),
        double * (x * z + w * y),
        double * (x * y + w * z),
        1 - double * (x * x + z * z),
        double * (y * z - w * x),
        double * (x * z - w * y),
        double * (y * z + w * x),
        1 - double * (x * x + y * y),
    )


@compiled(fastmath=FUSED)
def fill_basis(x: float, y: float, z: float, basis: NDArray[np.float64]) -> None:
    """Fill `basis` ((degree + 1)²,), degree 1 to 3, as `recon.geometry.spherical_harmonics.evaluate_basis` would."""
    basis[0] = CONSTANT_BASIS
    first = 0.4886025119029199  # √(3 / 4π)
    basis[1] = -first * y
    basis[2] = first * z
    basis[3] = -first * x
    if len(basis) > 4:
        second = 1.0925484305920792  # √(15 / 4π)
        basis[4] = second * x * y
        basis[5] = -second * y * z
        basis[6] = 0.31539156525252005 * (3 * z * z - 1)  # √(5 / 16π)
        basis[7] = -second * x * z
        basis[8] = second / 2 * (x * x - y * y)
    if len(basis) > 9:
        outer = 0.5900435899266435  # √(35 / 32π)
        middle = 2.890611442640554  # √(105 / 4π)
        inner = 0.4570457994644658  # √(21 / 32π)
        basis[9] = -outer * y * (3 * x * x - y * y)
        basis[10] = middle * x * y * z
        basis[11] = -inner * y * (5 * z * z - 1)
        basis[12] = 0.3731763325901154 * z * (5 * z * z - 3)  # √(7 / 16π)
        basis[13] = -inner * x * (5 * z * z - 1)
        basis[14] = middle / 2 * z * (x * x - y * y)
        basis[15] = -outer * x * (x * x - 3 * y * y)
