"""What the user names is opened as what it is, or as what the user says it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.sources import kinds
from recon.sources import open_source as opening
from recon.sources.images import ImageSource
from recon.sources.kinds import KINDS, PHOTOS, kind_of
from recon.sources.open_source import open_source
from tests.sources.test_source import save


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> str:
    """A further kind: folders with a file `mark` in them, which have one photo."""
    name = "marked"
    kind = replace(
        PHOTOS,
        name=name,
        what="a marked folder",
        recognises=lambda path: (path / "mark").is_file(),
        open=lambda path, options: ImageSource.of([np.zeros((20, 20, 3), np.uint8)]),
    )
    for module in (kinds, opening):
        monkeypatch.setattr(module, "KINDS", {name: kind, **KINDS})
    return name


def test_the_first_kind_that_recognises_a_path_opens_it(marked: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert open_source(tmp_path).names == ("a.png",)
    (tmp_path / "mark").touch()
    assert kind_of(tmp_path).name == marked
    assert open_source([tmp_path]).names == ("0000",)


def test_a_kind_can_be_forced(marked: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert open_source(tmp_path, SourceOptions(input_kind=marked)).names == ("0000",)
    (tmp_path / "mark").touch()
    assert open_source(tmp_path, SourceOptions(input_kind="photos")).names == ("a.png",)


def test_what_cannot_be_opened_so_is_refused(marked: str, tmp_path: Path) -> None:
    photo = save(tmp_path / "photos" / "a.png")
    with pytest.raises(InputError, match=r"input_kind.*marked, .*photos.*did you mean 'marked'"):
        open_source(photo, SourceOptions(input_kind="market"))
    with pytest.raises(InputError, match="one path, of a marked folder"):
        open_source([photo, photo], SourceOptions(input_kind=marked))
    with pytest.raises(InputError, match=r"none' does not exist.*marked folder"):
        open_source(tmp_path / "none", SourceOptions(input_kind=marked))
    (tmp_path / "mark").touch()
    with pytest.raises(InputError, match=r"a marked folder.*alone"):
        open_source([tmp_path, photo])
