"""Learning from photos without labels (Depth Anything 1, arXiv 2401.10891, sections 3.2 and 3.3).

A teacher sees the clean photos. The student sees them with strong colour changes and with a rectangle of another photo
pasted in (CutMix, Yun et al., ICCV 2019), and its features stay near those of a frozen encoder.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.train.losses.affine_invariant import affine_invariant_loss


def cut_box(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Mask M (H, W), True in a rectangle whose share of the area is uniform in (0, 1) and whose place is random.

    As CutMix: its sides are those of the image times the root of the share, and it is cut off at the borders.
    """
    share, x, y = torch.rand(3, generator=generator, device=generator.device).tolist()
    half_height, half_width = height * share**0.5 / 2, width * share**0.5 / 2
    top, bottom = round(max(0.0, y * height - half_height)), round(min(float(height), y * height + half_height))
    left, right = round(max(0.0, x * width - half_width)), round(min(float(width), x * width + half_width))
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def cut_mix(images: Tensor, others: Tensor, box: Tensor) -> Tensor:
    """Images (..., 3, H, W) inside `box` (H, W), and `others` outside: u_ab = u_a ⊙ M + u_b ⊙ (1 - M), eq. 5."""
    return torch.where(box, images, others)


def cut_mix_loss(
    predicted: Tensor, teacher: Tensor, others: Tensor, box: Tensor, valid: Tensor, others_valid: Tensor
) -> Tensor:
    """The student's map of mixed photos against the teacher's of both, each side normalised by itself: eqs. 6 to 8.

    L = ΣM / HW · L^M + Σ(1 - M) / HW · L^(1-M), with L^M = ρ(S(u_ab) ⊙ M, T(u_a) ⊙ M) and L^(1-M) = ρ(S(u_ab) ⊙ (1 -
    M), T(u_b) ⊙ (1 - M)); ρ is `affine_invariant_loss`.

    Args:
        predicted: (..., H, W) of the mixed photos.
        teacher, others: (..., H, W) the teacher's maps of the photos inside and outside the box.
        box: (H, W).
        valid, others_valid: (..., H, W) where the teacher's maps say something.
    """
    share = box.float().mean()
    of_box = affine_invariant_loss(predicted, teacher, valid & box)
    of_rest = affine_invariant_loss(predicted, others, others_valid & ~box)
    return share * of_box + (1 - share) * of_rest


def feature_alignment_loss(student: Tensor, frozen: Tensor, tolerance: float = 0.85) -> Tensor:
    """How far the student's features (..., P, C) point elsewhere than a frozen encoder's: eq. 9, (...).

    L = 1 / P · the sum of 1 - cos(f, f') over the pixels with cos < `tolerance`; the others, whose features are near
    enough, give no gradient, so that parts of one thing may differ in depth.
    """
    cosine = F.cosine_similarity(student, frozen.detach(), dim=-1)  # (..., P)
    return torch.where(cosine < tolerance, 1 - cosine, torch.zeros_like(cosine)).mean(dim=-1)
