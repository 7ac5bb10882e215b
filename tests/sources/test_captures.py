"""Exports of capture apps: cameras in metres, depth where it is to be trusted, photos in order."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.kinds import kind_of
from recon.sources.open_source import open_source
from recon.sources.source import Source
from tests.sources import captures_written as apps
from tests.sources.video_files import number_of

KNOWN = apps.truth()


@pytest.fixture(autouse=True)
def decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is not installed, one that unpacks what is not compressed."""

    def decompress(content: bytes) -> bytes:
        if content[:4] != b"bvx-":
            raise ValueError("no LZFSE")
        (length,) = struct.unpack("<I", content[4:8])
        return content[8 : 8 + length]

    try:
        import liblzfse  # noqa: F401
    except ImportError:
        monkeypatch.setitem(sys.modules, "liblzfse", SimpleNamespace(decompress=decompress, error=ValueError))


def polycam(folder: Path) -> Path:
    return apps.written(folder / "scan", apps.polycam(KNOWN))


def polycam_zip(folder: Path) -> Path:
    return apps.packed(folder / "scan.zip", apps.polycam(KNOWN), "scan/")


def polycam_uncorrected(folder: Path) -> Path:
    return apps.written(folder / "scan", apps.polycam(KNOWN, corrected=False))


def record3d(folder: Path) -> Path:
    return apps.packed(folder / "scan.r3d", apps.record3d(KNOWN))


def record3d_own_intrinsics(folder: Path) -> Path:
    own = (apps.INTRINSICS * [[2], [2], [1]])[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    files = apps.record3d(KNOWN, perFrameIntrinsicCoeffs=[own] * len(KNOWN.depth), K=[1] * 9)
    return apps.written(folder / "scan", files)


def stray_scanner(folder: Path) -> Path:
    return apps.written(folder / "scan", apps.stray_scanner(KNOWN, folder))


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions(**options))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (polycam, "polycam"),
        (polycam_zip, "polycam"),
        (polycam_uncorrected, "polycam"),
        (record3d, "record3d"),
        (record3d_own_intrinsics, "record3d"),
        (stray_scanner, "stray-scanner"),
    ],
)
def test_cameras_depth_and_photos_are_those_of_the_scene(make: Any, kind: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    assert kind_of(path).name == kind
    source = opened(path, every=2)
    assert source.ordered
    assert len(source.names) == 3
    assert [number_of(source.read(index).pixels) for index in range(3)] == [0, 2, 4]
    cameras = source.cameras
    assert cameras is not None
    assert cameras.scale == "metric"
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    assert cameras.sizes is not None
    np.testing.assert_allclose(cameras.world_to_camera, KNOWN.world_to_camera[::2], atol=1e-6)
    np.testing.assert_allclose(cameras.intrinsics, np.tile(apps.INTRINSICS, (3, 1, 1)), atol=1e-9)
    assert cameras.sizes.tolist() == [list(apps.SIZE)] * 3
    assert source.depths is not None
    assert len(source.depths) == 3
    for row, frame in enumerate((0, 2, 4)):
        depth = source.depths[row]
        assert np.isnan(depth[:, 0]).all()  # of low confidence
        np.testing.assert_allclose(depth[:, 1:], KNOWN.depth[frame][:, 1:], atol=6e-4)
    points = source.points
    assert points is not None
    assert len(points) > 100
    assert np.abs(points.points[:, 2] - apps.WALL).max() < 2e-3
    assert np.median(points.track_lengths) >= 2
    for view in range(3):
        measured = points.depths(view, cameras.world_to_camera)
        assert (measured > 0).all()


def test_frames_are_chosen_as_those_of_a_video(tmp_path: Path) -> None:
    known = apps.truth(24)
    path = apps.packed(tmp_path / "scan.r3d", apps.record3d(known))
    with pytest.warns(ReconWarning, match="20 of 24 frames"):
        assert len(opened(path).names) == 20
    assert opened(path, fps=2, start=1.0).names == ("10.jpg", "15.jpg", "20.jpg")
    stray = apps.written(tmp_path / "scan", apps.stray_scanner(known, tmp_path))
    assert len(opened(stray, frames=5).names) == 5


@pytest.mark.parametrize(
    "files", [apps.polycam(KNOWN, depth=False), apps.record3d(KNOWN, depth=False)], ids=["polycam", "record3d"]
)
def test_without_depth_the_cameras_count_all_the_same(files: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.warns(ReconWarning, match=r"scan\.zip' holds no depth"):
        source = opened(apps.packed(tmp_path / "scan.zip", files), every=1, limit=3)
    assert source.depths is None
    assert source.points is None
    assert source.cameras is not None


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    files = apps.polycam(KNOWN, corrected=False)
    del files["keyframes/cameras/7000000.json"], files["keyframes/images/7500000.jpg"]
    path = apps.written(tmp_path / "scan", files)
    with pytest.warns(ReconWarning, match="left out of") as warned:
        assert len(opened(path).names) == 4
    said = " ".join(str(one.message) for one in warned)
    assert "without a camera: 7000000" in said
    assert "without a photo: 7500000" in said
    with pytest.raises(InputError, match="strict"):
        opened(path, strict=True)


def test_frames_without_a_pose_are_left_out(tmp_path: Path) -> None:
    files = apps.stray_scanner(KNOWN, tmp_path)
    files["odometry.csv"] = b"\n".join(files["odometry.csv"].split(b"\n")[:4])
    path = apps.written(tmp_path / "scan", files)
    with pytest.warns(ReconWarning, match="3 frames of .* have no pose"):
        assert len(opened(path, fps=100).names) == 3
    files["odometry.csv"] = files["odometry.csv"].split(b"\n")[0]
    with pytest.raises(InputError, match="have no pose"):
        opened(apps.written(tmp_path / "other", files), fps=100)


def test_depth_that_cannot_be_unpacked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "liblzfse", None)
    with pytest.warns(ReconWarning) as warned:
        source = opened(apps.packed(tmp_path / "scan.r3d", apps.record3d(KNOWN)), fps=100)
    assert any(r"pip install 'recon[record3d]'" in str(one.message) for one in warned)
    assert source.depths is None
    assert len(source.names) == 6


def _broken(files: dict[str, bytes], name: str, content: bytes | None) -> dict[str, bytes]:
    return {key: value for key, value in {**files, name: content}.items() if value is not None}


def _edited(files: dict[str, bytes], name: str, **values: Any) -> dict[str, bytes]:
    return {**files, name: json.dumps({**json.loads(files[name]), **values}).encode()}


CAMERA = "keyframes/corrected_cameras/7000000.json"
BROKEN = {
    "no photos": (_broken({}, "keyframes/notes.txt", b""), "raw data"),
    "camera of text": (_broken(apps.polycam(KNOWN), CAMERA, b"{"), r"7000000\.json' cannot be read as JSON"),
    "camera without focal length": (_broken(apps.polycam(KNOWN), CAMERA, b"{}"), r"7000000\.json' is no camera"),
    "no rotation": (_edited(apps.polycam(KNOWN), CAMERA, t_00=3.0), "rotation"),
    "damaged depth": (
        _broken(apps.polycam(KNOWN), "keyframes/depth/7000000.png", b"x"),
        r"depth/7000000\.png' is no picture",
    ),
    "metadata of text": (_broken(apps.record3d(KNOWN), "metadata", b"x"), "metadata' cannot be read as JSON"),
    "metadata without poses": (_broken(apps.record3d(KNOWN), "metadata", b"{}"), "no description of a Record3D"),
    "depth of another size": (_edited(apps.record3d(KNOWN), "metadata", dw=31), r"0\.depth' has 768 values, not 31×24"),
    "depth that is not packed": (
        _broken(apps.record3d(KNOWN), "rgbd/0.depth", b"xyz"),
        r"0\.depth' cannot be unpacked",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_captures_are_named(case: str, tmp_path: Path) -> None:
    files, said = BROKEN[case]
    with pytest.raises(InputError, match=said):
        opened(apps.packed(tmp_path / "scan.zip", files))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("camera_matrix.csv", b"1, 2", "3 × 3"),
        ("odometry.csv", b"1, 2, 3\n", "no column frame"),
        ("odometry.csv", b"timestamp, frame, x, y, z, qx, qy, qz, qw\n0, 0, a, 0, 0, 0, 0, 0, 1\n", "line 2"),
        ("rgb.mp4", b"no video", "cannot be read as a video"),
    ],
)
def test_damaged_data_sets_are_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    files = {**apps.stray_scanner(KNOWN, tmp_path), name: content}
    with pytest.raises(InputError, match=said):
        opened(apps.written(tmp_path / "scan", files))


def test_a_run_gives_metres(tmp_path: Path) -> None:
    from recon.choices import InferenceOptions
    from recon.run.pipeline import reconstruct
    from tests.fake_network import fake_model

    result = reconstruct(fake_model(), polycam(tmp_path), options=InferenceOptions(limit=3, process_res=70))
    assert result.prediction.units == "metric"
    assert result.prediction.extrinsics is not None
    np.testing.assert_allclose(result.prediction.extrinsics, KNOWN.world_to_camera[:3, :3], atol=1e-5)


def test_measured_depth_is_taken_as_it_is(tmp_path: Path) -> None:
    from recon.choices import EstimatorOptions, InferenceOptions
    from recon.estimate.choice import choose
    from recon.geometry.unprojection import unproject_depth
    from recon.run.pipeline import reconstruct

    estimator = choose(EstimatorOptions(model="measured")).open(lambda told: None)
    prediction = reconstruct(
        estimator, polycam(tmp_path), options=InferenceOptions(limit=3, process_res=140)
    ).prediction
    assert prediction.units == "metric"
    assert prediction.made_by is not None
    assert prediction.made_by.kind == "measured"
    depth = prediction.depth
    assert depth.shape[0] == 3
    share = 1 - 1 / apps.DEPTH_SIZE[0]  # one column of the sensor is of low confidence
    assert abs((depth > 0).mean() - share) < 0.02
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    points = unproject_depth(depth, prediction.intrinsics, prediction.extrinsics)[depth > 0]
    assert np.abs(points[:, 2] - apps.WALL).max() < 0.03
    assert np.abs(points[:, 2] - apps.WALL).mean() < 2e-3
    files = apps.polycam(KNOWN, depth=False)
    with pytest.warns(ReconWarning, match="holds no depth"), pytest.raises(InputError, match="brings no depth"):
        reconstruct(estimator, apps.packed(tmp_path / "b.zip", files))
