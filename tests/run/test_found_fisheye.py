"""Photos of a fisheye that nobody told of: the lens is found, and everything after sees pinhole photos."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from recon.choices import InferenceOptions
from recon.estimate.stereo import StereoEstimator
from recon.geometry.cameras import invert_rigid
from recon.geometry.similarity import align_cameras
from recon.messages import ReconWarning
from recon.run.pipeline import Reconstruction, reconstruct
from recon.sources.cameras_file import read_cameras_file
from recon.stereo.multi_view import StereoOptions
from tests.sfm.cards import arc, photograph, stage
from tests.sfm.synthetic_models import relative_angle

LENS = pycolmap.Camera(
    model="OPENCV_FISHEYE", width=280, height=210, params=[140.0, 140.0, 141.0, 104.0, 0.02, -0.004, 0, 0]
)
"""115° across."""
TRUTH = arc(6)
PLANES = (9.0, 7.0, 6.0, 5.0, 4.2)
"""Of the cards, along z."""


def fisheye_photos(lens: pycolmap.Camera) -> np.ndarray:
    """(N, H, W, 3) of cards that fill a wide view."""
    cards = [(texture, np.diag([2.5, 2.5, 1, 1]) @ to_world) for texture, to_world in stage()]
    wide = np.array([[140.0, 0, 350], [0, 140.0, 265], [0, 0, 1]])
    x, y = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    rays = np.asarray(lens.cam_ray_from_img(np.stack([x.ravel(), y.ravel()], axis=1))) @ wide.T
    places = (rays[:, :2] / rays[:, 2:] - 0.5).astype(np.float32).reshape(*x.shape, 2)
    photos = photograph(cards, TRUTH, wide, (530, 700))
    return np.stack([cv2.remap(photo, places, None, cv2.INTER_CUBIC) for photo in photos])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reconstruction, Path, list[str]]:
    """What came out, the folder of the run, and what was warned of."""
    folder = tmp_path_factory.mktemp("found")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ReconWarning)
        result = reconstruct(
            StereoEstimator(StereoOptions(device="cpu")),
            list(fisheye_photos(LENS)),
            cameras="sfm",
            options=InferenceOptions(process_res=LENS.width, clean=False),
            export_dir=folder,
            export_format="npz",
        )
    return result, folder, [str(one.message) for one in told]


def test_rotations_are_right(run: tuple[Reconstruction, Path, list[str]]) -> None:
    extrinsics = run[0].prediction.extrinsics
    assert extrinsics is not None
    assert len(extrinsics) == len(TRUTH)
    assert relative_angle(extrinsics, TRUTH) < 0.1


def test_the_record_says_what_was_chosen_and_why(run: tuple[Reconstruction, Path, list[str]]) -> None:
    _, folder, told = run
    record = json.loads((folder / "run.json").read_text())
    (lens,) = record["cameras"]["sfm"]["lenses"]
    assert lens["model"] == "OPENCV_FISHEYE"
    (trial,) = (one for one in lens["tried"] if one["freedom"] == "OPENCV_FISHEYE")
    assert trial["taken"]
    assert trial["gain"] > 0.5
    assert trial["certainty"] > 3
    (line,) = (one for one in told if "OPENCV_FISHEYE" in one)
    assert "6 photos" in line
    assert "of its 11" in line
    entries = read_cameras_file(folder / "run.json").entries
    for entry in entries:
        assert entry["lens"].model == "OPENCV_FISHEYE"
        assert entry["lens"].params[0] == pytest.approx(140, rel=0.01)


def test_stereo_finds_depth_of_the_pinhole_photos(run: tuple[Reconstruction, Path, list[str]]) -> None:
    prediction = run[0].prediction
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    similarity = align_cameras(TRUTH, prediction.extrinsics)
    assert similarity is not None
    valid = prediction.valid
    assert valid.mean() > 0.5
    height, width = prediction.depth.shape[1:]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=2)
    for view in range(len(TRUTH)):
        own = valid[view]
        in_camera = pixels[own] @ np.linalg.inv(prediction.intrinsics[view]).T * prediction.depth[view][own][:, None]
        to_world = invert_rigid(prediction.extrinsics[view][None])[0]
        places = similarity.apply(in_camera @ to_world[:3, :3].T + to_world[:3, 3])
        off = np.abs(places[:, 2:] / PLANES - 1).min(axis=1)
        assert np.median(off) < 0.01
