"""Losses of Depth Anything 3's any-view networks (arXiv 2511.10647, section 3.3), each a mean over a scene, (B,).

The paper's sum is L = L_D(D̂, D) + L_M(R̂, M) + L_P(D̂ ⊙ d + t, P) + β L_C(ĉ, v) + α L_grad(D̂, D), all with the L1
norm and α = β = 1. It writes out L_D and L_grad (eq. 3) alone; of the others it gives the arguments and the norm, and
that L_M is weighed by a confidence of the rays, as L_D by that of depth, is ours. What `truth_of` makes of depth and
cameras is what they compare with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.train.losses.masked import differences, inside
from recon.train.losses.truth import full_size_rays

CONFIDENCE_WEIGHT = 0.2
"""λ of the confidence's reward, as in DUSt3R (Wang et al., CVPR 2024, eq. 4)."""


def confident_depth_loss(
    depth: Tensor, conf: Tensor | None, truth: Tensor, valid: Tensor, weight: float = CONFIDENCE_WEIGHT
) -> Tensor:
    """L_D = 1 / Z · Σ m (c |D̂ - D| - λ log c): errors count as much as the network is sure.

    The logarithm rewards confidence, which is best at c = λ / |D̂ - D|. Without a confidence, c is 1.

    Args:
        depth, truth: (B, N, H, W).
        conf: (B, N, H, W) ≥ 1, or None.
        valid: (B, N, H, W) m, of which Z are True.
        weight: λ.
    """
    errors = (inside(depth, valid) - inside(truth, valid)).abs()
    return _scene_mean(_weighted(errors, conf, valid, weight), valid)


def depth_gradient_loss(depth: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """L_grad = |∇x D̂ - ∇x D| + |∇y D̂ - ∇y D|, a mean over the pairs of neighbours that are both valid.

    Args:
        depth, truth: (B, N, H, W).
        valid: (B, N, H, W).
    """
    residual = inside(depth, valid) - inside(truth, valid)
    along_x, along_y = differences(residual, valid)
    return sum((_scene_mean(slopes.abs(), both) for slopes, both in (along_x, along_y)), residual.new_zeros(()))


def ray_map_loss(
    rays: Tensor,
    conf: Tensor | None,
    truth: Tensor,
    known: Tensor | None = None,
    weight: float = CONFIDENCE_WEIGHT,
) -> Tensor:
    """L_M = mean of c · |R̂ - M|₁ - λ log c over the cells of the ray map.

    Args:
        rays, truth: (B, N, h, w, 6) directions and origins.
        conf: (B, N, h, w) ≥ 1 of the rays, or None for c = 1.
        known: (B, N, h, w) where the truth says something [everywhere].
        weight: λ.
    """
    if known is None:
        known = torch.ones(rays.shape[:-1], dtype=torch.bool, device=rays.device)
    errors = _vectors_inside(rays, known) - _vectors_inside(truth, known)
    return _scene_mean(_weighted(errors.abs().sum(dim=-1), conf, known, weight), known)


def point_map_loss(depth: Tensor, rays: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """L_P = mean of |D̂ d + t - P|₁: points from predicted depth and predicted rays.

    Args:
        depth: (B, N, H, W).
        rays: (B, N, h, w, 6) d and t, at the resolution of the ray map.
        truth: (B, N, H, W, 3) points.
        valid: (B, N, H, W).
    """
    rays = full_size_rays(rays, *depth.shape[-2:])
    points = rays[..., 3:] + inside(depth, valid)[..., None] * rays[..., :3]
    errors = _vectors_inside(points, valid) - _vectors_inside(truth, valid)
    return _scene_mean(errors.abs().sum(dim=-1), valid)


def camera_loss(
    encoding: Tensor, truth: Tensor, translation: float = 1.0, rotation: float = 1.0, field_of_view: float = 1.0
) -> Tensor:
    """L_C = |t̂ - t|₁ + |q̂ - q|₁ + |f̂ - f|₁, a mean over the views; the factors weigh the parts.

    A quaternion and its negative are the same rotation: the truth takes the sign that is nearer to the prediction.

    Args:
        encoding, truth: (B, N, 9) translation, quaternion and fields of view as `recon.models.camera_tokens` has them.
    """
    sign = torch.where((encoding[..., 3:7] * truth[..., 3:7]).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0)
    errors = encoding - torch.cat([truth[..., :3], sign * truth[..., 3:7], truth[..., 7:]], dim=-1)
    weights = errors.new_tensor([translation] * 3 + [rotation] * 4 + [field_of_view] * 2)
    return (errors.abs() * weights).sum(dim=-1).mean(dim=1)


def _weighted(errors: Tensor, conf: Tensor | None, mask: Tensor, weight: float) -> Tensor:
    """c · error - λ log c inside `mask`."""
    if conf is None:
        return errors
    conf = torch.where(mask, conf, torch.ones((), dtype=conf.dtype, device=conf.device))
    return conf * errors - weight * conf.log()


def _vectors_inside(values: Tensor, mask: Tensor) -> Tensor:
    """Vectors (..., H, W, C), 0 outside `mask` (..., H, W)."""
    return torch.where(mask[..., None], values, torch.zeros((), dtype=values.dtype, device=values.device))


def _scene_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) over the views and pixels (B, N, H, W) in `mask`; 0 where that is empty."""
    return inside(values, mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp(min=1)
