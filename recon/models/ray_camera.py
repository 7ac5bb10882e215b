"""Cameras from predicted rays.

With pixels in [-1, 1]² as p = (x, y, 1), a camera with rotation R (camera to world) and intrinsics K sends the ray
direction d ~ R K⁻¹ p. That is a homography H from pixels to directions: it is fitted robustly, and its QR
decomposition gives R and K⁻¹ (arXiv 2511.10647, section 3; Hartley & Zisserman, sections 4.1 and 6.2). The fit works on
unit directions, so that rays at a right angle to the reference view count like all others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_CANDIDATE_SHARE = 0.3
"""Minimal samples come from this share of the rays, the most confident."""
_SAMPLE_SIZE = 8
_TRIES = 100
_JUDGES = 4096
"""About this many rays, evenly spread, decide which minimal sample is best."""
_THRESHOLD = 0.2
"""Sine of the angle up to which a ray counts as an inlier of a minimal sample."""
_REFITS = 4
"""Refits on the inliers; each narrows the threshold to three robust standard deviations."""
_MIN_THRESHOLD = 1e-4


def cameras_from_rays(rays: Tensor, conf: Tensor, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """World-to-camera and intrinsics of V views from their rays.

    Args:
        rays: (B, V, h, w, 6) direction (any length) and origin of the ray through each cell's centre, in world space.
        conf: (B, V, h, w) confidence of each ray, ≥ 0.
        height, width: image size in pixels that the intrinsics are for.
        seed: of the random samples.

    Returns:
        (B, V, 3, 4) float32 world-to-camera and (B, V, 3, 3) float32 intrinsics, without skew.
    """
    b, v, h, w, _ = rays.shape
    device = rays.device
    if device.type == "mps":  # it has no float64
        rays, conf = rays.cpu(), conf.cpu()
    pixels = _pixel_grid(h, w, rays.device)  # (h * w, 3)
    samples = _draw_samples(h * w, seed).to(rays.device)  # (tries, 8)
    flat_rays = rays.double().reshape(b * v, h * w, 6)
    flat_conf = conf.double().reshape(b * v, h * w)

    views = [
        _camera_from_view(pixels, view_rays, view_conf, samples)
        for view_rays, view_conf in zip(flat_rays, flat_conf, strict=True)
    ]
    rotation = torch.stack([r for r, _ in views])  # (B * V, 3, 3) camera to world
    normalised_intrinsics = torch.stack([k for _, k in views])  # of an image spanning [-1, 1]²

    weights = flat_conf / flat_conf.sum(dim=1, keepdim=True)
    centres = (flat_rays[..., 3:] * weights[..., None]).sum(dim=1, keepdim=True).mT  # (B * V, 3, 1)
    extrinsics = torch.cat([rotation.mT, -rotation.mT @ centres], dim=-1)

    half_width, half_height = width / 2, height / 2
    to_pixels = normalised_intrinsics.new_tensor(
        [[half_width, 0, half_width], [0, half_height, half_height], [0, 0, 1]]
    )
    intrinsics = to_pixels @ normalised_intrinsics
    intrinsics[:, 0, 1] = 0
    return extrinsics.float().unflatten(0, (b, v)).to(device), intrinsics.float().unflatten(0, (b, v)).to(device)


def _pixel_grid(h: int, w: int, device: torch.device) -> Tensor:
    """Centres (h * w, 3) of the cells of an image spanning [-1, 1]², homogeneous."""
    y = (torch.arange(h, device=device, dtype=torch.float64) + 0.5) * 2 / h - 1
    x = (torch.arange(w, device=device, dtype=torch.float64) + 0.5) * 2 / w - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1).reshape(-1, 3)


def _draw_samples(rays: int, seed: int) -> Tensor:
    """Ranks by confidence (tries, 8) of the rays in each minimal sample; no ray twice in one sample."""
    generator = torch.Generator().manual_seed(seed)
    candidates = max(_SAMPLE_SIZE, int(rays * _CANDIDATE_SHARE))
    return torch.rand(_TRIES, candidates, generator=generator, device="cpu").topk(min(_SAMPLE_SIZE, candidates)).indices


def _camera_from_view(pixels: Tensor, rays: Tensor, conf: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Camera-to-world rotation (3, 3) and intrinsics (3, 3) of one view from P rays."""
    directions = F.normalize(rays[:, :3], dim=-1)
    equations = _equations(pixels, directions)  # (P, 3, 9)
    sample = conf.argsort(descending=True, stable=True)[samples]  # (tries, 8)
    candidates = _solve(equations[sample], conf[sample])  # (tries, 3, 3)

    judges = torch.arange(0, len(pixels), max(1, len(pixels) // _JUDGES), device=pixels.device)
    errors = _sines(candidates, pixels[judges], directions[judges])  # (tries, judges)
    best = ((errors < _THRESHOLD) * conf[judges]).sum(dim=-1).argmax()
    homography = candidates[best]
    inliers = _sines(homography, pixels, directions) < _THRESHOLD
    for _ in range(_REFITS):
        homography = _solve(equations, conf * inliers)
        error = _sines(homography, pixels, directions)
        median = error[inliers].median() if bool(inliers.any()) else error.median()
        inliers = error <= (3 * 1.4826 * median).clamp(min=_MIN_THRESHOLD, max=_THRESHOLD)
    if torch.det(homography) < 0:
        homography = -homography

    rotation, inverse_intrinsics = torch.linalg.qr(homography)
    signs = torch.sign(inverse_intrinsics.diagonal())
    rotation, inverse_intrinsics = rotation * signs, inverse_intrinsics * signs[:, None]
    intrinsics = torch.linalg.inv(inverse_intrinsics)
    return rotation, intrinsics / intrinsics[2, 2]


def _equations(pixels: Tensor, directions: Tensor) -> Tensor:
    """Coefficients A (P, 3, 9) of each ray's equations A vec(H) = 0, which say d × (H p) = 0; vec(H) is row by row."""
    zero = torch.zeros_like(directions[:, 0])
    dx, dy, dz = directions.unbind(-1)
    cross = torch.stack([zero, -dz, dy, dz, zero, -dx, -dy, dx, zero], dim=-1).unflatten(-1, (3, 3))  # (P, 3, 3)
    return torch.einsum("pij,pk->pijk", cross, pixels).flatten(2)


def _solve(equations: Tensor, weights: Tensor) -> Tensor:
    """Homographies (..., 3, 3) of unit norm that satisfy equations (..., P, 3, 9) best, with weights (..., P)."""
    rows = (equations * weights.sqrt()[..., None, None]).flatten(-3, -2)  # (..., P * 3, 9)
    return torch.linalg.eigh(rows.mT @ rows).eigenvectors[..., 0].unflatten(-1, (3, 3))


def _sines(homographies: Tensor, pixels: Tensor, directions: Tensor) -> Tensor:
    """Sine of the angle between H p and ± d for each ray: (..., P) for homographies (..., 3, 3)."""
    predicted = F.normalize(pixels @ homographies.mT, dim=-1)  # (..., P, 3)
    return torch.linalg.cross(predicted, directions.expand_as(predicted)).norm(dim=-1)
