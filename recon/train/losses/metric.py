"""Losses of depth in a unit that is known, and of the sky."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.train.losses.masked import inside, masked_mean

_LEAST_DEPTH = 1e-6
_LEAST_VARIANCE = 1e-12
"""Keeps the root's slope finite where the prediction is right."""


def scale_invariant_log_loss(predicted: Tensor, truth: Tensor, mask: Tensor, scale_share: float = 0.5) -> Tensor:
    """√(mean g² - scale_share · (mean g)²) with g = log predicted - log truth (Eigen et al., NeurIPS 2014, eq. 4).

    With `scale_share` 1 a common factor of the prediction costs nothing, with 0 as much as any other error. Depth
    Anything 2 learns metres by it with 0.5.

    Args:
        predicted, truth: (..., H, W) depth; values that are not positive have no logarithm and belong outside the mask.
        mask: (..., H, W).
    """
    mask = mask & (truth > 0)
    one = torch.ones((), device=truth.device)
    logs = torch.where(mask, predicted, one).clamp(min=_LEAST_DEPTH).log() - torch.where(mask, truth, one).log()
    squared = masked_mean(logs.square(), mask) - scale_share * masked_mean(logs, mask).square()
    known = mask.any(dim=-1).any(dim=-1)
    return torch.where(known, squared.clamp(min=0).add(_LEAST_VARIANCE).sqrt(), torch.zeros_like(squared))


def sky_loss(score: Tensor, sky: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference (...) of a sky score (..., H, W) from 1 in the sky and 0 elsewhere, over `mask`.

    The teacher of Depth Anything 3 learns its sky so (arXiv 2511.10647, section 4.1).
    """
    return masked_mean((inside(score, mask) - sky.to(score.dtype)).square(), mask)
