"""Names of files are shown as they are: neither markup nor what a terminal would obey."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

import recon.cli.report
from recon.cli.report import ProgressReport, print_table, printable, report_warnings
from recon.messages import ReconWarning
from recon.progress import Progress
from recon.sources.pixels import read_image

NAMES = ["table [final].jpg", "[red]x[/red].png", "a :smile: b.jpg", "[/]", "[link=x]y", "\\[a]"]


terminals = pytest.mark.parametrize("is_terminal", [False, True], ids=["file", "terminal"])


def show_on(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both streams say whether they are terminals."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)


@terminals
def test_tables(is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    show_on(is_terminal, monkeypatch)
    print_table(("photo", "[size]"), [(name, "1") for name in NAMES], right_aligned=("[size]",))
    output = capsys.readouterr().out
    assert all(name in output for name in [*NAMES, "[size]"])


@terminals
@pytest.mark.parametrize("name", NAMES)
def test_progress(
    name: str, is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_on(is_terminal, monkeypatch)
    with ProgressReport() as report:
        report(Progress(stage=name, stages=2))
        report(Progress(stage="load", part=name, done=1, total=2, stages_done=1, stages=2))
        if is_terminal:
            assert report._bar is not None
            report._bar.refresh()
        shown = capsys.readouterr().err
    assert name in shown


def test_a_long_part_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_on(False, monkeypatch)
    now = 0.0
    monkeypatch.setattr(recon.cli.report.time, "perf_counter", lambda: now)
    with ProgressReport() as report:
        for seconds, done in ((0.0, 0), (2.0, 10), (8.0, 20), (20.0, 50), (30.0, 75)):
            now = seconds
            report(Progress(stage="optimise", part="step", done=done, total=100, stages_done=1, stages=4))
    lines = capsys.readouterr().err.splitlines()
    assert "left" not in lines[0]
    assert "step 20/100, 32 s left" in lines[1]
    assert "step 50/100, 20 s left" in lines[2]


@terminals
def test_warnings(is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    show_on(is_terminal, monkeypatch)
    with report_warnings():
        for name in NAMES:
            warnings.warn(f"left out: {name}", ReconWarning, stacklevel=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"recon: warning: left out: {name}" for name in NAMES]


def test_pillow_does_not_speak_of_files_it_does_not_name(tmp_path: Path) -> None:
    damaged = b"Exif\0\0II*\0\x08\0\0\0\xff\0" + bytes(30)  # tells of 255 entries
    Image.new("RGB", (42, 28)).save(tmp_path / "a.jpg", exif=damaged)
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        read_image(tmp_path / "a.jpg")
    with warnings.catch_warnings(record=True) as said, report_warnings():
        read_image(tmp_path / "a.jpg")
        warnings.warn("of another package", UserWarning, stacklevel=1)
    assert [str(one.message) for one in said] == ["of another package"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bäume 森 – 4×3", "Bäume 森 – 4×3"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("not \udce4 unicode", "not \udce4 unicode"),
    ],
)
def test_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_files_in_several_places_are_named_by_their_places(tmp_path):
    from recon.cli.report import _described

    files = [tmp_path / name for name in ("transforms.json", "images/a.jpg", "images/sub/b.jpg", "points.ply")]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    assert _described(files, tmp_path) == ("transforms.json, images/ (2 files), points.ply", "12 B")
    inside = [tmp_path / f"images/{name}" for name in ("a.jpg", "sub/b.jpg")]
    (tmp_path / "images/c.jpg").write_bytes(b"1")
    assert _described([*inside, tmp_path / "images/c.jpg"], tmp_path) == ("images/ (3 files)", "7 B")
