"""Depth Anything 3's losses and what they compare with, against numpy, and the laws they keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from recon.models.camera_tokens import decode_cameras
from recon.train.losses.any_view import (
    camera_loss,
    confident_depth_loss,
    depth_gradient_loss,
    point_map_loss,
    ray_map_loss,
)
from recon.train.losses.truth import Truth, full_size_rays, truth_of
from tests.seeds import numpy_random
from tests.train.losses.checks import (
    assert_gradient_is_right,
    assert_outside_is_not_seen,
    map_like,
    numpy_of,
    rotation,
    some_mask,
)

SCENES, VIEWS, HEIGHT, WIDTH = 2, 3, 28, 42
MAPS = (SCENES, VIEWS, HEIGHT, WIDTH)
DEPTH, VALID = map_like(MAPS, 0), some_mask(MAPS, 0)


def cameras(key: int = 0) -> tuple[Tensor, Tensor]:
    """World-to-camera (B, N, 4, 4) and intrinsics (B, N, 3, 3) with centred principal points."""
    random = numpy_random(key, 4)
    world_to_camera = np.tile(np.eye(4), (SCENES, VIEWS, 1, 1))
    for index in np.ndindex(SCENES, VIEWS):
        world_to_camera[index][:3, :3] = rotation(10 * index[0] + index[1])
        world_to_camera[index][:3, 3] = random.normal(size=3)
    intrinsics = np.tile(np.array([[40.0, 0, WIDTH / 2], [0, 44.0, HEIGHT / 2], [0, 0, 1]]), (SCENES, VIEWS, 1, 1))
    intrinsics[..., 0, 0] += random.uniform(-5, 5, (SCENES, VIEWS))
    return torch.from_numpy(world_to_camera), torch.from_numpy(intrinsics)


W2C, K = cameras()
TRUTH = truth_of(DEPTH, VALID, W2C, K)


def world_points(scene: int, view: int, grid: tuple[int, int], depth: NDArray) -> NDArray:
    """Points (rows, columns, 3) in the world at z-depth `depth` of the cells' centres, one camera at a time."""
    w2c, k = W2C[scene, view].numpy(), K[scene, view].numpy()
    rows, columns = grid
    x, y = np.meshgrid((np.arange(columns) + 0.5) * WIDTH / columns, (np.arange(rows) + 0.5) * HEIGHT / rows)
    in_camera = np.stack([(x - k[0, 2]) / k[0, 0] * depth, (y - k[1, 2]) / k[1, 1] * depth, depth + 0 * x], axis=-1)
    return (in_camera - w2c[:3, 3]) @ w2c[:3, :3]


def in_first_camera(scene: int, points: NDArray) -> NDArray:
    w2c = W2C[scene, 0].numpy()
    return points @ w2c[:3, :3].T + w2c[:3, 3]


class TestTruth:
    def test_against_numpy(self) -> None:
        depth, valid = DEPTH.numpy(), VALID.numpy()
        for scene in range(SCENES):
            points = [
                in_first_camera(scene, world_points(scene, view, (HEIGHT, WIDTH), depth[scene, view]))
                for view in range(VIEWS)
            ]
            unit = np.linalg.norm(np.stack(points), axis=-1)[valid[scene]].mean()
            assert float(TRUTH.unit[scene]) == pytest.approx(unit, rel=1e-6)
            for view in range(VIEWS):
                inside = valid[scene, view]
                np.testing.assert_allclose(TRUTH.points[scene, view][inside], points[view][inside] / unit, rtol=1e-6)
                np.testing.assert_allclose(TRUTH.depth[scene, view][inside], depth[scene, view][inside] / unit)
                grid = (HEIGHT * 8 // 14, WIDTH * 8 // 14)
                centre = in_first_camera(scene, world_points(scene, view, grid, np.zeros(1)))
                ahead = in_first_camera(scene, world_points(scene, view, grid, np.ones(1)))
                expected = np.concatenate([ahead - centre, centre / unit], axis=-1)
                np.testing.assert_allclose(TRUTH.rays[scene, view], expected, atol=1e-7)

    def test_the_encoded_cameras_are_the_cameras(self) -> None:
        world_to_camera, intrinsics = decode_cameras(TRUTH.encoding, HEIGHT, WIDTH)
        torch.testing.assert_close(intrinsics, K)
        for scene in range(SCENES):
            relative = W2C[scene] @ torch.linalg.inv(W2C[scene, 0])
            torch.testing.assert_close(world_to_camera[scene, :, :, :3], relative[:, :3, :3], atol=1e-7, rtol=0)
            shift = relative[:, :3, 3] / TRUTH.unit[scene]
            torch.testing.assert_close(world_to_camera[scene, :, :, 3], shift, atol=1e-7, rtol=0)

    def test_a_similarity_of_the_world_and_the_unit_change_nothing(self) -> None:
        scale, turn = 37.0, np.eye(4)
        turn[:3, :3], turn[:3, 3] = rotation(99), [300.0, -2000.0, 55.0]
        moved = W2C.numpy() @ turn
        moved[..., :3, 3] *= scale
        other = truth_of(scale * DEPTH, VALID, torch.from_numpy(moved), K)
        torch.testing.assert_close(other.unit, scale * TRUTH.unit)
        for name in ("depth", "points", "rays", "encoding", "camera_to_world"):
            torch.testing.assert_close(getattr(other, name), getattr(TRUTH, name), atol=1e-6, rtol=1e-6)

    def test_mean_distance_is_one_and_junk_is_not_seen(self) -> None:
        distances = TRUTH.points.norm(dim=-1)
        for scene in range(SCENES):
            assert float(distances[scene][VALID[scene]].mean()) == pytest.approx(1)
        for junk in (torch.nan, torch.inf, -1.0):
            other = truth_of(torch.where(VALID, DEPTH, junk), VALID, W2C, K)
            assert all(torch.equal(getattr(other, name), getattr(TRUTH, name)) for name in ("depth", "points", "unit"))
        marked = truth_of(torch.where(VALID, DEPTH, torch.nan), torch.ones_like(VALID), W2C, K)
        assert torch.equal(marked.valid, VALID)

    def test_without_cameras_the_mean_depth_is_the_unit(self) -> None:
        alone = truth_of(DEPTH, VALID, None, None)
        assert alone.points is None
        assert float(alone.depth[0][VALID[0]].mean()) == pytest.approx(1)

    def test_a_scene_without_depth_keeps_its_cameras(self) -> None:
        empty = truth_of(DEPTH, torch.zeros_like(VALID), W2C, K)
        assert empty.unit.tolist() == [1, 1]
        assert torch.isfinite(empty.encoding).all()

    def test_rays_between_cells_are_those_of_the_pixels(self) -> None:
        full = full_size_rays(TRUTH.rays, HEIGHT, WIDTH)
        points = full[..., 3:] + TRUTH.depth[..., None] * full[..., :3]
        torch.testing.assert_close(points[VALID], TRUTH.points[VALID], atol=1e-6, rtol=0)


PREDICTED, CONF = map_like(MAPS, 5), map_like(MAPS, 6, 1.0, 4.0)
RAYS, RAY_CONF = map_like(TRUTH.rays.shape, 7, -1, 1), map_like(TRUTH.rays.shape[:-1], 8, 1.0, 4.0)


class TestDepth:
    def test_against_numpy(self) -> None:
        found = confident_depth_loss(PREDICTED, CONF, TRUTH.depth, VALID)
        expected = [
            (c[m] * np.abs(p[m] - t[m]) - 0.2 * np.log(c[m])).mean()
            for p, c, t, m in zip(*numpy_of(PREDICTED, CONF, TRUTH.depth, VALID), strict=True)
        ]
        np.testing.assert_allclose(found, expected)
        plain = [np.abs(p - t)[m].mean() for p, t, m in zip(*numpy_of(PREDICTED, TRUTH.depth, VALID), strict=True)]
        np.testing.assert_allclose(confident_depth_loss(PREDICTED, None, TRUTH.depth, VALID), plain)

    def test_gradients(self) -> None:
        assert_gradient_is_right(lambda d: confident_depth_loss(d, CONF, TRUTH.depth, VALID), PREDICTED)
        assert_gradient_is_right(lambda c: confident_depth_loss(PREDICTED, c, TRUTH.depth, VALID), CONF)

    def test_the_best_confidence_is_lambda_over_the_error(self) -> None:
        error = 0.1
        conf = torch.linspace(1, 4, 301, dtype=torch.float64)
        ones = torch.ones(301, 1, 1, 1, dtype=torch.float64)
        loss = confident_depth_loss(ones + error, conf[:, None, None, None], ones, ones > 0)
        assert float(conf[loss.argmin()]) == pytest.approx(0.2 / error)

    def test_masks(self) -> None:
        def loss(depth: Tensor, junk: Tensor) -> Tensor:
            return confident_depth_loss(
                depth, torch.where(VALID, CONF, junk), torch.where(VALID, TRUTH.depth, junk), VALID
            )

        assert_outside_is_not_seen(loss, PREDICTED, ~VALID)


class TestGradient:
    def test_against_numpy(self) -> None:
        found = depth_gradient_loss(PREDICTED, TRUTH.depth, VALID)
        for scene in range(SCENES):
            total = 0.0
            for axis in (1, 2):
                slopes = np.abs(np.diff(PREDICTED[scene].numpy(), axis=axis) - np.diff(TRUTH.depth[scene], axis=axis))
                m = VALID[scene].numpy()
                both = m[:, 1:] & m[:, :-1] if axis == 1 else m[:, :, 1:] & m[:, :, :-1]
                total += slopes[both].mean()
            assert float(found[scene]) == pytest.approx(total)

    def test_gradients_masks_and_shift(self) -> None:
        assert_gradient_is_right(lambda d: depth_gradient_loss(d, TRUTH.depth, VALID), PREDICTED)
        assert_outside_is_not_seen(
            lambda d, junk: depth_gradient_loss(d, torch.where(VALID, TRUTH.depth, junk), VALID), PREDICTED, ~VALID
        )
        torch.testing.assert_close(
            depth_gradient_loss(PREDICTED + 5, TRUTH.depth, VALID), depth_gradient_loss(PREDICTED, TRUTH.depth, VALID)
        )


class TestRays:
    def test_against_numpy(self) -> None:
        found = ray_map_loss(RAYS, RAY_CONF, TRUTH.rays)
        errors = np.abs(RAYS.numpy() - TRUTH.rays.numpy()).sum(axis=-1)
        expected = (RAY_CONF.numpy() * errors - 0.2 * np.log(RAY_CONF.numpy())).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(found, expected)
        assert ray_map_loss(TRUTH.rays, None, TRUTH.rays).abs().max() == 0

    def test_gradients_and_masks(self) -> None:
        assert_gradient_is_right(lambda r: ray_map_loss(r, RAY_CONF, TRUTH.rays), RAYS)
        known = some_mask(TRUTH.rays.shape[:-1], 9)

        def loss(rays: Tensor, junk: Tensor) -> Tensor:
            return ray_map_loss(rays, RAY_CONF, torch.where(known[..., None], TRUTH.rays, junk), known)

        assert_outside_is_not_seen(loss, RAYS, ~known[..., None].expand(RAYS.shape))


class TestPoints:
    def test_against_numpy(self) -> None:
        """With true rays, the error of the points is that of the depth along the ray."""
        found = point_map_loss(PREDICTED, TRUTH.rays, TRUTH.points, VALID)
        for scene in range(SCENES):
            errors = []
            for view in range(VIEWS):
                ahead = in_first_camera(scene, world_points(scene, view, (HEIGHT, WIDTH), np.ones(1)))
                centre = in_first_camera(scene, world_points(scene, view, (HEIGHT, WIDTH), np.zeros(1)))
                off = (PREDICTED - TRUTH.depth)[scene, view].numpy()
                errors.append((np.abs(off)[..., None] * np.abs(ahead - centre)).sum(axis=-1))
            assert float(found[scene]) == pytest.approx(np.stack(errors)[VALID[scene].numpy()].mean(), rel=1e-5)

    def test_gradients_of_depth_and_rays_and_masks(self) -> None:
        assert_gradient_is_right(lambda d: point_map_loss(d, RAYS, TRUTH.points, VALID), PREDICTED)
        assert_gradient_is_right(lambda r: point_map_loss(PREDICTED, r, TRUTH.points, VALID), RAYS)
        assert_outside_is_not_seen(
            lambda d, junk: point_map_loss(
                d, RAYS, torch.where(VALID[..., None], TRUTH.points, junk[..., None]), VALID
            ),
            PREDICTED,
            ~VALID,
        )

    def test_the_truth_costs_nothing(self) -> None:
        assert point_map_loss(TRUTH.depth, TRUTH.rays, TRUTH.points, VALID).max() < 1e-6


class TestCamera:
    ENCODING = TRUTH.encoding + map_like(TRUTH.encoding.shape, 12, -0.3, 0.3)

    def test_against_numpy(self) -> None:
        found = camera_loss(self.ENCODING, TRUTH.encoding, translation=2.0, rotation=3.0, field_of_view=0.5)
        p, t = numpy_of(self.ENCODING, TRUTH.encoding)
        expected = np.zeros(SCENES)
        for scene, view in np.ndindex(SCENES, VIEWS):
            a, b = p[scene, view], t[scene, view]
            turned = min((a[3:7], -a[3:7]), key=lambda q: np.linalg.norm(q - b[3:7]))
            parts = [np.abs(a[:3] - b[:3]), np.abs(turned - b[3:7]), np.abs(a[7:] - b[7:])]
            expected[scene] += sum(f * part.sum() for f, part in zip((2.0, 3.0, 0.5), parts, strict=True)) / VIEWS
        np.testing.assert_allclose(found, expected)

    def test_the_parts_are_what_they_are_called(self) -> None:
        """Encoded by scipy: centre, quaternion (x, y, z, w), vertical and horizontal field of view."""
        for scene, view in np.ndindex(SCENES, VIEWS):
            relative = (W2C[scene, view] @ torch.linalg.inv(W2C[scene, 0])).numpy()
            inverse = np.linalg.inv(relative)
            quaternion = Rotation.from_matrix(inverse[:3, :3]).as_quat()
            k = K[scene, view].numpy()
            fields = [2 * np.arctan(HEIGHT / 2 / k[1, 1]), 2 * np.arctan(WIDTH / 2 / k[0, 0])]
            encoded = np.concatenate([inverse[:3, 3] / float(TRUTH.unit[scene]), quaternion, fields])
            for sign in (1, -1):
                signed = torch.from_numpy(np.concatenate([encoded[:3], sign * encoded[3:7], encoded[7:]]))
                only = camera_loss(signed[None, None], TRUTH.encoding[scene, view][None, None])
                assert float(only) < 1e-6

    def test_gradients(self) -> None:
        assert_gradient_is_right(lambda e: camera_loss(e, TRUTH.encoding), self.ENCODING)
        flipped = self.ENCODING.clone()
        flipped[..., 3:7] *= -1
        assert_gradient_is_right(lambda e: camera_loss(e, TRUTH.encoding), flipped)
        torch.testing.assert_close(camera_loss(flipped, TRUTH.encoding), camera_loss(self.ENCODING, TRUTH.encoding))

    @pytest.mark.parametrize("name", ["translation", "rotation", "field_of_view"])
    def test_parts_can_be_left_out(self, name: str) -> None:
        others = {"translation": 0.0, "rotation": 0.0, "field_of_view": 0.0}
        parts = [float(camera_loss(self.ENCODING, TRUTH.encoding, **{**others, one: 1.0})[0]) for one in others]
        assert sum(parts) == pytest.approx(float(camera_loss(self.ENCODING, TRUTH.encoding)[0]))
        assert parts[list(others).index(name)] > 0


def test_empty_scenes_cost_nothing() -> None:
    nothing = torch.zeros_like(VALID)
    empty: Truth = truth_of(DEPTH, nothing, W2C, K)
    depth = PREDICTED.clone().requires_grad_()
    total = (
        confident_depth_loss(depth, CONF, empty.depth, nothing)
        + depth_gradient_loss(depth, empty.depth, nothing)
        + point_map_loss(depth, RAYS, empty.points, nothing)
    )
    assert total.tolist() == [0, 0]
    (gradient,) = torch.autograd.grad(total.sum(), depth)
    assert (gradient == 0).all()
