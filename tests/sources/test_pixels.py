"""Every colour mode, bit depth and orientation ends as the upright 8-bit RGB a person would see."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from recon.errors import InputError
from recon.messages import ReconWarning, collect_warnings
from recon.sources.loading import load_photos
from recon.sources.pixels import believable_focal, pixels_from_array, pixels_from_pil, read_image
from tests.seeds import numpy_random

ORIENTATION = 0x0112


@pytest.fixture
def upright() -> np.ndarray:
    """(20, 30, 3) random pixels: no two orientations of it look alike."""
    return numpy_random(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores: EXIF 2.3, 4.6.4 says which visual side the stored row 0 and column 0 are."""
    height, width = upright.shape[:2]
    rows, columns = (height, width) if orientation <= 4 else (width, height)
    stored = np.empty((rows, columns, 3), upright.dtype)
    for r in range(rows):
        for c in range(columns):
            y, x = {
                1: (r, c),  # row 0 is the top, column 0 the left side
                2: (r, width - 1 - c),  # top, right
                3: (height - 1 - r, width - 1 - c),  # bottom, right
                4: (height - 1 - r, c),  # bottom, left
                5: (c, r),  # left, top
                6: (c, width - 1 - r),  # right, top
                7: (height - 1 - c, width - 1 - r),  # right, bottom
                8: (height - 1 - c, r),  # left, bottom
            }[orientation]
            stored[r, c] = upright[y, x]
    return stored


def exif_with(**tags: int) -> Image.Exif:
    exif = Image.Exif()
    if "orientation" in tags:
        exif[ORIENTATION] = tags["orientation"]
    if "focal_35mm" in tags:
        exif.get_ifd(0x8769)[0xA405] = tags["focal_35mm"]
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_is_applied(tmp_path: Path, upright: np.ndarray, orientation: int, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(stored_as(upright, orientation)).save(path, exif=exif_with(orientation=orientation))
    pixels, _ = read_image(path)
    np.testing.assert_array_equal(pixels, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "CMYK"])
def test_raw_tiff_is_turned_upright(tmp_path: Path, upright: np.ndarray, orientation: int, mode: str) -> None:
    """Pillow maps these into memory."""
    grey = np.repeat(upright[..., :1], 3, axis=2)
    stored = stored_as(grey, orientation)[..., 0]
    image = Image.fromarray(stored.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(stored).convert(mode)
    image.save(tmp_path / "a.tif", tiffinfo={ORIENTATION: orientation})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], grey)
    with Image.open(tmp_path / "a.tif") as opened:
        np.testing.assert_array_equal(pixels_from_pil(opened), grey)
        assert opened.filename


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_orientation_that_does_not_exist_counts_as_upright(
    tmp_path: Path, upright: np.ndarray, orientation: int, suffix: str
) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(upright).save(path, exif=exif_with(orientation=orientation), quality=95)
    pixels, _ = read_image(path)
    assert pixels.shape == upright.shape
    if suffix != ".jpg":
        np.testing.assert_array_equal(pixels, upright)


def test_pillow_image_is_turned_upright_and_left_as_it_was(tmp_path: Path, upright: np.ndarray) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(stored_as(upright, 6)).save(path, exif=exif_with(orientation=6))
    with Image.open(path) as image:
        np.testing.assert_array_equal(pixels_from_pil(image), upright)
        assert image.size == (20, 30)
        assert image.getexif()[ORIENTATION] == 6


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_heic_is_turned_once(tmp_path: Path, orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48] = (255, 0, 0)
    upright[32:, 48:] = (0, 0, 255)
    path = tmp_path / "photo.HEIC"
    stored = Image.fromarray(stored_as(upright, orientation))
    exif = exif_with(orientation=orientation, focal_35mm=26).tobytes()
    pillow_heif.from_pillow(stored).save(path, quality=95, exif=exif)
    pixels, focal = read_image(path)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 4  # lossy, but every corner has its own colour
    assert focal == 26


def test_damaged_heic_is_an_input_error(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"photo\.heic' cannot be read.*damaged"):
        read_image(path)


def test_focal_length_from_exif(tmp_path: Path, upright: np.ndarray) -> None:
    for number, expected in (
        (8, 8.0),
        (28, 28.0),
        (3000, 3000.0),
        *((wrong, None) for wrong in (0, 1, 7, 3001, 65535)),
    ):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(upright).save(path, exif=exif_with(focal_35mm=number))
        assert read_image(path)[1] == expected
    Image.fromarray(upright).save(tmp_path / "without.jpg")
    assert read_image(tmp_path / "without.jpg")[1] is None


@pytest.mark.parametrize("value", [None, "wide", (28,), -28, math.nan, math.inf, IFDRational(28, 0)])
def test_what_is_no_focal_length_counts_as_absent(value: object) -> None:
    assert believable_focal(value) is None
    assert believable_focal(IFDRational(57, 2)) == 28.5


def test_unreadable_exif_does_not_lose_the_photo(tmp_path: Path, upright: np.ndarray) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(upright).save(path, exif=b"Exif\x00\x00not a TIFF header")
    with collect_warnings() as messages, pytest.warns(ReconWarning, match=r"photo\.png' has EXIF data"):
        photos = load_photos([path, path]).photos
    assert len(messages) == 1
    np.testing.assert_array_equal(photos[0].pixels, upright)
    assert photos[0].exif_focal_35mm is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_grey_and_one_bit(tmp_path: Path, suffix: str) -> None:
    grey = np.full((20, 30), 77, np.uint8)
    grey[:, 15:] = 200
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(grey).save(path, quality=100)
    np.testing.assert_allclose(read_image(path)[0], np.repeat(grey[..., None], 3, axis=2), atol=3)

    bits = Image.fromarray(grey > 100)
    assert bits.mode == "1"
    bits.save(tmp_path / "bits.png")
    expected = np.repeat(np.where(grey > 100, 255, 0)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[0], expected)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return rgb * share + 255 * (1 - share)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_blended_over_white(tmp_path: Path, upright: np.ndarray, mode: str) -> None:
    alpha = numpy_random(1).integers(0, 256, upright.shape[:2], dtype=np.uint8)
    colour = upright if mode == "RGBA" else np.repeat(upright[..., :1], 3, axis=2)
    image = Image.fromarray(np.dstack([upright, alpha] if mode == "RGBA" else [upright[..., 0], alpha]), mode)
    path = tmp_path / "photo.png"
    image.save(path)
    np.testing.assert_allclose(read_image(path)[0], over_white(colour, alpha), atol=1)


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    indices = np.repeat([[0, 1, 2]], 20, axis=0).repeat(10, axis=1).astype(np.uint8)
    colours = np.array([(10, 20, 30), (200, 100, 0), (0, 0, 255)], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png")[0], colours[indices])

    image.save(tmp_path / "one.png", transparency=1)
    expected = np.where(indices[..., None] == 1, 255, colours[indices])
    np.testing.assert_array_equal(read_image(tmp_path / "one.png")[0], expected)

    alpha = np.array([255, 128, 0], np.uint8)
    image.save(tmp_path / "each.png", transparency=alpha.tobytes())
    np.testing.assert_allclose(
        read_image(tmp_path / "each.png")[0], over_white(colours[indices], alpha[indices]), atol=1
    )


def test_transparent_colour_of_rgb_png(tmp_path: Path) -> None:
    rgb = np.zeros((20, 20, 3), np.uint8)
    rgb[:, 10:] = (1, 2, 3)
    Image.fromarray(rgb).save(tmp_path / "photo.png", transparency=(1, 2, 3))
    expected = np.where((rgb == (1, 2, 3)).all(axis=2, keepdims=True), 255, rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png")[0], expected)


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "I;16"), (".tif", "I;16"), (".tif", "I;16B"), (".tif", "I")])
@pytest.mark.parametrize("orientation", [1, 6])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str, mode: str, orientation: int) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    stored = stored_as(np.repeat(levels[..., None], 3, axis=2), orientation)[..., 0].astype(np.uint16) * 257
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    path = tmp_path / f"photo{suffix}"
    Image.frombytes(mode, (16, 16), stored.astype(dtype).tobytes()).save(path, exif=exif_with(orientation=orientation))
    with Image.open(path) as image:
        assert image.mode.startswith("I")
    np.testing.assert_array_equal(read_image(path)[0], np.repeat(levels[..., None], 3, axis=2))


@pytest.mark.parametrize("values", [-1, 65536])
def test_values_beyond_sixteen_bits_are_refused(values: int) -> None:
    image = Image.fromarray(np.full((20, 20), values, np.int32))
    with pytest.raises(InputError, match="32-bit"):
        pixels_from_pil(image)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_not_inverted(tmp_path: Path, suffix: str) -> None:
    colour = (200, 30, 60)
    path = tmp_path / f"photo{suffix}"
    Image.new("RGB", (32, 32), colour).convert("CMYK").save(path)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    np.testing.assert_allclose(read_image(path)[0], np.full((32, 32, 3), colour), atol=4)


def test_colour_mode_without_conversion_is_named() -> None:
    with pytest.raises(InputError, match="colour mode La"):
        pixels_from_pil(Image.new("La", (20, 20)))


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.dtype(">u2"), np.float32, np.float64, np.float16])
def test_arrays_of_every_type_and_shape(channels: tuple[int, ...], dtype: np.dtype) -> None:
    levels = numpy_random(2).integers(0, 256, (20, 30, *channels))
    if channels == (4,):
        levels[..., 3] = 255
    full = {"u": np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 0, "f": 1.0}[np.dtype(dtype).kind]
    array = (levels * (full / 255)).astype(dtype)
    before = array.copy()
    expected = np.repeat(levels.reshape(20, 30, -1), 3, axis=2) if channels in ((), (1,)) else levels[..., :3]
    pixels = pixels_from_array(array)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(array, before)


def test_sixteen_bits_round_to_the_nearest_level() -> None:
    values = numpy_random(3).integers(0, 65536, (40, 40), dtype=np.uint16)
    assert np.abs(pixels_from_array(values)[..., 0] - values / 257).max() <= 0.5


def test_array_alpha_is_blended_over_white(upright: np.ndarray) -> None:
    alpha = np.full(upright.shape[:2], 64, np.uint8)
    np.testing.assert_allclose(pixels_from_array(np.dstack([upright, alpha])), over_white(upright, alpha), atol=1)


def test_bool_array_is_black_and_white() -> None:
    np.testing.assert_array_equal(pixels_from_array(np.eye(20, dtype=bool))[..., 1], np.eye(20) * 255)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 20, 20), np.uint8), r"image 7 must have shape .* not \(3, 20, 20\); move the channels last"),
        (np.zeros((20, 20, 2), np.uint8), "must have shape"),
        (np.zeros((20,), np.uint8), "must have shape"),
        (np.zeros((0, 20, 3), np.uint8), "must have shape"),
        (np.zeros((20, 20, 3), np.int64), "type int64; give uint8"),
        (np.full((20, 20, 3), 255.0), r"from 255 to 255; scale them to \[0, 1\]"),
        (np.full((20, 20, 3), -0.5), r"from -0\.5 to"),
        (np.full((20, 20, 3), np.nan), "NaN or infinite"),
        (np.full((20, 20), np.inf), "NaN or infinite"),
        (np.zeros((20, 20, 3), np.complex64), "complex64"),
    ],
)
def test_bad_arrays_are_named(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pixels_from_array(array, "image 7")


def claim_size(path: Path, width: int, height: int) -> None:
    """Rewrite the size in a PNG's header, checksum included."""
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


def test_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("L", (20, 20)).save(path)
    claim_size(path, 40_000, 30_000)
    with pytest.raises(InputError, match=r"bomb\.png' is 40000×30000, 1200 megapixels"):
        read_image(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_hundred_megapixels_load(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (12_000, 9_000), 1).save(path)
    pixels, _ = read_image(path)
    assert pixels.shape == (9_000, 12_000, 3)
    assert pixels.min() == 255


@pytest.mark.parametrize("limit", [500, 200])
@pytest.mark.filterwarnings("error")
def test_pillows_own_limit_is_set_aside_and_put_back(
    tmp_path: Path, upright: np.ndarray, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(upright).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError)):
        Image.open(path)
    np.testing.assert_array_equal(read_image(path)[0], upright)
    assert limit == Image.MAX_IMAGE_PIXELS
