"""Resizing the encoder's position embedding in exported graphs, where the size may be a symbol.

Bicubic interpolation along an axis is a product with a matrix that has four weights in each row. Every runtime has
products, while their bicubic resizes place the samples differently where the scale is not the ratio of the sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NUDGE = 0.1
"""Patches added to each side before the scale is taken, as in `Encoder._position_embedding`."""
_A = -0.75
"""Parameter of the cubic convolution kernel (Keys 1981) that torch uses."""


def resized_by_products(pos_embed: Tensor, grid: int, rows: int, columns: int) -> Tensor:
    """(1, 1 + grid², C) to (1, 1 + rows · columns, C), as the encoder does in eager mode."""
    patches = pos_embed[0, 1:].float().unflatten(0, (grid, grid))  # (grid, grid, C)
    sizes = [torch.full((1,), size, device=pos_embed.device, dtype=torch.float32) for size in (rows, columns)]
    # At the trained size itself the embedding is taken as it is.
    is_trained = (sizes[0] == grid) & (sizes[1] == grid)
    nudge = _NUDGE * (1 - is_trained.float())
    down, across = (
        _weights(length, (size + nudge) / grid, grid) for length, size in zip((rows, columns), sizes, strict=True)
    )
    resized = down @ patches.flatten(1)  # (rows, grid * C)
    resized = across @ resized.unflatten(1, (grid, -1))  # (rows, columns, C)
    embedding = torch.cat([pos_embed[:, :1].float(), resized.flatten(0, 1)[None]], dim=1)
    return embedding.to(pos_embed.dtype)


def _weights(length: int, scale: Tensor, grid: int) -> Tensor:
    """Weights (length, grid) that resize `grid` places by `scale` (1,) to `length`; the borders continue."""
    centres = (torch.arange(length, dtype=torch.float32, device=scale.device) + 0.5) / scale - 0.5
    floor = centres.floor()
    places = torch.arange(grid, dtype=torch.float32, device=scale.device)
    weights = torch.zeros(1, device=scale.device)
    for tap in (-1, 0, 1, 2):
        distance = (centres - floor - tap).abs()
        near = ((_A + 2) * distance - (_A + 3)) * distance**2 + 1
        far = ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A
        coefficient = torch.where(distance <= 1, near, far)
        is_there = (floor + tap).clamp(0, grid - 1)[:, None] == places  # (length, grid)
        weights = weights + coefficient[:, None] * is_there.float()
    return weights
