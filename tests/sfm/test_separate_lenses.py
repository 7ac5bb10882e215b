"""Photos of one size that were taken with several lenses: zoomed, or cropped off the centre."""

from __future__ import annotations

import cv2
import numpy as np
import pycolmap
import pytest

from recon.sfm.lens_choice import choose_lenses
from recon.sfm.separate_lenses import (
    alike,
    has_own_centres,
    lens_gains,
    off_middle,
    with_own_centres,
    with_shared_centres,
)
from recon.sfm.structure_from_motion import structure_from_motion
from tests.seeds import numpy_random

from .cards import INTRINSICS, SIZE, arc, largest_angle, photograph, prepared, stage
from .test_still_matches import sample_images


def zoomed(factor: float, x: float = 0.0, y: float = 0.0, intrinsics: np.ndarray = INTRINSICS) -> np.ndarray:
    """(3, 3) intrinsics of photos cropped to 1 / `factor` about the point (x, y) from the centre, and enlarged."""
    to_crop = np.diag([factor, factor, 1.0])
    centre = intrinsics[:2, 2]
    to_crop[:2, 2] = centre - factor * (centre + (x, y))
    return to_crop @ intrinsics


def taken(lenses: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Photos of the stage by cameras `truth` (N, 4, 4), with each of `lenses` in turn."""
    return np.concatenate(
        [photograph(stage(), truth[i : i + 1], lenses[i % len(lenses)], SIZE) for i in range(len(truth))]
    )


@pytest.mark.parametrize("zooms", [(1.0, 1.6), (1.0, 1.3, 1.7)])
def test_zooms(zooms: tuple[float, ...]):
    truth, lenses = arc(8), [zoomed(zoom) for zoom in zooms]
    found = structure_from_motion(prepared(taken(lenses, truth)))
    assert len(found.registered) == 8
    assert largest_angle(found, truth) < 0.2
    expected = [lenses[i % len(lenses)][0, 0] for i in range(8)]
    np.testing.assert_allclose(found.lenses.intrinsics[:, 0, 0], expected, rtol=0.02)
    assert not found.doubtful
    assert not found.fisheyes


@pytest.fixture
def off_centre() -> tuple[pycolmap.Reconstruction, dict[int, np.ndarray]]:
    """A model whose photos are crops off the centre, though its camera says otherwise; how far off each photo is."""
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=9, num_points3D=500, num_points2D_without_point3D=0
    )
    pycolmap.set_random_seed(1)
    model = pycolmap.synthesize_dataset(options)
    random = numpy_random(1)
    offsets = {image_id: random.uniform(-60, 60, 2) for image_id in model.reg_image_ids()}
    for image_id, offset in offsets.items():
        for point in model.images[image_id].points2D:
            point.xy += offset + random.normal(scale=0.05, size=2)
    model.update_point_3d_errors()
    return model, offsets


def test_principal_points_of_crops_off_the_centre(off_centre: tuple[pycolmap.Reconstruction, dict[int, np.ndarray]]):
    model, offsets = off_centre
    gains = lens_gains(model)
    assert gains.needs_centres
    truth = {image_id: model.images[image_id].cam_from_world().matrix()[:, :3] for image_id in offsets}
    focal, centre = model.cameras[1].mean_focal_length(), np.array(model.cameras[1].params[1:3])
    found = with_own_centres(model)
    assert found.compute_mean_reprojection_error() < 0.5
    reference = min(offsets)
    for image_id, offset in offsets.items():
        lens = found.cameras[image_id]
        assert lens.mean_focal_length() == pytest.approx(focal, rel=0.01)
        np.testing.assert_allclose(lens.params[1:3], centre + offset, atol=6)
        rotation = found.images[image_id].cam_from_world().matrix()[:, :3]
        relative = rotation @ found.images[reference].cam_from_world().matrix()[:, :3].T
        difference = relative @ (truth[image_id] @ truth[reference].T).T
        assert np.degrees(np.arccos(np.clip((np.trace(difference) - 1) / 2, -1, 1))) < 0.5


def test_crops_that_are_all_alike_share_their_principal_point(
    off_centre: tuple[pycolmap.Reconstruction, dict[int, np.ndarray]],
):
    model = pycolmap.Reconstruction(off_centre[0])
    for image_id, offset in off_centre[1].items():
        for point in model.images[image_id].points2D:
            point.xy += (90, -60) - offset
    centre = np.array(model.cameras[1].params[1:3])
    shared = with_shared_centres(model)
    assert shared is not None
    assert len(shared.cameras) == 1
    np.testing.assert_allclose(shared.cameras[1].params[1:3], centre + (90, -60), atol=6)
    assert off_middle(shared) == {1}
    assert not has_own_centres(shared)
    assert choose_lenses(shared, centres=off_middle(shared)).centres == {1}


def test_crops_that_differ_do_not_share_it(off_centre: tuple[pycolmap.Reconstruction, dict[int, np.ndarray]]):
    assert with_shared_centres(off_centre[0]) is None


def test_one_lens_needs_no_others(off_centre: tuple[pycolmap.Reconstruction, dict[int, np.ndarray]]):
    model, offsets = off_centre
    for image_id, offset in offsets.items():
        for point in model.images[image_id].points2D:
            point.xy -= offset
    assert not lens_gains(model).needs_centres
    assert not lens_gains(model).needs_focals


def test_photos_of_one_lens_share_it():
    found = structure_from_motion(prepared(photograph(stage(), arc(6))))
    assert len(np.unique(found.lenses.intrinsics[:, 0, 0])) == 1
    np.testing.assert_array_equal(found.lenses.intrinsics[:, :2, 2], [[160, 120]] * 6)


def test_focal_lengths_that_are_alike():
    groups = alike(np.array([1.0, 1.602, 1.004, 1.6, 0.997, 2.4]))
    assert [sorted(group.tolist()) for group in groups] == [[0, 2, 4], [1, 3], [5]]


def cropped(image: np.ndarray, lens: np.ndarray, cropped_lens: np.ndarray) -> np.ndarray:
    to_integer = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV's pixel centres
    change = to_integer @ cropped_lens @ np.linalg.inv(lens) @ np.linalg.inv(to_integer)
    return cv2.warpPerspective(image, change, image.shape[1::-1], flags=cv2.INTER_CUBIC)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "crops", "angle"),
    [
        pytest.param("table", [(1, 0, 0), (1.6, 0, 0)], 0.1, id="two zooms"),
        pytest.param("courtyard", [(1, 0, 0), (1.3, 0, 0), (1.7, 0, 0)], 0.15, id="three zooms"),
        pytest.param("courtyard", [(1.3, 50, -30)], 0.15, id="all off the centre"),
        pytest.param("table", [(1.5, 60, 0), (1.5, -60, 0), (1.5, 0, 50), (1.5, 0, -50)], 0.4, id="off the centre"),
    ],
)
def test_crops_of_the_sample_scenes(scene: str, crops: list[tuple[float, float, float]], angle: float):
    images, truth, intrinsics = sample_images(scene)
    lenses = [zoomed(*crops[i % len(crops)], intrinsics=intrinsics) for i in range(12)]
    found = structure_from_motion(
        prepared(np.stack([cropped(image, intrinsics, lens) for image, lens in zip(images, lenses, strict=True)]))
    )
    assert found.registered.tolist() == list(range(12))
    assert largest_angle(found, truth) < angle
    np.testing.assert_allclose(found.lenses.intrinsics[:, 0, 0], [lens[0, 0] for lens in lenses], rtol=0.01)
