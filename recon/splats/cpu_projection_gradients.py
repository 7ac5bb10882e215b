"""From derivatives by splats in an image to derivatives by Gaussians in the world and by the camera, in float64.

The chain backwards through `cpu_projection.project`. Scales and opacities are themselves, not their logarithms; a
quaternion may have any length, and one of length 0, which stands for the identity, gets no derivative.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import FUSED, compiled
from recon.splats.cpu_differentiable_blending import (
    SUM,
    SUM_BLUE,
    SUM_DEPTH,
    SUM_E,
    SUM_EE,
    SUM_GREEN,
    SUM_RED,
    SUM_U,
    SUM_UE,
    SUM_UU,
    SUM_WEIGHT,
)
from recon.splats.cpu_projection import CONSTANT_BASIS, FRAME_MARGIN, SHARPNESS, P, Q, R, fill_basis, rotation_matrix

MEAN, SCALE, ROTATION, OPACITY, HARMONICS = 0, 3, 6, 10, 11
"""Where the derivatives by each parameter of a Gaussian begin in a row of 11 + 3 (degree + 1)² numbers."""

CAMERA_FIELDS = 19
"""Derivatives by a camera: rotation (9, row by row) and translation (3) of world-to-camera, the focal lengths and the
principal point (fx, fy, cx, cy), and the camera's centre in the world (3), as far as colours depend on it."""
_TRANSLATION, _INTRINSICS, _CENTRE = 9, 12, 16

_EXPONENT = 8 * math.log(2)
"""d ln(alpha) by the exponent of a projected splat."""


@compiled(fastmath=FUSED, inline="always")
def gaussian_gradient(
    means: NDArray[np.float32],
    scales: NDArray[np.float32],
    rotations: NDArray[np.float32],
    harmonics: NDArray[np.float32],
    opacities: NDArray[np.float32],
    g: int,
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    s: int,
    slot_rows: NDArray[np.float32],
    first_slot: int,
    last_slot: int,
    world_to_camera: NDArray[np.float64],
    camera_centre: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    height: int,
    width: int,
    row: NDArray[np.float64],
    basis: NDArray[np.float64],
    of_camera: NDArray[np.float64],
) -> float:
    """Sum what the tiles say to one splat, and carry it to its Gaussian and to the camera.

    Args:
        means, scales, rotations, harmonics, opacities: as in `Gaussians`; `g` is the index of this one.
        splats, colors: as from `project`; `s` is the index of this one.
        slot_rows: (pairs, PAIR_FIELDS) as from `blend_backward`, of this splat from `first_slot` to before `last_slot`.
        world_to_camera, camera_centre, intrinsics: as for `project`.
        row: (11 + 3 (degree + 1)²,) receives the derivatives, see `MEAN`.
        basis: ((degree + 1)²,) room to work in.
        of_camera: (CAMERA_FIELDS,) is added to.

    Returns:
        The sum of the weights with which pixels took the splat's colour; where it is 0, `row` is not written.
    """
    sum_v, sum_u, sum_e, sum_uu, sum_ue, sum_ee = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    red, green, blue, gz, weight = 0.0, 0.0, 0.0, 0.0, 0.0
    for slot in range(first_slot, last_slot):
        sum_v += slot_rows[slot, SUM]
        sum_u += slot_rows[slot, SUM_U]
        sum_e += slot_rows[slot, SUM_E]
        sum_uu += slot_rows[slot, SUM_UU]
        sum_ue += slot_rows[slot, SUM_UE]
        sum_ee += slot_rows[slot, SUM_EE]
        red += slot_rows[slot, SUM_RED]
        green += slot_rows[slot, SUM_GREEN]
        blue += slot_rows[slot, SUM_BLUE]
        gz += slot_rows[slot, SUM_DEPTH]
        weight += slot_rows[slot, SUM_WEIGHT]
    if weight == 0.0:
        return 0.0
    row[OPACITY] = sum_v / opacities[g]

    # Derivatives by the centre (x, y) in the image and by the covariance (var_x, covariance, var_y). With the whitened
    # offset w = M d = (u, e), M = ((p, q), (0, r)), the latter are M' (sum of v w w') M / (2 sharpness⁴).
    p, q, r = splats[s, P], splats[s, Q], splats[s, R]
    g_x = 2 * _EXPONENT * p * sum_u
    g_y = 2 * _EXPONENT * (q * sum_u + r * sum_e)
    squared = 1 / (SHARPNESS * SHARPNESS * SHARPNESS * SHARPNESS)
    upper, lower = sum_uu * q + sum_ue * r, sum_ue * q + sum_ee * r
    g_var_x = 0.5 * squared * p * p * sum_uu
    g_covariance = squared * p * upper
    g_var_y = 0.5 * squared * (q * upper + r * lower)

    # Forwards once more, as in `project`.
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    right_limit = (width - cx) / fx + FRAME_MARGIN * 0.5 * width / fx
    left_limit = -cx / fx - FRAME_MARGIN * 0.5 * width / fx
    bottom_limit = (height - cy) / fy + FRAME_MARGIN * 0.5 * height / fy
    top_limit = -cy / fy - FRAME_MARGIN * 0.5 * height / fy
    xx, xy, xz, xt = world_to_camera[0]
    yx, yy, yz, yt = world_to_camera[1]
    zx, zy, zz, zt = world_to_camera[2]
    mx, my, mz = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
    inverse_z = 1 / (zx * mx + zy * my + zz * mz + zt)
    tangent_x = (xx * mx + xy * my + xz * mz + xt) * inverse_z
    tangent_y = (yx * mx + yy * my + yz * mz + yt) * inverse_z
    slope_x = min(right_limit, max(left_limit, tangent_x))
    slope_y = min(bottom_limit, max(top_limit, tangent_y))
    zoom_x, zoom_y = fx * inverse_z, fy * inverse_z
    dir_ax, dir_ay, dir_az = xx - slope_x * zx, xy - slope_x * zy, xz - slope_x * zz
    dir_bx, dir_by, dir_bz = yx - slope_y * zx, yy - slope_y * zy, yz - slope_y * zz
    ax, ay, az = dir_ax * zoom_x, dir_ay * zoom_x, dir_az * zoom_x
    bx, by, bz = dir_bx * zoom_y, dir_by * zoom_y, dir_bz * zoom_y
    r11, r12, r13, r21, r22, r23, r31, r32, r33 = rotation_matrix(rotations, g)
    s1, s2, s3 = np.float64(scales[g, 0]), np.float64(scales[g, 1]), np.float64(scales[g, 2])
    u1, v1 = ax * r11 + ay * r21 + az * r31, bx * r11 + by * r21 + bz * r31
    u2, v2 = ax * r12 + ay * r22 + az * r32, bx * r12 + by * r22 + bz * r32
    u3, v3 = ax * r13 + ay * r23 + az * r33, bx * r13 + by * r23 + bz * r33

    # By the images (u, v) · scale of the semi-axes, then by scales and, times the scale, by the unit axes.
    gu1, gv1 = s1 * (2 * g_var_x * u1 + g_covariance * v1), s1 * (2 * g_var_y * v1 + g_covariance * u1)
    gu2, gv2 = s2 * (2 * g_var_x * u2 + g_covariance * v2), s2 * (2 * g_var_y * v2 + g_covariance * u2)
    gu3, gv3 = s3 * (2 * g_var_x * u3 + g_covariance * v3), s3 * (2 * g_var_y * v3 + g_covariance * u3)
    row[SCALE] = gu1 * u1 + gv1 * v1
    row[SCALE + 1] = gu2 * u2 + gv2 * v2
    row[SCALE + 2] = gu3 * u3 + gv3 * v3
    gu1, gv1, gu2, gv2, gu3, gv3 = s1 * gu1, s1 * gv1, s2 * gu2, s2 * gv2, s3 * gu3, s3 * gv3
    g_ax, g_bx = gu1 * r11 + gu2 * r12 + gu3 * r13, gv1 * r11 + gv2 * r12 + gv3 * r13
    g_ay, g_by = gu1 * r21 + gu2 * r22 + gu3 * r23, gv1 * r21 + gv2 * r22 + gv3 * r23
    g_az, g_bz = gu1 * r31 + gu2 * r32 + gu3 * r33, gv1 * r31 + gv2 * r32 + gv3 * r33
    _quaternion_gradient(
        rotations,
        g,
        (gu1 * ax + gv1 * bx, gu2 * ax + gv2 * bx, gu3 * ax + gv3 * bx),
        (gu1 * ay + gv1 * by, gu2 * ay + gv2 * by, gu3 * ay + gv3 * by),
        (gu1 * az + gv1 * bz, gu2 * az + gv2 * bz, gu3 * az + gv3 * bz),
        row,
    )

    # Through the Jacobian. At a limit, the slope depends on the intrinsics instead of on the mean.
    g_zoom_x = g_ax * dir_ax + g_ay * dir_ay + g_az * dir_az
    g_zoom_y = g_bx * dir_bx + g_by * dir_by + g_bz * dir_bz
    g_slope_x = -zoom_x * (g_ax * zx + g_ay * zy + g_az * zz)
    g_slope_y = -zoom_y * (g_bx * zx + g_by * zy + g_bz * zz)
    g_tangent_x, g_tangent_y = g_x * fx, g_y * fy
    g_fx, g_fy = g_zoom_x * inverse_z + g_x * tangent_x, g_zoom_y * inverse_z + g_y * tangent_y
    g_cx, g_cy = g_x, g_y
    if slope_x == tangent_x:
        g_tangent_x += g_slope_x
    else:
        g_fx -= g_slope_x * slope_x / fx
        g_cx -= g_slope_x / fx
    if slope_y == tangent_y:
        g_tangent_y += g_slope_y
    else:
        g_fy -= g_slope_y * slope_y / fy
        g_cy -= g_slope_y / fy
    gz -= inverse_z * (g_zoom_x * zoom_x + g_zoom_y * zoom_y + g_tangent_x * tangent_x + g_tangent_y * tangent_y)
    gx, gy = g_tangent_x * inverse_z, g_tangent_y * inverse_z  # by the mean in the camera's frame
    row[MEAN] = gx * xx + gy * yx + gz * zx
    row[MEAN + 1] = gx * xy + gy * yy + gz * zy
    row[MEAN + 2] = gx * xz + gy * yz + gz * zz

    of_camera[0] += gx * mx + zoom_x * g_ax
    of_camera[1] += gx * my + zoom_x * g_ay
    of_camera[2] += gx * mz + zoom_x * g_az
    of_camera[3] += gy * mx + zoom_y * g_bx
    of_camera[4] += gy * my + zoom_y * g_by
    of_camera[5] += gy * mz + zoom_y * g_bz
    of_camera[6] += gz * mx - slope_x * zoom_x * g_ax - slope_y * zoom_y * g_bx
    of_camera[7] += gz * my - slope_x * zoom_x * g_ay - slope_y * zoom_y * g_by
    of_camera[8] += gz * mz - slope_x * zoom_x * g_az - slope_y * zoom_y * g_bz
    of_camera[_TRANSLATION] += gx
    of_camera[_TRANSLATION + 1] += gy
    of_camera[_TRANSLATION + 2] += gz
    of_camera[_INTRINSICS] += g_fx
    of_camera[_INTRINSICS + 1] += g_fy
    of_camera[_INTRINSICS + 2] += g_cx
    of_camera[_INTRINSICS + 3] += g_cy

    # Colours, which are at least 0, and the direction that they are seen in.
    red = red if colors[s, 0] > 0 else 0.0
    green = green if colors[s, 1] > 0 else 0.0
    blue = blue if colors[s, 2] > 0 else 0.0
    coefficients = harmonics.shape[2]
    dx, dy, dz, inverse_length = 0.0, 0.0, 0.0, 0.0
    if coefficients > 1:
        dx, dy, dz = mx - camera_centre[0], my - camera_centre[1], mz - camera_centre[2]
        inverse_length = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx * inverse_length, dy * inverse_length, dz * inverse_length
        fill_basis(dx, dy, dz, basis)
    for k in range(coefficients):
        row[HARMONICS + k] = red * basis[k]
        row[HARMONICS + coefficients + k] = green * basis[k]
        row[HARMONICS + 2 * coefficients + k] = blue * basis[k]
    if coefficients > 1:
        for k in range(coefficients):
            basis[k] = red * harmonics[g, 0, k] + green * harmonics[g, 1, k] + blue * harmonics[g, 2, k]
        along_x, along_y, along_z = _direction_gradient(dx, dy, dz, basis)
        along = along_x * dx + along_y * dy + along_z * dz
        along_x = (along_x - along * dx) * inverse_length
        along_y = (along_y - along * dy) * inverse_length
        along_z = (along_z - along * dz) * inverse_length
        row[MEAN] += along_x
        row[MEAN + 1] += along_y
        row[MEAN + 2] += along_z
        of_camera[_CENTRE] -= along_x
        of_camera[_CENTRE + 1] -= along_y
        of_camera[_CENTRE + 2] -= along_z
    return weight


@compiled(fastmath=FUSED)
def _quaternion_gradient(
    rotations: NDArray[np.float32],
    g: int,
    row_1: tuple[float, float, float],
    row_2: tuple[float, float, float],
    row_3: tuple[float, float, float],
    row: NDArray[np.float64],
) -> None:
    """From derivatives by the rotation matrix, row by row, to those by a quaternion of any length."""
    m11, m12, m13 = row_1
    m21, m22, m23 = row_2
    m31, m32, m33 = row_3
    w, x, y, z = (
        np.float64(rotations[g, 0]),
        np.float64(rotations[g, 1]),
        np.float64(rotations[g, 2]),
        np.float64(rotations[g, 3]),
    )
    squared_norm = w * w + x * x + y * y + z * z
    scale = 1 / math.sqrt(squared_norm) if squared_norm > 0 else 0.0
    w, x, y, z = w * scale, x * scale, y * scale, z * scale
    gw = 2 * (x * (m32 - m23) + y * (m13 - m31) + z * (m21 - m12))
    gx = 2 * (y * (m12 + m21) + z * (m13 + m31) + w * (m32 - m23) - 2 * x * (m22 + m33))
    gy = 2 * (x * (m12 + m21) + z * (m23 + m32) + w * (m13 - m31) - 2 * y * (m11 + m33))
    gz = 2 * (x * (m13 + m31) + y * (m23 + m32) + w * (m21 - m12) - 2 * z * (m11 + m22))
    along = gw * w + gx * x + gy * y + gz * z
    row[ROTATION] = (gw - along * w) * scale
    row[ROTATION + 1] = (gx - along * x) * scale
    row[ROTATION + 2] = (gy - along * y) * scale
    row[ROTATION + 3] = (gz - along * z) * scale


@compiled(fastmath=FUSED)
def _direction_gradient(x: float, y: float, z: float, of_basis: NDArray[np.float64]) -> tuple[float, float, float]:
    """From derivatives by the harmonics of a direction to those by the direction, without regard to its length."""
    first = 0.4886025119029199
    gx, gy, gz = -first * of_basis[3], -first * of_basis[1], first * of_basis[2]
    if len(of_basis) > 4:
        second = 1.0925484305920792
        b4, b5, b7, b8 = second * of_basis[4], second * of_basis[5], second * of_basis[7], second * of_basis[8]
        gx += b4 * y - b7 * z + b8 * x
        gy += b4 * x - b5 * z - b8 * y
        gz += 6 * 0.31539156525252005 * of_basis[6] * z - b5 * y - b7 * x
    if len(of_basis) > 9:
        outer, middle, inner = 0.5900435899266435, 2.890611442640554, 0.4570457994644658
        b9, b15 = outer * of_basis[9], outer * of_basis[15]
        b10, b14 = middle * of_basis[10], middle * of_basis[14]
        b11, b13 = inner * of_basis[11], inner * of_basis[13]
        b12 = 0.3731763325901154 * of_basis[12]
        gx += -6 * b9 * x * y + b10 * y * z - b13 * (5 * z * z - 1) + b14 * x * z - 3 * b15 * (x * x - y * y)
        gy += -3 * b9 * (x * x - y * y) + b10 * x * z - b11 * (5 * z * z - 1) - b14 * y * z + 6 * b15 * x * y
        gz += b10 * x * y - 10 * b11 * y * z + b12 * (15 * z * z - 3) - 10 * b13 * x * z + b14 / 2 * (x * x - y * y)
    return gx, gy, gz


@compiled(fastmath=FUSED)
def gaussian_gradients(
    means: NDArray[np.float32],
    scales: NDArray[np.float32],
    rotations: NDArray[np.float32],
    harmonics: NDArray[np.float32],
    opacities: NDArray[np.float32],
    indices: NDArray[np.int32],
    first: int,
    last: int,
    splats: NDArray[np.float64],
    colors: NDArray[np.float32],
    splat_slots: NDArray[np.int64],
    slot_rows: NDArray[np.float32],
    world_to_camera: NDArray[np.float64],
    camera_centre: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    height: int,
    width: int,
    of_camera: NDArray[np.float64],
    rows: NDArray[np.float32],
) -> None:
    """`gaussian_gradient` of the splats from `first` to before `last`.

    Args:
        indices: (G,) as from `project`.
        splat_slots: (G, 2) as from `fill_slots`.
        of_camera: (CAMERA_FIELDS,) is added to.
        rows: (G, 11 + 3 (degree + 1)²) receives the derivatives of the Gaussians that pixels took colour from.
    """
    coefficients = harmonics.shape[2]
    basis = np.full(coefficients, CONSTANT_BASIS)
    row = np.empty(HARMONICS + 3 * coefficients)
    for s in range(first, last):
        g = int(indices[s])
        weight = gaussian_gradient(
            means,
            scales,
            rotations,
            harmonics,
            opacities,
            g,
            splats,
            colors,
            s,
            slot_rows,
            splat_slots[s, 0],
            splat_slots[s, 1],
            world_to_camera,
            camera_centre,
            intrinsics,
            height,
            width,
            row,
            basis,
            of_camera,
        )
        if weight != 0.0:
            for k in range(len(row)):
                rows[g, k] = row[k]
