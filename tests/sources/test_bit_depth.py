"""Values of 10, 12 and 14 bits in 16-bit files: over the whole range where the file says so, else as they are."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from recon.messages import ReconWarning
from recon.sources.pixels import read_image
from tests.seeds import numpy_random
from tests.sources.test_colour import png_with
from tests.sources.test_pixels import stored_as


def values(bits: int, *channels: int) -> np.ndarray:
    """(16, 20, …) of so many bits, up to the largest."""
    drawn = numpy_random(bits).integers(0, 1 << bits, (16, 20, *channels)).astype(np.uint16)
    drawn[0, 0] = (1 << bits) - 1
    return drawn


def shown(stored: np.ndarray, bits: int) -> np.ndarray:
    """(16, 20, 3) 8-bit levels."""
    levels = np.rint(stored / ((1 << bits) - 1) * 255)
    return np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("tag", ["MaxSampleValue", "SMaxSampleValue", "WhiteLevel", "OME"])
def test_tiff_that_says_its_largest_value(tmp_path: Path, bits: int, channels: tuple[int, ...], tag: str) -> None:
    stored = values(bits, *channels)
    count = channels[0] if channels else 1
    all_of_them = ((1 << bits) - 1,) * count if channels else (1 << bits) - 1
    extra = {
        "MaxSampleValue": [(281, "H", count, all_of_them, True)],
        "SMaxSampleValue": [(341, "H", count, all_of_them, True)],
        "WhiteLevel": [(50717, "I", count, all_of_them, True)],
        "OME": [],
    }[tag]
    described = f'<OME><Pixels SignificantBits="{bits}"/></OME>' if tag == "OME" else None
    path = tmp_path / "a.tif"
    photometric = "rgb" if channels else "minisblack"
    tifffile.imwrite(path, stored, photometric=photometric, extratags=extra, description=described, metadata=None)
    assert np.abs(read_image(path)[0] - shown(stored, bits)).max() <= 1


def test_tiff_of_twelve_bits(tmp_path: Path) -> None:
    """Packed: two values in three bytes."""
    stored = values(12)
    pairs = stored.reshape(-1, 2).astype(np.uint32)
    joined = (pairs[:, 0] << 12) | pairs[:, 1]
    packed = np.stack([joined >> 16, joined >> 8 & 255, joined & 255], axis=1).astype(np.uint8).tobytes()
    entries = [(256, 20), (257, 16), (258, 12), (259, 1), (262, 1), (273, 200), (277, 1), (278, 16), (279, len(packed))]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    path = tmp_path / "a.tif"
    path.write_bytes(head.ljust(200, b"\x00") + packed)
    assert np.abs(read_image(path)[0] - shown(stored, 12)).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_png_that_says_its_bits(tmp_path: Path, bits: int, channels: tuple[int, ...]) -> None:
    stored = values(bits, *channels)
    if channels == (4,):
        stored[..., 3] = (1 << bits) - 1
    said = {b"sBIT": bytes([bits] * (channels[0] if channels else 1))}
    path = tmp_path / "a.png"
    for content in (stored, stored << (16 - bits)):  # as they are, and as the specification wants them
        path.write_bytes(with_chunks(content, said))
        assert np.abs(read_image(path)[0] - shown(stored, bits)[..., :3]).max() <= 1
    dark = (stored >> 4 << (16 - bits)).astype(np.uint16)  # no value reaches the largest of so many bits
    if channels != (4,):
        path.write_bytes(with_chunks(dark, said))
        assert np.abs(read_image(path)[0] - shown(dark, 16)).max() <= 1


def with_chunks(stored: np.ndarray, chunks: dict[bytes, bytes]) -> bytes:
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[
        stored.ndim if stored.ndim == 2 else stored.shape[2]
    ]
    written = cv2.imencode(".png", stored if order is None else cv2.cvtColor(stored, order))[1].tobytes()
    placeholder = png_with(Image.new("L", (1, 1)), chunks)
    bare = io.BytesIO()
    Image.new("L", (1, 1)).save(bare, "PNG")
    extra = placeholder[33 : 33 + len(placeholder) - len(bare.getvalue())]
    return written[:33] + extra + written[33:]


def test_where_nothing_says_it_values_stay(tmp_path: Path) -> None:
    stored = values(12)
    Image.fromarray(stored).save(tmp_path / "a.png")
    Image.fromarray(stored).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        assert np.abs(read_image(tmp_path / name)[0] - shown(stored, 16)).max() <= 1


@pytest.mark.parametrize("largest", [4000, 65535, 255])
def test_a_largest_value_that_is_no_depth_counts_for_nothing(tmp_path: Path, largest: int) -> None:
    """Some write the brightest value that there is: photos of one set would come out of different brightness."""
    stored = values(12).clip(0, 3999)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, extratags=[(281, "H", 1, largest, True)], metadata=None)
    assert np.abs(read_image(path)[0] - shown(stored, 16)).max() <= 1


def test_values_beyond_what_the_file_says_stay(tmp_path: Path) -> None:
    stored = values(16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, extratags=[(281, "H", 1, 4095, True)], metadata=None)
    assert np.abs(read_image(path)[0] - shown(stored, 16)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [(), (3,)])
def test_stretched_photos_are_turned_upright(tmp_path: Path, orientation: int, channels: tuple[int, ...]) -> None:
    """Once: the decoders differ in what they turn themselves."""
    upright = values(12, *channels)
    laid = np.arange(upright.shape[0] * upright.shape[1]).reshape(upright.shape[:2])
    places = stored_as(np.repeat(laid[..., None], 3, axis=2), orientation)[..., 0]
    stored = upright.reshape(-1, *channels)[places]
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb" if channels else "minisblack",
        extratags=[(274, "H", 1, orientation, True), (281, "H", 1, 4095, True)],
        metadata=None,
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    said = {b"sBIT": bytes([12] * max(1, *channels, 1)), b"eXIf": exif.tobytes().removeprefix(b"Exif\x00\x00")}
    (tmp_path / "a.png").write_bytes(with_chunks(stored, said))
    for name in ("a.tif", "a.png"):
        assert np.abs(read_image(tmp_path / name)[0] - shown(upright, 12)).max() <= 1, name


def test_what_cannot_be_stretched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(12, 3), photometric="rgb", extratags=[(281, "H", 1, 4095, True)], metadata=None)
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: None)
    with pytest.warns(ReconWarning, match=r"a\.tif' has 12 bits in 16"):
        read_image(path)


def test_netpbm_of_twelve_bits(tmp_path: Path) -> None:
    stored = values(12)
    (tmp_path / "a.pgm").write_bytes(b"P5 20 16 4095\n" + stored.astype(">u2").tobytes())
    assert np.abs(read_image(tmp_path / "a.pgm")[0] - shown(stored, 12)).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff_whose_zero_is_white(tmp_path: Path, bits: int, orientation: int) -> None:
    stored = values(bits)
    extra = [(281, "H", 1, (1 << bits) - 1, True), (274, "H", 1, orientation, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="miniswhite", extratags=extra, metadata=None)
    right = 255 - shown(stored, bits)
    assert np.abs(read_image(path)[0] - (right if orientation == 1 else np.rot90(right, -1))).max() <= 1


@pytest.mark.parametrize("chunk", [{b"sBIT": b""}, {b"sBIT": bytes(5)}, {b"cICP": b""}, {b"cICP": b"\x0c"}])
def test_damaged_chunks_of_a_png_count_as_absent(tmp_path: Path, chunk: dict[bytes, bytes]) -> None:
    levels = (values(16) >> 8).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(png_with(Image.fromarray(levels), chunk))
    np.testing.assert_array_equal(read_image(path)[0][..., 0], levels)
