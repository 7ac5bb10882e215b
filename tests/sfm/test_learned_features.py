"""Learned features: files of the form that COLMAP's have, made here, on scenes whose cameras are known."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from recon.choices import InferenceOptions
from recon.errors import CheckpointError, InputError
from recon.sfm import learned_features
from recon.sfm.feature_kinds import open_features
from recon.sfm.features import read_keypoints, write_cameras
from recon.sfm.learned_features import ALIKED, LIGHTGLUE, LearnedFeatures, ModelFile, locate
from recon.sfm.photos import SfmPhoto, prepare_photo
from recon.sfm.retrieval import read_features
from recon.sfm.structure_from_motion import SfmOptions, structure_from_motion
from recon.sources.photo import Photo

from .cards import arc, largest_angle, photograph, stage
from .learned_stand_ins import write_extractor, write_matcher


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("features")
    write_extractor(made / ALIKED.name)
    write_matcher(made / LIGHTGLUE.name)
    return made


def colour_photos(count: int) -> list[SfmPhoto]:
    images = photograph(stage(), arc(12)[3 : 3 + count])
    return [prepare_photo(Photo(f"{i:02d}", image), colour=True) for i, image in enumerate(images)]


def test_cameras_are_found_by_learned_features(folder: Path):
    found = structure_from_motion(
        colour_photos(5), SfmOptions(features="aliked", features_folder=folder, max_features=500)
    )
    assert found.registered.tolist() == list(range(5))
    assert largest_angle(found, arc(12)[3:8]) < 0.5


def test_places_are_in_the_pixels_of_the_picture(folder: Path, tmp_path: Path):
    """Spots in a picture whose sides are no multiples of 32; the one in the mask and the border's are left out."""
    pixels = np.zeros((100, 150, 3), np.uint8)
    for x, y in ((30, 20), (120, 80), (75, 50)):
        pixels[y, x] = 255
    mask = np.ones(pixels.shape[:2], bool)
    mask[45:55, 70:80] = False
    photos = [prepare_photo(Photo("spots", pixels, mask=mask), colour=True)] * 2
    database = tmp_path / "database.db"
    write_cameras(database, photos, "SIMPLE_RADIAL", shared=True)
    learned = LearnedFeatures(folder)
    counts = learned.extract(database, photos, tmp_path, 3, 1, lambda done: None)
    learned.match(database, [(0, 1)], tmp_path, 1, lambda done: None)
    assert counts.tolist() == [2, 2]
    with pycolmap.Database.open(database) as opened:
        places = read_keypoints(opened, 0)
        np.testing.assert_allclose(places[np.argsort(places[:, 0])], [[30.5, 20.5], [120.5, 80.5]], atol=1e-3)
        assert opened.read_descriptors(1).type == pycolmap.FeatureExtractorType.ALIKED_N32
        assert len(opened.read_matches(1, 2)) <= 2
    np.testing.assert_allclose(np.linalg.norm(read_features(database, 2)[0], axis=1), 1, rtol=1e-5)


def test_files_that_are_wrong_are_named(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match=rf"features_folder: '{tmp_path}' has no {ALIKED.name}"):
        open_features("aliked", tmp_path)
    for file in (ALIKED, LIGHTGLUE):
        (tmp_path / file.name).write_bytes(b"cut short")
    corrupt = open_features("aliked", tmp_path)
    with pytest.raises(CheckpointError, match=rf"{ALIKED.name} is not an ONNX file"):
        corrupt.extract(tmp_path / "none.db", [], tmp_path, 10, 1, lambda done: None)
    (tmp_path / LIGHTGLUE.name).write_bytes((folder / ALIKED.name).read_bytes())
    with pytest.raises(CheckpointError, match="takes image, max_keypoints, min_score, not kpts0"):
        corrupt.match(tmp_path / "none.db", [], tmp_path, 1, lambda done: None)
    with pytest.raises(InputError, match="features_folder is for features aliked"):
        InferenceOptions(features_folder=tmp_path)
    with pytest.raises(InputError, match="features must be one of sift"):
        InferenceOptions(features="orb")  # type: ignore[arg-type]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served as COLMAP's release, and an empty home."""
    served = tmp_path / "served"
    served.mkdir()
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = HTTPServer(("127.0.0.1", 0), partial(handler, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(learned_features, "_RELEASE", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    yield served
    server.shutdown()
    server.server_close()


def test_files_are_downloaded_once_and_checked(release: Path):
    content = b"weights" * 1000
    file = ModelFile("some.onnx", hashlib.sha256(content).hexdigest())
    with pytest.raises(CheckpointError, match=r"cannot download some\.onnx .*--features-folder FOLDER"):
        locate(file)
    (release / file.name).write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match=r"some\.onnx was cut short"):
        locate(file)
    assert not file.cached.exists()
    (release / file.name).write_bytes(content)
    path = locate(file)
    assert path.read_bytes() == content
    assert path.name == f"{file.sha256}-some.onnx"  # as COLMAP names it
    (release / file.name).unlink()
    assert locate(file) == path


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(learned_features, "_RELEASE", "http://127.0.0.1:9/")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot download aliked-n32\.onnx .*leave --features at sift") as raised:
        open_features("aliked", None)
    assert "\n" not in str(raised.value)
