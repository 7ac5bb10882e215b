from __future__ import annotations

import numpy as np
import pytest

from recon.geometry import quaternions
from tests.seeds import numpy_random

from .random_cameras import random_rotations


def random_quaternions(seed: int, count: int = 200) -> np.ndarray:
    return quaternions.normalise(numpy_random(seed).normal(size=(count, 4)))


def test_matrix_round_trip():
    q = random_quaternions(0)
    q *= np.where(q[:, :1] < 0, -1, 1)
    np.testing.assert_allclose(quaternions.from_matrix(quaternions.to_matrix(q)), q, atol=1e-12)
    rotations = random_rotations(numpy_random(1), 4, 50)
    np.testing.assert_allclose(quaternions.to_matrix(quaternions.from_matrix(rotations)), rotations, atol=1e-12)


def test_half_turns_round_trip():
    """w = 0, where formulas that divide by w break down."""
    axes = np.concatenate([np.eye(3), random_rotations(numpy_random(2), 20)[:, 0]])
    rotations = 2 * axes[:, :, None] * axes[:, None, :] - np.eye(3)
    np.testing.assert_allclose(quaternions.to_matrix(quaternions.from_matrix(rotations)), rotations, atol=1e-12)


def test_product_is_the_product_of_matrices():
    a, b, c = random_quaternions(3), random_quaternions(4), random_quaternions(5)
    product = quaternions.multiply(a, b)
    np.testing.assert_allclose(
        quaternions.to_matrix(product), quaternions.to_matrix(a) @ quaternions.to_matrix(b), atol=1e-12
    )
    np.testing.assert_allclose(
        quaternions.multiply(product, c), quaternions.multiply(a, quaternions.multiply(b, c)), atol=1e-12
    )
    np.testing.assert_allclose(
        quaternions.multiply(a, a * [1, -1, -1, -1]), np.tile([1, 0, 0, 0], (200, 1)), atol=1e-12
    )


def test_order_and_sign_against_scipy():
    transform = pytest.importorskip("scipy.spatial.transform")
    q = random_quaternions(6)
    expected = transform.Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(quaternions.to_matrix(q), expected, atol=1e-12)


def test_quarter_turn_about_z_takes_x_to_y():
    turn = quaternions.to_matrix(np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)]))
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalising_gives_unit_length_and_an_identity_for_zero(dtype):
    q = numpy_random(7).normal(size=(50, 4)).astype(dtype)
    q[3] = 0
    unit = quaternions.normalise(q)
    assert unit.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(unit[3], [1, 0, 0, 0])


def test_slerp_turns_at_constant_speed_along_the_shorter_way():
    a, b = random_quaternions(8), random_quaternions(9)
    whole = quaternions.angle_between(a, b)
    assert whole.max() <= np.pi
    for fraction in (0.0, 0.3, 1.0):
        between = quaternions.slerp(a, b, fraction)
        np.testing.assert_allclose(quaternions.angle_between(a, between), fraction * whole, atol=1e-7)
        np.testing.assert_allclose(quaternions.angle_between(between, b), (1 - fraction) * whole, atol=1e-7)
        np.testing.assert_allclose(
            quaternions.to_matrix(quaternions.slerp(-a, b, fraction)), quaternions.to_matrix(between), atol=1e-12
        )


def test_slerp_of_equal_and_of_opposite_rotations_is_a_rotation():
    q = random_quaternions(10)
    np.testing.assert_allclose(quaternions.slerp(q, q, 0.4), q, atol=1e-12)
    half_turn = quaternions.multiply(q, np.array([0.0, 1.0, 0.0, 0.0]))
    middle = quaternions.slerp(q, half_turn, 0.5)
    np.testing.assert_allclose(quaternions.angle_between(q, middle), np.pi / 2, atol=1e-12)
    np.testing.assert_allclose(quaternions.angle_between(middle, half_turn), np.pi / 2, atol=1e-12)


def test_slerp_against_scipy():
    transform = pytest.importorskip("scipy.spatial.transform")
    a, b = random_quaternions(11, 2)
    fractions = np.linspace(0, 1, 7)
    ends = transform.Rotation.from_quat(np.stack([a, b])[:, [1, 2, 3, 0]])
    expected = transform.Slerp([0, 1], ends)(fractions).as_matrix()
    ours = quaternions.slerp(np.tile(a, (7, 1)), np.tile(b, (7, 1)), fractions)
    np.testing.assert_allclose(quaternions.to_matrix(ours), expected, atol=1e-12)
