"""Patterns and lists stand for the files they name; some of the photos, and their order, can be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.choices import SourceOptions
from recon.cli.output_folder import default_folder
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.sources.calibrated import CalibratedSource
from recon.sources.open_source import open_source
from recon.sources.thinned import thinned
from tests.sources.test_source import cameras, save


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    for name in ("2.png", "10.png", "1.jpg", "more/3.png"):
        save(tmp_path / "scan" / name)
    (tmp_path / "scan" / "notes.md").write_text("text")
    return tmp_path / "scan"


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("*.png", ["2.png", "10.png"]),
            ("*", ["1.jpg", "2.png", "10.png"]),
            ("**/*.png", ["2.png", "10.png", "3.png"]),
            ("[12].*", ["1.jpg", "2.png"]),
        ],
    )
    def test_match_in_natural_order(self, pattern: str, names: list[str], scan: Path) -> None:
        assert list(open_source(scan / pattern).names) == names
        assert list(open_source([str(scan / pattern)]).names) == names

    def test_a_name_with_brackets_is_a_name(self, tmp_path: Path) -> None:
        save(tmp_path / "a[1].png")
        save(tmp_path / "a1.png")
        assert open_source(tmp_path / "a[1].png").names == ("a[1].png",)

    def test_without_a_match(self, scan: Path) -> None:
        with pytest.raises(InputError, match=r"\*\.webp' matches no file"):
            open_source(scan / "*.webp")

    def test_results_are_called_after_the_folder(
        self, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert default_folder([scan / "*.png"]) == Path("outputs/scan")
        assert default_folder([Path("scan/**/*.png")]) == Path("outputs/scan")


class TestLists:
    def test_paths_are_seen_from_the_list(self, scan: Path, tmp_path: Path) -> None:
        listed = tmp_path / "photos.txt"
        listed.write_text(f"# chosen\n scan/2.png \n\n{scan / '1.jpg'}\nscan/more/*\n", encoding="utf-8")
        assert open_source(listed).names == ("2.png", "1.jpg", "3.png")
        assert open_source([listed, scan / "10.png"]).names == ("2.png", "1.jpg", "3.png", "10.png")

    @pytest.mark.parametrize(
        ("text", "said"),
        [("", "empty list"), ("# a\n", "empty list"), ("scan/5.png", r"lists 'scan/5\.png'.*not there")],
    )
    def test_of_nothing(self, text: str, said: str, scan: Path, tmp_path: Path) -> None:
        (tmp_path / "photos.txt").write_text(text)
        with pytest.raises(InputError, match=said):
            open_source(tmp_path / "photos.txt")


class TestThinned:
    def test_every_and_limit(self, tmp_path: Path) -> None:
        for index in range(7):
            save(tmp_path / f"{index}.png", value=index)
        source = open_source(tmp_path, SourceOptions(every=3))
        assert source.names == ("0.png", "3.png", "6.png")
        assert source.read(1).pixels[0, 0, 0] == 3
        assert source.paths[2] == tmp_path / "6.png"
        assert source.content(1) == open_source(tmp_path).content(3)
        assert open_source(tmp_path, SourceOptions(every=2, limit=2)).names == ("0.png", "2.png")
        assert open_source(tmp_path, SourceOptions(limit=100)).names == open_source(tmp_path).names

    def test_order(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png")
        assert not open_source(tmp_path).ordered
        assert open_source(tmp_path, SourceOptions(ordered=True)).ordered

    def test_what_is_known_of_photos_goes_with_them(self) -> None:
        pixels = np.zeros((5, 28, 42, 3), np.uint8)
        points = SparsePoints(np.eye(3), tuple(np.array([view % 3]) for view in range(5)))
        known = CalibratedSource(open_source(pixels), tuple(range(5)), cameras(5, (42, 28)), points)
        found = thinned(known, SourceOptions(every=2))
        assert found.cameras is not None
        assert found.cameras.world_to_camera is not None
        assert found.cameras.world_to_camera[:, 0, 3].tolist() == [0, 2, 4]
        assert found.points is not None
        assert [seen.tolist() for seen in found.points.observed] == [[0], [2], [1]]
        assert thinned(known, SourceOptions()) is known
