from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.sources.loading import load_photos

from .conftest import REPOSITORY
from .synthetic.camera_paths import camera_path
from .synthetic.render import render_views
from .synthetic.sample_scenes import SAMPLES, Sample, load_held_out, load_scene, main, render_sample, write_sample
from .synthetic.scenes import make_scene

SCENES = REPOSITORY / "scenes"
TINY = Sample("textureless_wall", "A wall", count=3, held_out=(0, 1), size=(42, 56), samples_per_pixel=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_sample(folder, TINY)
    return folder


def test_what_was_rendered_is_read_back(tiny: Path) -> None:
    rendered, loaded = render_sample(TINY), load_scene(tiny)
    np.testing.assert_array_equal(loaded.sky, rendered.sky)
    np.testing.assert_array_equal(loaded.object_ids, rendered.object_ids)
    np.testing.assert_allclose(loaded.depth, rendered.depth, atol=TINY.depth_scale / 2 + 1e-6)
    np.testing.assert_array_equal(loaded.cameras.world_to_camera, rendered.cameras.world_to_camera)
    np.testing.assert_array_equal(loaded.cameras.intrinsics, rendered.cameras.intrinsics)
    assert abs(loaded.images.astype(int) - rendered.images).mean() < 6
    assert (loaded.name, loaded.units) == ("textureless_wall", "metric")


def test_the_same_sample_has_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, TINY)
    files = sorted(path.relative_to(tiny) for path in tiny.rglob("*") if path.is_file())
    assert len(files) == 3 * 3 + 2 * 2 + 4
    for file in files:
        assert (tmp_path / file).read_bytes() == (tiny / file).read_bytes(), file


def test_a_sample_of_another_seed_is_another(tiny: Path) -> None:
    other = render_sample(replace(TINY, seed=2), [0])
    assert (other.images[0] != load_scene(tiny).images[0]).mean() > 0.2


def test_held_out_photos_lie_between(tiny: Path) -> None:
    images, depth, cameras = load_held_out(tiny)
    assert images.shape == (2, 42, 56, 3)
    assert cameras.world_to_camera is not None
    path = camera_path(make_scene(TINY.scene, TINY.seed), TINY.path, 2 * TINY.count - 1, TINY.seed)
    np.testing.assert_allclose(cameras.world_to_camera, path[1::2], atol=1e-12)
    scene = make_scene(TINY.scene, TINY.seed)
    between = render_views(scene, cameras.world_to_camera, TINY.intrinsics(), TINY.size, TINY.samples_per_pixel)
    np.testing.assert_allclose(depth, between.depth, atol=TINY.depth_scale / 2 + 1e-6)


def test_a_damaged_or_missing_scene_is_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a sample scene"):
        load_scene(tmp_path / "nowhere")
    (tmp_path / "scene.json").write_text("[]")
    with pytest.raises(InputError, match="does not say name, units, depth_scale"):
        load_scene(tmp_path)
    (tmp_path / "scene.json").write_bytes((tiny / "scene.json").read_bytes())
    with pytest.raises(InputError, match=r"has no images/\*\.jpg"):
        load_scene(tmp_path)
    with pytest.raises(InputError, match=r"has no held_out/\*\.jpg"):
        load_held_out(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0000.jpg").write_bytes((tiny / "images" / "0000.jpg").read_bytes()[:200])
    with pytest.raises(InputError, match=r"0000\.jpg' cannot be read"):
        load_scene(tmp_path)


def test_the_command_names_its_scenes() -> None:
    for arguments in ([], ["folder", "castle"]):
        with pytest.raises(SystemExit, match=r"FOLDER \[courtyard\|table\]"):
            main(arguments)


@pytest.mark.parametrize("name", SAMPLES)
def test_shipped_scene(name: str) -> None:
    sample, scene = SAMPLES[name], load_scene(SCENES / name)
    assert scene.images.shape == (12, *sample.size, 3)
    assert scene.depth.shape == scene.sky.shape == scene.object_ids.shape == scene.images.shape[:3]
    assert ((scene.depth == 0) == scene.sky).all()
    assert ((scene.object_ids == 0) == scene.sky).all()
    assert (0.02 < scene.sky.mean() < 0.3) if name == "courtyard" else not scene.sky.any()
    assert scene.depth[~scene.sky].min() > 0.5
    held_out, depth, _ = load_held_out(SCENES / name)
    assert held_out.shape == (3, *sample.size, 3)
    assert depth.shape == held_out.shape[:3]
    assert (0.02 < (depth == 0).mean() < 0.3) if name == "courtyard" else depth.all()


@pytest.mark.parametrize("name", SAMPLES)
def test_focal_length_in_exif_is_that_of_the_camera(name: str) -> None:
    """By the definition of CIPA DCG-001: the same diagonal field of view as on 36 × 24 mm."""
    photos = load_photos(SCENES / name / "images").photos
    cameras = load_scene(SCENES / name).cameras
    assert cameras.intrinsics is not None
    for photo, intrinsics in zip(photos, cameras.intrinsics, strict=True):
        assert photo.exif_focal_35mm is not None
        pixels = photo.exif_focal_35mm / np.hypot(36, 24) * np.hypot(photo.width, photo.height)
        assert intrinsics[0, 0] == pytest.approx(pixels, rel=1e-9)


def test_shipped_scenes_are_small() -> None:
    sizes = [path.stat().st_size for path in SCENES.rglob("*") if path.is_file()]
    assert 1e6 < sum(sizes) < 6e6


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_shipped_scene_is_what_its_command_makes(name: str) -> None:
    """The middle of a view, within what another library version may change: rounding, and JPEG."""
    sample, shipped, view = SAMPLES[name], load_scene(SCENES / name), 4
    scene = make_scene(sample.scene, sample.seed)
    camera = camera_path(scene, sample.path, sample.count, sample.seed)[view : view + 1]
    (height, width), intrinsics = sample.size, sample.intrinsics()
    rows, columns = slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4)
    intrinsics[:2, 2] -= columns.start, rows.start
    again = render_views(scene, camera, intrinsics, (height // 2, width // 2), sample.samples_per_pixel)
    difference = abs(again.images[0].astype(int) - shipped.images[view, rows, columns])
    assert difference.mean() < 5
    steps = abs(again.depth[0] - shipped.depth[view, rows, columns]) / sample.depth_scale
    assert (steps < 0.51).mean() > 0.9999
    assert (again.object_ids[0] == shipped.object_ids[view, rows, columns]).mean() > 0.9999
