"""`recon.load`: what a run left, read again from the fullest of its files."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import recon
from recon.choices import InferenceOptions
from recon.cli.main import main
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.run.pipeline import reconstruct
from recon.run.schema import check_record
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.export.test_colmap import model_of
from tests.fake_network import fake_model, save_photos, user_cameras

OPTIONS = InferenceOptions(process_res=70, process_res_method="upper_bound_crop")
DEPTH = ("depth", "conf", "extrinsics", "intrinsics", "original_sizes", "processed_to_original")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    save_photos(tmp_path / "photos", 3)
    return tmp_path / "photos"


def run(photos: Path, out: Path, formats: str, **more) -> Prediction:
    settings = {"inputs": [str(photos)]}
    return reconstruct(
        fake_model(),
        photos,
        options=OPTIONS,
        export_dir=out,
        export_format=formats,
        settings=settings,
        reuse=True,
        **more,
    ).prediction


def assert_same(found: Prediction, made: Prediction, *leave_out: str) -> None:
    for one in fields(Prediction):
        value, expected = getattr(found, one.name), getattr(made, one.name)
        if one.name in ("originals", "run", *leave_out):
            continue
        if isinstance(expected, Cameras):
            np.testing.assert_allclose(value.intrinsics, expected.intrinsics, rtol=1e-12)
            assert value.origin == expected.origin
        elif isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected, err_msg=one.name)
        else:
            assert value == expected, one.name


@pytest.mark.parametrize(
    ("formats", "leave_out"), [("npz", ()), ("ply", ("kept",)), ("mini_npz", ("kept", "processed_images"))]
)
def test_the_prediction_comes_back_with_the_facts_of_the_run(formats, leave_out, photos, tmp_path):
    made = run(photos, tmp_path / "out", formats, extrinsics=user_cameras(3))
    if formats == "mini_npz":
        shutil.rmtree(tmp_path / "out" / "cache")
    for path in (tmp_path / "out", tmp_path / "out" / "run.json"):
        found = recon.load(path)
        assert_same(found, made, *leave_out)
        assert found.run["state"] == "done"
        assert found.run["versions"]["recon"] == recon.__version__
        assert found.run["quality"]["depth_difference"] < 1e-5
        assert found.originals is not None
        np.testing.assert_array_equal(
            found.originals.read(1)[0], np.asarray(Image.open(photos / "1.png").convert("RGB"))
        )
    if formats == "mini_npz":
        assert np.abs(found.processed_images.astype(int) - made.processed_images).mean() < 3
        (photos / "2.png").unlink()
        with pytest.warns(ReconWarning, match=r"1 of the 3 photos.*2\.png"):
            found = recon.load(tmp_path / "out")
        assert not found.processed_images[2].any()
        assert found.processed_images[1].any()


def test_what_is_kept_of_another_run_is_not_taken(photos, tmp_path):
    run(photos, tmp_path / "a", "ply", extrinsics=user_cameras(3))
    run(photos, tmp_path / "b", "ply")
    shutil.rmtree(tmp_path / "a" / "cache")
    shutil.copytree(tmp_path / "b" / "cache", tmp_path / "a" / "cache")
    with pytest.raises(InputError, match="run again with --export npz"):
        recon.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "no such f"),
        (lambda folder: folder.mkdir(), "without exports/npz/results.npz"),
        (lambda folder: (folder.mkdir(), (folder / "run.json").write_text("[1]")), "not the record of a run"),
    ],
)
def test_nothing_to_read(prepare, message, tmp_path):
    prepare(tmp_path / "x")
    with pytest.raises(InputError, match=message):
        recon.load(tmp_path / "x")


def test_exports_made_later_have_the_photos_too(photos, tmp_path):
    run(photos, tmp_path / "out", "ply", extrinsics=user_cameras(3))
    assert main(["export", str(tmp_path / "out"), "--to", "trainer-nerfstudio"]) == 0
    model = model_of(tmp_path / "out")
    assert {(camera.width, camera.height) for camera in model.cameras.values()} == {Image.open(photos / "0.png").size}
    for name in ("0.png", "1.png", "2.png"):
        assert (tmp_path / "out" / "images" / name).read_bytes() == (photos / name).read_bytes()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(record["exports"]) == {"ply", "colmap", "nerfstudio"}
    check_record(record)


def test_no_format_replaces_what_no_run_wrote(photos, tmp_path, capsys):
    scene = tmp_path / "scene"
    shutil.copytree(photos, scene / "images")
    before = {path: path.read_bytes() for path in scene.rglob("*.png")}
    with pytest.raises(InputError, match="images"):
        run(scene / "images", scene, "colmap")
    (scene / "sparse").mkdir()
    (scene / "sparse" / "points3D.txt").touch()
    run(scene / "images", scene, "ply")
    assert main(["export", str(scene), "--to", "colmap"]) == 2
    assert "sparse is there already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in scene.rglob("*.png")} == before
