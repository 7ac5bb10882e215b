"""Where the cells of a map over an image are."""

from __future__ import annotations

import torch
from torch import Tensor


def cell_centres(rows: int, columns: int, height: int, width: int, like: Tensor) -> Tensor:
    """Homogeneous pixel coordinates (rows, columns, 3) of the centres of the cells of a map over a height × width
    image; of the pixels themselves where the map is as large. Device and dtype are those of `like`."""
    y = torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5
    x = torch.arange(columns, device=like.device, dtype=like.dtype) + 0.5
    grid_y, grid_x = torch.meshgrid(y * (height / rows), x * (width / columns), indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1)
