"""`recon run` and `recon mono` give the same depth and intrinsics of the same photo with the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import recon.api
import recon.models.ready
from recon import DepthAnything3
from recon.cli.main import main
from recon.export import read_npz
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord
from tests.models.onnx.graphs import stated, write_graph
from tests.models.tiny import TINY, images, tiny_network

EXIF_IFD, FOCAL_35MM = 0x8769, 0xA405
KINDS = {
    "da3mono-large": "single_view",
    "da3metric-large": "single_view",
    "depth-anything-v2-small": "disparity",
    "depth-anything-v1-small": "disparity",
    "depth-anything-v2-metric-indoor-small": "metric_depth",
}


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Function that writes a photo, with EXIF of a focal length or without; every network is a tiny one."""

    def ready(name: str, **_: object) -> ReadyModel:
        preset = replace(load_preset(name), network=TINY[KINDS[name]])
        return ReadyModel(tiny_network(KINDS[name]), preset, WeightsRecord("random", seed=0))

    monkeypatch.setattr(recon.models.ready, "ready_model", ready)
    monkeypatch.chdir(tmp_path)

    def write(focal: int | None, width: int = 90, height: int = 60) -> str:
        smooth = images(1, height=height, width=width)[0, 0].permute(1, 2, 0).numpy() * 0.2 + 0.5
        exif = Image.Exif()
        if focal is not None:
            exif.get_ifd(EXIF_IFD)[FOCAL_35MM] = focal
        Image.fromarray((smooth.clip(0, 1) * 255).astype(np.uint8)).save(tmp_path / "photo.jpg", exif=exif)
        return "photo.jpg"

    return write


def both(photo: str, *flags: str) -> None:
    """Run both commands and compare."""
    assert main(["run", photo, "--export", "npz", "--out", "run", *flags]) == 0
    assert main(["mono", photo, "--export", "npz", "--out", "mono", *flags]) == 0
    run = read_npz(Path("run/exports/npz/results.npz"))
    mono = read_npz(Path("mono/photo/exports/npz/results.npz"))
    np.testing.assert_array_equal(run.depth, mono.depth)
    np.testing.assert_array_equal(run.intrinsics, mono.intrinsics)
    np.testing.assert_array_equal(run.processed_images, mono.processed_images)
    assert (run.units, run.scale_factor) == (mono.units, mono.scale_factor)
    assert (run.sky is None) == (mono.sky is None)
    if run.sky is not None:
        np.testing.assert_array_equal(run.sky, mono.sky)


@pytest.mark.parametrize("focal", [None, 28])
@pytest.mark.parametrize("name", KINDS)
def test_of_every_family(name: str, focal: int | None, photo) -> None:
    both(photo(focal), "--model", name, "--process-res", "56")
    result = read_npz(Path("run/exports/npz/results.npz"))
    assert result.units == ("metric" if "-metric-" in name or (focal and name == "da3metric-large") else "relative")


@pytest.mark.parametrize("name", ["da3mono-large", "depth-anything-v2-small"])
def test_at_the_size_that_each_was_trained_at(name: str, photo) -> None:
    both(photo(28, 45, 30), "--model", name)
    result = read_npz(Path("run/exports/npz/results.npz"))
    assert result.depth.shape == ((1, 336, 504) if name == "da3mono-large" else (1, 518, 784))


@pytest.mark.parametrize("size", [None, (84, 84)])
@pytest.mark.parametrize("file", ["da3metric-large.onnx", "depth-anything-v2-small.onnx", "stated.onnx"])
def test_of_onnx_files(file: str, size: tuple[int, int] | None, photo, tmp_path: Path) -> None:
    metadata = stated("depth") if file == "stated.onnx" else {}
    names = {"input_name": "pixel_values", "output_name": "predicted_depth", "rank": 3} if "v2" in file else {}
    write_graph(tmp_path / file, size=size, metadata=metadata, **names)
    both(photo(28), "--onnx", file, *([] if size else ["--process-res", "56"]))


def test_inference_keeps_to_what_is_documented(photo, monkeypatch: pytest.MonkeyPatch) -> None:
    """504 pixels and no cameras of a single-view model, whatever EXIF says."""
    monkeypatch.setattr(recon.api, "ready_model", recon.models.ready.ready_model)
    prediction = DepthAnything3("depth-anything-v2-small").inference(photo(28, 45, 30))
    assert prediction.depth.shape == (1, 336, 504)
    assert prediction.intrinsics is None
    assert prediction.extrinsics is None
