"""The fusion of `recon.export.mesh_fusion` in torch: many blocks, or points, and one view at a time.

Each number is computed by the operations of the compiled loops, in their order, so that both give the same field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.mesh_colors_kernel import AT_OUTLINE, LEAST_COSINE
from recon.geometry.tsdf import depth_too_far, ray_steps, unpacked
from recon.geometry.tsdf_kernel import BLOCK, NEAR, ONE_SURFACE, REACH, SHIFTS, SPHERE
from recon.types import FloatArray

_BLOCKS = 2**14
"""That are filled at a time: 32 MB for each number of a voxel."""
_POINTS = 2**20
"""That get their colours at a time."""


@dataclass(frozen=True)
class TorchFusion:
    """A `Fusion` on any device of torch that has 64-bit numbers."""

    device: torch.device

    def near_surface(
        self,
        depth: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        world_to_camera: NDArray[np.float64],
        voxel: float,
        truncation: float,
        most: int,
    ) -> NDArray[np.int64] | None:
        """As `Integrator`."""
        scale, steps = 1 / (BLOCK * voxel), ray_steps(voxel, truncation)
        camera_to_world = invert_rigid(world_to_camera)
        pixel_to_ray = camera_to_world[:, :3, :3] @ np.linalg.inv(intrinsics)
        rows, columns = self._pixels(depth.shape[1:])
        keys = torch.empty(0, dtype=torch.int64, device=self.device)
        for view in range(len(depth)):
            z = self._tensor(depth[view])
            there = z > 0
            u, v, z = columns[there] + 0.5, rows[there] + 0.5, z[there].double()
            rays = [r[0] * u + r[1] * v + r[2] for r in pixel_to_ray[view].tolist()]
            band = truncation / (rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2]).sqrt()
            found = [keys]
            for step in range(steps):
                at = z + band * (2.0 * step / (steps - 1) - 1)
                centre = (camera_to_world[view, :3, 3] * scale).tolist()
                places = [torch.floor(c + at * (ray * scale)).long() for c, ray in zip(centre, rays, strict=True)]
                if any(len(at) and int(place.abs().max()) >= REACH - 1 for place in places):
                    raise depth_too_far(voxel)
                x, y, z_place = (place + REACH << shift for place, shift in zip(places, SHIFTS, strict=True))
                found.append(torch.unique(x | y | z_place))
            keys = torch.unique(torch.cat(found))
            if len(keys) > most:
                return None
        return unpacked(keys.cpu().numpy())

    def mean_distance(
        self,
        blocks: NDArray[np.int64],
        inverse_depth: NDArray[np.float32],
        projections: NDArray[np.float64],
        voxel: float,
        truncation: float,
        smooth: bool,
    ) -> NDArray[np.float32]:
        """As `Integrator`."""
        maps = self._tensor(inverse_depth)
        field = np.empty((len(blocks), BLOCK, BLOCK, BLOCK), np.float32)
        for first in range(0, len(blocks), _BLOCKS):
            corners = self._tensor(blocks[first : first + _BLOCKS]).double() * BLOCK * voxel  # (b, 3)
            total = torch.zeros((len(corners), BLOCK, BLOCK, BLOCK), device=self.device)
            weights = torch.zeros_like(total)
            for image, projection in zip(maps, projections, strict=True):
                seen = _in_image(corners, projection, voxel, *image.shape).nonzero()[:, 0]
                if len(seen):
                    summand, weight = _of_view(corners[seen], image, projection, voxel, truncation, smooth)
                    total[seen] += summand
                    weights[seen] += weight
            mean = torch.where(weights > 0, total / weights, torch.nan)
            field[first : first + _BLOCKS] = mean.cpu().numpy()
        return field

    def colors(
        self,
        points: NDArray[np.float32],
        normals: NDArray[np.float32],
        images: NDArray[np.uint8],
        depth: FloatArray,
        intrinsics: FloatArray,
        world_to_camera: FloatArray,
        tolerance: float,
    ) -> NDArray[np.uint8]:
        """As `Fusion`."""
        maps = self._tensor(np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32))
        photos = self._tensor(images)
        to_camera = to_4x4(np.asarray(world_to_camera, np.float64))
        projections = np.asarray(intrinsics, np.float64) @ to_camera[:, :3]
        centres = invert_rigid(to_camera)[:, :3, 3]
        colors = np.empty((len(points), 3), np.uint8)
        for first in range(0, len(points), _POINTS):
            batch = slice(first, first + _POINTS)
            here, upright = self._tensor(points[batch]).double(), self._tensor(normals[batch]).double()
            total = torch.zeros((2, len(here), 4), dtype=torch.float64, device=self.device)
            for image, map_, projection, centre in zip(photos, maps, projections, centres, strict=True):
                _add_colors(total, here, upright, image, map_, projection, centre, tolerance)
            chosen = torch.where(total[1, :, 3:] > 0, total[1], total[0])
            mean = torch.where(chosen[:, 3:] > 0, chosen[:, :3] / chosen[:, 3:] + 0.5, 128)
            colors[batch] = mean.to(torch.uint8).cpu().numpy()
        return colors

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _pixels(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """(H, W) row and column of each pixel, float64."""
        height, width = shape
        rows = torch.arange(height, device=self.device, dtype=torch.float64)[:, None].expand(height, width)
        columns = torch.arange(width, device=self.device, dtype=torch.float64).expand(height, width)
        return rows, columns


def _in_image(corners: Tensor, projection: NDArray[np.float64], voxel: float, height: int, width: int) -> Tensor:
    """(b,) whether the sphere around a block is before the camera and not beyond a plane of the image's sides."""
    half, radius = BLOCK * voxel / 2, BLOCK * voxel * SPHERE
    x, y, z = (corners + half).unbind(dim=1)

    def along(plane: NDArray[np.float64]) -> Tensor:
        return float(plane[0]) * x + float(plane[1]) * y + float(plane[2]) * z + float(plane[3])

    away = along(projection[2])
    inside = away > -radius
    for axis, size in enumerate((width, height)):
        near, far = projection[axis], projection[axis] - size * projection[2]
        inside &= along(near) >= -radius * float(np.linalg.norm(near[:3]))
        inside &= along(projection[axis]) - size * away <= radius * float(np.linalg.norm(far[:3]))
    return inside


def _of_view(
    corners: Tensor, image: Tensor, projection: NDArray[np.float64], voxel: float, truncation: float, smooth: bool
) -> tuple[Tensor, Tensor]:
    """(b, 8, 8, 8) weighted distance, and weight, that a view adds to the voxels of blocks at `corners` (b, 3)."""
    places = torch.arange(BLOCK, device=corners.device, dtype=torch.float64)
    x = (corners[:, 0, None] + (places + 0.5) * voxel)[:, :, None]
    y = (corners[:, 1, None] + (places + 0.5) * voxel)[:, None, :]
    z = (corners[:, 2] + 0.5 * voxel)[:, None, None]
    u, v, away = (
        (p[0] * x + p[1] * y + p[2] * z + p[3]).float()[..., None] + places.float() * float(np.float32(p[2] * voxel))
        for p in projection.tolist()
    )  # (b, 8, 8, 8) homogeneous pixels
    height, width = image.shape
    inverse = 1 / away
    u, v = u * inverse, v * inverse
    seen = (away > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = torch.where(seen, u, 0), torch.where(seen, v, 0)
    closeness = image[v.long(), u.long()]
    seen &= closeness != 0
    scale = float(np.float32(1 / truncation))
    weight = inverse * inverse if smooth else torch.ones_like(inverse)
    ahead, reach = 1 - closeness * away, closeness * float(np.float32(NEAR * truncation))
    between = _between_pixels(image, u, v, closeness) if smooth else closeness
    distance = torch.where(ahead < reach, (1 / between - away) * scale, 1)
    seen &= (ahead > -reach) & (distance >= -1)
    return torch.where(seen, weight * distance.clamp(max=1), 0), torch.where(seen, weight, 0)


def _between_pixels(image: Tensor, u: Tensor, v: Tensor, nearest: Tensor) -> Tensor:
    """As of `recon.geometry.tsdf_kernel`."""
    height, width = image.shape
    left, top = u - 0.5, v - 0.5
    column, row = left.clamp(min=0).long(), top.clamp(min=0).long()
    next_column, next_row = (column + 1).clamp(max=width - 1), (row + 1).clamp(max=height - 1)
    a, b = image[row, column], image[row, next_column]
    c, d = image[next_row, column], image[next_row, next_column]
    least, most = (
        torch.minimum(torch.minimum(a, b), torch.minimum(c, d)),
        torch.maximum(torch.maximum(a, b), torch.maximum(c, d)),
    )
    one_surface = (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1) & (most < ONE_SURFACE * least)
    right, down = left - column.float(), top - row.float()
    above, below = a + right * (b - a), c + right * (d - c)
    return torch.where(one_surface, above + down * (below - above), nearest)


def _add_colors(
    total: Tensor,
    points: Tensor,
    normals: Tensor,
    image: Tensor,
    depth: Tensor,
    projection: NDArray[np.float64],
    centre: NDArray[np.float64],
    tolerance: float,
) -> None:
    """Add to `total` (2, P, 4) the weighted colours that a view shows, and its weight: to the first of points that it
    does not see, to the second of those that it sees."""
    height, width = depth.shape
    x, y, z = points.unbind(dim=1)
    u, v, away = (p[0] * x + p[1] * y + p[2] * z + p[3] for p in projection.tolist())
    u, v = u * (1 / away), v * (1 / away)
    inside = ((away > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)).nonzero()[:, 0]
    if not len(inside):
        return
    u, v, away = u[inside], v[inside], away[inside]
    column, row = u.long(), v.long()
    near = torch.ones_like(inside, dtype=torch.bool)
    for j in (-1, 0, 1):
        for i in (-1, 0, 1):
            around = depth[(row + j).clamp(0, height - 1), (column + i).clamp(0, width - 1)].double()
            near &= (around - away).abs() <= 3 * tolerance
    seen = (depth[row, column].double() - away).abs() <= tolerance
    towards = torch.from_numpy(centre).to(points.device) - points[inside]
    squares = (towards * towards).sum(dim=1)
    cosine = ((normals[inside] * towards).sum(dim=1) / squares.sqrt()).clamp(min=LEAST_COSINE)
    weight = torch.where(seen, torch.where(near, 1.0, AT_OUTLINE) * cosine * cosine / squares, 1.0)
    left, top = (u - 0.5).clamp(0, width - 1), (v - 0.5).clamp(0, height - 1)
    i, j = left.long().clamp(max=max(width - 2, 0)), top.long().clamp(max=max(height - 2, 0))
    right, down = (left - i)[:, None], (top - j)[:, None]
    next_i, next_j = (i + 1).clamp(max=width - 1), (j + 1).clamp(max=height - 1)
    above = (1 - right) * image[j, i].double() + right * image[j, next_i].double()
    below = (1 - right) * image[next_j, i].double() + right * image[next_j, next_i].double()
    color = (1 - down) * above + down * below
    total[seen.long(), inside, :3] += weight[:, None] * color
    total[seen.long(), inside, 3] += weight
