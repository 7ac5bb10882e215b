"""Every folder layout says the same about the same scene."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.eval.ground_truth import is_ground_truth, match_names, read_ground_truth, sample_depth
from recon.eval.true_surface import surface_sizes, true_points
from recon.eval.truth import GroundTruth, SparseDepth
from recon.geometry.cameras import camera_centres
from recon.messages import ReconWarning
from tests.conftest import REPOSITORY
from tests.eval.layout_folders import (
    HEIGHT,
    HYPERSIM_TILT,
    INTRINSICS,
    LAYOUTS,
    NORMAL,
    OFFSET,
    WIDTH,
    blendedmvs,
    cameras,
    colmap,
    depth_map,
    dtu,
    eth3d,
    hypersim,
    sample,
    scannetpp,
    seven_scenes,
    tartanair,
    write_hypersim,
)

from ..synthetic.sample_scenes import load_scene

UNITS = {"dtu": 1000, "dtu_train": 1000}
"""Per metre; 1 for the others."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cameras_and_depth_of_every_layout(layout: str, tmp_path: Path) -> None:
    folder = LAYOUTS[layout](tmp_path)
    assert is_ground_truth(folder)
    truth = read_ground_truth(folder)
    units = UNITS.get(layout, 1)
    assert truth.units == {"blendedmvs": "units"}.get(layout, "mm" if units == 1000 else "m")
    expected = cameras()
    expected[:, :3, 3] *= units
    np.testing.assert_allclose(truth.extrinsics, expected, atol=1e-6 * units)
    assert all(path.is_file() for path in truth.image_paths)
    width, height = truth.image_sizes[0]
    if (width, height) == (WIDTH, HEIGHT):
        np.testing.assert_allclose(truth.intrinsics, np.tile(INTRINSICS, (4, 1, 1)), atol=1e-9)

    # At a third of the size, a little off the middle: depth is that of the wall along the same rays.
    size = (height // 3, width // 3)
    to_image = np.array([[2.9, 0, 3], [0, 2.8, 2], [0, 0, 1]])
    for view in range(4):
        sampled = sample_depth(truth, view, size, to_image)
        assert sampled is not None
        depth, sky = sampled
        assert sky is None or not (sky & (depth > 0)).any()
        wall = units * depth_map(cameras()[view], np.linalg.inv(to_image) @ truth.intrinsics[view], size[1], size[0])
        known = depth > 0
        assert known.mean() > 0.5
        # The nearest depth pixel is at most half of one away, and the wall rises by less than 2 % over a pixel.
        assert np.abs(depth / wall - 1)[known].max() < 0.02
        assert np.median((depth / wall - 1)[known]) == pytest.approx(0, abs=1e-3)


def test_painted_sky_of_tartanair_is_sky(tmp_path: Path) -> None:
    sampled = sample_depth(read_ground_truth(tartanair(tmp_path)), 1, (480, 640), np.eye(3))
    assert sampled is not None
    depth, sky = sampled
    assert sky is not None
    assert sky[:20].all()
    assert not sky[20:].any()
    assert (depth[:20] == 0).all()


def test_tilted_and_shifted_cameras_of_hypersim_are_turned_pinhole_cameras(tmp_path: Path) -> None:
    """Every pixel's depth, unprojected by the camera as it is read, lies on the wall."""
    from recon.geometry.unprojection import unproject_depth

    folder = write_hypersim(tmp_path, HYPERSIM_TILT)
    truth = read_ground_truth(folder)
    assert truth.layout == "Hypersim"
    assert truth.units == "m"
    np.testing.assert_allclose(  # tilting turns a camera about its centre
        camera_centres(truth.extrinsics), camera_centres(cameras()), atol=1e-9
    )
    np.testing.assert_allclose(np.tril(truth.intrinsics[0], -1), 0, atol=1e-9)
    assert (np.diag(truth.intrinsics[0]) > 0).all()
    for view in range(4):
        sampled = sample_depth(truth, view, (72, 96), np.eye(3))
        assert sampled is not None
        depth = sampled[0]
        assert (depth[:5] == 0).all()
        points = unproject_depth(depth[None], truth.intrinsics[[view]], truth.extrinsics[[view]])[0]
        np.testing.assert_allclose(points[depth > 0] @ NORMAL, OFFSET, atol=2e-5)


def test_hypersim_without_its_file_of_parameters(tmp_path: Path) -> None:
    with pytest.warns(ReconWarning, match=r"metadata_camera_parameters\.csv"):
        truth = read_ground_truth(write_hypersim(tmp_path, None))
    assert truth.intrinsics[2, 0, 0] == pytest.approx(48 / np.tan(np.pi / 6))
    (tmp_path / "metadata_camera_parameters.csv").write_text("scene_name\nai_002_001\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no scene ai_001_001"):
        read_ground_truth(tmp_path / "ai_001_001")


@pytest.mark.parametrize(
    ("make", "file", "said"),
    [
        (tartanair, "pose_left.txt", "tx ty tz qx qy qz qw"),
        (blendedmvs, "cams/00000002_cam.txt", "not an MVSNet camera"),
        (hypersim, "_detail/cam_01/camera_keyframe_positions.hdf5", "not a file of HDF5"),
        (hypersim, "_detail/metadata_scene.csv", "meters_per_asset_unit"),
    ],
)
def test_damaged_files_of_training_sets_are_named(
    make: Callable[[Path], Path], file: str, said: str, tmp_path: Path
) -> None:
    folder = make(tmp_path)
    (folder / file).write_text("nothing", encoding="utf-8")
    with pytest.raises(InputError, match=said) as error:
        read_ground_truth(folder)
    assert Path(file).name in str(error.value)


def test_poses_and_images_of_tartanair_must_be_as_many(tmp_path: Path) -> None:
    folder = tartanair(tmp_path)
    (folder / "image_left" / "000003_left.png").unlink()
    with pytest.raises(InputError, match="holds 4 poses, and image_left/ 3 images"):
        read_ground_truth(folder)


def test_half_a_pixel_is_not_lost(tmp_path: Path) -> None:
    """At full size, every depth pixel is found at the photo's pixel that it belongs to."""
    truth = read_ground_truth(dtu(tmp_path))
    sampled = sample_depth(truth, 2, (1200, 1600), np.eye(3))
    assert sampled is not None
    wall = 1000 * depth_map(cameras()[2], truth.intrinsics[2], 1600, 1200)
    np.testing.assert_allclose(sampled[0][200:], wall[200:], rtol=1e-6)
    assert (sampled[0][:200] == 0).all()  # masked out


@pytest.mark.parametrize("make", [eth3d, seven_scenes, scannetpp, dtu])
def test_surface_is_the_wall(make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.eval.true_surface.SAMPLES", 50_000)
    truth = read_ground_truth(make(tmp_path))
    sizes = surface_sizes(truth, np.zeros((1, 2, 2), np.float32))
    assert sizes is not None
    assert sizes == truth.surface_defaults
    units = 1000 if truth.units == "mm" else 1
    points = true_points(truth, np.empty((0, 1, 1)), np.empty((0, 3, 3)), np.empty((0, 4, 4)), 0.5 * units) / units
    assert len(points) > 3000
    # Means of a few points of a tilted wall lie on it; scans are moved into the cameras' world.
    np.testing.assert_allclose(points @ NORMAL, OFFSET, atol=1e-4)


def test_sizes_without_a_benchmark_come_from_the_depth(tmp_path: Path) -> None:
    truth = replace(read_ground_truth(seven_scenes(tmp_path)), surface_defaults=None, surface_files=())
    depth = np.full((1, 4, 4), 3, np.float32)
    sizes = surface_sizes(truth, depth)
    assert sizes is not None
    assert sizes.threshold == pytest.approx(0.03)
    finer = surface_sizes(truth, depth, threshold=0.1, voxel=sizes.voxel / 2)
    assert finer is not None
    assert (finer.threshold, finer.truncation) == pytest.approx((0.1, sizes.truncation / 2))
    assert surface_sizes(truth, np.zeros((1, 4, 4), np.float32)) is None


def test_holes_in_depth_stay_holes(tmp_path: Path) -> None:
    truth = read_ground_truth(seven_scenes(tmp_path))
    sampled = sample_depth(truth, 0, (480, 640), np.eye(3))
    assert sampled is not None
    assert (sampled[0][100:110, 200:230] == 0).all()
    assert (sampled[0] == 0).sum() == 300
    beside = sample_depth(truth, 0, (480, 640), np.array([[1.0, 0, 320], [0, 1, 0], [0, 0, 1]]))
    assert beside is not None
    assert (beside[0][:, 320:] == 0).all()  # outside of the photo


def test_lost_frames_are_left_out(tmp_path: Path) -> None:
    assert len(read_ground_truth(seven_scenes(tmp_path)).image_names) == 4


def test_eth3d_originals_by_name(tmp_path: Path) -> None:
    scene = eth3d(tmp_path)
    for depth_file in (scene / "ground_truth_depth" / "dslr_images").iterdir():
        write = scene / "images" / "dslr_images" / depth_file.name
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_bytes(b"")
    truth = read_ground_truth(scene / "dslr_calibration_jpg")
    assert truth.image_names[0] == "dslr_images/DSC_0000.JPG"
    np.testing.assert_array_equal(truth.image_sizes, np.tile([100, 90], (4, 1)))
    np.testing.assert_allclose(truth.intrinsics[0], [[68, 0, 48], [0, 69, 46], [0, 0, 1]])
    sampled = sample_depth(truth, 1, (90, 100), np.eye(3))
    assert sampled is not None
    assert (sampled[0][60:62] == 0).all()  # the mask of this photo
    assert (sampled[0][45:50, 45:50] == 0).all()  # infinite in the file


def test_eth3d_without_depth(tmp_path: Path) -> None:
    scene = eth3d(tmp_path)
    (scene / "dslr_calibration_jpg" / "cameras.txt").unlink()
    truth = read_ground_truth(scene)
    assert truth.depth_files == ()
    assert sample_depth(truth, 0, (10, 10), np.eye(3)) is None


def test_64_positions_of_dtu(tmp_path: Path) -> None:
    scan = dtu(tmp_path)
    images = tmp_path / "scan105" / "image"
    images.mkdir(parents=True)
    for i in range(4):
        (scan / f"rect_{i + 1:03d}_3_r5000.png").rename(images / f"{i:08d}.png")
    truth = read_ground_truth(tmp_path / "scan105")
    assert truth.image_names == tuple(f"{i:08d}.png" for i in range(4))
    expected = cameras()
    expected[:, :3, 3] *= 1000
    np.testing.assert_allclose(truth.extrinsics, expected, atol=1e-9)
    assert truth.depth_files == ()


def test_names_are_matched_by_the_end_of_their_path() -> None:
    truth = ["dslr_images/DSC_1.JPG", "dslr_images/DSC_2.JPG", "left/3.png", "right/3.png"]
    assert match_names(["DSC_2.JPG", "DSC_1.jpg", "right/3.png", "3.png", "other.png"], truth) == [1, 0, 3, None, None]
    assert match_names(["photos/dslr_images/DSC_1.JPG"], truth) == [0]
    assert match_names([], truth) == []
    assert match_names([unicodedata.normalize("NFD", "é.jpg")], ["é.jpg", "e.jpg"]) == [0]


def test_sample_scene(tmp_path: Path) -> None:
    truth = read_ground_truth(sample(tmp_path))
    assert truth.image_names == (*(f"images/{i:04d}.jpg" for i in range(4)), "held_out/0004.jpg")
    np.testing.assert_allclose(truth.extrinsics, cameras(5))
    np.testing.assert_allclose(truth.intrinsics, np.tile(INTRINSICS, (5, 1, 1)))
    for view in range(5):
        sampled = sample_depth(truth, view, (HEIGHT, WIDTH), np.eye(3))
        assert sampled is not None
        depth, sky = sampled
        assert sky is not None
        assert sky[:20].all()
        assert not sky[20:].any()
        np.testing.assert_array_equal(depth == 0, sky)
        wall = depth_map(cameras(5)[view], INTRINSICS, WIDTH, HEIGHT)
        np.testing.assert_allclose(depth[20:], wall[20:], atol=0.0006)
    (tmp_path / "scene.json").write_text('{"name": "wall"}', encoding="utf-8")
    with pytest.raises(InputError, match="depth_scale"):
        read_ground_truth(tmp_path)


@pytest.mark.parametrize("name", ["courtyard", "table"])
def test_shipped_scenes_are_read_as_they_were_written(name: str) -> None:
    folder = REPOSITORY / "scenes" / name
    if not folder.is_dir():
        pytest.skip("no sample scenes")
    truth, views = read_ground_truth(folder), load_scene(folder)
    count, height, width = views.depth.shape
    assert views.cameras.world_to_camera is not None
    np.testing.assert_allclose(truth.extrinsics[:count], views.cameras.world_to_camera)
    sampled = sample_depth(truth, 1, (height, width), np.eye(3))
    assert sampled is not None
    np.testing.assert_array_equal(sampled[0], views.depth[1])
    np.testing.assert_array_equal(sampled[1], views.sky[1])
    assert len(truth.image_names) > count  # those held out


def test_points_of_a_colmap_model(tmp_path: Path) -> None:
    truth = read_ground_truth(colmap(tmp_path))
    np.testing.assert_allclose(truth.extrinsics, cameras(), atol=1e-9)
    np.testing.assert_allclose(truth.intrinsics, np.tile(INTRINSICS, (4, 1, 1)))
    to_image = np.array([[2.0, 0, 0], [0, 2, 2], [0, 0, 1]])
    sampled = sample_depth(truth, 3, (28, 40), to_image)
    assert sampled is not None
    wall = depth_map(cameras()[3], np.linalg.inv(to_image) @ INTRINSICS, 40, 28)
    known = sampled[0] > 0
    assert known.sum() > 50
    assert np.abs(sampled[0] / wall - 1)[known].max() < 0.02  # a point lies up to half a pixel off the centre
    assert surface_sizes(truth, sampled[0][None]) is not None


def test_the_nearer_point_of_a_pixel_counts() -> None:
    near_and_far = SparseDepth(np.array([[1.2, 0.5], [1.7, 0.5], [9.0, 0.5]]), np.array([2.0, 5.0, 1.0]))
    truth = GroundTruth(
        "by hand",
        Path("nowhere"),
        "m",
        ("a",),
        (Path("a"),),
        np.array([[4, 2]]),
        np.eye(4)[None],
        np.eye(3)[None],
        (near_and_far,),
    )
    sampled = sample_depth(truth, 0, (2, 4), np.eye(3))
    assert sampled is not None
    np.testing.assert_array_equal(sampled[0], [[0, 2, 0, 0], [0, 0, 0, 0]])


def test_unknown_layouts_are_listed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert not is_ground_truth(tmp_path)
    with pytest.raises(InputError, match=r"sample scene.*ETH3D.*7-Scenes.*ScanNet\+\+.*DTU.*COLMAP") as error:
        read_ground_truth(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="not a folder"):
        read_ground_truth(tmp_path / "nowhere")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    scene = eth3d(tmp_path / "a")
    (scene / "ground_truth_depth" / "dslr_images" / "DSC_0002.JPG").write_bytes(b"1234")
    with pytest.raises(InputError, match=r"DSC_0002\.JPG: expected 100×90 floats, got 1"):
        sample_depth(read_ground_truth(scene), 2, (4, 4), np.eye(3))
    (scene / "dslr_scan_eval" / "scan_alignment.mlp").write_text("<MeshLabProject>", encoding="utf-8")
    with pytest.raises(InputError, match="scan_alignment"):
        read_ground_truth(scene)
    (scene / "dslr_calibration_undistorted" / "images.txt").unlink()
    with pytest.raises(InputError, match=r"COLMAP model .*lacks images\.txt"):
        read_ground_truth(scene)

    frames = seven_scenes(tmp_path / "b")
    (frames / "seq-01" / "frame-000001.depth.png").write_bytes(b"PNG")
    with pytest.raises(InputError, match=r"frame-000001\.depth\.png: damaged"):
        sample_depth(read_ground_truth(frames), 1, (4, 4), np.eye(3))
    (frames / "seq-01" / "frame-000001.pose.txt").write_text("1 0 0", encoding="utf-8")
    with pytest.raises(InputError, match=r"frame-000001\.pose\.txt: expected 4×4"):
        read_ground_truth(frames)

    scan = dtu(tmp_path / "c")
    (tmp_path / "c" / "Cameras" / "00000001_cam.txt").write_text("extrinsic 1 2 3", encoding="utf-8")
    with pytest.raises(InputError, match="00000001_cam"):
        read_ground_truth(scan)

    rooms = scannetpp(tmp_path / "d")
    (rooms / "dslr" / "nerfstudio" / "transforms_undistorted.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="transforms_undistorted"):
        read_ground_truth(rooms)
    (rooms / "scans" / "mesh_aligned_0.05.ply").write_bytes(b"no ply")
