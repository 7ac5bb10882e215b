"""A teacher's dense depth brought to the scale and shift of sparse or noisy truth.

Depth Anything 3 (arXiv 2511.10647, section 4.2, eq. 8) learns from it late in training, where the truth of real scenes
has holes and errors that its teacher, trained on rendered scenes, does not make.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon.choices import OutputKind

TRIES = 128
"""Pairs of pixels that propose a scale and a shift."""
TOLERANCE = 0.1
"""Share of the true value by which a pixel may be off and still agree."""
LEAST_SHARE = 0.3
"""With fewer pixels that agree, nothing is known."""
_JUDGES = 4096
"""Pixels, at most, that judge the proposals."""
_REFITS = 5
_LEAST_PIXELS = 10


def aligned_teacher(
    teacher: Tensor, truth: Tensor, valid: Tensor, kind: OutputKind, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The teacher's maps as depth in the unit of the truth, and where that is known.

    By RANSAC (Fischler and Bolles 1981): of the lines truth = scale · teacher + shift through two random pixels, the
    one that most pixels agree with, fitted again by least squares to those until they stay the same. For a teacher of
    disparity the line is that of 1 / depth. The paper takes residuals within their mean absolute deviation from the
    median for agreement; here it is a share of the depth, which far pixels meet as easily as near ones.

    Args:
        teacher, truth: (..., H, W); the teacher's is NaN where it says nothing, the truth is depth.
        valid: (..., H, W) where the truth is known.
        kind: what the teacher's map holds.
        generator: for the pairs of pixels, on the CPU.

    Returns:
        Depth (..., H, W), 0 where unknown, and the mask (..., H, W): all pixels in front of the camera where there is a
        teacher's value; none of a map that too few pixels agree with.
    """
    shape, device = teacher.shape, teacher.device
    with torch.no_grad():
        depths, known = [], []
        maps = (one.detach().reshape(-1, *shape[-2:]).cpu() for one in (teacher, truth, valid))
        for source, target, mask in zip(*maps, strict=True):
            depth, inside = _aligned(source.double(), target.double(), mask, kind, generator)
            depths.append(depth.to(truth.dtype))
            known.append(inside)
    return torch.stack(depths).reshape(shape).to(device), torch.stack(known).reshape(shape).to(device)


def ransac_line(source: Tensor, target: Tensor, generator: torch.Generator) -> tuple[float, float] | None:
    """Scale > 0 and shift that bring `source` (P,) to `target` (P,) > 0 for most of them; None where too few agree."""
    if len(source) < _LEAST_PIXELS:
        return None
    pairs = torch.randint(len(source), (TRIES, 2), generator=generator)
    (a, b), (u, v) = source[pairs].unbind(1), target[pairs].unbind(1)
    scales = (v - u) / (b - a)
    shifts = u - scales * a
    usable = torch.isfinite(scales) & (scales > 0)
    if not bool(usable.any()):
        return None
    scales, shifts = scales[usable], shifts[usable]
    judges = torch.arange(0, len(source), max(1, len(source) // _JUDGES))
    errors = (scales[:, None] * source[judges] + shifts[:, None] - target[judges]).abs() / target[judges]
    best = int((errors < TOLERANCE).sum(dim=1).argmax())
    scale, shift = float(scales[best]), float(shifts[best])
    for _ in range(_REFITS):
        agree = (scale * source + shift - target).abs() < TOLERANCE * target
        if int(agree.sum()) < max(_LEAST_PIXELS, LEAST_SHARE * len(source)):
            return None
        # Errors are relative ones, so nearer pixels weigh more.
        weights = 1 / target[agree]
        rows = torch.stack([source[agree], torch.ones_like(source[agree])], dim=1) * weights[:, None]
        scale, shift = torch.linalg.lstsq(rows, target[agree, None] * weights[:, None]).solution[:, 0].tolist()
        if scale <= 0:
            return None
    return scale, shift


def _aligned(
    source: Tensor, truth: Tensor, valid: Tensor, kind: OutputKind, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    said = torch.isfinite(source)
    both = said & valid & torch.isfinite(truth) & (truth > 0)
    target = truth[both] if kind == "depth" else 1 / truth[both]
    line = ransac_line(source[both], target, generator)
    if line is None:
        return torch.zeros_like(source), torch.zeros_like(said)
    scale, shift = line
    values = scale * torch.where(said, source, 0.0) + shift
    known = said & (values > 0)
    depth = torch.where(known, values, 1.0)
    return torch.where(known, depth if kind == "depth" else 1 / depth, 0.0), known
