"""A plane sweep as one would write it in torch: warp with grid_sample, correlate with avg_pool, keep the best plane."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

WINDOW = 9
NOISE = 0.5
BEST = 2
"""Sources whose correlations are averaged, those that match best."""


@torch.inference_mode()
def sweep_with_torch(
    grey: NDArray[np.uint8],
    extrinsics: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    sources: NDArray[np.intp],
    view: int,
    inverse_depths: NDArray[np.float32],
    separable: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth and score (H, W) of one view of grey images (N, H, W); all sources of a plane are warped at once.

    `separable` averages windows along columns and then along rows, which is faster than in one go.
    """
    height, width = grey.shape[1:]
    reference = torch.from_numpy(grey[view]).float()[None]  # (1, H, W)
    others = torch.from_numpy(grey[sources]).float()[:, None]  # (S, 1, H, W)
    relative = extrinsics[sources] @ np.linalg.inv(extrinsics[view])
    rays = np.linalg.inv(intrinsics[view])
    rotation = torch.from_numpy(intrinsics[sources] @ relative[:, :3, :3] @ rays).float()  # (S, 3, 3)
    shift = torch.from_numpy(intrinsics[sources] @ relative[:, :3, 3:]).float()  # (S, 3, 1)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)]).reshape(3, -1)
    turned = rotation @ pixels  # (S, 3, H·W)
    size = torch.tensor([width, height]).float()
    box = _box_by_axes if separable else _box
    mean = box(reference)
    deviation = (box(reference**2) - mean**2).clamp(min=0).add(NOISE**2).sqrt()
    scores = []
    for inverse_depth in inverse_depths.tolist():
        u, v, z = (turned + shift * inverse_depth).unbind(1)
        grid = torch.stack([u / z, v / z], dim=-1) / size * 2 - 1
        grid = torch.where(z[..., None] > 0, grid, 2.0).reshape(-1, height, width, 2)
        warped = F.grid_sample(others, grid, padding_mode="border", align_corners=False)[:, 0]
        average = box(warped)
        variance = (box(warped**2) - average**2).clamp(min=0).add(NOISE**2)
        covariance = box(warped * reference) - average * mean
        score = covariance / (deviation * variance.sqrt())
        score = torch.where((grid.abs() <= 1).all(dim=-1), score, 0.0)
        scores.append(score.topk(min(BEST, len(score)), dim=0).values.mean(dim=0))
    volume = torch.stack(scores)  # (P, H, W)
    score, place = volume[1:-1].max(dim=0)
    before, after = (volume.gather(0, (place + step)[None])[0] for step in (0, 2))
    vertex = 0.5 * (before - after) / (before - 2 * score + after).clamp(max=-1e-6)
    step = float(inverse_depths[1] - inverse_depths[0])
    found = float(inverse_depths[1]) + step * (place + vertex.clamp(-0.5, 0.5))
    return (1 / found).numpy(), score.numpy()


def _box(images: torch.Tensor) -> torch.Tensor:
    """Mean over the window, (B, H, W)."""
    return F.avg_pool2d(images[:, None], WINDOW, 1, WINDOW // 2, count_include_pad=False)[:, 0]


def _box_by_axes(images: torch.Tensor) -> torch.Tensor:
    """The same, columns and rows one after the other."""
    radius = WINDOW // 2
    columns = F.avg_pool2d(images[:, None], (WINDOW, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(columns, (1, WINDOW), 1, (0, radius), count_include_pad=False)[:, 0]
