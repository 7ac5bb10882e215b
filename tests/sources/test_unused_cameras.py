"""A file that looks like cameras of a folder's photos, and is none, is not passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from recon.messages import ReconWarning
from recon.sources.open_source import open_source


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("transforms.json", '{"frames": [{"file_pa', "not a readable JSON file"),
        ("transforms.json", "{}", "lists no cameras"),
        ("cameras.json", '{"camera": []}', "lists no cameras"),
        ("cameras.json", "", "not a readable JSON file"),
        ("sparse/0/cameras.txt", "", "holds no COLMAP model"),
    ],
)
def test_it_is_named(name: str, content: str, why: str, scene: Path) -> None:
    (scene / name).parent.mkdir(parents=True, exist_ok=True)
    (scene / name).write_text(content)
    with pytest.warns(ReconWarning, match=why) as said:
        source = open_source(scene)
    assert len(source.names) == 2
    assert source.cameras is None
    assert Path(name).parts[0] in str(said[0].message)


@pytest.mark.filterwarnings("error")
def test_a_folder_of_photos_has_none(scene: Path) -> None:
    assert open_source(scene).cameras is None
