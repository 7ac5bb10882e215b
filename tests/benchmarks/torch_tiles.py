"""A tile renderer in eager torch, to measure against: what one writes without a compiler.

Everything is vectorised. Tiles with lists of similar length are blended together, a few dozen splats deep at a time,
and leave once no light passes through them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recon.types import Gaussians

TILE = 8
TILES_AT_ONCE = 64
SPLATS_AT_ONCE = 64
"""These three are the fastest on two cores; tiles of 16 take three times as long."""
_LOG_ALPHA_MIN = math.log(1 / 255)


class TorchSplats(NamedTuple):
    """As `recon.types.Gaussians`, up to degree 1, as tensors that may require gradients."""

    means: torch.Tensor
    scales: torch.Tensor
    rotations: torch.Tensor
    harmonics: torch.Tensor
    opacities: torch.Tensor


@torch.inference_mode()
def render_with_torch(
    gaussians: Gaussians,
    world_to_camera: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    size: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """(H, W, 3) colours of Gaussians on black, projected in float64 and blended in `dtype`."""
    splats = TorchSplats(*(torch.from_numpy(getattr(gaussians, name)).double() for name in TorchSplats._fields))
    return render_tensors(splats, torch.from_numpy(world_to_camera), intrinsics, size, dtype)


def render_tensors(
    gaussians: TorchSplats,
    world_to_camera: torch.Tensor,
    intrinsics: NDArray[np.float64],
    size: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """The same with derivatives, projected in the precision of the tensors."""
    height, width = size
    columns, rows = -(-width // TILE), -(-height // TILE)
    means, conics, extents, depths, opacities, colors = _project(gaussians, world_to_camera, intrinsics, size)
    with torch.no_grad():
        splats, starts = _bin(means, extents, depths, columns, rows)
    table = torch.cat([means, conics, opacities[:, None].log(), colors], dim=1).to(dtype)  # (V, 9)

    lengths = starts.diff()
    image = torch.zeros(rows * columns, TILE * TILE, 3, dtype=dtype)
    offset = torch.arange(TILE * TILE)
    for tiles in lengths.argsort(descending=True).split(TILES_AT_ONCE):
        x = tiles[:, None] % columns * TILE + offset % TILE + 0.5  # (B, P)
        y = tiles[:, None] // columns * TILE + offset // TILE + 0.5
        pixels = torch.stack([x, y], dim=-1).to(dtype)
        image[tiles] = _blend(table, splats, starts[tiles], lengths[tiles], pixels)
    image = image.reshape(rows, columns, TILE, TILE, 3).transpose(1, 2).reshape(rows * TILE, columns * TILE, 3)
    return image[:height, :width].float()


def _project(
    gaussians: TorchSplats, view: torch.Tensor, intrinsics: NDArray[np.float64], size: tuple[int, int]
) -> tuple[torch.Tensor, ...]:
    """Visible splats: means (V, 2), conics (V, 3), extents (V, 2), depths, opacities, and colours (V, 3)."""
    height, width = size
    fx, fy, cx, cy = (float(intrinsics[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    x, y, z = (gaussians.means @ view[:3, :3].T + view[:3, 3]).unbind(1)
    w, i, j, k = torch.nn.functional.normalize(gaussians.rotations).unbind(1)
    orientation = torch.stack(
        [
            *(1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)),
            *(2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)),
            *(2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)),
        ],
        dim=1,
    ).reshape(-1, 3, 3)
    slope_x = (x / z).clamp((-cx - 0.15 * width) / fx, (width - cx + 0.15 * width) / fx)
    slope_y = (y / z).clamp((-cy - 0.15 * height) / fy, (height - cy + 0.15 * height) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], dim=1).reshape(-1, 2, 3)
    axes = jacobian @ view[:3, :3] @ (orientation * gaussians.scales[:, None])
    covariances = axes @ axes.transpose(1, 2)
    xx, xy, yy = covariances[:, 0, 0] + 0.3, covariances[:, 0, 1], covariances[:, 1, 1] + 0.3
    conics = torch.stack([yy, -xy, xx], dim=1) / (xx * yy - xy * xy)[:, None]
    means = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=1)
    opacities = gaussians.opacities
    reach = (2 * (opacities.log() - _LOG_ALPHA_MIN)).clamp(min=0).sqrt()
    extents = reach[:, None] * torch.stack([xx, yy], dim=1).sqrt()
    limits = torch.tensor([width, height])
    inside = ((means + extents > 0) & (means - extents < limits)).all(dim=1)
    seen = (z >= 0.01) & (opacities >= 1 / 255) & inside
    colors = 0.28209479177387814 * gaussians.harmonics[:, :, 0] + 0.5
    if gaussians.harmonics.shape[2] > 1:
        away = torch.nn.functional.normalize(gaussians.means + view[:3, :3].T @ view[:3, 3])  # from the camera
        basis = 0.4886025119029199 * torch.stack([-away[:, 1], away[:, 2], -away[:, 0]], dim=1)
        colors = colors + (gaussians.harmonics[:, :, 1:4] * basis[:, None]).sum(dim=2)
    colors = colors.clamp(min=0)
    return tuple(values[seen] for values in (means, conics, extents, z, opacities, colors))


def _bin(
    means: torch.Tensor, extents: torch.Tensor, depths: torch.Tensor, columns: int, rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of splats tile after tile, nearest first within each, and where each tile starts (tiles + 1,)."""
    order = depths.float().argsort(stable=True)
    means, extents = means[order], extents[order]
    limits = torch.tensor([columns - 1, rows - 1])
    first = torch.minimum(((means - extents) // TILE).clamp(min=0).long(), limits)
    last = torch.minimum(((means + extents) // TILE).clamp(min=0).long(), limits)
    across, down = (last - first + 1).unbind(1)
    owner = torch.arange(len(order)).repeat_interleave(across * down)
    within = torch.arange(len(owner)) - (across * down).cumsum(0).sub(across * down)[owner]
    tile = (first[owner, 1] + within // across[owner]) * columns + first[owner, 0] + within % across[owner]
    tile, place = tile.sort(stable=True)
    counts = torch.bincount(tile, minlength=columns * rows)
    return order[owner[place]], torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])


def _blend(
    table: torch.Tensor, splats: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor, pixels: torch.Tensor
) -> torch.Tensor:
    """Colours (B, P, 3) of the P pixels, with centres (B, P, 2), of B tiles."""
    color = torch.zeros(*pixels.shape[:2], 3, dtype=table.dtype)
    light = torch.ones(pixels.shape[:2], dtype=table.dtype)  # transmittance, and 0 once final
    here = torch.arange(len(pixels))
    for begin in range(0, int(lengths.max()), SPLATS_AT_ONCE):
        here = here[(lengths[here] > begin) & (light[here] > 0).any(dim=1)]
        if not len(here):
            break
        depth = begin + torch.arange(min(SPLATS_AT_ONCE, int(lengths[here].max()) - begin))
        valid = depth < lengths[here, None]  # (B, S)
        parameters = table[splats[(starts[here, None] + depth).clamp(max=len(splats) - 1)]]  # (B, S, 9)
        mean, conic, log_opacity, rgb = parameters.split([2, 3, 1, 3], dim=-1)
        dx, dy = (pixels[here][:, None] - mean[:, :, None]).unbind(-1)  # (B, S, P)
        a, b, c = conic[..., None].unbind(2)
        exponent = log_opacity - 0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
        alpha = exponent.exp().clamp(max=0.999)
        alpha = alpha * ((exponent >= _LOG_ALPHA_MIN) & valid[..., None])
        after = light[here][:, None] * (1 - alpha).cumprod(dim=1)  # (B, S, P)
        goes_on = after > 1e-4
        before = torch.cat([light[here][:, None], after[:, :-1]], dim=1)
        color[here] += torch.einsum("bsp,bsc->bpc", before * alpha * goes_on, rgb)
        light[here] = after[:, -1] * goes_on[:, -1]
    return color
