"""A folder that photos arrive in."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recon.cli import watching
from recon.cli.main import main
from recon.cli.run import RunSettings
from recon.run.load import load
from recon.run.window_choice import WindowSizes
from recon.run.windows import watch
from recon.run.windows.watch import Arrivals, whole_windows
from tests.seeds import numpy_random


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_POLL", 0.01)
    monkeypatch.setattr(watch, "_AT_REST", 0.05)
    monkeypatch.setattr(watch, "_GIVEN_UP", 0.3)


def save(folder: Path, number: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number:03d}.png"
    pixels = numpy_random(number).integers(0, 255, (42, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def settled(arrivals: Arrivals, expected: int) -> None:
    """Within a second so many photos are whole, and no more after that."""
    end = time.monotonic() + 1
    while arrivals.count() != expected and time.monotonic() < end:
        time.sleep(0.01)
    assert arrivals.count() == expected


def test_a_file_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    assert arrivals.count() == 0
    for number in (0, 1, 3):
        save(tmp_path, number)
    whole = save(tmp_path, 2).read_bytes()
    (tmp_path / "002.png").write_bytes(whole[: len(whole) // 2])
    time.sleep(0.06)
    settled(arrivals, 2)
    (tmp_path / "002.png").write_bytes(whole)
    settled(arrivals, 4)


def test_one_that_stays_broken_is_left_to_the_run(tmp_path: Path) -> None:
    save(tmp_path, 0)
    (tmp_path / "001.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    save(tmp_path, 2)
    settled(Arrivals(tmp_path), 3)


def test_windows_come_as_they_are_full_and_end_when_nothing_arrives(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path, number)
    counts = []
    for count in whole_windows(tmp_path, WindowSizes(4, 1), idle=0.3):
        counts.append(count)
        if count == 4:
            for number in range(6, 9):
                save(tmp_path, number)
    assert counts == [4, 7]


def test_the_result_grows_and_is_that_of_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        save(tmp_path / "photos", number)
    late = threading.Timer(1.0, lambda: [save(tmp_path / "photos", number) for number in range(4, 8)])
    late.start()
    flags = ["--model", "da3-small", "--weights", "none", "--process-res", "56", "--window", "4", "--export", "npz"]
    assert main(["run", "photos", "--watch", "--watch-idle", "2", "--out", "grown", *flags]) == 0
    late.join()
    assert main(["run", "photos", "--ordered", "--keep-windows", "--out", "whole", *flags]) == 0
    grown, whole = load(tmp_path / "grown"), load(tmp_path / "whole")
    assert len(grown.depth) == 8
    np.testing.assert_array_equal(grown.depth, whole.depth)
    np.testing.assert_array_equal(grown.extrinsics, whole.extrinsics)


def test_what_cannot_be_watched_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, 0)
    assert main(["run", str(path), "--watch"]) == 2
    assert "folder" in capsys.readouterr().err
    assert main(["run", str(tmp_path), "--watch-idle", "3"]) == 2
    assert "--watch-idle is for --watch" in capsys.readouterr().err


def pressed(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many photos the runs looked at where Ctrl-C is pressed so often during the first."""
    photos = tmp_path / "photos"
    for number in range(4):
        save(photos, number)
    limits: list[int | None] = []

    def carry_out(settings: RunSettings, choose: Any) -> None:
        limits.append(settings.limit)
        if len(limits) == 1:
            save(photos, 4)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.chdir(tmp_path)
    settings = RunSettings(inputs=(photos,), model="da3-small", weights="none", window=4)
    before = signal.getsignal(signal.SIGINT)
    try:
        watching.watch(settings, tmp_path / "out", 5, carry_out)
    except KeyboardInterrupt:
        limits.append(-1)
    assert signal.getsignal(signal.SIGINT) is before
    return limits


def test_ctrl_c_during_a_window_completes_what_has_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pressed(1, tmp_path, monkeypatch) == [4, None]
    assert "once more stops at once" in capsys.readouterr().err


def test_a_second_one_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pressed(2, tmp_path, monkeypatch) == [4, -1]


def test_what_is_wrong_is_said_before_anything_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "photos").mkdir()
    flags = ["--watch", "--model", "da3-small", "--weights", "none"]
    assert main(["run", str(tmp_path / "none"), *flags, "--out", str(tmp_path / "out")]) == 2
    assert "none' does not exist" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "photos"), *flags, "--out", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert "file is not a folder" in said
    assert "wait for" not in said
