"""Sizes within a budget; crops, resizes and mirror images whose cameras and depth follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.unprojection import unproject_depth
from recon.models.presets import PATCH_SIZE
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD
from recon.train.data.crops import draw_crop, sample_size
from recon.train.data.sampling import Changes, Contents, make_sample
from tests.eval.layout_folders import INTRINSICS
from tests.seeds import numpy_random
from tests.train.data.wall_scene import colours, wall_scene

CONTENTS = Contents(labels=True, sky=True, extrinsics=True, intrinsics=True, metric=True, exact=True)


def test_sizes_keep_to_the_budget_of_patches_and_to_the_proportions() -> None:
    random = numpy_random(0)
    for _ in range(300):
        views, aspect = int(random.integers(1, 19)), float(np.exp(random.uniform(np.log(0.5), np.log(2))))
        patches, longest = int(random.integers(views * 12, 12_000)), int(random.integers(56, 800))
        height, width = sample_size(longest, aspect, views, patches)
        assert height % PATCH_SIZE == width % PATCH_SIZE == 0
        rows, columns = height // PATCH_SIZE, width // PATCH_SIZE
        assert views * rows * columns <= patches
        assert max(height, width) <= max(longest, PATCH_SIZE)
        # A side is off by one patch at most: by half of one from rounding, and by that again where that went over.
        assert min(abs(columns - rows * aspect) / aspect, abs(columns - rows * aspect)) <= 1.51
    assert sample_size(504, 1.0, 9, 11_664) == (504, 504)
    with pytest.raises(InputError, match="at least the number of views, 18"):
        sample_size(504, 1.0, 18, 17)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_what_a_sample_shows_lies_where_its_cameras_and_depth_say(mirrored: bool, centred: bool) -> None:
    """Each pixel, unprojected into the first camera's frame and from there to the world, has the colour of its place:
    picture, depth, intrinsics and extrinsics are all cropped, resized and mirrored alike."""
    scene = wall_scene()
    assert scene.cameras is not None
    assert scene.cameras.world_to_camera is not None
    for case, size in enumerate(((28, 42), (56, 42), (84, 112))):  # smaller and larger than the photos
        changes = Changes(size, (0.5, 0.9), centred, mirror_share=float(mirrored))
        views = [2, 0, 1]
        sample = make_sample(scene, views, CONTENTS, changes, numpy_random(case, mirrored, centred))
        assert sample.depth is not None
        assert sample.valid is not None
        assert sample.valid.all()
        assert sample.world_to_camera is not None
        assert sample.intrinsics is not None
        np.testing.assert_allclose(sample.world_to_camera[0], np.eye(4), atol=1e-6)
        assert (np.linalg.det(sample.world_to_camera[:, :3, :3]) > 0.999).all()  # a mirrored camera is still one
        assert (sample.intrinsics[:, [0, 1], [0, 1]] > 0).all()
        points = unproject_depth(sample.depth, sample.intrinsics, sample.world_to_camera)
        in_first = points * (-1, 1, 1) if mirrored else points
        first = scene.cameras.world_to_camera[views[0]]
        world = (in_first - first[:3, 3]) @ first[:3, :3]
        shown = 255 * (sample.images.transpose(0, 2, 3, 1) * IMAGENET_STD + IMAGENET_MEAN)
        # Half a pixel off would be 2.5 of red; the borders of a cubic resize are not straight.
        error = np.abs(shown - colours(world))[:, 2:-2, 2:-2, :2]
        assert error.max() < 2
        assert error.mean() < 0.4
        if centred:
            middle = sample.intrinsics[:, :2, 2] - np.array(size[::-1]) / 2
            assert np.abs(middle).max() <= 0.6 * size[1] / 20  # by the rounding to whole pixels of the photo


def test_crops_stay_within_photos_and_reach_everywhere() -> None:
    random = numpy_random(1)
    corners = []
    for _ in range(400):
        crop = draw_crop(random, (60, 80), (28, 56), (0.3, 1.0), None, mirrored=False)
        assert crop.left >= 0
        assert crop.top >= 0
        assert crop.left + crop.width <= 80
        assert crop.top + crop.height <= 60
        assert abs(crop.width / crop.height - 2) < 0.1
        corners.append((crop.left, crop.top, crop.left + crop.width, crop.top + crop.height))
    low, high = np.array(corners).min(axis=0), np.array(corners).max(axis=0)
    assert (low[:2] == 0).all()
    assert (high[2:] >= (80, 59)).all()


def test_a_principal_point_outside_the_photo_is_a_bad_sample() -> None:
    scene = wall_scene()
    assert scene.cameras is not None
    intrinsics = np.tile(INTRINSICS, (4, 1, 1))
    intrinsics[1, 0, 2] = -3
    scene = replace(scene, cameras=replace(scene.cameras, intrinsics=intrinsics))
    with pytest.raises(InputError, match=r"1\.png: .*principal point"):
        make_sample(scene, [1], CONTENTS, Changes((28, 28)), numpy_random(0))


def test_mirroring_twice_is_nothing() -> None:
    crop = draw_crop(numpy_random(2), (60, 80), (28, 42), (0.5, 1), None, mirrored=True)
    matrix = wall_scene().cameras.world_to_camera[1]  # type: ignore[union-attr,index]
    np.testing.assert_allclose(crop.world_to_camera(crop.world_to_camera(matrix)), matrix, atol=1e-12)
    plain = replace(crop, mirrored=False)
    np.testing.assert_allclose(crop.intrinsics(INTRINSICS)[0, 0], plain.intrinsics(INTRINSICS)[0, 0])
    assert crop.intrinsics(INTRINSICS)[0, 2] == pytest.approx(42 - plain.intrinsics(INTRINSICS)[0, 2])
    np.testing.assert_allclose(
        invert_rigid(crop.world_to_camera(matrix))[:3, 3], invert_rigid(matrix)[:3, 3] * (-1, 1, 1), atol=1e-12
    )
