"""Results of two inputs never share a folder that nobody chose, and those of one input always have the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from recon.cli.output_folder import default_folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    folder = tmp_path / "work"
    for name in ("photos", "scene1/images", "scene2/images", "scene2/rgb", "cat"):
        (folder / name).mkdir(parents=True)
    for name in ("photos/1.jpg", "photos/2.jpg", "scene1/images/1.jpg", "scene2/images/1.jpg"):
        (folder / name).touch()
    monkeypatch.chdir(folder)
    return folder


def place(*inputs: str, ending: str = "") -> str:
    return default_folder([Path(text) for text in inputs], ending).as_posix()


def finish(folder: str, inputs: Sequence[Path | str]) -> None:
    """As a run leaves it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "run.json").write_text(json.dumps({"settings": {"inputs": [str(path) for path in inputs]}}))


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (["cat"], "cat"),
        (["cat/"], "cat"),
        (["photos"], "photos"),
        (["./photos/../photos"], "photos"),
        (["photos/1.jpg"], "1"),
        (["photos/1.jpg", "photos/2.jpg"], "photos"),
        (["scene1/images"], "scene1"),
        (["scene2/images"], "scene2"),
        (["scene1/images/1.jpg", "scene1/images/1.jpg"], "scene1"),
        (["scene1/images/1.jpg", "photos/2.jpg"], "1"),
        (["."], "work"),
        (["/"], "photos"),
    ],
)
def test_names(inputs: list[str], name: str) -> None:
    assert place(*inputs) == f"outputs/{name}"
    assert place(*inputs, ending="-mono") == f"outputs/{name}-mono"


def test_another_input_gets_a_folder_of_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish("outputs/scene2", [here / "scene2" / "images"])
    assert place("scene2/images") == "outputs/scene2"
    assert capsys.readouterr().err == ""
    assert place("scene2/rgb") == "outputs/scene2-2"
    (line,) = capsys.readouterr().err.splitlines()
    assert "outputs/scene2 holds" in line
    assert line.endswith("outputs/scene2-2")
    finish("outputs/scene2-2", [here / "scene2" / "rgb"])
    assert place("scene2/rgb") == "outputs/scene2-2"
    assert place("scene2/images") == "outputs/scene2"
    finish("outputs/photos", [here / "photos"])
    assert place("photos/1.jpg", "photos/2.jpg") == "outputs/photos-2"


def test_the_same_input_by_another_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish("outputs/cat", [here / "cat"])
    assert place(str(here / "cat")) == "outputs/cat"
    (here / "tiger").symlink_to(here / "cat")
    assert place("tiger") == "outputs/cat"
    monkeypatch.setenv("HOME", str(here))
    finish("outputs/cat", ["~/cat"])
    assert place("cat") == "outputs/cat"


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"settings": 3}', '{"settings": {"inputs": null}}'])
def test_a_record_that_does_not_say_is_of_something_else(content: str) -> None:
    Path("outputs/cat").mkdir(parents=True)
    assert place("cat") == "outputs/cat"  # a folder without one
    Path("outputs/cat/run.json").write_text(content)
    assert place("cat") == "outputs/cat-2"
