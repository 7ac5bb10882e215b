"""Raw parameters of the Gaussian head to Gaussians in world space (after pixelSplat, arXiv 2312.12337).

Two choices look odd and are kept, because the weights were trained with them: the depth is used as distance along the
ray, not along z; and quaternions are composed with their components one place off.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.geometry.spherical_harmonics import rotation_matrices
from recon.models.camera_tokens import invert_rigid, quaternion_from_matrix
from recon.models.outputs import GaussianTensors

_MIN_SCALE = 1e-5
_MAX_SCALE = 30.0
_PIXEL_SHARE = 0.1
"""A raw scale of one is this share of a pixel's width and height, added up, at the Gaussian's depth."""


class GaussianAdapter(nn.Module):
    """Turns the head's output into Gaussians; has no weights."""

    def __init__(self, sh_degree: int) -> None:
        super().__init__()
        self.sh_degree = sh_degree

    @property
    def parameters_per_gaussian(self) -> int:
        """Raw numbers per pixel: offset in x and y, scales, quaternion, SH of three channels, offset in depth."""
        return 2 + 3 + 4 + 3 * (self.sh_degree + 1) ** 2 + 1

    def forward(
        self, raw: Tensor, opacity: Tensor, depth: Tensor, extrinsics: Tensor, intrinsics: Tensor
    ) -> GaussianTensors:
        """One Gaussian per pixel.

        Args:
            raw: (B, V, H, W, K) output of the head.
            opacity: (B, V, H, W) in [0, 1].
            depth: (B, V, H, W).
            extrinsics: (B, V, 3, 4) world to camera.
            intrinsics: (B, V, 3, 3) in pixels.
        """
        coefficients = (self.sh_degree + 1) ** 2
        offset, scale, quaternion, harmonics, depth_offset = raw.split([2, 3, 4, 3 * coefficients, 1], dim=-1)
        camera_to_world = invert_rigid(extrinsics)  # (B, V, 3, 4)
        distance = depth[..., None] + depth_offset  # (B, V, H, W, 1)
        directions = self._ray_directions(offset, intrinsics)  # (B, V, H, W, 3), camera frame
        rotation, centre = camera_to_world[..., :3], camera_to_world[..., 3]
        means = torch.einsum("bvij,bvhwj->bvhwi", rotation, directions * distance) + centre[:, :, None, None]

        pixel = _PIXEL_SHARE * (1 / intrinsics[..., 0, 0] + 1 / intrinsics[..., 1, 1])  # (B, V)
        spread = _MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * scale.sigmoid()
        scales = spread * distance * pixel[..., None, None, None]

        return GaussianTensors(
            means=means.flatten(1, 3),
            scales=scales.flatten(1, 3),
            rotations=self._world_quaternions(quaternion, rotation).flatten(1, 3),
            harmonics=self._world_harmonics(harmonics.unflatten(-1, (3, coefficients)), rotation).flatten(1, 3),
            opacities=opacity.flatten(1),
        )

    @staticmethod
    def _ray_directions(offset: Tensor, intrinsics: Tensor) -> Tensor:
        """Unit directions (B, V, H, W, 3) through the pixel centres moved by `offset` (B, V, H, W, 2) pixels."""
        height, width = offset.shape[2:4]
        x = torch.arange(width, device=offset.device) + 0.5
        y = torch.arange(height, device=offset.device)[:, None] + 0.5
        fx, fy, cx, cy = (
            intrinsics[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))
        )  # each (B, V, 1, 1)
        ray_x = (x + offset[..., 0] - cx) / fx
        ray_y = (y + offset[..., 1] - cy) / fy
        return F.normalize(torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], dim=-1), dim=-1)

    @staticmethod
    def _world_quaternions(raw_xyzw: Tensor, rotation: Tensor) -> Tensor:
        """Quaternions (B, V, H, W, 4), to be read as (w, x, y, z), from the head's and the camera's rotation.

        The product is taken with (w, x, y, z) read as (x, y, z, w): the misreading that the head was trained with.
        """
        shifted = F.normalize(raw_xyzw, dim=-1).roll(1, dims=-1)  # (w, x, y, z), multiplied as (x, y, z, w)
        camera = quaternion_from_matrix(rotation)[:, :, None, None]  # (B, V, 1, 1, 4), real part last
        product = _multiply_xyzw(camera, shifted)
        return torch.where(product[..., 3:] < 0, -product, product)

    def _world_harmonics(self, harmonics: Tensor, rotation: Tensor) -> Tensor:
        """Coefficients (B, V, H, W, 3, K) in camera directions to world directions; higher bands damped."""
        damping = torch.ones(harmonics.shape[-1], device=harmonics.device)
        for degree in range(1, self.sh_degree + 1):
            damping[degree**2 : (degree + 1) ** 2] = 0.1 * 0.25**degree
        turn = rotation_matrices(rotation.detach().cpu().double().numpy(), self.sh_degree)  # (B, V, K, K)
        turn_damped = torch.from_numpy(turn).to(harmonics) * damping
        return torch.einsum("bvij,bvhwcj->bvhwci", turn_damped, harmonics)


def _multiply_xyzw(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions (..., 4), real part last."""
    vector_a, real_a, vector_b, real_b = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector_a, vector_b = torch.broadcast_tensors(vector_a, vector_b)
    vector = real_a * vector_b + real_b * vector_a + torch.linalg.cross(vector_a, vector_b)
    real = real_a * real_b - (vector_a * vector_b).sum(dim=-1, keepdim=True)
    return torch.cat([vector, real], dim=-1)
