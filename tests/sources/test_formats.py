"""A file is what its content says: read under any name, or named for what it is with what to do about it."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from recon.errors import InputError, MissingExtraError
from recon.messages import ReconWarning
from recon.sources.formats import AVIF, HEIC, RAW, SVG, detect_format
from recon.sources.images import list_images
from recon.sources.loading import load_photos
from recon.sources.pixels import read_image
from tests.seeds import numpy_random

HEIC_START = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + bytes(200)


def picture(seed: int = 0) -> Image.Image:
    """48×32, smooth: lossy formats keep it within a few levels."""
    small = numpy_random(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((48, 32), Image.Resampling.BICUBIC)


def encoded(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, form, **options)
    return buffer.getvalue()


READ = [
    ("JPEG", {"quality": 95}, 6.0),
    ("PNG", {}, 0),
    ("TIFF", {}, 0),
    ("TIFF", {"big_tiff": True}, 0),
    ("WEBP", {"lossless": True}, 0),
    ("BMP", {}, 0),
    ("JPEG2000", {}, 0),
    ("PPM", {}, 0),
    ("TGA", {}, 0),
    ("QOI", {}, 0),
    ("AVIF", {"quality": 95}, 6.0),
    ("MPO", {"quality": 95}, 6.0),
]


@pytest.mark.parametrize(("form", "options", "tolerance"), READ, ids=[f"{r[0]}{len(r[1])}" for r in READ])
@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.jpg", "a.png", "a.tif", "a.avif", "a.webp", "a.jxl"])
def test_what_is_read_is_read_under_any_name(
    tmp_path: Path, form: str, options: dict[str, object], tolerance: float, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(form, **options))
    pixels, _ = read_image(path)
    assert np.abs(pixels.astype(int) - np.asarray(picture())).mean() <= tolerance


@pytest.mark.parametrize("name", ["a.HEIC", "a.jpg", "a.png"])
def test_heic_is_read_under_any_name(tmp_path: Path, name: str) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32] = (200, 30, 60)
    path = tmp_path / name
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=95, format="HEIF")
    assert detect_format(path) is HEIC
    assert np.abs(read_image(path)[0].astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("name", ["a.HEIC", "a.jpg"])
def test_heic_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(HEIC_START)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*recon\[heic\]"):
        read_image(tmp_path / name)


def test_a_missing_package_stops_the_run_and_a_damaged_photo_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    picture().save(tmp_path / "0.jpg")
    for index in range(1, 4):
        (tmp_path / f"{index}.heic").write_bytes(HEIC_START)
    with pytest.raises(MissingExtraError, match=r"recon\[heic\]"):
        load_photos(tmp_path)

    for index in range(1, 4):
        (tmp_path / f"{index}.heic").write_bytes(b"\x00\x01\x02 no HEIC")
    with pytest.warns(ReconWarning) as record:
        assert len(load_photos(tmp_path).photos) == 1
    assert [index for index in range(4) if any(f"{index}.heic" in str(one.message) for one in record)] == [1, 2, 3]


def test_avif_that_pillow_was_built_without_is_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("AVIF"))
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(MissingExtraError, match=r"AVIF.*pillow"):
        read_image(tmp_path / "a.jpg")


def zipped(name: str = "photo.jpg") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, encoded("JPEG"))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("photo.jpg"), io.BytesIO())
    return buffer.getvalue()


def video(container: str, codec: str) -> Callable[[], bytes]:
    def encode() -> bytes:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * index, np.uint8))
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return buffer.getvalue()

    return encode


def moving(form: str) -> Callable[[], bytes]:
    return lambda: encoded(form, save_all=True, append_images=[picture(1), picture(2)])


def tiff_with(tags: dict[int, tuple[int, int]], big_endian: bool = False) -> bytes:
    """A small RGB TIFF with more entries in its first directory: number to type and value."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, value) in tags.items():
        directory.tagtype[tag] = kind
        directory[tag] = bytes([value, 4, 0, 0]) if kind == 1 else value
    buffer = io.BytesIO()
    picture().save(buffer, "TIFF", tiffinfo=directory)
    return buffer.getvalue()


def hand_made_raw_tiff() -> bytes:
    """A big-endian directory alone: a small preview with a sub-directory for the sensor's data, as in NEF."""
    entries = [(0x00FE, 4, 1), (0x0100, 4, 160), (0x0101, 4, 120), (0x014A, 4, 400)]
    packed = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"MM\x00*" + struct.pack(">IH", 8, len(entries)) + packed + bytes(4)


REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("zip", zipped, r"ZIP.*unpack"),
    ("tar", tarred, r"tar.*unpack"),
    ("gzip", lambda: gzip.compress(tarred()), r"gzip.*unpack"),
    ("mp4", video("mp4", "mpeg4"), r"video \(MP4\).*give it alone"),
    ("mov", video("mov", "mpeg4"), r"video \(QuickTime\).*give it alone"),
    ("mkv", video("matroska", "mpeg4"), r"video \(Matroska or WebM\).*give it alone"),
    ("avi", video("avi", "mpeg4"), r"video \(AVI\).*give it alone"),
    ("mpegts", video("mpegts", "mpeg2video"), r"video \(MPEG.*give it alone"),
    ("mpeg", video("mpeg", "mpeg1video"), r"video \(MPEG\).*give it alone"),
    ("flv", video("flv", "flv1"), r"video \(Flash\).*give it alone"),
    ("animated gif", moving("GIF"), r"moving picture.*convert it to MP4"),
    ("animated webp", moving("WEBP"), r"moving picture.*convert it to MP4"),
    ("animated png", moving("PNG"), r"moving picture.*convert it to MP4"),
    ("animated avif", moving("AVIF"), r"moving picture.*convert it to MP4"),
    ("pdf", lambda: encoded("PDF"), r"PDF.*export"),
    ("html", lambda: b"\n<!DOCTYPE html>\n<html><body>404</body></html>", r"web page.*download it again"),
    ("xhtml", lambda: b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">', "web page"),
    ("svg", lambda: b'<?xml version="1.0"?>\n<svg width="9"></svg>', r"SVG.*PNG"),
    ("text", lambda: "Grüße aus Köln, kein Foto\n".encode(), "text, not a photo"),
    ("json", lambda: b'{"error": "not found"}', "text, not a photo"),
    ("utf-16", lambda: "no photo".encode("utf-16"), "text, not a photo"),
    ("git lfs", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ("dng", lambda: tiff_with({0xC612: (1, 1)}), r"RAW.*develop"),
    ("nef", hand_made_raw_tiff, r"RAW.*develop"),
    ("cr2", lambda: b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(64), r"RAW.*develop"),
    ("cr3", lambda: struct.pack(">I4s4sI", 16, b"ftyp", b"crx ", 1) + bytes(99), r"RAW.*develop"),
    ("raf", lambda: b"FUJIFILMCCD-RAW 0201" + bytes(99), r"RAW.*develop"),
    ("rw2", lambda: b"IIU\x00" + bytes(99), r"RAW.*develop"),
    ("jxl", lambda: b"\xff\x0a" + bytes(range(99)), r"JPEG XL.*djxl"),
    ("boxed jxl", lambda: b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(99), r"JPEG XL.*djxl"),
    ("exr", lambda: b"\x76\x2f\x31\x01\x02" + bytes(99), r"OpenEXR.*tone-map"),
    ("hdr", lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n", r"HDR.*tone-map"),
    ("zeros", lambda: bytes(9000), r"zeros.*again"),
    ("npy", lambda: b"\x93NUMPY\x01\x00" + bytes(99), "NumPy array"),
]


@pytest.mark.parametrize(("make", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_is_not_read_is_named_with_what_to_do(tmp_path: Path, make: Callable[[], bytes], message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(make())
    with pytest.raises(InputError, match=message) as error:
        read_image(path)
    assert not isinstance(error.value, MissingExtraError)
    assert "photo.jpg" in str(error.value)
    assert "\n" not in str(error.value)


def test_kinds(tmp_path: Path) -> None:
    """What a reader of sources goes by."""
    for name, content, kind in [
        ("a.dat", zipped(), "archive"),
        ("b.dat", video("mp4", "mpeg4")(), "video"),
        ("c.dat", encoded("JPEG"), "photo"),
        ("d.dat", b"{}", "text"),
        ("e.dat", encoded("PDF"), "document"),
    ]:
        (tmp_path / name).write_bytes(content)
        found = detect_format(tmp_path / name)
        assert found is not None
        assert found.kind == kind, name
    (tmp_path / "f.dat").write_bytes(encoded("AVIF"))
    assert detect_format(tmp_path / "f.dat") is AVIF
    (tmp_path / "g.dat").write_bytes(b"\x01\x02\x03\x04" * 9)
    assert detect_format(tmp_path / "g.dat") is None
    (tmp_path / "empty").touch()
    assert detect_format(tmp_path / "empty") is None


def test_a_mif1_file_is_what_its_further_brands_say(tmp_path: Path) -> None:
    for brand, expected in [(b"avif", AVIF), (b"heic", HEIC)]:
        path = tmp_path / "a.jpg"
        path.write_bytes(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"miaf", brand))
        assert detect_format(path) is expected


def test_text_that_only_looks_like_something(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for text in [b"The free software", b"G" * 600, b"BM is no bitmap here", b"my ftyp", b"A <svg> in a sentence"]:
        path.write_bytes(text)
        found = detect_format(path)
        assert found is not None
        assert found.kind == "text", text
        assert found is not SVG


def test_a_tiff_of_a_sensor_is_raw_and_a_photo_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_with({}))
    np.testing.assert_array_equal(read_image(path)[0], np.asarray(picture()))
    path = path.rename(tmp_path / "a.nef")  # any TIFF of that name: those of some cameras cannot be told by content
    assert detect_format(path) is RAW
    path.write_bytes(encoded("JPEG"))
    assert read_image(path)[0].shape == (32, 48, 3)


def test_the_first_of_several_pictures_is_read_and_that_is_said(tmp_path: Path) -> None:
    for name, form in [("pages.tif", "TIFF"), ("stereo.mpo", "MPO")]:
        picture().save(tmp_path / name, form, save_all=True, append_images=[picture(1)])
        with pytest.warns(ReconWarning, match=rf"{name}' holds 2 pictures"):
            pixels, _ = read_image(tmp_path / name)
        assert np.abs(pixels.astype(int) - np.asarray(picture())).mean() < 6
    # Phones put a preview or a map of brightness beside the photo: nothing to know about.
    (tmp_path / "stereo.mpo").rename(tmp_path / "phone.jpg")
    assert read_image(tmp_path / "phone.jpg")[0].shape == (32, 48, 3)


def test_photos_of_unread_formats_are_named_and_left_out(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg")
    (tmp_path / "b.jxl").write_bytes(b"\xff\x0a" + bytes(range(99)))
    (tmp_path / "c.dng").write_bytes(tiff_with({0xC612: (1, 1)}))
    picture().save(tmp_path / "d.mpo", "MPO")
    with pytest.warns(ReconWarning) as record:
        loaded = load_photos(tmp_path)
    assert [photo.name for photo in loaded.photos] == ["a.jpg", "d.mpo"]
    assert [name for name, _ in loaded.dropped] == ["b.jxl", "c.dng"]
    said = [str(warning.message) for warning in record]
    assert any("b.jxl" in line and "JPEG XL" in line for line in said)
    assert any("c.dng" in line and "RAW" in line for line in said)
    with pytest.raises(InputError, match=r"b\.jxl"):
        load_photos(tmp_path, strict=True)


def test_a_raw_file_beside_its_jpeg_is_the_same_picture(tmp_path: Path) -> None:
    picture().save(tmp_path / "IMG_1.JPG", "JPEG")
    for name in ["img_1.dng", "IMG_2.NEF"]:
        (tmp_path / name).write_bytes(hand_made_raw_tiff())
    with pytest.warns(ReconWarning, match=r"passed over 1 RAW .*img_1\.dng"):
        assert [path.name for path in list_images(tmp_path)] == ["IMG_1.JPG", "IMG_2.NEF"]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own
def test_truncated_files_are_named(tmp_path: Path) -> None:
    for form in ["JPEG", "PNG", "TIFF", "WEBP", "JPEG2000", "AVIF"]:
        whole = encoded(form)
        for length in (20, len(whole) // 2):
            path = tmp_path / f"{form}{length}.jpg"
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match=rf"{form}{length}\.jpg'.*damaged"):
                read_image(path)
