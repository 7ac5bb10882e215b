"""Photos in ZIP archives are read in place, by the names a folder would give them; hostile archives are refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources import zip_archive
from recon.sources.open_source import open_source
from recon.sources.zip_archive import ZipArchive
from tests.sources.test_source import save


def picture(value: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (42, 28), (value, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


class TestPhotos:
    def test_an_archive_is_as_its_folder(self, tmp_path: Path) -> None:
        names = ["scan/10.png", "scan/2.png", "scan/more/1.png"]
        for value, name in enumerate(names):
            save(tmp_path / name, value=value)
        extra = {"__MACOSX/scan/._2.png": b"junk", "scan/.hidden.png": b"junk", "scan/notes.txt": b"junk"}
        packed(tmp_path / "scan.zip", {**{name: (tmp_path / name).read_bytes() for name in names}, **extra})
        folder, archive = open_source(tmp_path / "scan"), open_source(tmp_path / "scan.zip")
        assert archive.names == folder.names == ("2.png", "10.png", "more/1.png")
        for index in range(3):
            np.testing.assert_array_equal(archive.read(index).pixels, folder.read(index).pixels)
        assert archive.paths == (None, None, None)
        assert [path.name for path in tmp_path.iterdir()].count("2.png") == 0

    def test_its_content_is_that_of_the_file_and_the_name(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"1.png": picture(1), "2.png": picture(2)})
        first = [open_source(path).content(index) for index in range(2)]
        assert first == [open_source(path).content(index) for index in range(2)]
        assert first[0] != first[1]
        packed(path, {"1.png": picture(7), "2.png": picture(2)})
        assert open_source(path).content(0) != first[0]

    def test_archives_and_photos_go_together(self, tmp_path: Path) -> None:
        first = packed(tmp_path / "a.zip", {"1.png": picture(1), "2.png": picture(2)})
        second = packed(tmp_path / "b.zip", {"1.png": picture(3)})
        source = open_source([first, second, save(tmp_path / "c.png", value=4)])
        assert source.names == (f"{first.as_posix()}/1.png", "2.png", f"{second.as_posix()}/1.png", "c.png")
        assert [int(source.read(index).pixels[0, 0, 0]) for index in range(4)] == [1, 2, 3, 4]

    def test_of_a_scene_the_images(self, tmp_path: Path) -> None:
        members = {f"scene/{name}": picture(9) for name in ("images/a.png", "masks/a.png", "previews/a.png")}
        with pytest.warns(ReconWarning, match="scene/masks"):
            assert open_source(packed(tmp_path / "a.zip", members)).names == ("a.png",)

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "BMP"])
    def test_every_format_is_decoded_from_memory(self, kind: str, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"a.png": picture(200, kind)})
        assert abs(int(open_source(path).read(0).pixels[0, 0, 0]) - 200) < 4

    def test_one_damaged_photo_is_a_bad_photo(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"1.png": picture(1), "2.png": b"no picture"}, zipfile.ZIP_STORED)
        content = bytearray(path.read_bytes())
        content[content.index(b"IDAT") + 6] ^= 0xFF
        path.write_bytes(bytes(content))
        source = open_source(path)
        with pytest.raises(InputError, match=r"a\.zip/1\.png.*archive is damaged"):
            source.read(0)
        with pytest.raises(InputError, match=r"a\.zip/2\.png"):
            source.read(1)


class TestHostile:
    @pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png", "C:/a.png", "..\\a.png"])
    def test_names_that_lead_out(self, name: str, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"b.png": picture(1), "@" * len(name): picture(2)})
        path.write_bytes(path.read_bytes().replace(b"@" * len(name), name.encode()))
        with pytest.raises(InputError, match="leads out of the archive"):
            open_source(path)

    def test_a_bomb_is_refused_before_it_is_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zip_archive, "HARMLESS", 1_000_000)
        path = packed(tmp_path / "a.zip", {"a.bmp": bytes(2_000_000)})
        monkeypatch.setattr(zipfile.ZipFile, "read", lambda *arguments: pytest.fail("unpacked"))
        with pytest.raises(InputError, match=r"a\.zip/a\.bmp' would unpack from \d+ to 2000000 bytes"):
            open_source(path)
        many = packed(tmp_path / "b.zip", {f"{index}.bmp": bytes(900_000) for index in range(3)})
        with pytest.raises(InputError, match=r"b\.zip' would unpack from \d+ to 2700000 bytes"):
            open_source(many)

    def test_too_many_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zip_archive, "MOST_MEMBERS", 2)
        with pytest.raises(InputError, match="lists 3 files"):
            ZipArchive(packed(tmp_path / "a.zip", dict.fromkeys("abc", b"")))

    def test_encrypted(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"a.png": picture(1)}, zipfile.ZIP_STORED)
        content = bytearray(path.read_bytes())
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(bytes(content))
        with pytest.raises(InputError, match=r"a\.png' is encrypted; unpack .* password"):
            open_source(path).read(0)

    def test_cut_off(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "a.zip", {"a.png": picture(1)})
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(InputError, match="damaged or incomplete archive"):
            open_source(path)

    @pytest.mark.parametrize("members", [{}, {"a.txt": b"text"}, {"masks/a.png": b""}])
    def test_without_photos(self, members: dict[str, bytes], tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"a\.zip.*(holds no images|without photos)"):
            open_source(packed(tmp_path / "a.zip", members))
