"""Cameras files: exact round trips, matching by name, and errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.errors import InputError
from recon.sources.cameras_file import read_cameras, read_cameras_file, write_cameras
from recon.sources.fitting import map_intrinsics, preprocess
from recon.sources.photo import Photo
from recon.sources.render_cameras import read_render_cameras
from recon.types.cameras import Cameras
from tests.known_cameras import cameras_of
from tests.seeds import numpy_random

NAMES = ["b.jpg", "a.jpg", "c.jpg"]
SIZES = [(1208, 680), (640, 480), (480, 640)]


def matrices(*arguments: Any) -> tuple[Any, Any]:
    """Extrinsics and intrinsics that `read_cameras` gives."""
    cameras = read_cameras(*arguments)
    return cameras.world_to_camera, cameras.intrinsics


@pytest.fixture
def extrinsics() -> np.ndarray:
    """(3, 4, 4); the file format does not ask for rotations."""
    matrices = np.tile(np.eye(4), (3, 1, 1))
    matrices[:, :3] = numpy_random(0).normal(size=(3, 3, 4))
    return matrices


@pytest.fixture
def intrinsics() -> np.ndarray:
    matrices = np.tile(np.eye(3), (3, 1, 1))
    matrices[:, :2] *= numpy_random(1).uniform(300, 900, (3, 2, 1))
    matrices[:, :2, 2] = np.array(SIZES) / 2
    return matrices


def test_json_round_trip_is_exact_and_follows_names(
    tmp_path: Path, extrinsics: np.ndarray, intrinsics: np.ndarray
) -> None:
    path = tmp_path / "new" / "cameras.json"
    write_cameras(path, NAMES, cameras_of(SIZES, extrinsics, intrinsics))
    order = [2, 0]
    read_extrinsics, read_intrinsics = matrices(path, [NAMES[i] for i in order], [SIZES[i] for i in order])
    np.testing.assert_array_equal(read_extrinsics, extrinsics[order])
    np.testing.assert_array_equal(read_intrinsics, intrinsics[order])
    assert list(path.parent.iterdir()) == [path]
    frame = json.loads(path.read_text())["frames"][0]
    assert list(frame) == ["image", "width", "height", "world_to_camera", "intrinsics"]
    assert (frame["image"], frame["width"], frame["height"]) == ("b.jpg", 1208, 680)


def test_either_matrix_may_be_absent(tmp_path: Path, extrinsics: np.ndarray, intrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, NAMES, cameras_of(SIZES, extrinsics[:, :3], None))
    read_extrinsics, read_intrinsics = matrices(path, NAMES)
    np.testing.assert_array_equal(read_extrinsics, extrinsics)
    assert read_intrinsics is None
    write_cameras(path, NAMES, cameras_of(SIZES, None, intrinsics))
    read_extrinsics, read_intrinsics = matrices(path, NAMES)
    np.testing.assert_array_equal(read_intrinsics, intrinsics)
    assert read_extrinsics is None


@pytest.mark.parametrize("keys", [("extrinsics", "intrinsics"), ("exts", "ixts")])
def test_npz_in_image_order(
    tmp_path: Path, extrinsics: np.ndarray, intrinsics: np.ndarray, keys: tuple[str, str]
) -> None:
    path = tmp_path / "cameras.npz"
    arrays: dict[str, Any] = {keys[0]: extrinsics[:, :3], keys[1]: intrinsics}
    np.savez(path, **arrays)
    read_extrinsics, read_intrinsics = matrices(path, NAMES)
    np.testing.assert_array_equal(read_extrinsics, extrinsics)
    np.testing.assert_array_equal(read_intrinsics, intrinsics)
    del arrays[keys[0]]
    np.savez(path, **arrays)
    assert read_cameras(path, NAMES).world_to_camera is None


def test_npz_with_names_follows_them(tmp_path: Path, extrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.npz"
    np.savez(path, extrinsics=extrinsics, image_names=np.array(NAMES))
    np.testing.assert_array_equal(read_cameras(path, ["c.jpg", "b.jpg"]).world_to_camera, extrinsics[[2, 0]])
    with pytest.raises(InputError, match=r"no camera for the image 'd\.jpg'; it has 3: b\.jpg, a\.jpg, c\.jpg"):
        read_cameras(path, ["d.jpg"])


def test_photo_given_twice(tmp_path: Path, extrinsics: np.ndarray) -> None:
    names = ["a.jpg", "a.jpg", "c.jpg"]
    path = tmp_path / "cameras.npz"
    np.savez(path, extrinsics=extrinsics)
    np.testing.assert_array_equal(read_cameras(path, names).world_to_camera, extrinsics)
    np.savez(path, extrinsics=extrinsics, image_names=np.array(names))
    np.testing.assert_array_equal(read_cameras(path, names).world_to_camera, extrinsics)
    write_cameras(path.with_suffix(".json"), NAMES, cameras_of(SIZES, extrinsics, None))
    np.testing.assert_array_equal(read_cameras(path.with_suffix(".json"), names).world_to_camera, extrinsics[[1, 1, 2]])


def test_results_of_a_run_are_mapped_back(tmp_path: Path, extrinsics: np.ndarray, intrinsics: np.ndarray) -> None:
    views = preprocess([Photo(name, np.zeros((480, 640, 3), np.uint8)) for name in NAMES], process_res=280)
    processed = map_intrinsics(intrinsics, views.processed_to_original)
    path = tmp_path / "results.npz"
    result: dict[str, Any] = {
        "depth": np.zeros((3, 210, 280)),
        "extrinsics": extrinsics[:, :3],
        "intrinsics": processed,
    }
    np.savez(path, **result, processed_to_original=views.processed_to_original)
    read_extrinsics, read_intrinsics = matrices(path, NAMES)
    np.testing.assert_array_equal(read_extrinsics, extrinsics)
    assert read_intrinsics is not None
    np.testing.assert_allclose(read_intrinsics, intrinsics, rtol=1e-12, atol=1e-9)

    np.savez(path, **result)
    with pytest.raises(InputError, match=r"results\.npz' is the result of a run, with intrinsics of its resized"):
        read_cameras(path, NAMES)
    del result["intrinsics"]
    np.savez(path, **result)
    np.testing.assert_array_equal(read_cameras(path, NAMES).world_to_camera, extrinsics)


def test_sizes_stated_are_checked(tmp_path: Path, intrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, NAMES, cameras_of(SIZES, None, intrinsics))
    lying = [SIZES[0], SIZES[1], SIZES[2][::-1]]
    with pytest.raises(InputError, match=r"'c\.jpg' at 480×640 pixels, but the upright image is 640×480"):
        read_cameras(path, NAMES, lying)


def frames(**changes: object) -> dict[str, object]:
    """A file's content for images a.jpg and b.jpg, the second's entry changed; None takes a key out."""
    good = {"image": "a.jpg", "world_to_camera": np.eye(4).tolist(), "intrinsics": np.eye(3).tolist()}
    changed = {**good, "image": "b.jpg", **changes}
    return {"frames": [good, {key: value for key, value in changed.items() if value is not None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not json", "not a readable JSON file"),
        ("\xff\xfe", "not a readable JSON file"),
        ("", "not a readable JSON file"),
        ([], r"must hold \{\"frames\""),
        ({"frames": 3}, r"must hold \{\"frames\""),
        ({"frames": ["a.jpg"]}, r"must hold \{\"frames\""),
        ({"frames": [{"file_path": "a.jpg"}]}, r"must hold \{\"frames\""),
        ({"frames": []}, r"no camera for the image 'a\.jpg'; it has 0"),
        (frames(image="z.jpg"), r"no camera for the image 'b\.jpg'; it has 2: a\.jpg, z\.jpg"),
        (frames(image="a.jpg"), r"'a\.jpg' is named twice"),
        (frames(world_to_camera=None), r"world_to_camera for some images but not for 'b\.jpg'; give all or none"),
        (frames(intrinsics=None), r"intrinsics for some images but not for 'b\.jpg'"),
        (frames(world_to_camera=[[1, 2], [3, 4]]), r"world_to_camera of 'b\.jpg' .* must be 4×4 .* \(2, 2\)"),
        (frames(intrinsics=np.eye(4).tolist()), r"intrinsics of 'b\.jpg' .* must be 3×3"),
        (frames(intrinsics=[[1, 2, 3], [4]]), r"intrinsics of 'b\.jpg' .* must be 3×3 numbers"),
        (frames(intrinsics=[["x"] * 3] * 3), r"must be 3×3 numbers"),
        (frames(width="252"), r"width of 'b\.jpg' .* whole number of pixels, not '252'"),
        (frames(width=252, height=0), r"height of 'b\.jpg' .* whole number of pixels, not 0"),
        ({"versions": {}, "images": ["a.jpg"]}, "says no cameras of its photos"),
        ({"versions": {}, "images": {"a.jpg": 1}}, "says no cameras of its photos"),
        ({"versions": {}, "images": []}, "says no cameras of its photos|no camera for"),
        ({"versions": {}, "images": [{"name": "a.jpg", "camera": {}}], "cameras": "x"}, "says no cameras"),
        ({"frames": [{"image": "a.jpg"}, {"image": "b.jpg"}]}, "holds neither extrinsics .* nor intrinsics"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="latin-1")
    with pytest.raises(InputError, match=message) as error:
        read_cameras(path, ["a.jpg", "b.jpg"])
    assert "cameras.json" in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"extrinsics": np.zeros((2, 4, 4))}, "has 2 extrinsics for 3 images; give one per image"),
        ({"intrinsics": np.zeros((4, 3, 3))}, "has 4 intrinsics for 3 images"),
        ({"intrinsics": np.zeros((3, 3))}, "must be 3×3 per image"),
        ({"extrinsics": np.zeros((3, 3, 3))}, "must be 4×4 per image"),
        ({"extrinsics": np.full((3, 4, 4), "x")}, "must be 4×4 numbers"),
        ({"extrinsics": np.array([None, None, None])}, "damaged npz file"),
        ({"something": np.zeros(3)}, "holds neither extrinsics"),
        ({"extrinsics": np.float64(3)}, "extrinsics in .* must be 4×4 per image, got a single number"),
        ({"extrinsics": np.zeros(16)}, "must be 4×4 per image"),
        ({"extrinsics": np.zeros((3, 4, 4)), "intrinsics": np.float32(1)}, "intrinsics in .* must be 3×3 per image"),
        ({"extrinsics": np.zeros((3, 4, 4)), "image_names": np.array("a.jpg")}, "image_names in .* one name per image"),
        (
            {"extrinsics": np.zeros((3, 4, 4)), "original_sizes": np.zeros((3, 3), int)},
            "original_sizes in .* per image",
        ),
        ({"extrinsics": np.zeros((3, 4, 4)), "original_sizes": np.zeros((3, 2))}, "original_sizes .* whole numbers"),
        ({"intrinsics": np.zeros((3, 3, 3)), "distortion": np.full((3, 8), np.nan)}, "distortion in .* must be finite"),
        ({"intrinsics": np.zeros((3, 3, 3)), "distortion": np.zeros((3, 7))}, "distortion in .* must be 8 per image"),
        ({"extrinsics": np.zeros((3, 4, 4)), "distortion": np.zeros((3, 8))}, "distortion without intrinsics"),
        ({"extrinsics": np.zeros((2, 4, 4)), "image_names": np.array(NAMES)}, "has 2 extrinsics for 3 images"),
    ],
)
def test_bad_npz_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "cameras.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as error:
        read_cameras(path, NAMES)
    assert "cameras.npz" in str(error.value)


def test_damaged_npz_is_named(tmp_path: Path, extrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.npz"
    np.savez(path, extrinsics=extrinsics)
    for content in (b"", b"no zip", path.read_bytes()[:-60]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cameras\.npz: not an npz file"):
            read_cameras(path, NAMES)


def test_a_byte_order_mark_is_no_part_of_json(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(frames()), encoding="utf-8-sig")
    np.testing.assert_array_equal(read_cameras(path, ["a.jpg"]).world_to_camera, np.eye(4)[None])


@pytest.mark.parametrize("part", ["world_to_camera", "intrinsics", "distortion"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_never_written(
    tmp_path: Path, part: str, bad: float, extrinsics: np.ndarray, intrinsics: np.ndarray
) -> None:
    parts = {"world_to_camera": extrinsics, "intrinsics": intrinsics, "distortion": np.zeros((3, 8))}
    spoilt = parts[part].copy()
    spoilt[1].flat[2] = bad
    path = tmp_path / "cameras.json"
    with pytest.raises(InputError, match=rf"{part} of '{NAMES[1]}' for .*cameras\.json' must be finite"):
        write_cameras(path, NAMES, Cameras(**{**parts, part: spoilt}))
    assert not path.exists()


def test_everything_about_cameras_comes_back(tmp_path: Path, extrinsics: np.ndarray, intrinsics: np.ndarray) -> None:
    distortion = numpy_random(3).normal(size=(3, 8))
    cameras = Cameras(extrinsics, intrinsics, np.array(SIZES), distortion, "sfm", "metric")
    path = tmp_path / "cameras.json"
    write_cameras(path, NAMES, cameras)
    again = read_cameras(path, NAMES)
    for part in ("world_to_camera", "intrinsics", "sizes", "distortion"):
        np.testing.assert_array_equal(getattr(again, part), getattr(cameras, part))
    assert (again.origin, again.scale) == ("sfm", "metric")
    path.write_text(json.dumps({**frames(), "scale": "feet"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"cameras\.json': scale must be one of free, given, metric"):
        read_cameras(path, ["a.jpg"])


def test_opencvs_shorter_distortion_is_completed(tmp_path: Path, intrinsics: np.ndarray) -> None:
    for count in (4, 5):
        short = numpy_random(3).normal(size=(3, count))
        np.savez(tmp_path / "c.npz", intrinsics=intrinsics, distortion=short)
        found = read_cameras(tmp_path / "c.npz", NAMES).distortion
        assert found is not None
        np.testing.assert_array_equal(found[:, :count], short)
        assert not found[:, count:].any()


def test_one_reading_serves_any_number_of_images(tmp_path: Path, extrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, NAMES, cameras_of(SIZES, extrinsics, None))
    file = read_cameras_file(path)
    path.unlink()
    for index, name in enumerate(NAMES):
        np.testing.assert_array_equal(file.of(NAMES, kept=[index]).world_to_camera, extrinsics[[index]])
        assert file.match([name, "other.jpg"]).cameras == (index, None)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cameras\.json' does not exist"):
        read_cameras(tmp_path / "cameras.json", NAMES)
    with pytest.raises(InputError, match=r"\.json, \.npz, .*COLMAP model, not '.*cameras\.tiff'"):
        read_cameras(tmp_path / "cameras.tiff", NAMES)


def test_what_cannot_be_written(tmp_path: Path, extrinsics: np.ndarray) -> None:
    path = tmp_path / "cameras.json"
    with pytest.raises(InputError, match=r"as many as the images: image 3, width 2, height 2, world_to_camera 2"):
        write_cameras(path, NAMES, cameras_of(SIZES[:2], extrinsics[:2], None))
    with pytest.raises(InputError, match=r"'a\.jpg' is named twice"):
        write_cameras(path, ["a.jpg"] * 3, cameras_of(SIZES, extrinsics, None))
    assert not path.exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_cameras(tmp_path / "file" / "cameras.json", NAMES, cameras_of(SIZES, extrinsics, None))


class TestRenderCameras:
    def cameras(self, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
        extrinsics = np.tile(np.eye(4), (count, 1, 1))
        extrinsics[:, 0, 3] = np.arange(count)
        intrinsics = np.tile(np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]), (count, 1, 1))
        return extrinsics, intrinsics

    def test_all_of_a_file_in_its_order_and_size(self, tmp_path: Path) -> None:
        extrinsics, intrinsics = self.cameras()
        path = tmp_path / "path.json"
        write_cameras(path, ["c", "a", "b"], cameras_of([(640, 480)] * 3, extrinsics, intrinsics))
        read = read_render_cameras(path)
        np.testing.assert_array_equal(read.extrinsics, extrinsics)
        np.testing.assert_array_equal(read.intrinsics, intrinsics)
        assert read.size == (480, 640)

    def test_intrinsics_follow_another_size(self, tmp_path: Path) -> None:
        extrinsics, intrinsics = self.cameras()
        path = tmp_path / "path.json"
        write_cameras(path, ["a", "b", "c"], cameras_of([(640, 480)] * 3, extrinsics, intrinsics))
        read = read_render_cameras(path, (240, 320))
        np.testing.assert_allclose(read.intrinsics, np.diag([0.5, 0.5, 1]) @ intrinsics)
        assert read.size == (240, 320)

    def test_plain_arrays_have_no_size(self, tmp_path: Path) -> None:
        extrinsics, _ = self.cameras()
        np.savez(tmp_path / "path.npz", extrinsics=extrinsics[:, :3])
        read = read_render_cameras(tmp_path / "path.npz")
        np.testing.assert_array_equal(read.extrinsics, extrinsics)
        assert read.intrinsics is None
        assert read.size is None

    def test_what_cannot_be_rendered_from(self, tmp_path: Path) -> None:
        extrinsics, intrinsics = self.cameras()
        write_cameras(tmp_path / "k.json", ["a", "b", "c"], cameras_of([(640, 480)] * 3, None, intrinsics))
        with pytest.raises(InputError, match="holds no extrinsics"):
            read_render_cameras(tmp_path / "k.json")
        write_cameras(
            tmp_path / "sizes.json", ["a", "b", "c"], cameras_of([(640, 480), (9, 9), (9, 9)], extrinsics, None)
        )
        with pytest.raises(InputError, match="several sizes"):
            read_render_cameras(tmp_path / "sizes.json")
        with pytest.raises(InputError, match="does not exist"):
            read_render_cameras(tmp_path / "none.json")
        (tmp_path / "cut.npz").write_bytes(b"PK")
        with pytest.raises(InputError, match="not an npz file, or cut short"):
            read_render_cameras(tmp_path / "cut.npz")
