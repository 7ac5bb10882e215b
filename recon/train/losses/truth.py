"""What an any-view network is to predict, from depth and cameras in any world and unit.

Everything is in the frame of the first view, the reference, and in units of the mean distance of the scene's valid
points from it, the scale of Depth Anything 3 (arXiv 2511.10647, section 3.3): neither a similarity of the world nor the
unit of depth is left in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.models.camera_tokens import encode_cameras, invert_rigid
from recon.models.presets import PATCH_SIZE
from recon.train.losses.grid import cell_centres
from recon.train.losses.masked import inside

RAY_CELLS = 8
"""Cells of the ray map along the side of a patch."""
_LEAST_DISTANCE = 1e-6


@dataclass(frozen=True)
class Truth:
    """Targets of B scenes of N views at H × W; without cameras, only those of depth."""

    depth: Tensor
    """(B, N, H, W) z-depth, 0 where it is not valid"""
    valid: Tensor
    """(B, N, H, W) bool"""
    unit: Tensor
    """(B,) what depth and distances were divided by"""
    camera_to_world: Tensor | None = None
    """(B, N, 3, 4), the world that of the first camera"""
    intrinsics: Tensor | None = None
    """(B, N, 3, 3)"""
    points: Tensor | None = None
    """(B, N, H, W, 3) of each pixel, 0 where depth is not valid"""
    rays: Tensor | None = None
    """(B, N, h, w, 6) as `rays_of`"""
    encoding: Tensor | None = None
    """(B, N, 9) cameras as `recon.models.camera_tokens` encodes them"""


def truth_of(depth: Tensor, valid: Tensor, world_to_camera: Tensor | None, intrinsics: Tensor | None) -> Truth:
    """The targets that depth and cameras make.

    Args:
        depth: (B, N, H, W) z-depth, anything where it is not valid.
        valid: (B, N, H, W) bool; pixels whose depth is not positive or not finite are taken out of it.
        world_to_camera: (B, N, 4, 4) or (B, N, 3, 4), or None.
        intrinsics: (B, N, 3, 3) in pixels of H × W images, or None.

    Without cameras, the unit is the mean depth of the valid pixels.
    """
    valid = valid & torch.isfinite(depth) & (depth > 0)
    depth = inside(depth, valid)
    if world_to_camera is None or intrinsics is None:
        unit = _mean_over_scene(depth, valid)
        return Truth(depth / unit[:, None, None, None], valid, unit)
    # Far from the world's origin, float32 would lose what tells cameras apart.
    wide = world_to_camera if world_to_camera.device.type == "mps" else world_to_camera.double()
    camera_to_world = _compose(wide[:, :1], invert_rigid(wide)).to(depth.dtype)  # (B, N, 3, 4)
    height, width = depth.shape[-2:]
    directions, centres = _rays(camera_to_world, intrinsics, height, width, height, width)
    points = centres + depth[..., None] * directions
    unit = _mean_over_scene(points.norm(dim=-1), valid)
    scale = unit[:, None, None, None]
    scaled = torch.cat([camera_to_world[..., :3], camera_to_world[..., 3:] / scale], dim=-1)
    rays = rays_of(scaled, intrinsics, height, width)
    return Truth(
        depth=depth / scale,
        valid=valid,
        unit=unit,
        camera_to_world=scaled,
        intrinsics=intrinsics,
        points=torch.where(valid[..., None], points / scale[..., None], torch.zeros((), device=depth.device)),
        rays=rays,
        encoding=encode_cameras(invert_rigid(scaled), intrinsics, height, width),
    )


def rays_of(camera_to_world: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Rays (..., h, w, 6) through the centres of the cells of the ray map, 8 along the side of a patch.

    First the direction R K⁻¹ (x, y, 1), whose length along the camera's axis is 1, so that a point is origin + z-depth
    · direction; then the origin, the centre of the camera.

    Args:
        camera_to_world: (..., 3, 4).
        intrinsics: (..., 3, 3) in pixels of height × width images.
    """
    rows, columns = RAY_CELLS * height // PATCH_SIZE, RAY_CELLS * width // PATCH_SIZE
    directions, centres = _rays(camera_to_world, intrinsics, height, width, rows, columns)
    return torch.cat([directions, centres.expand_as(directions)], dim=-1)


def full_size_rays(rays: Tensor, height: int, width: int) -> Tensor:
    """Rays (..., h, w, 6) at the centres of the pixels of height × width images, (..., H, W, 6).

    Bilinear between cells; outside the outermost centres the map goes on as it is there, which is exact for a pinhole.
    """
    rows, columns = rays.shape[-3:-1]
    cells = rays.reshape(-1, rows, columns, 6).permute(0, 3, 1, 2)  # (S, 6, h, w)
    cells = _continued(_continued(cells, dim=2), dim=3)
    margin_y, margin_x = RAY_CELLS * height // rows, RAY_CELLS * width // columns  # pixels of the cells that were added
    size = (height + margin_y, width + margin_x)
    pixels = F.interpolate(cells, size=size, mode="bilinear", align_corners=False)
    top, left = margin_y // 2, margin_x // 2
    pixels = pixels[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1)  # (S, H, W, 6)
    return pixels.reshape(*rays.shape[:-3], height, width, 6)


def _continued(cells: Tensor, dim: int) -> Tensor:
    """With half a patch of cells more at either end of an axis, along the slope of the last two."""
    steps = torch.arange(1, RAY_CELLS // 2 + 1, device=cells.device, dtype=cells.dtype)
    steps = steps.reshape([-1 if axis == dim else 1 for axis in range(cells.ndim)])
    count = cells.shape[dim]
    first, second = cells.narrow(dim, 0, 1), cells.narrow(dim, 1, 1)
    last, before = cells.narrow(dim, count - 1, 1), cells.narrow(dim, count - 2, 1)
    ahead = first + steps.flip(dim) * (first - second)
    return torch.cat([ahead, cells, last + steps * (last - before)], dim=dim)


def _rays(
    camera_to_world: Tensor, intrinsics: Tensor, height: int, width: int, rows: int, columns: int
) -> tuple[Tensor, Tensor]:
    """Directions (..., rows, columns, 3) through the cells of a grid over the image, and centres (..., 1, 1, 3)."""
    pixels = cell_centres(rows, columns, height, width, intrinsics)  # (rows, columns, 3)
    to_world = camera_to_world[..., :3] @ torch.linalg.inv(intrinsics)  # (..., 3, 3)
    directions = torch.einsum("...ij,hwj->...hwi", to_world, pixels)
    return directions, camera_to_world[..., None, None, :, 3]


def _mean_over_scene(values: Tensor, valid: Tensor) -> Tensor:
    """Mean (B,) of values (B, N, H, W) over the valid pixels of all views; 1 where there are none."""
    count = valid.sum(dim=(1, 2, 3))
    mean = inside(values, valid).sum(dim=(1, 2, 3)) / count.clamp(min=1)
    return torch.where(count > 0, mean.clamp(min=_LEAST_DISTANCE), torch.ones_like(mean))


def _compose(first: Tensor, second: Tensor) -> Tensor:
    """Rigid motions (..., 3, 4): `second`, then `first`, each (..., 3, 4) or (..., 4, 4)."""
    rotation = first[..., :3, :3]
    return torch.cat([rotation @ second[..., :3, :3], rotation @ second[..., :3, 3:] + first[..., :3, 3:]], dim=-1)
