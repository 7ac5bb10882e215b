"""Losses that do not see the scale and shift of a map: of single images whose unit nobody knows.

Depth Anything 1 (arXiv 2401.10891, section 3.1, eqs. 1 to 3) applies the first to disparity; its trimmed variant and
the matching of gradients are those of MiDaS (Ranftl et al., TPAMI 2022, arXiv 1907.01341).
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.train.losses.masked import differences, inside, masked_mean, masked_median

_LEAST_DEVIATION = 1e-6
"""Keeps a constant map finite."""
_LEAST_PIXELS = 2
"""Of fewer pixels, scale and shift leave nothing to compare."""


def normalised(values: Tensor, mask: Tensor) -> Tensor:
    """Maps (..., H, W) less their median, divided by their mean absolute deviation from it: eqs. 2 and 3.

    d̂ = (d - t(d)) / s(d), t(d) = median(d), s(d) = mean |d - t(d)|, all over `mask`; 0 outside.
    """
    values = inside(values, mask)
    centred = inside(values - masked_median(values, mask)[..., None, None], mask)
    deviation = masked_mean(centred.abs(), mask).clamp(min=_LEAST_DEVIATION)
    return centred / deviation[..., None, None]


def affine_invariant_loss(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference (...) of maps (..., H, W) after `normalised`: eq. 1 with ρ = |d̂* - d̂|."""
    mask = _comparable(mask)
    return masked_mean((normalised(predicted, mask) - normalised(truth, mask)).abs(), mask)


def trimmed_affine_invariant_loss(predicted: Tensor, truth: Tensor, mask: Tensor, trimmed: float = 0.2) -> Tensor:
    """The same without the share `trimmed` of largest differences, which wrong truth makes (MiDaS's trimmed loss).

    L = 1 / (2 M) · the sum of the ⌊(1 - trimmed) M⌋ smallest of M differences.
    """
    mask = _comparable(mask)
    errors = (normalised(predicted, mask) - normalised(truth, mask)).abs()
    ordered = torch.where(mask, errors, torch.inf).flatten(-2).sort(dim=-1).values
    count = mask.sum(dim=(-2, -1))
    # In whole numbers, so that 0.8 of 10 is 8 whatever the rounding of floats.
    kept = (count * round((1 - trimmed) * 1_000_000)) // 1_000_000
    places = torch.arange(ordered.shape[-1], device=mask.device)
    total = torch.where(places < kept[..., None], ordered, torch.zeros((), device=mask.device)).sum(dim=-1)
    return total / (2 * count.clamp(min=1))


def gradient_matching_loss(predicted: Tensor, truth: Tensor, mask: Tensor, scales: int = 4) -> Tensor:
    """How far the slopes of maps (..., H, W) differ after `normalised`, at several scales (MiDaS, eq. 11).

    R = d̂ - d̂*; the sum over k < `scales` of the mean over valid pixels of |∂R/∂x| + |∂R/∂y|, where scale k has every
    2^k-th pixel along each axis.
    """
    mask = _comparable(mask)
    residual = normalised(predicted, mask) - normalised(truth, mask)
    total = residual.new_zeros(residual.shape[:-2])
    for scale in range(scales):
        step = 2**scale
        part, seen = residual[..., ::step, ::step], mask[..., ::step, ::step]
        count = seen.sum(dim=(-2, -1)).clamp(min=1)
        for slopes, both in differences(part, seen):
            total = total + inside(slopes.abs(), both).sum(dim=(-2, -1)) / count
    return total


def sky_at_infinity(disparity: Tensor, valid: Tensor, sky: Tensor | None) -> tuple[Tensor, Tensor]:
    """Disparity and its mask (..., H, W) with the sky as the farthest there is: disparity 0, and valid.

    As Depth Anything 1 has it (section 3.1). Nothing changes where nobody knows of a sky.
    """
    if sky is None:
        return disparity, valid
    return inside(disparity, ~sky), valid | sky


def _comparable(mask: Tensor) -> Tensor:
    """`mask`, empty where it has too few pixels to compare anything."""
    return mask & (mask.sum(dim=(-2, -1), keepdim=True) >= _LEAST_PIXELS)
