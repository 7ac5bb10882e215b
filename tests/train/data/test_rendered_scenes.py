"""Random scenes are rendered ahead or as they are needed, and learned from with exact depth and cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.geometry.unprojection import project_points, unproject_depth
from recon.train.data.read_cache import ReadCache
from recon.train.data.scene_kinds import open_scene
from recon.train.data.training_data import open_data

from ...synthetic.random_scenes import random_scene
from ...synthetic.training_scenes import main, render_training_scene, rendered_scenes

SIZE = (28, 42)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene, outdoors, with three small views."""
    path = tmp_path_factory.mktemp("scenes")
    main([str(path), "--first-seed", "6", "--scenes", "1", "--views", "3", "--size", *map(str, SIZE)])
    return path


def test_no_two_scenes_are_alike_and_each_is_always_the_same() -> None:
    first, again, other = random_scene(1), random_scene(1), random_scene(2)
    assert len(first.shapes) == len(again.shapes)
    np.testing.assert_array_equal(first.shapes[-1].shape_to_world, again.shapes[-1].shape_to_world)
    assert first.stage == again.stage != other.stage


def test_a_folder_holds_what_was_rendered(folder: Path) -> None:
    scene = open_scene(folder / "000006", ReadCache(1 << 22))
    rendered = render_training_scene(6, 3, SIZE)
    assert scene.metric
    assert scene.knows_sky
    assert scene.read_labels is not None
    labels = scene.read_labels(1, SIZE, np.eye(3))
    assert labels.sky is not None
    near = rendered.depth[1] < 65
    np.testing.assert_allclose(labels.depth[near], rendered.depth[1][near], atol=0.00051)
    np.testing.assert_array_equal(labels.sky & near, rendered.sky[1])
    assert np.abs(scene.read_picture(1).pixels.astype(int) - rendered.images[1]).mean() < 8  # as JPEG left it
    # Cameras and depth fit: what the second view sees lies in the first at the depth seen there.
    cameras = rendered.cameras
    assert cameras.intrinsics is not None
    assert cameras.world_to_camera is not None
    points = unproject_depth(rendered.depth[[1]], cameras.intrinsics[[1]], cameras.world_to_camera[[1]])
    pixels, depth = project_points(
        points[:, rendered.depth[1] > 0], cameras.intrinsics[[0]], cameras.world_to_camera[[0]]
    )
    inside = (pixels[0] >= 0).all(axis=1) & (pixels[0] < SIZE[::-1]).all(axis=1) & (depth[0] > 0)
    columns, rows = pixels[0][inside].astype(int).T
    there = rendered.depth[0][rows, columns]
    assert np.median(np.abs(depth[0][inside] / there - 1)) < 0.04  # of ground at a slant, some


def test_scenes_rendered_when_they_are_needed_are_those_of_the_folder(folder: Path) -> None:
    options = {"views": [2, 2], "process_res": 42, "aspect": [1.5, 1.5], "patches": 24, "workers": 1}
    made = {"rendered": rendered_scenes([6], views=3, size=SIZE)}
    ahead = open_data({"sets": [{"paths": [str(folder / "*")]}], **options})
    lazily = open_data({"sets": [{"paths": ["rendered"]}], **options}, scenes=made)
    for number in range(3):
        one, other = ahead.batch(0, number), lazily.batch(0, number)
        assert [name.split(": ")[1] for (name, *_) in one.names] == [name.split(": ")[1] for (name, *_) in other.names]
        assert one.depth is not None
        assert other.depth is not None
        assert (one.depth - other.depth).abs().max() < 0.002
        assert (one.images - other.images).abs().mean() < 0.2
