"""recon's cameras.json as a source itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.files import scenes_folder
from recon.messages import ReconWarning
from recon.sources.cameras_file import write_cameras
from recon.sources.kinds import kind_of
from recon.sources.open_source import open_source
from tests.geometry.random_cameras import random_extrinsics
from tests.known_cameras import cameras_of
from tests.seeds import numpy_random
from tests.sources.test_source import save


def scene(folder: Path, photos: str) -> np.ndarray:
    """Two photos and their cameras; returns (2, 4, 4) world-to-camera."""
    poses = random_extrinsics(numpy_random(0), 2)
    intrinsics = np.tile([[40.0, 0, 21], [0, 40, 14], [0, 0, 1]], (2, 1, 1))
    for name in ("a.png", "b.png"):
        save(folder / photos / name)
    write_cameras(folder / "cameras.json", ["b.png", "a.png"], cameras_of([(42, 28)] * 2, poses, intrinsics))
    return poses[::-1]


@pytest.mark.parametrize("photos", ["images", "."])
def test_photos_are_beside_it(photos: str, tmp_path: Path) -> None:
    poses = scene(tmp_path, photos)
    for path in (tmp_path, tmp_path / "cameras.json"):
        assert kind_of(path).name == "cameras"
        source = open_source(path)
        assert source.names == ("a.png", "b.png")
        assert source.cameras is not None
        np.testing.assert_array_equal(source.cameras.world_to_camera, poses)
    assert open_source(tmp_path / photos, SourceOptions(input_kind="photos")).cameras is None


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    scene(tmp_path, "images")
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "c.png")
    with pytest.warns(ReconWarning) as said:
        source = open_source(tmp_path, SourceOptions(limit=5))
    assert source.names == ("b.png",)
    assert [name for name, _ in source.left_out] == ["c.png"]
    messages = " ".join(str(one.message) for one in said)
    assert "c.png" in messages
    assert "a.png" in messages
    with pytest.raises(InputError, match=r"c\.png.*a\.png"):
        open_source(tmp_path, SourceOptions(strict=True))


def test_other_json_beside_photos_is_no_scene(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for content in ("{", "[]", '{"frames": []}', '{"frames": [{"name": "a.png"}]}'):
        (tmp_path / "cameras.json").write_text(content)
        assert kind_of(tmp_path).name == "photos"


def test_the_sample_scenes_and_the_fountain_are_sources(shared_data: Path) -> None:
    for folder in (scenes_folder() / "courtyard", shared_data / "fountain"):
        source = open_source(folder)
        frames = {frame["image"]: frame for frame in json.loads((folder / "cameras.json").read_text())["frames"]}
        assert set(source.names) == set(frames)
        known = source.cameras
        assert known is not None
        assert known.world_to_camera is not None
        for name, pose in zip(source.names, known.world_to_camera, strict=True):
            stated = np.array(frames[name]["world_to_camera"])
            np.testing.assert_array_equal(pose[: len(stated)], stated)
