"""Cameras to tokens and back.

A camera is nine numbers: the camera-to-world translation, its rotation as a quaternion (x, y, z, w), and the vertical
and horizontal field of view in radians. The principal point is taken to be the image centre.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.models.transformer import Mlp, TransformerBlock

ENCODING_SIZE = 9
_TRUNK_BLOCKS = 4
_TRUNK_HEADS = 16
_MIN_TANGENT = 1e-6
"""Keeps the focal length of a predicted field of view of zero finite."""


class CameraEncoder(nn.Module):
    """Given cameras to camera tokens; the views' tokens attend to one another."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(TransformerBlock(dim, _TRUNK_HEADS, norm_eps=1e-5, initial_scale=0.01) for _ in range(_TRUNK_BLOCKS))
        )
        self.token_norm = nn.LayerNorm(dim)
        self.trunk_norm = nn.LayerNorm(dim)
        self.pose_branch = Mlp(ENCODING_SIZE, dim // 2, dim)

    def forward(self, extrinsics: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
        """World-to-camera (B, V, 4, 4) and intrinsics (B, V, 3, 3) of H × W images to tokens (B, V, C)."""
        encoding = encode_cameras(extrinsics, intrinsics, height, width)
        return self.trunk_norm(self.trunk(self.token_norm(self.pose_branch(encoding))))


class CameraDecoder(nn.Module):
    """Camera tokens to cameras."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.fc_t = nn.Linear(dim, 3)
        self.fc_qvec = nn.Linear(dim, 4)
        self.fc_fov = nn.Sequential(nn.Linear(dim, 2), nn.ReLU())

    def forward(self, tokens_bvc: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Camera tokens (B, V, C) to world-to-camera (B, V, 3, 4) and intrinsics (B, V, 3, 3) of H × W images."""
        return decode_cameras(self.encoding(tokens_bvc), height, width)

    def encoding(self, tokens_bvc: Tensor) -> Tensor:
        """Camera tokens (B, V, C) to encodings (B, V, 9), whose quaternions have any length."""
        hidden = self.backbone(tokens_bvc)
        return torch.cat([self.fc_t(hidden), self.fc_qvec(hidden), self.fc_fov(hidden)], dim=-1)


def encode_cameras(extrinsics: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """World-to-camera (..., 4, 4) and intrinsics (..., 3, 3) to encodings (..., 9)."""
    camera_to_world = invert_rigid(extrinsics)
    fov_y = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    fov_x = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    quaternion = quaternion_from_matrix(camera_to_world[..., :3, :3])
    return torch.cat([camera_to_world[..., :3, 3], quaternion, fov_y[..., None], fov_x[..., None]], dim=-1)


def decode_cameras(encoding: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Encodings (..., 9) to world-to-camera (..., 3, 4) and intrinsics (..., 3, 3)."""
    rotation = matrix_from_quaternion(encoding[..., 3:7])
    camera_to_world = torch.cat([rotation, encoding[..., :3, None]], dim=-1)  # (..., 3, 4)
    tangents = torch.tan(encoding[..., 7:9] / 2).clamp(min=_MIN_TANGENT)
    zero = torch.zeros_like(tangents[..., 0])
    entries = [
        width / 2 / tangents[..., 1],
        zero,
        zero + width / 2,
        zero,
        height / 2 / tangents[..., 0],
        zero + height / 2,
        zero,
        zero,
        zero + 1,
    ]
    return invert_rigid(camera_to_world), torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def invert_rigid(transform: Tensor) -> Tensor:
    """Inverse of rigid transforms (..., 3, 4) or (..., 4, 4), as (..., 3, 4)."""
    rotation_t = transform[..., :3, :3].mT
    return torch.cat([rotation_t, -rotation_t @ transform[..., :3, 3:]], dim=-1)


def matrix_from_quaternion(quaternion_xyzw: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), real part last, of any length but zero."""
    x, y, z, w = F.normalize(quaternion_xyzw, dim=-1).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Unit quaternions (..., 4), real part last and ≥ 0, of rotation matrices (..., 3, 3).

    Of the four ways to divide, the one with the largest divisor (Shepperd 1978).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotation.unbind(-2))
    # Row k is 4 q_k · (x, y, z, w).
    products = torch.stack(
        [
            torch.stack([1 + xx - yy - zz, xy + yx, xz + zx, zy - yz], dim=-1),
            torch.stack([xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx], dim=-1),
            torch.stack([xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy], dim=-1),
            torch.stack([zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz], dim=-1),
        ],
        dim=-2,
    )  # (..., 4, 4)
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)  # (...)
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    quaternion = F.normalize(products.gather(-2, index).squeeze(-2), dim=-1)
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
