"""Cameras of a run whose photos were undistorted or turned when they were opened, given for the photos as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.run.pipeline import reconstruct
from recon.sources.cameras_file import read_cameras_file
from recon.sources.lenses import Lens, pinhole_view
from recon.sources.open_source import open_source
from recon.sources.photo_cameras import PhotoCameras
from recon.types import Prediction
from tests.fake_network import fake_model
from tests.sources.colmap_models import bent_camera, write_scene

pytestmark = pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
NAMES = ("a.png", "b.png", "c.png")
ORIENTATIONS = {"b.png": 3, "c.png": 6}
"""In EXIF; COLMAP passes over it. The first keeps the shape of a photo, so that its size does not tell it."""


def run(photos: Path, cameras: Path | None = None, out: Path | None = None) -> Prediction:
    return reconstruct(
        fake_model(),
        photos,
        cameras="none" if cameras is None else cameras,
        options=InferenceOptions(process_res=154),
        export_dir=out,
        export_format="npz-mini_npz",
    ).prediction


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COLMAP scene of fisheye photos, and `out`, a run of it."""
    folder = tmp_path_factory.mktemp("fisheye")
    write_scene(folder / "scene", [bent_camera("OPENCV_FISHEYE") for _ in NAMES], NAMES)
    for name, orientation in ORIENTATIONS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder / "scene" / "images" / name
        Image.open(path).copy().save(path, exif=exif)
    return folder


@pytest.fixture(scope="module")
def first(scene: Path) -> Prediction:
    return reconstruct(
        fake_model(),
        scene / "scene",
        options=InferenceOptions(process_res=154),
        export_dir=scene / "out",
        export_format="npz-mini_npz",
    ).prediction


FILES = ("run.json", "exports/npz/results.npz", "exports/mini_npz/results.npz")


@pytest.mark.parametrize("photos", ["scene/images", "scene"])
@pytest.mark.parametrize("file", FILES)
def test_the_next_run_sees_what_the_first_saw(scene: Path, first: Prediction, file: str, photos: str) -> None:
    again = run(scene / photos, scene / "out" / file)
    np.testing.assert_array_equal(again.processed_images, first.processed_images)
    np.testing.assert_allclose(again.intrinsics, first.intrinsics, rtol=1e-6)
    np.testing.assert_allclose(again.extrinsics, first.extrinsics, atol=1e-6)
    np.testing.assert_array_equal(again.original_sizes, first.original_sizes)


def test_the_file_says_the_lens_and_the_turn(scene: Path, first: Prediction) -> None:
    lens = Lens.of(bent_camera("OPENCV_FISHEYE"))
    for file in FILES[:2]:
        entries = read_cameras_file(scene / "out" / file).entries
        assert [entry["lens"] for entry in entries] == [lens] * 3
        assert [entry.get("orientation") for entry in entries] == [None, 3, 6]
        for entry in entries:
            np.testing.assert_allclose(entry["intrinsics"], pinhole_view(lens).intrinsics)


def test_a_scene_that_changes_its_photos_otherwise_is_refused(scene: Path, first: Prediction, tmp_path: Path) -> None:
    record = json.loads((scene / "out" / "run.json").read_text())
    record["images"][0]["camera"]["photo_change"]["lens"]["params"][0] += 1
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"'a\.png'.*give the photos alone"):
        run(scene / "scene", tmp_path / "run.json")
    record["images"][0]["camera"]["photo_change"]["lens"]["model"] = "PINHOLES"
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"'a\.png': the camera model PINHOLES"):
        run(scene / "scene" / "images", tmp_path / "run.json")
    record["images"][0]["camera"]["photo_change"] = {"lens": 3}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"'a\.png'.*give the scene again"):
        run(scene / "scene" / "images", tmp_path / "run.json")


def test_single_photos_are_not_changed_and_refused(scene: Path, first: Prediction, tmp_path: Path) -> None:
    photo = open_source(scene / "scene" / "images").read(1)
    with pytest.raises(InputError, match="undistort them"):
        PhotoCameras(file=scene / "out" / "run.json").of(photo, NAMES, 1)
    record = json.loads((scene / "out" / "run.json").read_text())
    for image in record["images"]:
        image["camera"]["photo_change"] = {"orientation": 3}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="as their files store them"):
        PhotoCameras(file=tmp_path / "run.json").of(photo, NAMES, 1)


def test_a_turned_photo_without_its_file_is_refused(scene: Path, first: Prediction) -> None:
    photos = [open_source(scene / "scene" / "images").read(index) for index in range(3)]
    stripped = [type(photo)(photo.name, photo.pixels) for photo in photos]
    with pytest.raises(InputError, match=r"'b\.png'.*orientation 3.*give the scene again"):
        reconstruct(fake_model(), stripped, cameras=scene / "out" / "run.json")
