"""Camera encodings and quaternions: round trips."""

from __future__ import annotations

import pytest
import torch

from recon.models.camera_tokens import (
    decode_cameras,
    encode_cameras,
    invert_rigid,
    matrix_from_quaternion,
    quaternion_from_matrix,
)
from tests.seeds import torch_random


def random_quaternions(count: int) -> torch.Tensor:
    quaternions = torch.randn(count, 4, generator=torch_random(0))
    return torch.nn.functional.normalize(quaternions, dim=-1)


def test_quaternion_round_trip() -> None:
    quaternions = random_quaternions(500)
    expected = torch.where(quaternions[:, 3:] < 0, -quaternions, quaternions)
    back = quaternion_from_matrix(matrix_from_quaternion(quaternions))
    torch.testing.assert_close(back, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns(axis: int) -> None:
    """Where the real part is zero the other divisors have to step in."""
    rotation = -torch.eye(3)
    rotation[axis, axis] = 1
    back = matrix_from_quaternion(quaternion_from_matrix(rotation))
    torch.testing.assert_close(back, rotation)


def test_length_of_a_quaternion_does_not_matter() -> None:
    quaternions = random_quaternions(20)
    torch.testing.assert_close(matrix_from_quaternion(3 * quaternions), matrix_from_quaternion(quaternions))


def test_cameras_round_trip() -> None:
    rotation = matrix_from_quaternion(random_quaternions(8))
    extrinsics = torch.eye(4).repeat(8, 1, 1)
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = rotation, torch.randn(8, 3)
    intrinsics = torch.tensor([[300.0, 0, 100], [0, 280, 75], [0, 0, 1]]).repeat(8, 1, 1)
    back_extrinsics, back_intrinsics = decode_cameras(encode_cameras(extrinsics, intrinsics, 150, 200), 150, 200)
    torch.testing.assert_close(back_extrinsics, extrinsics[:, :3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back_intrinsics, intrinsics, rtol=1e-4, atol=1e-3)


def test_no_field_of_view_still_gives_finite_intrinsics() -> None:
    _, intrinsics = decode_cameras(torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 0, 0]), 150, 200)
    assert torch.isfinite(intrinsics).all()


def test_inverse() -> None:
    transform = torch.cat([matrix_from_quaternion(random_quaternions(5)), torch.randn(5, 3, 1)], dim=-1)
    torch.testing.assert_close(invert_rigid(invert_rigid(transform)), transform, rtol=1e-4, atol=1e-5)
