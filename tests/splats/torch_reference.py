"""Every splat at every pixel in float64 torch, for derivatives by autograd; the definitions of `brute_force`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Reference(NamedTuple):
    """One view in float64, with derivatives by whatever it was made of."""

    color: Tensor
    """(H, W, 3)."""
    depth: Tensor
    """(H, W) accumulated."""
    alpha: Tensor
    """(H, W)."""
    unclear: Tensor
    """(H, W) True where rounding may decide whether a splat is drawn, or whether its alpha is capped."""


def reference(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    harmonics: Tensor,
    opacities: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    background: Tensor,
    size: tuple[int, int],
    close: float,
    near: float = 0.01,
) -> Reference:
    """Arguments as of `recon.splats.torch_rasterizer.rasterize`, in float64."""
    height, width = size
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    in_camera = means @ rotation.T + translation
    order = torch.argsort(in_camera[:, 2].detach().float(), stable=True)
    order = order[in_camera[order, 2] >= near]
    means, scales, rotations = means[order], scales[order], rotations[order]
    harmonics, opacities = harmonics[order], opacities[order]
    x, y, z = in_camera[order].unbind(1)

    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    slope_x = torch.minimum(torch.maximum(x / z, (-cx - 0.15 * width) / fx), (1.15 * width - cx) / fx)
    slope_y = torch.minimum(torch.maximum(y / z, (-cy - 0.15 * height) / fy), (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], 1).view(-1, 2, 3)
    axes = jacobian @ rotation @ (_matrices(rotations) * scales[:, None, :])  # (G, 2, 3)
    covariances = axes @ axes.transpose(1, 2) + 0.3 * torch.eye(2, dtype=axes.dtype)
    centres = torch.stack([fx * x / z + cx, fy * y / z + cy], 1)

    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    offsets = torch.stack([columns, rows], -1) - centres[:, None, None]  # (G, H, W, 2)
    squared = torch.einsum("ghwi,gij,ghwj->ghw", offsets, torch.linalg.inv(covariances), offsets)
    uncapped = opacities[:, None, None] * torch.exp(-squared / 2)
    alpha = uncapped.clamp(max=0.999)
    seen = alpha >= 1 / 255
    behind = torch.cumprod(torch.where(seen, 1 - alpha, torch.ones_like(alpha)), 0)
    counts = seen & (behind > 1e-4)  # once too little light would be left, so it is for all behind
    light = torch.cumprod(torch.where(counts, 1 - alpha, torch.ones_like(alpha)), 0)
    before = torch.cat([torch.ones_like(light[:1]), light[:-1]]) if len(light) else light
    weights = torch.where(counts, alpha, torch.zeros_like(alpha)) * before
    left = light[-1] if len(light) else torch.ones(size, dtype=alpha.dtype)

    unclear = (before > 1e-5) & ((uncapped / 0.999 - 1).abs() < close) | ((alpha * 255 - 1).abs() < close)
    unclear |= seen & ((behind / 1e-4 - 1).abs() < 10 * close)
    centre = -torch.linalg.solve(rotation, translation)
    directions = means - centre
    basis = _basis(directions / directions.norm(dim=1, keepdim=True), harmonics.shape[2])
    colors = (torch.einsum("gk,gck->gc", basis, harmonics) + 0.5).clamp(min=0)
    color = torch.einsum("ghw,gc->hwc", weights, colors) + left[..., None] * background
    return Reference(color, torch.einsum("ghw,g->hw", weights, z), 1 - left, unclear.any(0))


def _matrices(rotations: Tensor) -> Tensor:
    """(G, 3, 3) of quaternions of any length; 0 is the identity, and has no derivative."""
    length = rotations.norm(dim=1, keepdim=True)
    identity = torch.tensor([1, 0, 0, 0], dtype=rotations.dtype)
    unit = torch.where(length > 0, rotations / torch.where(length > 0, length, torch.ones_like(length)), identity)
    w, x, y, z = unit.unbind(1)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(entries, 1).view(-1, 3, 3)


def _basis(directions: Tensor, count: int) -> Tensor:
    """(G, count) as `recon.geometry.spherical_harmonics.evaluate_basis`."""
    x, y, z = directions.unbind(1)
    pi = torch.pi
    first, second = (3 / (4 * pi)) ** 0.5, (15 / (4 * pi)) ** 0.5
    outer, inner, middle = (35 / (32 * pi)) ** 0.5, (21 / (32 * pi)) ** 0.5, (105 / (4 * pi)) ** 0.5
    values = [
        torch.full_like(x, (1 / (4 * pi)) ** 0.5),
        -first * y,
        first * z,
        -first * x,
        second * x * y,
        -second * y * z,
        (5 / (16 * pi)) ** 0.5 * (3 * z * z - 1),
        -second * x * z,
        second / 2 * (x * x - y * y),
        -outer * y * (3 * x * x - y * y),
        middle * x * y * z,
        -inner * y * (5 * z * z - 1),
        (7 / (16 * pi)) ** 0.5 * z * (5 * z * z - 3),
        -inner * x * (5 * z * z - 1),
        middle / 2 * z * (x * x - y * y),
        -outer * x * (x * x - 3 * y * y),
    ]
    return torch.stack(values[:count], 1)
