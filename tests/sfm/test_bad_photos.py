"""`recon run` without weights, on photo sets that are wrong in one way or another: what a newcomer sees of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import recon.estimate.choice
from recon.cli.main import main

from .cards import INTRINSICS, SIZE, arc, photograph, stage, turned

REPOSITORY = Path(__file__).parents[2]
QUICK = ["--export", "mini_npz", "--process-res", "154"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, on a machine without weights and without a hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recon.estimate.choice, "is_cached", lambda repo, files: False)
    monkeypatch.setattr(recon.estimate.choice, "is_reachable", lambda repo: False)
    return tmp_path


def save(images: list[np.ndarray]) -> None:
    """Write `photos/00.png`, … in the working folder."""
    Path("photos").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(f"photos/{index:02d}.png")


def views(count: int = 5) -> list[np.ndarray]:
    """Photos of one scene, every second of an arc of ten."""
    return [*photograph(stage(), arc(10)[: 2 * count : 2])]


def of_another_scene(count: int) -> list[np.ndarray]:
    return [*photograph(stage(seed=7), arc(3)[:count])]


def said(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """The warnings and the errors on stderr, without their prefix."""
    lines = capsys.readouterr().err.splitlines()
    return tuple(
        [line.removeprefix(start) for line in lines if line.startswith(start)]
        for start in ("recon: warning: ", "recon: error: ")
    )


def run_record(name: str = "photos") -> dict:
    return json.loads((Path("outputs") / name / "run.json").read_text())


def one_photo() -> list[np.ndarray]:
    return views(1)


def photos_without_overlap() -> list[np.ndarray]:
    return [*views(1), *of_another_scene(1)]


def a_turn_on_the_spot() -> list[np.ndarray]:
    return [*photograph(stage(), np.stack([turned(yaw) for yaw in np.linspace(-0.2, 0.2, 4)]))]


def a_turn_with_a_zoom() -> list[np.ndarray]:
    cameras = np.stack([turned(yaw, 0.02) for yaw in np.linspace(-0.1, 0.1, 4)])
    lenses = [INTRINSICS * [[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]] for zoom in (1.0, 1.05, 1.1, 1.2)]
    return [photograph(stage(), cameras[[view]], lens)[0] for view, lens in enumerate(lenses)]


def identical_photos() -> list[np.ndarray]:
    return views(1) * 3


def blank_photos() -> list[np.ndarray]:
    return [np.full((*SIZE, 3), 100 + index, np.uint8) for index in range(3)]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (one_photo, "photos: one photo shows no depth to multi-view stereo, it takes several or a network; "),
        (photos_without_overlap, "no two of the 2 photos show enough of the same things; give photos that overlap"),
        (a_turn_on_the_spot, "only turned on the spot; move it sideways from photo to photo"),
        (a_turn_with_a_zoom, "only turned on the spot and zoomed; move it sideways from photo to photo, or take a net"),
        (identical_photos, "from the same picture 3 times: give photos of one scene from different places"),
        (blank_photos, "0 of 3 photos show enough texture; give sharp, well exposed photos"),
    ],
)
def test_what_cannot_work_ends_in_one_line_that_says_what_to_do(
    images: Callable[[], list[np.ndarray]], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(images())
    assert main(["run", "photos", *QUICK]) == 2
    _, errors = said(capsys)
    assert len(errors) == 1
    assert message in errors[0]
    assert not list(folder.rglob("outputs/*/*"))


def test_two_photos_are_enough_but_their_lens_is_a_guess(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(views(2))
    assert main(["run", "photos", *QUICK]) == 0
    warnings, _ = said(capsys)
    assert any("the focal length is assumed" in line and "give a third photo" in line for line in warnings)
    assert run_record()["cameras"]["sfm"]["assumed_lens"] is True


def test_photos_that_do_not_belong_are_named_and_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = [np.zeros((1, 1, 3), np.uint8), np.full((50, 20000, 3), 90, np.uint8), np.full((*SIZE, 3), 90, np.uint8)]
    save([*views(), *of_another_scene(3), *odd])
    Path("photos/11.jpg").write_bytes(b"no picture")
    assert main(["run", "photos", *QUICK]) == 0
    warnings, _ = said(capsys)
    assert any("3 photos form a group apart from the 5 used, and are left out: 05.png" in line for line in warnings)
    for name in ("05.png", "06.png", "07.png", "08.png", "09.png", "10.png", "11.jpg"):
        assert any(line.startswith("left out: ") and name in line for line in warnings), name
    record = run_record()
    assert [image["name"] for image in record["images"]] == [f"{index:02d}.png" for index in range(5)]
    assert len(record["dropped_images"]) == 7
    found = record["cameras"]["sfm"]
    assert found["unregistered"] == ["05.png", "06.png", "07.png", "09.png", "10.png"]
    assert found["other_models"] == [["05.png", "06.png", "07.png"]]
    assert found["doubtful"] is found["assumed_lens"] is False


def test_strict_stops_at_a_photo_without_a_camera(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save([*views(3), *of_another_scene(1)])
    assert main(["run", "photos", "--strict", *QUICK]) == 2
    assert said(capsys)[1] == [
        "the cameras of some photos could not be found: 03.png; without --strict they are left out"
    ]
    assert not Path("outputs/photos/run.json").exists()


def test_photos_of_several_sizes_share_a_scene(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third, *rest = views()
    save([first, cv2.resize(second, (400, 300)), third[:, 20:-20], *rest])
    assert main(["run", "photos", *QUICK]) == 0
    assert not any("cropped" in line for line in said(capsys)[0])
    images = run_record()["images"]
    assert [image["original_size"] for image in images] == [[320, 240], [400, 300], [280, 240], [320, 240], [320, 240]]
    for image in images:  # each is seen at its own shape, but for a few rows that no multiple of 14 holds
        left, top, right, bottom = image["photo_box"]
        to_original = np.array(image["processed_to_original"])
        corners = to_original @ np.array([[left, right], [top, bottom], [1, 1]])
        seen = np.ptp(corners[:2], axis=1) / image["original_size"]
        assert (seen > 0.9).all()
        assert (seen < 1 + 1e-6).all()


def test_a_network_takes_the_same_cameras_from_the_cache(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(views(3))
    assert main(["run", "photos", *QUICK]) == 0
    by_stereo = np.load("outputs/photos/exports/mini_npz/results.npz")["extrinsics"]
    network = ["--model", "da3-small", "--weights", "none", "--cameras", "sfm"]
    assert main(["run", "photos", *network, *QUICK]) == 0
    record = run_record()
    assert record["units"] == "aligned"
    assert record["model"]["preset"] == "da3-small"
    assert record["reused"] == ["cameras"]
    by_network = np.load("outputs/photos/exports/mini_npz/results.npz")["extrinsics"]
    np.testing.assert_array_equal(by_network, by_stereo)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is measured on Linux")
def test_a_photo_of_a_hundred_megapixels_takes_two_gigabytes_at_most(tmp_path: Path) -> None:
    """Decoded it takes 0.4 GB in Pillow, 0.3 GB as an array and again undistorted; the rest of the run takes 0.5 GB."""
    first, *others = views(3)
    (tmp_path / "photos").mkdir()
    large = cv2.resize(first, (12000, 9000), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).save(tmp_path / "photos" / "00.jpg")
    for index, image in enumerate(others, start=1):
        Image.fromarray(image).save(tmp_path / "photos" / f"{index:02d}.png")
    program = (
        "import sys; from recon.cli.main import main; code = main(); "
        "sys.stderr.write(next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "run", "photos", "--model", "mvs", *QUICK]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # VmHWM: 123 kB. What getrusage says would hold the peak of this process too.
    assert float(done.stderr.split()[-2]) * 1024 < 2e9
    record = json.loads((tmp_path / "outputs" / "photos" / "run.json").read_text())
    assert record["images"][0]["original_size"] == [12000, 9000]
    assert len(record["images"]) == 3
