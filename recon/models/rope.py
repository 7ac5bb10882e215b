"""Rotary position embedding in two dimensions (RoPE-ViT, arXiv 2403.13298).

A head's D features are two halves, rows then columns; each half holds D/4 pairs (i, i + D/4) that turn by
position · frequency. Attention then sees positions only through their differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BASE = 100.0


@dataclass(frozen=True)
class Rotation:
    """Turning angles of T tokens, as factors for `rotate`."""

    cos: Tensor
    """(T, 2, 2, D / 4): row or column half, first or second of the pair, pair"""
    signed_sin: Tensor
    """The same shape: -sin for the first of a pair, +sin for the second."""

    def __getitem__(self, tokens: slice) -> Rotation:
        """Of some of the tokens."""
        return Rotation(self.cos[tokens], self.signed_sin[tokens])


def rotation_at(positions: Tensor, head_dim: int) -> Rotation:
    """Rotation of tokens at integer `positions` (T, 2), row and column, for heads of `head_dim` features."""
    pairs = head_dim // 4
    exponents = torch.arange(pairs, device=positions.device, dtype=torch.float32) / pairs
    angles = positions[:, :, None].float() * _BASE**-exponents  # (T, 2, D / 4)
    cos, sin = angles.cos(), angles.sin()
    return Rotation(torch.stack([cos, cos], dim=2), torch.stack([-sin, sin], dim=2))


def rotation_within_view(rows: int, columns: int, head_dim: int, device: torch.device) -> Rotation:
    """Rotation of one view's tokens: the camera token at (0, 0), then the patches from (1, 1) on in reading order."""
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    patches = torch.stack([y, x], dim=-1).reshape(-1, 2) + 1  # (rows * columns, 2)
    return rotation_at(torch.cat([patches.new_zeros(1, 2), patches]), head_dim)


def rotation_of_camera_tokens(head_dim: int, device: torch.device) -> Rotation:
    """Rotation of the camera tokens in attention across views, where all patches share the position (1, 1).

    The camera tokens are at (0, 0) there; since only differences count, turning them by (-1, -1) and leaving the
    patches alone gives the same attention.
    """
    return rotation_at(torch.full((1, 2), -1, device=device), head_dim)


def rotate(features: Tensor, rotation: Rotation) -> Tensor:
    """Turn the features (..., T, D) of T tokens."""
    quads = features.unflatten(-1, (2, 2, -1))  # (..., T, 2, 2, D / 4)
    turned = torch.addcmul(quads * rotation.cos, quads.flip(-2), rotation.signed_sin)
    return turned.flatten(-3)
