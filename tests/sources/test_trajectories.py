"""Trajectories of TUM and KITTI, plain matrices in any convention, and a lens given apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.sources.cameras_file import CameraReading, read_cameras_file
from recon.sources.given_lens import read_lens
from recon.sources.matrix_convention import MatrixConvention
from tests.geometry.random_cameras import random_extrinsics
from tests.seeds import numpy_random

NAMES = ["1.png", "2.png", "3.png"]
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture
def poses() -> np.ndarray:
    return random_extrinsics(numpy_random(0), 3)


def tum_lines(poses: np.ndarray, times: list[float]) -> str:
    """As SciPy turns matrices into quaternions."""
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for time, pose in zip(times, invert_rigid(poses), strict=True):
        quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat()
        lines.append(" ".join(repr(float(value)) for value in (time, *pose[:3, 3], *quaternion)))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("columns", [12, 16])
def test_kitti(columns: int, poses: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "00.txt"
    np.savetxt(path, invert_rigid(poses).reshape(3, 16)[:, :columns])
    np.testing.assert_allclose(read_cameras_file(path).of(NAMES).world_to_camera, poses, atol=1e-12)
    with pytest.raises(InputError, match="3 extrinsics for 2 images"):
        read_cameras_file(path).match(NAMES[:2])


def test_tum_in_order_and_by_time(poses: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "groundtruth.txt"
    path.write_text(tum_lines(poses, [1305031102.1, 1305031102.2, 1305031102.3]))
    file = read_cameras_file(path)
    np.testing.assert_allclose(file.of(NAMES).world_to_camera, poses, atol=1e-9)
    assert file.match(["frame1.png", "frame2.png", "frame3.png"]).cameras == (0, 1, 2)
    named = ["rgb/1305031102.305000.png", "rgb/1305031102.110000.png", "rgb/1305031102.150000.png"]
    assert file.match(named).cameras == (2, 0, None)
    assert file.match(["1305031102200000000.png"]).cameras == (1,)
    assert file.match(NAMES).cameras == (0, 1, 2)


@pytest.mark.parametrize("text", ["w2c", "c2w", "w2c-opengl", "opengl", "c2w-opengl", "c2w-opencv", "C2W x OpenGL"])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".txt"])
def test_conventions(text: str, suffix: str, poses: np.ndarray, tmp_path: Path) -> None:
    opengl, to_world = "opengl" in text.lower(), "c2w" in text.lower()
    if suffix == ".txt" and not to_world and "w2c" not in text:
        to_world = True  # as KITTI has it
    given = OPENGL @ poses if opengl else poses
    given = invert_rigid(given) if to_world else given
    path = tmp_path / f"poses{suffix}"
    {
        ".npy": lambda: np.save(path, given),
        ".npz": lambda: np.savez(path, extrinsics=given),
        ".txt": lambda: np.savetxt(path, given.reshape(3, 16)),
    }[suffix]()
    found = read_cameras_file(path, CameraReading(text)).of(NAMES)
    np.testing.assert_allclose(found.world_to_camera, poses, atol=1e-12)


@pytest.mark.parametrize("text", ["", "c2w-w2c", "c2w-ros", "opengl-opencv", "camera"])
def test_conventions_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="convention must be w2c or c2w"):
        MatrixConvention.of(text)


def test_files_with_a_convention_of_their_own_take_none(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text('{"frames": [{"image": "1.png", "world_to_camera": [[1, 0, 0, 0]]}]}')
    with pytest.raises(InputError, match=r"cameras\.json' says itself"):
        read_cameras_file(path, CameraReading("c2w"))


class TestLens:
    def test_goes_with_cameras_that_have_none(self, poses: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "poses.npy"
        np.save(path, poses)
        reading = CameraReading(lens=read_lens("500, 501 320 240 0.1 0.01 0 0.002"))
        found = read_cameras_file(path, reading).of(NAMES)
        np.testing.assert_array_equal(found.intrinsics, [[[500, 0, 320], [0, 501, 240], [0, 0, 1]]] * 3)
        assert found.distortion is not None
        assert found.distortion[2].tolist() == [0.1, 0.01, 0, 0.002, 0, 0, 0, 0]
        np.savez(tmp_path / "both.npz", extrinsics=poses, intrinsics=np.tile(np.eye(3), (3, 1, 1)))
        with pytest.raises(InputError, match=r"both\.npz' holds intrinsics"):
            read_cameras_file(tmp_path / "both.npz", reading)

    @pytest.mark.parametrize(
        "content",
        [
            "500 0 320\n0 501 240\n0 0 1\n",
            "P0: 500 0 320 0 0 501 240 0 0 0 1 0\nP1: 9 0 320 -3 0 501 240 0 0 0 1 0\nTr: 1 2 3\n",
            "# fx fy cx cy\n500, 501, 320, 240\n",
        ],
    )
    def test_from_files(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / "calib.txt"
        path.write_text(content)
        assert read_lens(str(path)).intrinsics.tolist() == [[[500, 0, 320], [0, 501, 240], [0, 0, 1]]]

    def test_one_for_each(self, tmp_path: Path) -> None:
        matrices = np.tile(np.diag([500.0, 500, 1]), (3, 1, 1))
        np.save(tmp_path / "K.npy", matrices)
        lens = read_lens(str(tmp_path / "K.npy"))
        assert len(lens.for_images(3)[0]) == 3
        with pytest.raises(InputError, match="3 given for 4"):
            lens.for_images(4)

    @pytest.mark.parametrize(
        "text", ["500", "500,500", "500 500 1 2 3", "nowhere.txt", "-5,5,1,1", "nan,5,1,1", "0,0,0,0"]
    )
    def test_that_is_none(self, text: str) -> None:
        with pytest.raises(InputError, match="intrinsics"):
            read_lens(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no camera"),
        ("# only\n", "holds no camera"),
        ("1 2 3\n", "line 1: 3 numbers"),
        ("0 0 0 0 0 0 0 1\n1 2 3 4 5 6 7 8 9 10 11 12\n", "line 2: 12 numbers"),
        ("0 0 0 0 0 0 0 0\n", "quaternion of zeros"),
        ("1 0 0 0 0 1 0 0 0 0 1 nan\n", "line 1: NaN"),
        ("a b c\n", "line 1"),
        ("0 0 0 0 0 0 0 0 0 0 0 0\n", "singular"),
    ],
)
def test_trajectories_that_are_none(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as raised:
        read_cameras_file(path)
    assert "poses.txt" in str(raised.value)


def test_arrays_that_are_none(tmp_path: Path) -> None:
    for name, content in (("a.npy", b"nonsense"), ("b.npy", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="NumPy array"):
            read_cameras_file(tmp_path / name)
    np.save(tmp_path / "c.npy", np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"\(N, 3, 4\) or \(N, 4, 4\), got shape \(3, 3\)"):
        read_cameras_file(tmp_path / "c.npy")
