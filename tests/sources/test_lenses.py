"""Lenses of every model that COLMAP knows: what a pinhole photo shows is what the lens saw there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.adapted_photos import AdaptedPhotos, photo_changes, with_lenses
from recon.sources.lenses import Lens, pinhole_view, to_pinhole
from recon.sources.open_source import open_source
from recon.sources.photo_change import UPRIGHT, PhotoChange
from recon.sources.views import undistorted
from recon.types.lens import distort
from tests.sources.colmap_models import bent_camera, models, pattern, pixel_centres, write_scene

OPENCV = {"SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"}


@pytest.mark.parametrize("model", models())
@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_photos_of_every_model_become_what_a_pinhole_camera_sees(model: str, tmp_path: Path) -> None:
    camera = bent_camera(model)
    (pose,) = write_scene(tmp_path, [camera], ["a.png"])
    source = open_source(tmp_path)
    cameras = source.cameras
    assert cameras is not None
    np.testing.assert_allclose(cameras.world_to_camera, [pose], atol=1e-12)
    pinhole = cameras.pinhole()
    assert pinhole.intrinsics is not None
    intrinsics = pinhole.intrinsics[0]
    own = camera.calibration_matrix()
    np.testing.assert_allclose(intrinsics[:2, 2], own[:2, 2], atol=1e-9)
    assert intrinsics[0, 0] / intrinsics[1, 1] == pytest.approx(own[0, 0] / own[1, 1])
    assert intrinsics[0, 0] > 0.5 * own[0, 0]

    photo = undistorted(source.read(0), cameras, 0)
    centres = pixel_centres((photo.width, photo.height))
    rays = np.concatenate(
        [(centres - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]], np.ones((*centres.shape[:2], 1))], 2
    )
    apart = np.abs(photo.pixels.astype(int) - pattern(rays))
    assert np.median(apart) <= 1
    assert apart.mean() < 1.5
    if model not in OPENCV:
        assert source.paths == (None,)


@pytest.mark.parametrize("model", sorted(OPENCV))
def test_polynomials_stay_coefficients(model: str) -> None:
    camera = bent_camera(model)
    lens = Lens.of(camera)
    assert lens.opencv is not None
    rays = np.array([[0.1, -0.2], [0.5, 0.3], [-0.4, 0.6]])
    bent = distort(rays, lens.opencv) @ lens.intrinsics[:2, :2].T + lens.intrinsics[:2, 2]
    expected = camera.img_from_cam(np.concatenate([rays, np.ones((3, 1))], axis=1))
    np.testing.assert_allclose(bent, expected, atol=1e-9)


def test_what_a_lens_of_more_than_a_half_turn_sees_is_cut_and_said(tmp_path: Path) -> None:
    import pycolmap

    wide = pycolmap.Camera(model="OPENCV_FISHEYE", width=160, height=160, params=[45, 45, 80, 80, 0, 0, 0, 0])
    write_scene(tmp_path, [wide], ["a.png"])
    with pytest.warns(ReconWarning, match=r"1 photos of the lens OPENCV_FISHEYE.*120° of its 180° or more: \d\d%"):
        source = open_source(tmp_path)
    assert source.cameras is not None
    assert source.cameras.distortion is None
    view = pinhole_view(Lens.of(wide))
    assert view.degrees == pytest.approx(120)
    assert view.lens_degrees is None


def test_masks_and_depth_keep_their_values() -> None:
    lens = Lens.of(bent_camera("OPENCV_FISHEYE"))
    intrinsics = pinhole_view(lens).intrinsics
    depth = np.arange(160 * 240, dtype=np.float32).reshape(160, 240)
    assert np.isin(to_pinhole(depth, lens, intrinsics), depth).all()
    mask = np.zeros((160, 240), bool)
    mask[:, :120] = True
    warped = to_pinhole(mask, lens, intrinsics)
    assert warped.dtype == np.bool_
    assert (warped[:, :120].mean(), warped[:, 134:].mean()) == (1.0, 0.0)


def test_a_lens_at_another_size() -> None:
    lens = Lens.of(bent_camera("THIN_PRISM_FISHEYE"))
    half = lens.resized((120, 80))
    np.testing.assert_allclose(pinhole_view(half).intrinsics[:2], pinhole_view(lens).intrinsics[:2] / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "parameters", "said"),
    [
        ("OPENCV_FISHEYE", (100, 100, 80), "parameters are not what"),
        ("OPENCV_FISHEYE", (100, 100, 80, np.nan, 0, 0, 0, 0), "NaN"),
        ("SIMPLE_PINHOLE", (-100, 80, 60), "focal length must be positive"),
        ("EQUIRECTANGULAR", (160, 120), "all around"),
        ("OMNI", (100, 80, 60), "none that COLMAP knows"),
    ],
)
def test_lenses_that_are_none(model: str, parameters: tuple[float, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"camera 1.*{said}"):
        Lens(model, parameters, (160, 120)).check("camera 1")


def test_a_photo_turned_first_and_undistorted_later_has_both_changes(tmp_path: Path) -> None:
    lens = Lens.of(bent_camera("OPENCV_FISHEYE"))
    write_scene(tmp_path, [bent_camera("PINHOLE")] * 2, ["a.png", "b.png"])
    photos = open_source(tmp_path / "images")
    turned = AdaptedPhotos(photos, (6, UPRIGHT), (None, None))
    assert photo_changes(with_lenses(turned, (lens, None))) == {"a.png": PhotoChange(lens, 6)}
    assert with_lenses(turned, (None, None)) is turned
