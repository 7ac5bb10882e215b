"""`photo_loss` in torch, for any device: the same numbers, with derivatives by autograd."""

from __future__ import annotations

import torch
import torch.nn.functional
from torch import Tensor

from recon.refine.optimisation.photo_loss import CUT_OFF, SSIM_WEIGHT

_C1, _C2 = 0.01**2, 0.03**2
_HALF, _SIGMA = 5, 1.5


def photo_loss(view: Tensor, photo: Tensor, counts: Tensor) -> Tensor:
    """0.8 L1 + 0.2 (1 - SSIM) of pictures (3, H, W) from 0 to 1.

    Where `counts` (H, W) is False, or the photo is cut off at black or white and the view beyond, they count as equal.
    """
    lowest, highest = CUT_OFF
    beyond = ((photo >= highest) & (view > photo)) | ((photo <= lowest) & (view < photo))
    view = torch.where(counts & ~beyond, view, photo)
    x, y, xx, yy, xy = _blur(torch.stack([view, photo, view * view, photo * photo, view * photo]))
    luminance = (2 * x * y + _C1) / (x * x + y * y + _C1)
    structure = (2 * (xy - x * y) + _C2) / (xx - x * x + yy - y * y + _C2)
    similarity = (luminance * structure).mean()
    return (1 - SSIM_WEIGHT) * (view - photo).abs().mean() + SSIM_WEIGHT * (1 - similarity)


def _blur(pictures: Tensor) -> Tensor:
    """The window's mean at every pixel of (..., H, W); beyond the picture everything is 0."""
    offsets = torch.arange(-_HALF, _HALF + 1, device=pictures.device, dtype=pictures.dtype)
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    planes = pictures.reshape(-1, 1, *pictures.shape[-2:])  # (..., 1, H, W)
    rows = torch.nn.functional.conv2d(planes, weights[None, None, :, None], padding=(_HALF, 0))
    blurred: Tensor = torch.nn.functional.conv2d(rows, weights[None, None, None], padding=(0, _HALF))
    return blurred.reshape(pictures.shape)
