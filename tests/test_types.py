from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.types import Cameras, Gaussians, Prediction

from .geometry.random_cameras import random_extrinsics

COUNT = 3


@pytest.fixture
def extrinsics():
    return random_extrinsics(np.random.default_rng(0), COUNT)


@pytest.fixture
def intrinsics():
    return np.tile(np.array([[500.0, 0, 252], [0, 510, 189], [0, 0, 1]]), (COUNT, 1, 1))


def changed(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


def test_both_parts_are_kept_exactly(extrinsics, intrinsics):
    cameras = Cameras.from_arrays(extrinsics, intrinsics, COUNT)
    np.testing.assert_array_equal(cameras.extrinsics, extrinsics)
    np.testing.assert_array_equal(cameras.intrinsics, intrinsics)
    assert cameras.extrinsics.dtype == cameras.intrinsics.dtype == np.float64
    assert not np.shares_memory(cameras.extrinsics, extrinsics)
    assert not np.shares_memory(cameras.intrinsics, intrinsics)


def test_either_part_may_be_missing(extrinsics, intrinsics):
    assert Cameras.from_arrays(None, None, COUNT) == Cameras()
    assert Cameras.from_arrays(extrinsics, None, COUNT).intrinsics is None
    assert Cameras.from_arrays(None, intrinsics, COUNT).extrinsics is None


def test_other_containers_are_accepted(extrinsics, intrinsics):
    torch = pytest.importorskip("torch")
    from_lists = Cameras.from_arrays(extrinsics.tolist(), intrinsics.tolist(), COUNT)
    np.testing.assert_array_equal(from_lists.extrinsics, extrinsics)
    from_rows = Cameras.from_arrays(extrinsics[:, :3].astype(np.float32), None, COUNT)
    np.testing.assert_allclose(from_rows.extrinsics, extrinsics, atol=1e-6)
    tensor = torch.tensor(extrinsics, requires_grad=True)
    np.testing.assert_array_equal(Cameras.from_arrays(tensor, None, COUNT).extrinsics, extrinsics)


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
    np.testing.assert_array_equal(Cameras.from_arrays(rounded, None, COUNT).extrinsics, rounded)


def test_cameras_agree_in_number(extrinsics, intrinsics):
    with pytest.raises(ValueError, match="intrinsics must have shape"):
        Cameras(extrinsics, intrinsics[:2])
    with pytest.raises(FrozenInstanceError):
        Cameras().extrinsics = extrinsics  # type: ignore[misc]


@pytest.fixture
def prediction():
    return Prediction(depth=np.ones((2, 4, 6), np.float32), processed_images=np.zeros((2, 4, 6, 3), np.uint8))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"depth": np.ones((4, 6))}, ValueError, r"depth must have shape \(any, any, any\)"),
        ({"depth": [[1.0]]}, TypeError, "depth must be a numpy array, got list"),
        ({"processed_images": np.zeros((2, 4, 6, 3))}, TypeError, "processed_images must be uint8"),
        ({"conf": np.ones((1, 4, 6))}, ValueError, "conf must have shape"),
        ({"sky": np.ones((2, 4, 6))}, TypeError, "sky must be bool"),
        ({"extrinsics": np.zeros((2, 4, 4))}, ValueError, r"extrinsics must have shape \(2, 3, 4\)"),
        ({"intrinsics": np.zeros((1, 3, 3))}, ValueError, "intrinsics must have shape"),
        ({"original_sizes": np.zeros((2, 3), np.int64)}, ValueError, "original_sizes must have shape"),
        ({"processed_to_original": np.zeros((3, 3))}, ValueError, "processed_to_original must have shape"),
        ({"image_names": ("a.jpg",)}, ValueError, "image_names must have 2 names"),
        ({"units": "feet"}, ValueError, "units must be one of relative, aligned, metric"),
    ],
)
def test_prediction_checks_its_fields(prediction, fields, error, message):
    with pytest.raises(error, match=message):
        replace(prediction, **fields)


def test_prediction_knows_metres(prediction):
    assert not prediction.is_metric
    assert replace(prediction, units="metric").is_metric


@pytest.mark.parametrize(("bands", "degree"), [(1, 0), (4, 1), (9, 2), (16, 3)])
def test_gaussians_know_their_degree(bands, degree):
    gaussians = Gaussians(np.zeros((5, 3)), np.ones((5, 3)), np.ones((5, 4)), np.zeros((5, 3, bands)), np.ones(5))
    assert len(gaussians) == 5
    assert gaussians.sh_degree == degree
    with pytest.raises(ValueError, match=r"harmonics must hold \(degree \+ 1\)²"):
        replace(gaussians, harmonics=np.zeros((5, 3, bands + 1)))
    with pytest.raises(ValueError, match="opacities must have shape"):
        replace(gaussians, opacities=np.ones(4))
