from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.sources.colmap import read_colmap
from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random


def random_points(generator: np.random.Generator, count: int, views: int) -> SparsePoints:
    observed = tuple(np.flatnonzero(generator.random(count) < 0.5) for _ in range(views))
    return SparsePoints(generator.normal(size=(count, 3)), observed, generator.random(count))


def test_depths_are_along_the_camera_axis():
    generator = numpy_random(0)
    points, cameras = random_points(generator, 40, 3), random_extrinsics(generator, 3)
    for view in range(3):
        seen = points.points[points.observed[view]]
        homogeneous = np.concatenate([seen, np.ones((len(seen), 1))], axis=1) @ cameras[view].T
        np.testing.assert_allclose(points.in_camera(view, cameras), homogeneous[:, :3], atol=1e-12)
        np.testing.assert_allclose(points.depths(view, cameras[:, :3]), homogeneous[:, 2], atol=1e-12)


def test_track_lengths_and_chosen_views():
    points = random_points(numpy_random(1), 40, 5)
    lengths = [sum(index in view for view in points.observed) for index in range(40)]
    np.testing.assert_array_equal(points.track_lengths, lengths)
    chosen = points.select_views([3, 0])
    np.testing.assert_array_equal(chosen.observed[0], points.observed[3])
    np.testing.assert_array_equal(chosen.observed[1], points.observed[0])
    assert len(chosen) == 40


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match=r"points must have shape \(any, 3\)"):
        SparsePoints(np.zeros((3, 2)), ())
    with pytest.raises(ValueError, match=r"observed\[1\] must hold indices of the 3 points"):
        SparsePoints(np.zeros((3, 3)), (np.array([0]), np.array([3])))
    with pytest.raises(ValueError, match=r"errors must have shape \(3,\)"):
        SparsePoints(np.zeros((3, 3)), (), np.zeros(2))


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


def test_fisheye_models_are_refused(tmp_path: Path):
    write_model(tmp_path / "model", "OPENCV_FISHEYE", [50, 51, 32, 24, 0, 0, 0, 0], text=True)
    with pytest.raises(InputError, match=r"model OPENCV_FISHEYE is not one of .* undistort the images first"):
        read_colmap(tmp_path / "model")


def test_missing_and_damaged_models(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match="holds no COLMAP model: cameras, images and points3D"):
        read_colmap(tmp_path)
    for name in ("cameras", "images", "points3D"):
        (tmp_path / f"{name}.txt").write_text("1 nonsense\n")
    with pytest.raises(InputError, match="is not a readable COLMAP model") as caught:
        read_colmap(tmp_path)
    assert "\n" not in str(caught.value)
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
