"""Surface normals of depth maps, and the loss on them: for rendered scenes, whose depth has no noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.train.losses.grid import cell_centres
from recon.train.losses.masked import inside, masked_mean

_LEAST_SQUARE = 1e-12
"""Keeps roots differentiable at 0."""


def corner_normals(points: Tensor) -> Tensor:
    """The four normals (4, ..., H - 2, W - 2, 3) that the inner pixels of a point map (..., H, W, 3) make with two
    neighbours each, not normalised: their lengths are twice the area of the triangles. They face the camera."""
    centre = points[..., 1:-1, 1:-1, :]
    right, left = points[..., 1:-1, 2:, :] - centre, points[..., 1:-1, :-2, :] - centre
    below, above = points[..., 2:, 1:-1, :] - centre, points[..., :-2, 1:-1, :] - centre
    # x is right, y down and z forward: this way round they point at the camera.
    around = ((below, right), (left, below), (above, left), (right, above))
    return torch.stack([torch.linalg.cross(a, b) for a, b in around])


def mean_normal(corners: Tensor) -> Tensor:
    """Unit normals (..., 3) from the four of `corner_normals` (4, ..., 3); those of far neighbours count less.

    n = Σ (σ - |n_i|) / σ · n_i / |n_i| with σ = Σ |n_i| (arXiv 2511.10647, section 4.1, eqs. 4 and 5).
    """
    lengths = (corners.square().sum(dim=-1, keepdim=True) + _LEAST_SQUARE).sqrt()
    total = lengths.sum(dim=0)
    return F.normalize(((total - lengths) / total * corners / lengths).sum(dim=0), dim=-1)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle (...) in radians between vectors (..., 3)."""
    cross = (torch.linalg.cross(a, b).square().sum(dim=-1) + _LEAST_SQUARE).sqrt()
    return torch.atan2(cross, (a * b).sum(dim=-1))


def normal_loss(predicted: Tensor, truth: Tensor, mask: Tensor, intrinsics: Tensor) -> Tensor:
    """Angle between the mean normals, plus those between the four normals it is made of; a mean over pixels, (...).

    L_N = E(n̂, n) + Σ E(n̂_i, n_i) (arXiv 2511.10647, eq. 6). Pixels count whose four neighbours are all valid.

    Args:
        predicted, truth: (..., H, W) z-depth, at any scale each.
        mask: (..., H, W).
        intrinsics: (..., 3, 3) in pixels of these maps.
    """
    inner = mask[..., 1:-1, 1:-1] & mask[..., 1:-1, 2:] & mask[..., 1:-1, :-2] & mask[..., 2:, 1:-1]
    inner = inner & mask[..., :-2, 1:-1]
    normals = []
    for depth in (predicted, truth):
        # A plane stands where there is no depth, so that nothing there is degenerate.
        depth = torch.where(mask, depth, torch.ones((), dtype=depth.dtype, device=depth.device))
        depth = depth / masked_mean(depth, mask).clamp(min=_LEAST_SQUARE)[..., None, None]
        corners = corner_normals(_points(depth, intrinsics))
        corners = torch.where(inner[..., None], corners, corners.new_tensor([0.0, 0.0, -1.0]))
        # In units of a pixel's own area, whatever the focal length.
        normals.append(corners * (intrinsics[..., 0, 0] * intrinsics[..., 1, 1])[..., None, None, None])
    errors = angle_between(mean_normal(normals[0]), mean_normal(normals[1]))
    errors = errors + angle_between(F.normalize(normals[0], dim=-1), F.normalize(normals[1], dim=-1)).sum(dim=0)
    return masked_mean(inside(errors, inner), inner)


def _points(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (..., H, W, 3) in the camera's frame, through the centres of the pixels."""
    height, width = depth.shape[-2:]
    pixels = cell_centres(height, width, height, width, depth)  # (H, W, 3)
    return depth[..., None] * torch.einsum("...ij,hwj->...hwi", torch.linalg.inv(intrinsics), pixels)
