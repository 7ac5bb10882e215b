"""transforms.json of nerfstudio, Instant-NGP and Blender as sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.choices import SourceOptions
from recon.digests import digest
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.cameras_file import read_cameras
from recon.sources.fitting import fit_photo
from recon.sources.kinds import kind_of
from recon.sources.open_source import open_source
from recon.sources.views import read_views
from recon.types.cameras import Cameras
from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random
from tests.sources.colmap_models import bent_camera, pattern, photo_of, pixel_centres

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
SIZE = (96, 64)
SHARED = {"fl_x": 80.0, "fl_y": 82.0, "cx": 50.0, "cy": 30.0, "w": SIZE[0], "h": SIZE[1]}


def poses(count: int = 3) -> np.ndarray:
    """(N, 4, 4) world-to-camera."""
    return random_extrinsics(numpy_random(0), count)


def write(
    folder: Path,
    scene: Mapping[str, Any],
    frames: list[dict[str, Any]] | None = None,
    name: str = "transforms.json",
    size: tuple[int, int] = SIZE,
) -> Path:
    """A scene of three photos, `frames` over what each says."""
    own = frames or [{}, {}, {}]
    entries = []
    for index, (pose, said) in enumerate(zip(poses(len(own)), own, strict=True)):
        matrix = np.linalg.inv(pose) @ OPENGL
        entry = {"file_path": f"images/frame_{index}.png", "transform_matrix": matrix.tolist(), **said}
        path = folder / entry["file_path"]
        path = path if path.suffix else path.with_suffix(".png")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (entry.get("w", size[0]), entry.get("h", size[1])), (index, 0, 0)).save(path)
        entries.append(entry)
    file = folder / name
    file.write_text(json.dumps({**scene, "frames": entries}))
    return file


def cameras(path: Path, **options: Any) -> Cameras:
    known = open_source(path, SourceOptions(**options)).cameras
    assert known is not None
    return known


class TestCameras:
    def test_are_opencvs_world_to_camera(self, tmp_path: Path) -> None:
        file = write(tmp_path, {"camera_model": "OPENCV", **SHARED})
        for path in (tmp_path, file):
            assert kind_of(path).name == "nerfstudio"
            known = cameras(path)
            np.testing.assert_allclose(known.world_to_camera, poses(), atol=1e-12)
            np.testing.assert_allclose(known.intrinsics, [[[80, 0, 50], [0, 82, 30], [0, 0, 1]]] * 3)
            assert (known.distortion, known.scale, known.origin) == (None, "given", "given")
        assert open_source(tmp_path).names == ("frame_0.png", "frame_1.png", "frame_2.png")

    def test_of_each_frame_over_those_of_all(self, tmp_path: Path) -> None:
        write(tmp_path, SHARED, [{}, {"fl_x": 70.0, "w": 64, "h": 96, "cx": 32.0, "cy": 48.0, "k1": 0.01}])
        known = cameras(tmp_path)
        assert known.intrinsics is not None
        assert known.intrinsics[1, :2].tolist() == [[70, 0, 32], [0, 82, 48]]
        assert known.sizes is not None
        assert known.sizes.tolist() == [[96, 64], [64, 96]]
        assert known.distortion is not None
        assert known.distortion[:, 0].tolist() == [0, 0.01]

    @pytest.mark.parametrize("model", ["OPENCV", "PINHOLE", "SIMPLE_RADIAL", None])
    def test_polynomials(self, model: str | None, tmp_path: Path) -> None:
        bent = {"k1": 0.1, "k2": -0.02, "k3": 0.003, "p1": 0.004, "p2": -0.005}
        write(tmp_path, {**SHARED, **bent, **({} if model is None else {"camera_model": model})})
        known = cameras(tmp_path)
        assert known.distortion is not None
        np.testing.assert_allclose(known.distortion, [[0.1, -0.02, 0.004, -0.005, 0.003, 0, 0, 0]] * 3)

    @pytest.mark.parametrize("said", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}])
    @pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
    def test_fisheyes_become_pinhole_photos(self, said: dict[str, Any], tmp_path: Path) -> None:
        camera = bent_camera("OPENCV_FISHEYE")
        keys = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4")
        lens = dict(zip(keys, np.array(camera.params).tolist(), strict=True))
        path = tmp_path / "images" / "frame_0.png"
        path.parent.mkdir()
        Image.fromarray(photo_of(camera)).save(path)
        write(tmp_path, {**lens, **said, "w": camera.width, "h": camera.height}, [{}])
        source = open_source(tmp_path)
        assert source.cameras is not None
        assert source.cameras.intrinsics is not None
        assert source.cameras.distortion is None
        intrinsics = source.cameras.intrinsics[0]
        rays = np.ones((camera.height, camera.width, 3))
        rays[..., :2] = (pixel_centres((camera.width, camera.height)) - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
        assert np.abs(source.read(0).pixels.astype(int) - pattern(rays)).mean() < 1.5

    def test_field_of_view_and_no_more_as_blender_writes(self, tmp_path: Path) -> None:
        frames = [{"file_path": f"./train/r_{index}", "rotation": 0.01} for index in range(2)]
        write(tmp_path, {"camera_angle_x": 0.7}, frames, name="transforms_train.json", size=(80, 60))
        write(tmp_path, {"camera_angle_x": 0.7}, [{"file_path": "./test/r_0"}], name="transforms_test.json")
        focal = 40 / np.tan(0.35)
        source = open_source(tmp_path)
        assert source.names == ("r_0.png", "r_1.png")
        assert source.cameras is not None
        np.testing.assert_allclose(source.cameras.intrinsics, [[[focal, 0, 40], [0, focal, 30], [0, 0, 1]]] * 2)
        assert open_source(tmp_path / "transforms_test.json").names == ("r_0.png",)

    def test_what_was_applied_to_the_scene_is_undone(self, tmp_path: Path) -> None:
        applied = np.array([[1, 0, 0, 0.5], [0, 0, 1, -2], [0, -1, 0, 3.0]])
        rigid = np.vstack([applied, [0, 0, 0, 1]])
        frames = []
        for pose in poses():
            matrix = rigid @ np.linalg.inv(pose) @ OPENGL
            matrix[:3, 3] *= 0.25
            frames.append({"transform_matrix": matrix.tolist()})
        points = numpy_random(1).normal(size=(40, 3)) * 3
        moved = (points @ applied[:, :3].T + applied[:, 3]) * 0.25
        trimesh.PointCloud(moved).export(tmp_path / "points.ply")
        scene = {**SHARED, "applied_transform": applied.tolist(), "applied_scale": 0.25, "ply_file_path": "points.ply"}
        write(tmp_path, scene, frames)
        source = open_source(tmp_path)
        assert source.cameras is not None
        np.testing.assert_allclose(source.cameras.world_to_camera, poses(), atol=1e-9)
        assert source.points is not None
        np.testing.assert_allclose(source.points.points, points, atol=1e-5)

    def test_are_cameras_of_other_photos_too(self, tmp_path: Path) -> None:
        file = write(tmp_path, SHARED)
        for place in (file, tmp_path):
            found = read_cameras(place, ["frame_2.png", "frame_0.png"])
            np.testing.assert_allclose(found.world_to_camera, poses()[[2, 0]], atol=1e-12)


class TestPhotos:
    def test_masks_are_of_the_photos(self, tmp_path: Path) -> None:
        mask = np.zeros((64, 96), np.uint8)
        mask[:, :48] = 255
        (tmp_path / "masks").mkdir()
        Image.fromarray(mask).save(tmp_path / "masks" / "0.png")
        write(tmp_path, SHARED, [{"mask_path": "masks/0.png"}, {}])
        source = open_source(tmp_path)
        kept = source.read(0).mask
        assert kept is not None
        np.testing.assert_array_equal(kept, mask > 0)
        assert source.read(1).mask is None
        assert tmp_path / "masks" not in source.folders
        again = open_source(source, SourceOptions(masks=tmp_path / "masks" / "0.png", invert_masks=True))
        with pytest.raises(InputError, match="leaves nothing"):
            again.read(0)
        (tmp_path / "masks" / "0.png").unlink()
        with pytest.warns(ReconWarning, match="1 masks are missing"):
            assert open_source(tmp_path).read(0).mask is None

    def test_depth_is_in_the_unit_of_the_cameras(self, tmp_path: Path) -> None:
        metres = np.full((4, 6), 1.5, np.float32)
        Image.fromarray((metres * 1000).astype(np.uint16)).save(tmp_path / "0.png")
        np.save(tmp_path / "1.npy", metres * 1000)
        write(tmp_path, SHARED, [{"depth_file_path": "0.png"}, {"depth_file_path": "1.npy"}])
        depths = open_source(tmp_path).depths
        assert depths is not None
        np.testing.assert_allclose([depths[0], depths[1]], [metres] * 2)
        points = open_source(tmp_path).points
        assert points is not None
        assert len(points.points) == len(metres.ravel()) * 2
        before = digest(depths)
        np.save(tmp_path / "1.npy", metres * 1001)
        assert digest(open_source(tmp_path).depths) != before
        (tmp_path / "1.npy").write_bytes(b"nonsense")
        with pytest.raises(InputError, match=r"1\.npy' cannot be read as depth"):
            _ = depths[1]

    def test_depth_of_photos_whose_lens_bends(self, tmp_path: Path) -> None:
        """Each pixel's depth says in which direction it looks, so that one taken from elsewhere would tell."""
        lens = {**SHARED, "k1": 0.2, "p1": 0.01}
        known = np.array([[80.0, 0, 50], [0, 82, 30], [0, 0, 1]])
        rays = cv2.undistortPoints(pixel_centres(SIZE).reshape(-1, 1, 2), known, np.array([0.2, 0, 0.01, 0]))[:, 0]
        np.save(tmp_path / "0.npy", 1000 * (3 + rays[:, 0] + 0.5 * rays[:, 1]).reshape(SIZE[1], SIZE[0]))
        write(tmp_path, lens, [{"depth_file_path": "0.npy"}])
        views = read_views(open_source(tmp_path), lambda photo: fit_photo(photo, 98)).views
        assert views.depths is not None
        assert views.cameras.intrinsics is not None
        size = views.pixels.shape[2], views.pixels.shape[1]
        seen = pixel_centres(size).reshape(-1, 2)
        straight = (seen - views.cameras.intrinsics[0, :2, 2]) / views.cameras.intrinsics[0, [0, 1], [0, 1]]
        expected = (3 + straight[:, 0] + 0.5 * straight[:, 1]).reshape(size[::-1])
        there = np.isfinite(views.depths[0])
        assert there.mean() > 0.9
        np.testing.assert_allclose(views.depths[0][there], expected[there], rtol=0.003)

    def test_without_a_camera_and_cameras_without_a_photo(self, tmp_path: Path) -> None:
        file = write(tmp_path, SHARED)
        (tmp_path / "images" / "frame_1.png").rename(tmp_path / "images" / "other.png")
        with pytest.warns(ReconWarning) as said:
            assert open_source(file).names == ("frame_0.png", "frame_2.png")
        messages = " ".join(str(one.message) for one in said)
        assert "other.png" in messages
        assert "frame_1.png" in messages
        with pytest.raises(InputError, match=r"other\.png.*frame_1\.png"):
            open_source(file, SourceOptions(strict=True))

    def test_elsewhere(self, tmp_path: Path) -> None:
        write(tmp_path / "a", SHARED)
        (tmp_path / "a" / "images").rename(tmp_path / "photos")
        with pytest.raises(InputError, match=r"none of its photos is there, such as .*frame_0\.png"):
            open_source(tmp_path / "a")
        known = cameras(tmp_path / "a", images=tmp_path / "photos")
        np.testing.assert_allclose(known.world_to_camera, poses(), atol=1e-12)

    def test_anywhere_on_the_disk(self, tmp_path: Path) -> None:
        frames = [{"file_path": str(tmp_path / "far" / f"{index}.png")} for index in range(2)]
        (tmp_path / "scene").mkdir()
        write(tmp_path / "scene", SHARED, frames)
        Image.new("RGB", SIZE).save(tmp_path / "far" / "other.png")
        with pytest.warns(ReconWarning, match=r"other\.png"):
            assert open_source(tmp_path / "scene").names == ("0.png", "1.png")
        frames = [{"file_path": f"../far/{index}.png"} for index in range(2)]
        write(tmp_path / "scene", SHARED, frames)
        with pytest.warns(ReconWarning, match=r"other\.png"):
            assert open_source(tmp_path / "scene").names == ("0.png", "1.png")

    def test_points_behind_others_are_hidden(self, tmp_path: Path) -> None:
        trimesh.PointCloud([[0, 0, -2.0], [0.001, 0, -6.0], [0, 0, 4.0]]).export(tmp_path / "p.ply")
        frame = {"transform_matrix": np.eye(4).tolist()}
        write(tmp_path, {**SHARED, "ply_file_path": "p.ply"}, [frame])
        points = open_source(tmp_path).points
        assert points is not None
        assert [seen.tolist() for seen in points.observed] == [[0]]


NO_NUMBERS = np.eye(4).tolist()
NO_NUMBERS[0][0] = "x"  # type: ignore[call-overload]
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "singular": ({}, {"transform_matrix": np.diag([1, 1, 0, 1]).tolist()}, "frame_0.*singular"),
    "NaN": ({}, {"transform_matrix": [[float("nan")] * 4] * 4}, "frame_0.*NaN"),
    "text": ({}, {"transform_matrix": NO_NUMBERS}, "frame_0.*4×4 numbers"),
    "shape": ({}, {"transform_matrix": [[1, 0], [0, 1]]}, r"frame_0.*shape \(2, 2\)"),
    "no rotation": ({}, {"transform_matrix": np.diag([2, 2, 2, 1]).tolist()}, "must hold a rotation"),
    "no path": ({}, {"file_path": ""}, "frame 0 has no file_path"),
    "focal length": ({}, {"fl_x": -3.0}, "frame_0.*positive"),
    "no number": ({}, {"fl_x": "80"}, "frame_0.*fl_x must be a number"),
    "size": ({}, {"w": 96.5}, "frame_0.*whole numbers"),
    "angle": ({}, {"fl_x": None, "fl_y": None, "camera_angle_x": 4.0}, "camera_angle_x.*radians"),
    "model": ({"camera_model": "EQUIRECTANGULAR"}, {}, "camera_model 'EQUIRECTANGULAR' is not read"),
    "k4": ({"camera_model": "OPENCV", "k4": 0.1}, {}, "k4, k5 and k6"),
    "applied": ({"applied_transform": np.zeros((3, 4)).tolist()}, {}, "applied_transform is singular"),
    "scale": ({"applied_scale": 0}, {}, "applied_scale must be positive"),
}


@pytest.mark.parametrize("case", BAD)
def test_scenes_that_are_none(case: str, tmp_path: Path) -> None:
    scene, frame, said = BAD[case]
    path = tmp_path / "images" / "frame_0.png"
    path.parent.mkdir()
    Image.new("RGB", SIZE).save(path)
    file = tmp_path / "transforms.json"
    first = {"file_path": "images/frame_0.png", "transform_matrix": np.eye(4).tolist(), **frame}
    file.write_text(json.dumps({**SHARED, **scene, "frames": [first]}))
    with pytest.raises(InputError, match=said) as raised:
        open_source(tmp_path)
    assert "transforms.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_scene(tmp_path: Path) -> None:
    file = tmp_path / "transforms.json"
    options = SourceOptions(input_kind="nerfstudio")
    for content, said in (
        ("{", "not a readable JSON file"),
        ('{"frames": []}', "no frames with transform_matrix"),
        ("[]", "no scene of nerfstudio"),
        ('{"frames": [{"transform_matrix": 1}]}', "frame 0 has no file_path"),
        ('{"frames": [{"transform_matrix": 1, "file_path": "a"}, 3]}', "frame 1 has no file_path"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=said):
            open_source(file, options)
    with file.open("wb") as huge:
        huge.truncate(600 * 2**20)
    with pytest.raises(InputError, match="600 MiB, too large"):
        open_source(file, options)


def test_byte_order_marks_are_no_trouble(tmp_path: Path) -> None:
    file = write(tmp_path, SHARED)
    for encoding in ("utf-8-sig", "utf-16"):
        file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
        assert len(open_source(file).names) == 3
        file.write_text(file.read_text(encoding=encoding), encoding="utf-8")
