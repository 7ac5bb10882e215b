"""Colours of every space end as those of sRGB that look the same; sRGB itself is left as it is, to the byte."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from recon.messages import ReconWarning
from recon.sources.colour import matrix_profile
from recon.sources.pixels import read_image
from tests.seeds import numpy_random

D65 = (0.3127, 0.3290)
SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
DISPLAY_P3 = (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
ADOBE_RGB = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
PRO_PHOTO = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)

# Light of one space to light of sRGB, as published (Bradford), and the curve of the space; None: sRGB's own.
SPACES = {
    "Display P3": (DISPLAY_P3, None, [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]),
    "Adobe RGB": (ADOBE_RGB, 563 / 256, [[1.3983, -0.3983, 0], [0, 1, 0], [0, -0.0429, 1.0429]]),
    "ProPhoto": (
        PRO_PHOTO,
        1.8,
        [[2.0341, -0.7274, -0.3067], [-0.2288, 1.2317, -0.0029], [-0.0086, -0.1533, 1.1619]],
    ),
}


def srgb_curve(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def srgb_light(levels: np.ndarray) -> np.ndarray:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def in_srgb(levels: np.ndarray, space: str) -> np.ndarray:
    """(..., 3) levels from 0 to 255 in sRGB; what it lacks is clipped."""
    _, gamma, matrix = SPACES[space]
    light = srgb_light(levels / 255) if gamma is None else (levels / 255) ** gamma
    return 255 * srgb_curve((light @ np.array(matrix).T).clip(0, 1))


def colours(seed: int = 0) -> np.ndarray:
    """(20, 30, 3) of them, half of them dull enough for every space."""
    levels = numpy_random(seed).integers(0, 256, (20, 30, 3))
    levels[:10] = 90 + levels[:10] // 4
    return levels.astype(np.uint8)


def png_with(image: Image.Image, chunks: dict[bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    extra = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks.items()
    )
    return data[:33] + extra + data[33:]  # after IHDR


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_profiles_become_srgb(tmp_path: Path, space: str, form: str) -> None:
    primaries, gamma, _ = SPACES[space]
    options = {"lossless": True} if form == "WEBP" else {}
    Image.fromarray(colours()).save(tmp_path / "a.jpg", form, icc_profile=matrix_profile(primaries, gamma), **options)
    expected = in_srgb(colours().astype(float), space)
    off = np.abs(read_image(tmp_path / "a.jpg")[0] - expected)
    assert off[:10].max() <= 1.5
    assert np.percentile(off, 99) <= 3  # clipped colours, where a level more is a large step of light
    assert np.abs(expected - colours()).mean() > 4  # so that there was something to convert


def test_alpha_and_palette_and_grey_with_a_profile_of_colours(tmp_path: Path) -> None:
    profile = matrix_profile(ADOBE_RGB, 563 / 256)
    half = np.dstack([colours(), np.full((20, 30), 128, np.uint8)])
    Image.fromarray(half).save(tmp_path / "alpha.png", icc_profile=profile)
    share = 128 / 255
    expected = in_srgb(colours().astype(float), "Adobe RGB") * share + 255 * (1 - share)
    assert np.abs(read_image(tmp_path / "alpha.png")[0] - expected)[:10].max() <= 2

    indexed = Image.fromarray(colours()).quantize(16)
    indexed.save(tmp_path / "indexed.png", icc_profile=profile)
    expected = in_srgb(np.asarray(indexed.convert("RGB"), float), "Adobe RGB")
    assert np.abs(read_image(tmp_path / "indexed.png")[0] - expected)[:10].max() <= 2

    Image.fromarray(colours()[..., 0]).save(tmp_path / "grey.png", icc_profile=profile)
    expected = in_srgb(np.repeat(colours()[..., :1], 3, axis=2).astype(float), "Adobe RGB")
    assert np.abs(read_image(tmp_path / "grey.png")[0] - expected).max() <= 2


def test_transparent_colour_stays_transparent(tmp_path: Path) -> None:
    pixels = np.full((20, 30, 3), (10, 200, 30), np.uint8)
    pixels[:, 15:] = (90, 90, 90)
    profile = matrix_profile(ADOBE_RGB, 563 / 256)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile, transparency=(10, 200, 30))
    read, _ = read_image(tmp_path / "a.png")
    assert (read[:, :15] == 255).all()
    assert read[0, 20].max() < 100


@pytest.mark.parametrize("name", ["littlecms", "primaries", "none"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_srgb_stays_as_it_is_to_the_byte(tmp_path: Path, name: str, mode: str) -> None:
    profile = {
        "littlecms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "primaries": matrix_profile(SRGB, None),
        "none": None,
    }[name]
    image = Image.fromarray(colours())
    image = image.quantize(20) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.asarray(image.convert("RGB")))


def test_sample_scenes_are_read_as_they_are() -> None:
    images = sorted(Path("scenes").glob("*/images/*"))
    assert images
    for path in images[:: max(1, len(images) // 4)]:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_image(path)[0], np.asarray(image.convert("RGB")))


def one_channel_profile(gamma: float) -> bytes:
    """ICC profile of grey."""
    tags = {
        b"wtpt": struct.pack(">4s4x3i", b"XYZ ", *(round(x * 65536) for x in (0.9642, 1, 0.8249))),
        b"kTRC": struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256)),
    }
    return profile_of(b"mntr", b"GRAY", b"XYZ ", tags)


def ink_profile() -> bytes:
    """ICC profile of CMYK in which cyan is grey of L* 60, all other inks white, and black ink black: nobody's
    guess."""
    corners = []
    for corner in range(16):  # the last ink fastest
        cyan, black = corner >> 3, corner & 1
        lightness = 0 if black else 60 if cyan else 100
        corners += [round(lightness / 100 * 0xFF00), 0x8000, 0x8000]
    identity = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000]
    table = struct.pack(">4s4xBBBx9iHH", b"mft2", 4, 3, 2, *identity, 2, 2)
    table += struct.pack(">8H", *[0, 65535] * 4) + struct.pack(">48H", *corners) + struct.pack(">6H", *[0, 65535] * 3)
    white = struct.pack(">4s4x3i", b"XYZ ", *(round(x * 65536) for x in (0.9642, 1, 0.8249)))
    return profile_of(b"prtr", b"CMYK", b"Lab ", {b"wtpt": white, b"A2B0": table})


def profile_of(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 132 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(data), 0x02400000, kind, space, connection, b"acsp")
    head = head.ljust(68, b"\x00") + struct.pack(">3i", *(round(x * 65536) for x in (0.9642, 1, 0.8249)))
    return head.ljust(128, b"\x00") + table + data


def test_grey_profile(tmp_path: Path) -> None:
    """Levels that are light itself."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=one_channel_profile(1.0))
    pixels, _ = read_image(tmp_path / "a.png")
    assert np.abs(pixels[..., 1] - 255 * srgb_curve(levels / 255)).max() <= 1

    deep = numpy_random(0).integers(0, 65536, (30, 40)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png", icc_profile=one_channel_profile(1.0))
    pixels, _ = read_image(tmp_path / "b.png")
    assert np.abs(pixels[..., 1] - 255 * srgb_curve(deep / 65535)).max() <= 2
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_profile(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    inks = np.zeros((32, 48, 4), np.uint8)
    inks[:, 16:32, 0] = 255
    inks[:, 32:, 3] = 255
    Image.fromarray(inks, "CMYK").save(path, icc_profile=ink_profile(), quality=100)
    pixels, _ = read_image(path)
    grey = 255 * srgb_curve(np.array(((60 + 16) / 116) ** 3))
    for columns, expected in [(slice(2, 14), 255), (slice(18, 30), grey), (slice(34, 46), 0)]:
        assert np.abs(pixels[2:-2, columns] - expected).max() <= 4


@pytest.mark.parametrize("fault", ["no profile at all", "cut short", "of grey", "of inks", "empty tags"])
def test_a_profile_that_cannot_be_used_is_left_aside_and_named(tmp_path: Path, fault: str) -> None:
    whole = matrix_profile(ADOBE_RGB, 2.2)
    profile = {
        "no profile at all": b"not a profile",
        "cut short": whole[:200],
        "of grey": one_channel_profile(2.2),
        "of inks": ink_profile(),
        "empty tags": whole[:128] + bytes(4),
    }[fault]
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=profile)
    with pytest.warns(ReconWarning, match=r"a\.png' has a colour profile that cannot be used"):
        pixels, _ = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, colours())


def test_primaries_that_are_no_colours_are_left_aside_and_named(tmp_path: Path) -> None:
    chunks = {b"gAMA": struct.pack(">I", 45455), b"cHRM": bytes(32)}
    (tmp_path / "a.png").write_bytes(png_with(Image.fromarray(colours()), chunks))
    with pytest.warns(ReconWarning, match=r"a\.png' has a colour profile that cannot be used .*primaries") as said:
        pixels, _ = read_image(tmp_path / "a.png")
    assert len(said) == 1
    np.testing.assert_array_equal(pixels, colours())


def test_adobe_rgb_that_only_exif_tells_of(tmp_path: Path) -> None:
    """Cameras set to it may embed no profile."""
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(colours()).save(tmp_path / "a.png", exif=exif)
    assert np.abs(read_image(tmp_path / "a.png")[0] - in_srgb(colours().astype(float), "Adobe RGB"))[:10].max() <= 1.5
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}
    Image.fromarray(colours()).save(tmp_path / "b.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png")[0], colours())


def primaries_chunk(primaries: tuple[float, ...]) -> bytes:
    return struct.pack(">8I", *(round(100000 * x) for x in primaries))


def test_png_that_says_its_primaries_and_curve(tmp_path: Path) -> None:
    usual = {b"gAMA": struct.pack(">I", 45455), b"cHRM": primaries_chunk(SRGB)}
    adobe = {b"gAMA": struct.pack(">I", 45470), b"cHRM": primaries_chunk(ADOBE_RGB)}
    light = {b"gAMA": struct.pack(">I", 100000)}
    by_number = {b"cICP": bytes([12, 13, 0, 1])}
    image = Image.fromarray(colours())
    cases: list[tuple[dict[bytes, bytes], np.ndarray]] = [
        (usual, colours()),
        ({b"cICP": bytes([1, 13, 0, 1])}, colours()),
        ({**light, b"sRGB": b"\x00"}, colours()),
        (adobe, in_srgb(colours().astype(float), "Adobe RGB")),
        (light, 255 * srgb_curve(colours() / 255)),
        (by_number, in_srgb(colours().astype(float), "Display P3")),
        ({**by_number, **light}, in_srgb(colours().astype(float), "Display P3")),
    ]
    for chunks, expected in cases:
        (tmp_path / "a.png").write_bytes(png_with(image, chunks))
        assert np.abs(read_image(tmp_path / "a.png")[0] - expected)[:10].max() <= 1.5, chunks


def test_high_dynamic_range_is_said(tmp_path: Path) -> None:
    for curve, name in [(16, "PQ"), (18, "HLG")]:
        (tmp_path / "a.png").write_bytes(png_with(Image.fromarray(colours()), {b"cICP": bytes([9, curve, 0, 1])}))
        with pytest.warns(ReconWarning, match=rf"a\.png' has a high dynamic range \({name}\)"):
            np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], colours())


def test_heic_profile(tmp_path: Path) -> None:
    """As iPhones write it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 64), (120, 160, 90))
    profile = matrix_profile(DISPLAY_P3, None)
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", quality=100, icc_profile=profile)
    expected = in_srgb(np.array([120.0, 160, 90]), "Display P3")
    assert np.abs(read_image(tmp_path / "a.heic")[0] - expected).max() <= 3
    pillow_heif.from_pillow(image).save(tmp_path / "b.heic", quality=100)
    assert np.abs(read_image(tmp_path / "b.heic")[0] - np.array([120.0, 160, 90])).max() <= 3
