"""Means, medians and differences of what lies inside a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def inside(values: Tensor, mask: Tensor) -> Tensor:
    """`values` (..., H, W) with 0 outside `mask`: whatever stood there, it has no gradient."""
    return torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (...) of `values` (..., H, W) inside `mask` (..., H, W); 0 where that is empty."""
    return inside(values, mask).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1)).clamp(min=1)


def masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median (...) of `values` (..., H, W) inside `mask`, the mean of the middle two of an even number; 0 without any.

    Its gradient goes to the one or two values in the middle.
    """
    flat, count = values.flatten(-2), mask.sum(dim=(-2, -1))  # (..., H * W), (...)
    ordered = torch.where(mask.flatten(-2), flat, torch.inf).sort(dim=-1).values
    last = (count - 1).clamp(min=0)
    middle = torch.stack([last // 2, (last + 1) // 2], dim=-1)  # (..., 2)
    median = ordered.gather(-1, middle).mean(dim=-1)
    return torch.where(count > 0, median, torch.zeros_like(median))


def differences(values: Tensor, mask: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Forward differences along x (..., H, W - 1) and y (..., H - 1, W), each with the mask of where both pixels are in
    `mask`."""
    values = inside(values, mask)
    along_x = values[..., :, 1:] - values[..., :, :-1], mask[..., :, 1:] & mask[..., :, :-1]
    along_y = values[..., 1:, :] - values[..., :-1, :], mask[..., 1:, :] & mask[..., :-1, :]
    return along_x, along_y
