"""Cameras: what a user gives is checked, and what becomes of them when photos are resized, cropped or undistorted."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.similarity import Similarity
from recon.types.cameras import Cameras
from tests.seeds import numpy_random

from ..geometry.random_cameras import random_extrinsics

COUNT = 3


@pytest.fixture
def extrinsics():
    return random_extrinsics(numpy_random(0), COUNT)


@pytest.fixture
def intrinsics():
    return np.tile(np.array([[500.0, 0, 252], [0, 510, 189], [0, 0, 1]]), (COUNT, 1, 1))


def changed(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


def test_both_parts_are_kept_exactly(extrinsics, intrinsics):
    cameras = Cameras.from_arrays(extrinsics, intrinsics, COUNT)
    np.testing.assert_array_equal(cameras.world_to_camera, extrinsics)
    np.testing.assert_array_equal(cameras.intrinsics, intrinsics)
    assert cameras.world_to_camera.dtype == cameras.intrinsics.dtype == np.float64
    assert not np.shares_memory(cameras.world_to_camera, extrinsics)
    assert not np.shares_memory(cameras.intrinsics, intrinsics)


def test_either_part_may_be_missing(extrinsics, intrinsics):
    assert Cameras.from_arrays(None, None, COUNT) == Cameras()
    assert Cameras.from_arrays(extrinsics, None, COUNT).intrinsics is None
    assert Cameras.from_arrays(None, intrinsics, COUNT).world_to_camera is None


def test_other_containers_are_accepted(extrinsics, intrinsics):
    torch = pytest.importorskip("torch")
    from_lists = Cameras.from_arrays(extrinsics.tolist(), intrinsics.tolist(), COUNT)
    np.testing.assert_array_equal(from_lists.world_to_camera, extrinsics)
    from_rows = Cameras.from_arrays(extrinsics[:, :3].astype(np.float32), None, COUNT)
    np.testing.assert_allclose(from_rows.world_to_camera, extrinsics, atol=1e-6)
    tensor = torch.tensor(extrinsics, requires_grad=True)
    np.testing.assert_array_equal(Cameras.from_arrays(tensor, None, COUNT).world_to_camera, extrinsics)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[0], r"extrinsics must have shape \(3, 4, 4\) or \(3, 3, 4\), got \(4, 4\)"),
        (lambda e: e[:, :3, :3], r"extrinsics must have shape .*, got \(3, 3, 3\)"),
        (lambda e: e[:2], "extrinsics must hold one matrix per image: 2 given for 3 images"),
        (lambda e: changed(e, (1, 0, 3), np.nan), r"extrinsics\[1\] must be finite"),
        (lambda e: changed(e, (2, 0, 0), np.inf), r"extrinsics\[2\] must be finite"),
        (lambda e: e.swapaxes(1, 2), r"extrinsics\[0\] must have the last row \(0, 0, 0, 1\)"),
        (lambda e: changed(e, (1, 0), e[1, 0] * 1.01), r"extrinsics\[1\] must hold a rotation"),
        (lambda e: changed(e, (1, 0), e[1, 1]), r"extrinsics\[1\] must hold a rotation"),
        (lambda e: changed(e, (2, 1), -e[2, 1]), r"extrinsics\[2\] is mirrored"),
        (lambda e: "left", "extrinsics must be numbers of shape"),
        (lambda e: [e[0], e[1, :3], e[2]], "extrinsics must be numbers of shape"),
    ],
)
def test_wrong_extrinsics_are_named(extrinsics, change, message):
    with pytest.raises(InputError, match=message) as raised:
        Cameras.from_arrays(change(extrinsics), None, COUNT)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k[0], r"intrinsics must have shape \(3, 3, 3\), got \(3, 3\)"),
        (lambda k: k[[0, 0, 1, 2]], "intrinsics must hold one matrix per image: 4 given for 3 images"),
        (lambda k: changed(k, (0, 1, 1), np.nan), r"intrinsics\[0\] must be finite"),
        (lambda k: changed(k, (2, 1, 1), 0), r"intrinsics\[2\] must have positive focal lengths"),
        (lambda k: changed(k, (1, 0, 0), -500), r"intrinsics\[1\] must have positive focal lengths"),
        (lambda k: k.swapaxes(1, 2), r"intrinsics\[0\] must have the last row \(0, 0, 1\)"),
        (lambda k: changed(k, (1, 2, 2), 2), r"intrinsics\[1\] must have the last row \(0, 0, 1\)"),
    ],
)
def test_wrong_intrinsics_are_named(intrinsics, change, message):
    with pytest.raises(InputError, match=message):
        Cameras.from_arrays(None, change(intrinsics), COUNT)


def test_rotations_may_be_as_rough_as_printed_numbers(extrinsics):
    rounded = np.round(extrinsics, 4)
    np.testing.assert_array_equal(Cameras.from_arrays(rounded, None, COUNT).world_to_camera, rounded)


def test_cameras_agree_in_number(extrinsics, intrinsics):
    with pytest.raises(ValueError, match="intrinsics must have shape"):
        Cameras(extrinsics, intrinsics[:2])
    with pytest.raises(FrozenInstanceError):
        Cameras().world_to_camera = extrinsics  # type: ignore[misc]


DISTORTION = np.array([-0.2, 0.05, 0.001, -0.002, 0.01, 0.0, 0.0, 0.0])


@pytest.fixture
def lenses(extrinsics, intrinsics):
    sizes = np.tile([504, 378], (COUNT, 1))
    return Cameras(extrinsics, intrinsics, sizes, np.stack([DISTORTION, 0 * DISTORTION, DISTORTION / 2]), "sfm", "free")


def project(points, extrinsics, intrinsics, distortion):
    """(K, 2) pixels by OpenCV."""
    rotation, _ = cv2.Rodrigues(extrinsics[:3, :3])
    return cv2.projectPoints(points, rotation, extrinsics[:3, 3], intrinsics, distortion)[0][:, 0]


def points_before(extrinsics):
    """(K, 3) world points in front of one camera, some 20 degrees to each side."""
    grid = np.stack(np.meshgrid(np.linspace(-0.35, 0.35, 6), np.linspace(-0.3, 0.3, 5), [1.0, 2.5]), -1).reshape(-1, 3)
    camera = np.concatenate([grid[:, :2] * grid[:, 2:], grid[:, 2:]], axis=1)
    return (camera - extrinsics[:3, 3]) @ extrinsics[:3, :3]


def test_cameras_of_resized_and_cropped_images_project_to_the_moved_pixels(lenses):
    to_original = np.tile(np.array([[2.0, 0, 10], [0, 1.9, -4], [0, 0, 1]]), (COUNT, 1, 1))
    mapped = lenses.mapped(to_original, (240, 200))
    np.testing.assert_array_equal(mapped.sizes, [[240, 200]] * COUNT)
    assert (mapped.origin, mapped.scale) == ("sfm", "free")
    for view in range(COUNT):
        points = points_before(lenses.world_to_camera[view])
        before = project(points, lenses.world_to_camera[view], lenses.intrinsics[view], lenses.distortion[view])
        after = project(points, mapped.world_to_camera[view], mapped.intrinsics[view], mapped.distortion[view])
        np.testing.assert_allclose(after * [2, 1.9] + [10, -4], before, atol=1e-9)


def test_a_pinhole_camera_sees_no_pixel_without_content_and_one_at_its_border(lenses):
    pinhole = lenses.pinhole()
    assert pinhole.distortion is None
    np.testing.assert_array_equal(pinhole.intrinsics[1], lenses.intrinsics[1])
    np.testing.assert_array_equal(pinhole.intrinsics[:, :2, 2], lenses.intrinsics[:, :2, 2])
    border = np.array([(x, y) for x in np.linspace(0, 504, 101) for y in np.linspace(0, 378, 101)])
    for view in (0, 2):
        rays = np.c_[border, np.ones(len(border))] @ np.linalg.inv(pinhole.intrinsics[view]).T
        seen = project(rays, np.eye(4), lenses.intrinsics[view], lenses.distortion[view])
        margin = np.minimum(seen, [504, 378] - seen).min()
        assert -0.01 < margin < 0.05  # 65 points of each side are looked at


def test_indices_choose_and_order(lenses):
    assert len(lenses) == COUNT
    assert len(Cameras()) == 0
    chosen = lenses[[2, 0]]
    for name in ("world_to_camera", "intrinsics", "sizes", "distortion"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(lenses, name)[[2, 0]])
    assert (chosen.origin, chosen.scale) == ("sfm", "free")
    assert len(lenses[1:]) == 2
    assert lenses[np.array([1])].world_to_camera.shape == (1, 4, 4)
    assert Cameras(None, lenses.intrinsics)[:1].world_to_camera is None


def test_moved_cameras_see_moved_points_at_the_same_pixels(lenses):
    rotation = random_extrinsics(numpy_random(7), 1)[0, :3, :3]
    similarity = Similarity(2.5, rotation, np.array([1.0, -2.0, 0.5]))
    moved = lenses.moved(similarity, "metric")
    assert moved.scale == "metric"
    for view in range(COUNT):
        points = points_before(lenses.world_to_camera[view])
        before = project(points, lenses.world_to_camera[view], lenses.intrinsics[view], lenses.distortion[view])
        after = project(
            similarity.apply(points), moved.world_to_camera[view], moved.intrinsics[view], moved.distortion[view]
        )
        np.testing.assert_allclose(after, before, atol=1e-8)
    assert Cameras(None, lenses.intrinsics).moved(similarity).world_to_camera is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"distortion": np.zeros((COUNT, 8))}, "distortion goes with intrinsics"),
        ({"sizes": np.zeros((COUNT, 3), np.int64)}, "sizes must have shape"),
        ({"origin": "guessed"}, "origin must be one of given, exif, sfm, predicted, assumed"),
        ({"scale": "feet"}, "scale must be one of free, given, metric"),
    ],
)
def test_parts_that_make_no_cameras_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Cameras(**parts)
