"""Normals of rendered depth, and a teacher's depth brought to noisy truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.train.losses.normals import corner_normals, mean_normal, normal_loss
from recon.train.losses.teacher import aligned_teacher, ransac_line
from tests.seeds import numpy_random, torch_random
from tests.train.losses.checks import assert_gradient_is_right, assert_outside_is_not_seen, map_like, some_mask

HEIGHT, WIDTH = 12, 16
K = torch.tensor([[20.0, 0, WIDTH / 2], [0, 22.0, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
EVERYWHERE = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)


def plane(normal: np.ndarray, distance: float) -> Tensor:
    """Depth (1, H, W) of a plane n · X = -distance that faces the camera."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(K.numpy()).T
    return torch.from_numpy(-distance / (rays @ normal))[None]


def unit(x: float, y: float, z: float) -> np.ndarray:
    return np.array([x, y, z]) / np.linalg.norm([x, y, z])


def test_normals_of_a_plane_are_its_own() -> None:
    normal = unit(0.3, -0.2, -1)
    depth = plane(normal, 2.0)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(K.numpy()).T
    found = mean_normal(corner_normals(depth[..., None] * torch.from_numpy(rays)))
    np.testing.assert_allclose(found[0], np.broadcast_to(normal, (HEIGHT - 2, WIDTH - 2, 3)), atol=1e-9)


def test_the_loss_is_five_times_the_angle_between_two_planes() -> None:
    a, b = unit(0.3, -0.2, -1), unit(0.1, 0.25, -1)
    angle = np.arccos(a @ b)
    found = normal_loss(plane(a, 2.0), plane(b, 3.0), EVERYWHERE, K[None])
    np.testing.assert_allclose(found, [5 * angle], rtol=1e-5)


def test_far_neighbours_count_less() -> None:
    """At a step in depth the mean normal is nearer to that of the near neighbours than their plain mean is."""
    points = torch.zeros(3, 3, 3, dtype=torch.float64)
    points[..., 0], points[..., 1] = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="xy")
    points[:, 2, 2] = 30.0  # the column on the right is far behind
    corners = corner_normals(points)
    front = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
    weighted = mean_normal(corners)[0, 0]
    plain = torch.nn.functional.normalize(torch.nn.functional.normalize(corners, dim=-1).mean(dim=0), dim=-1)[0, 0]
    # Two normals of length 1 and two of about 30: weights of nearly 1 and 1/2, and not all alike.
    assert float(weighted @ front) == pytest.approx(2 / np.hypot(2, 1), abs=0.01)
    assert float(plain @ front) < 0.75


def test_scale_costs_nothing_and_gradients_are_right() -> None:
    predicted, truth = map_like((2, HEIGHT, WIDTH), 0, 1.0, 1.3), map_like((2, HEIGHT, WIDTH), 1, 1.0, 1.3)
    mask, k = some_mask((2, HEIGHT, WIDTH), 0, 0.9), K.expand(2, 3, 3)
    base = normal_loss(predicted, truth, mask, k)
    assert base.min() > 0.1
    torch.testing.assert_close(normal_loss(7 * predicted, 0.2 * truth, mask, k), base)
    assert normal_loss(truth, truth, mask, k).max() < 1e-4
    assert_gradient_is_right(lambda d: normal_loss(d, truth, mask, k), predicted)

    def loss(depth: Tensor, junk: Tensor) -> Tensor:
        return normal_loss(depth, torch.where(mask, truth, junk), mask, k)

    assert_outside_is_not_seen(loss, predicted, ~mask)
    assert normal_loss(predicted, truth, torch.zeros_like(mask), k).tolist() == [0, 0]


class TestTeacher:
    @pytest.mark.parametrize("kind", ["depth", "disparity"])
    def test_scale_and_shift_are_found_among_errors(self, kind: str) -> None:
        random = numpy_random(0)
        depth = torch.from_numpy(random.uniform(1, 6, (2, 40, 50)))
        teacher = 0.3 * (depth if kind == "depth" else 1 / depth) + 0.2
        noisy = depth * torch.from_numpy(random.normal(1, 0.01, depth.shape))
        wrong = torch.from_numpy(random.random(depth.shape) < 0.3)
        noisy = torch.where(wrong, depth * torch.from_numpy(random.uniform(1.5, 4, depth.shape)), noisy)
        valid = torch.from_numpy(random.random(depth.shape) < 0.2)  # sparse truth
        noisy = torch.where(valid, noisy, torch.nan)
        teacher[1, 5, 5] = torch.nan
        found, known = aligned_teacher(teacher, noisy, valid, kind, torch_random(0))
        assert int((~known).sum()) == 1
        assert float(((found - depth).abs() / depth)[known].max()) < 0.01
        assert float(found[~known].sum()) == 0

    def test_least_squares_alone_would_not_do(self) -> None:
        source = torch.linspace(1, 5, 400, dtype=torch.float64)
        target = 2 * source + 1
        target[::3] = 40.0
        scale, shift = ransac_line(source, target, torch_random(0))
        assert (scale, shift) == pytest.approx((2, 1))
        (slope, _), *_ = np.polyfit(source, target, 1, full=True)
        assert abs(slope - 2) > 0.3

    def test_maps_that_do_not_agree_are_left_out(self) -> None:
        random = numpy_random(1)
        teacher, truth = (torch.from_numpy(random.uniform(1, 60, (3, 40, 50))) for _ in range(2))
        truth[1] = 3 * teacher[1] + 2
        valid = torch.ones_like(truth, dtype=torch.bool)
        valid[2, :, 1:] = False
        valid[2, 9:] = False  # 9 pixels are too few
        truth[2] = teacher[2]
        found, known = aligned_teacher(teacher, truth, valid, "depth", torch_random(0))
        assert [bool(one.any()) for one in known] == [False, True, False]
        torch.testing.assert_close(found[1], truth[1])

    def test_the_same_generator_gives_the_same(self) -> None:
        depth = map_like((1, 20, 20), 4)
        noisy = depth * map_like((1, 20, 20), 5, 0.95, 1.05)
        valid = torch.ones_like(depth, dtype=torch.bool)
        first, second = (aligned_teacher(depth, noisy, valid, "depth", torch_random(3))[0] for _ in range(2))
        assert torch.equal(first, second)
