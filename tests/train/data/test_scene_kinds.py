"""Runs, true depth of every layout and sources with depth all become scenes that say the same about the same wall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.export.exporter import NoOptions
from recon.export.npz import write_full
from recon.geometry.unprojection import unproject_depth
from recon.sources.cameras_file import write_cameras
from recon.train.data.crops import sample_size
from recon.train.data.read_cache import ReadCache
from recon.train.data.sampling import Changes, Contents, make_sample
from recon.train.data.scene import Scene
from recon.train.data.scene_kinds import open_scene
from recon.types import Prediction
from tests.eval.layout_folders import (
    HEIGHT,
    INTRINSICS,
    LAYOUTS,
    NORMAL,
    OFFSET,
    WIDTH,
    blendedmvs,
    cameras,
    colmap,
    perfect_prediction,
    sample,
    write_photo,
)
from tests.known_cameras import cameras_of
from tests.seeds import numpy_random
from tests.sources.captures_written import WALL, stray_scanner, truth, written

CONTENTS = Contents(labels=True, sky=False, extrinsics=True, intrinsics=True, metric=False, exact=False)
UNITS = {"dtu": 1000, "dtu_train": 1000}


def points_of(scene: Scene, view: int, size: tuple[int, int], *, zoom: float = 0.8) -> np.ndarray:
    """(P, 3) in the scene's world, of a sample that is cropped somewhere and may be mirrored."""
    assert scene.cameras is not None
    assert scene.cameras.world_to_camera is not None
    made = make_sample(scene, [view], CONTENTS, Changes(size, (zoom, 1.0), mirror_share=0.5), numpy_random(view))
    assert made.depth is not None
    assert made.valid is not None
    assert made.intrinsics is not None
    points = unproject_depth(made.depth, made.intrinsics, np.eye(4)[None])[made.valid]
    mirrored = numpy_random(view).uniform() < 0.5  # what is drawn first
    first = scene.cameras.world_to_camera[view]
    return (points * ((-1, 1, 1) if mirrored else (1, 1, 1)) - first[:3, 3]) @ first[:3, :3]


def run(root: Path) -> Path:
    """A run's result, in the middle of larger views, the first of which found nothing in a corner."""
    whole = perfect_prediction(
        [f"{i}.png" for i in range(4)], cameras(), np.tile(INTRINSICS, (4, 1, 1)), (WIDTH, HEIGHT)
    )
    prediction = _framed(whole)
    write_full(prediction, root, NoOptions())
    return root


def _framed(inner: Prediction) -> Prediction:
    """With 14 columns of nothing to the left and to the right of each photo."""
    wide = ((0, 0), (0, 0), (14, 14))
    depth = np.pad(inner.depth, wide)
    depth[0, :5, 14:20] = np.nan
    mask = np.pad(np.ones(inner.depth.shape, np.bool_), wide)
    moved = np.array([[1.0, 0, 14], [0, 1, 0], [0, 0, 1]])
    assert inner.intrinsics is not None
    assert inner.processed_to_original is not None
    height, width = inner.depth.shape[1:]
    return replace(
        inner,
        depth=depth,
        mask=mask,
        processed_images=np.pad(inner.processed_images + np.uint8(100), (*wide, (0, 0))),
        intrinsics=(moved @ inner.intrinsics).astype(np.float32),
        processed_to_original=inner.processed_to_original @ np.linalg.inv(moved),
        photo_boxes=np.tile([14, 0, width, height], (len(depth), 1)),
    )


@pytest.mark.parametrize("make", [*LAYOUTS.values(), sample, run], ids=lambda make: make.__name__)
def test_depth_of_every_kind_lies_on_the_wall(make: Callable[[Path], Path], tmp_path: Path) -> None:
    scene = open_scene(make(tmp_path), ReadCache(1 << 26))
    units = UNITS.get(make.__name__, 1)
    assert scene.posed
    assert scene.metric == (make.__name__ not in ("blendedmvs", "dtu", "dtu_train"))
    picture = scene.read_picture(1).pixels
    size = sample_size(max(42, picture.shape[1] // 4), picture.shape[1] / picture.shape[0], 1, 10_000)
    points = points_of(scene, 1, size)
    assert len(points) > 0.5 * size[0] * size[1] * (28 / 60 if make is sample else 1)
    error = np.abs(points @ NORMAL / units - OFFSET)
    # The nearest pixel of depth is up to half a pixel away along a wall that leans by an eighth.
    assert np.median(error) < 0.02
    assert error.max() < 0.2


def test_the_run_without_what_is_around_its_photos(tmp_path: Path) -> None:
    scene = open_scene(run(tmp_path), ReadCache(1 << 20))
    assert scene.read_picture(0).pixels.shape == (28, 40, 3)
    assert scene.read_labels is not None
    labels = scene.read_labels(0, (28, 40), np.eye(3))
    assert np.isnan(labels.depth[:5, :6]).all()
    assert np.isfinite(labels.depth).mean() > 0.9


def test_points_of_a_colmap_model_are_sparse_depth(tmp_path: Path) -> None:
    scene = open_scene(colmap(tmp_path), ReadCache(1 << 20))
    points = points_of(scene, 2, (56, 70), zoom=1.0)
    assert 50 < len(points) < 300
    # A point is anywhere in the pixel that it falls into.
    assert np.abs(points @ NORMAL - OFFSET).max() < 0.1


def test_measured_depth_of_a_capture(tmp_path: Path) -> None:
    known = truth()
    scene = open_scene(written(tmp_path / "scan", stray_scanner(known, tmp_path)), ReadCache(1 << 20))
    assert scene.metric
    points = points_of(scene, 3, (84, 112))
    assert len(points) > 5000
    np.testing.assert_allclose(points[:, 2], WALL, atol=0.02)


def test_photos_alone_have_no_labels(tmp_path: Path) -> None:
    from tests.fake_network import save_photos

    save_photos(tmp_path / "photos", 2)
    scene = open_scene(tmp_path / "photos", ReadCache(1 << 20))
    assert scene.read_labels is None
    assert len(scene) == 2
    with pytest.raises(InputError, match="does not exist"):
        open_scene(tmp_path / "gone", ReadCache(1))


def test_photos_that_are_undistorted_in_two_ways_are_two_photos(tmp_path: Path) -> None:
    """Or a teacher's map of one would be taken for that of the other."""
    contents = []
    for bend in (0.0, 0.1, 0.2):
        folder = tmp_path / str(bend)
        write_photo(folder / "images" / "0.png")
        cameras_there = cameras_of([(WIDTH, HEIGHT)], cameras(1), INTRINSICS[None])
        distortion = np.array([[bend, 0, 0, 0, 0, 0, 0, 0]]) if bend else None
        write_cameras(folder / "cameras.json", ["0.png"], replace(cameras_there, distortion=distortion))
        contents.append(open_scene(folder, ReadCache(1 << 20)).content(0))
    assert len(set(contents)) == 3


def test_a_photo_of_another_size_than_its_camera_is_named(tmp_path: Path) -> None:
    folder = blendedmvs(tmp_path)
    scene = open_scene(folder, ReadCache(1 << 20))
    write_photo(folder / "blended_images" / "00000002.jpg", 40, 30)
    with pytest.raises(InputError, match=r"00000002\.jpg' is 40×30 pixels, and its camera of 80×60"):
        scene.read_picture(2)


def test_the_cache_keeps_what_fits_and_forgets_the_oldest() -> None:
    cache, read = ReadCache(100), []

    def get(key: int, size: int = 40) -> int:
        return cache.get(key, lambda: read.append(key) or key, lambda item: size)

    assert [get(key) for key in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
    assert read == [1, 2, 3, 2]  # 1 was used when 2 had to go
    get(4, 1000)
    get(4, 1000)
    assert read[-2:] == [4, 4]  # too large to be kept
