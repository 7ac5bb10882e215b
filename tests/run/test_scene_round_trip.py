"""Cameras come in from COLMAP and nerfstudio, go out again to either, and are the same: any size, shape and lens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.geometry.sparse_points import SparsePoints
from recon.run.load import load
from recon.run.pipeline import reconstruct
from recon.sources.open_source import open_source
from recon.types.cameras import Cameras
from tests.fake_network import HEIGHT, WIDTH, fake_model, photos, user_cameras
from tests.sources.colmap_models import bent_camera, write_scene

NAMES = ("a.png", "left/b.png", "left/c.png", "d.png")
LENSES = ("OPENCV", "OPENCV_FISHEYE", "SIMPLE_RADIAL", "PINHOLE")
SIZES = ((240, 160), (160, 240), (200, 150), (240, 160))
"""Landscape, portrait, another shape."""


def projected(cameras: Cameras, points: np.ndarray) -> np.ndarray:
    """(N, P, 2) pixels of the undistorted originals."""
    pinhole = cameras.pinhole()
    assert pinhole.world_to_camera is not None
    assert pinhole.intrinsics is not None
    found = []
    for pose, intrinsics in zip(pinhole.world_to_camera, pinhole.intrinsics, strict=True):
        pixels = (points @ pose[:3, :3].T + pose[:3, 3]) @ intrinsics.T
        found.append(pixels[:, :2] / pixels[:, 2:])
    return np.array(found)


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_what_comes_in_goes_out(tmp_path: Path) -> None:
    cameras = [bent_camera(lens, size) for lens, size in zip(LENSES, SIZES, strict=True)]
    poses = write_scene(tmp_path / "scene", cameras, NAMES)
    order = sorted(range(4), key=lambda index: NAMES[index])
    options = InferenceOptions(process_res=70)
    out = tmp_path / "out"
    result = reconstruct(
        fake_model(), tmp_path / "scene", options=options, export_dir=out, export_format="colmap-nerfstudio"
    )
    np.testing.assert_allclose(result.prediction.extrinsics, poses[order, :3], atol=1e-6)
    first = open_source(tmp_path / "scene")
    assert first.cameras is not None
    assert isinstance(first.points, SparsePoints)
    for place in (out / "sparse" / "0", out / "transforms.json"):
        again = open_source(place)
        assert again.names == first.names
        assert again.cameras is not None
        np.testing.assert_allclose(again.cameras.world_to_camera, first.cameras.world_to_camera, atol=1e-5)
        np.testing.assert_array_equal(again.cameras.sizes, first.cameras.sizes)
        expected = projected(first.cameras, first.points.points)
        apart = np.linalg.norm(projected(again.cameras, first.points.points) - expected, axis=2)
        near = (np.abs(expected) < 2000).all(axis=2)  # others are behind the camera or next to its plane
        assert near.any(axis=1).all()
        assert apart[near].max() < 0.5


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_photos_of_a_fisheye_go_out_as_their_cameras_see_them(tmp_path: Path) -> None:
    """Also where the cameras are given beside the photos, and in a later export."""
    write_scene(tmp_path / "scene", [bent_camera("OPENCV_FISHEYE")], ["a.png"])
    expected = open_source(tmp_path / "scene").read(0).pixels
    options = InferenceOptions(process_res=70)
    model, photos_folder = tmp_path / "scene" / "sparse" / "0", tmp_path / "scene" / "images"
    for out, given, cameras in (("a", tmp_path / "scene", None), ("b", photos_folder, model)):
        settings = {"inputs": [str(given)], "cameras": None if cameras is None else str(cameras)}
        reconstruct(
            fake_model(),
            given,
            cameras=cameras,
            options=options,
            export_dir=tmp_path / out,
            export_format="colmap-npz",
            settings=settings,
        )
        with Image.open(tmp_path / out / "images" / "a.png") as written:
            np.testing.assert_array_equal(np.asarray(written), expected)
        originals = load(tmp_path / out).originals
        assert originals is not None
        np.testing.assert_array_equal(originals.read(0)[0], expected)


@pytest.mark.parametrize("convention", ["c2w", "opengl", "c2w-opengl"])
def test_arrays_in_another_convention(convention: str) -> None:
    given = user_cameras(2)
    axes = np.diag([1.0, -1, -1, 1])
    changed = axes @ given if "opengl" in convention else given
    changed = np.linalg.inv(changed) if "c2w" in convention else changed
    intrinsics = np.tile([[300.0, 0, WIDTH], [0, 300, HEIGHT], [0, 0, 1]], (2, 1, 1))
    options = InferenceOptions(process_res=70, convention=convention)
    result = reconstruct(fake_model(), photos(2), changed, intrinsics, options=options)
    np.testing.assert_allclose(result.prediction.extrinsics, given[:, :3], atol=1e-6)
