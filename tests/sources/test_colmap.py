from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.sources.colmap import read_colmap
from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random


def write_model(folder: Path, model: str, parameters: list[float], text: bool) -> np.ndarray:
    """Three images of a COLMAP model, written out of order, the last without a pose; returns their extrinsics."""
    import pycolmap

    scene = pycolmap.Reconstruction()
    camera = pycolmap.Camera(model=model, width=64, height=48, params=parameters, camera_id=1)
    scene.add_camera_with_trivial_rig(camera)
    extrinsics = random_extrinsics(numpy_random(0), 2)
    for image_id, name in ((1, "b10.jpg"), (2, "b9.jpg"), (3, "b1.jpg")):
        image = pycolmap.Image(name=name, keypoints=np.full((2, 2), 9.0), camera_id=1, image_id=image_id)
        if image_id < 3:
            scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(extrinsics[image_id - 1][:3]))
        else:
            scene.add_image_with_trivial_frame(image)
    for position, elements in (((1.0, 2.0, 3.0), [(1, 0), (2, 0)]), ((4.0, 5.0, 6.0), [(2, 1)])):
        track = pycolmap.Track()
        for image_id, index in elements:
            track.add_element(image_id, index)
        scene.add_point3D(np.array(position), track)
    folder.mkdir(parents=True)
    (scene.write_text if text else scene.write_binary)(folder)
    return extrinsics


@pytest.mark.parametrize("text", [True, False])
def test_a_model_is_read_in_natural_order(text: bool, tmp_path: Path):
    extrinsics = write_model(tmp_path / "model", "OPENCV", [50, 51, 32, 24, 0.1, -0.02, 0.003, 0.004], text)
    model = read_colmap(tmp_path / "model")
    assert model.names == ("b9.jpg", "b10.jpg")
    assert model.cameras.world_to_camera is not None
    assert model.cameras.intrinsics is not None
    np.testing.assert_allclose(model.cameras.world_to_camera, extrinsics[::-1], atol=1e-9)
    np.testing.assert_allclose(model.cameras.intrinsics, [[[50, 0, 32], [0, 51, 24], [0, 0, 1]]] * 2)
    assert model.cameras.distortion is not None
    np.testing.assert_allclose(model.cameras.distortion, [[0.1, -0.02, 0.003, 0.004, 0, 0, 0, 0]] * 2)
    assert model.cameras.sizes.tolist() == [[64, 48]] * 2
    np.testing.assert_allclose(model.sparse.points, [[1, 2, 3], [4, 5, 6]])
    assert [seen.tolist() for seen in model.sparse.observed] == [[0, 1], [0]]


def test_a_pinhole_model_has_no_distortion(tmp_path: Path):
    write_model(tmp_path / "model", "PINHOLE", [50, 51, 32, 24], text=True)
    assert read_colmap(tmp_path / "model").cameras.distortion is None


def test_names_in_the_other_unicode_form_are_composed(tmp_path: Path):
    write_model(tmp_path / "model", "PINHOLE", [50, 51, 32, 24], text=True)
    images = tmp_path / "model" / "images.txt"
    images.write_text(images.read_text().replace("b9.jpg", unicodedata.normalize("NFD", "é9.jpg")), encoding="utf-8")
    assert read_colmap(tmp_path / "model").names == ("b10.jpg", "é9.jpg")


def test_a_fisheye_has_no_coefficients_of_opencvs_polynomial(tmp_path: Path):
    write_model(tmp_path / "model", "OPENCV_FISHEYE", [50, 51, 32, 24, 0, 0, 0, 0], text=True)
    model = read_colmap(tmp_path / "model")
    assert [lens.model for lens in model.lenses] == ["OPENCV_FISHEYE"] * 2
    with pytest.raises(InputError, match="OPENCV_FISHEYE; undistort the images first"):
        _ = model.cameras


def test_missing_and_damaged_models(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match="holds no COLMAP model: cameras, images and points3D"):
        read_colmap(tmp_path)
    for name in ("cameras", "images", "points3D"):
        (tmp_path / f"{name}.txt").write_text("1 nonsense\n")
    with pytest.raises(
        InputError, match=r"is not a readable COLMAP model: line 1 of .*cameras\.txt'.*nonsense"
    ) as caught:
        read_colmap(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "cameras.txt").write_text("# one\n1 PINHOLE 4 3 5 5 2 1.5\n")
    for right, wrong in (("1 1 0 0 0 0 0 0 1 a.png\n", "1 2 x"), ("1 1 0 0 0 0 0 0 1 a.png\n\n", "2 1 0 0 0 0 0 0")):
        (tmp_path / "images.txt").write_text(right + wrong)
        number = right.count("\n") + 1
        with pytest.raises(InputError, match=rf"line {number} of '.*images\.txt'.*{wrong}"):
            read_colmap(tmp_path)
    for name in ("cameras", "images", "points3D"):
        (tmp_path / f"{name}.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="has no registered image"):
        read_colmap(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_points_of_the_door_agree_with_its_cameras(shared_data: Path):
    """Every point lies in front of the cameras that see it, and within their photos."""
    model = read_colmap(shared_data / "door" / "sparse" / "0")
    assert model.cameras.world_to_camera is not None
    assert model.cameras.intrinsics is not None
    assert model.names[0] == "DSC_0001.JPG"
    assert len(model.sparse) == 11384
    assert model.sparse.track_lengths.max() == 12
    assert model.sparse.errors is not None
    assert model.sparse.errors.mean() == pytest.approx(0.355, abs=1e-3)
    for view in range(12):
        in_camera = model.sparse.in_camera(view, model.cameras.world_to_camera)
        pixels = in_camera @ model.cameras.intrinsics[view].T
        assert (np.abs(pixels[:, :2] / pixels[:, 2:] - [648, 968]) < [670, 1000]).all()
        depths = model.sparse.depths(view, model.cameras.world_to_camera)
        assert depths.min() > 10
        assert depths.max() < 40
