"""The photos that go with a COLMAP model or a transforms.json: copied where that will do, else written anew."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from recon.errors import InputError
from recon.export.original_images import image_names, write_images
from recon.messages import ReconWarning
from recon.sources.open_source import open_source
from recon.sources.originals import SourceOriginals
from recon.sources.photo import Photo
from recon.types import Prediction
from tests.seeds import numpy_random

WIDTH, HEIGHT = 64, 48
SCALE = 4


def prediction_of(originals, names: tuple[str, ...], **changes) -> Prediction:
    """Of upright photos of 64 × 48 pixels, seen at a quarter of that."""
    count, shape = len(names), (len(names), HEIGHT // SCALE, WIDTH // SCALE)
    k = np.array([[15.0, 0, 8], [0, 15, 6], [0, 0, 1]], np.float32)
    values = {
        "depth": np.ones(shape, np.float32),
        "processed_images": numpy_random(4).integers(0, 256, (*shape, 3), dtype=np.uint8),
        "extrinsics": np.tile(np.eye(3, 4, dtype=np.float32), (count, 1, 1)),
        "intrinsics": np.tile(k, (count, 1, 1)),
        "image_names": names,
        "original_sizes": np.tile([[WIDTH, HEIGHT]], (count, 1)),
        "processed_to_original": np.tile(np.diag([SCALE, SCALE, 1.0]), (count, 1, 1)),
        "originals": originals,
    }
    return Prediction(**{**values, **changes})


def pixels(size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    coarse = numpy_random(9).integers(40, 216, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def save_all_kinds(folder: Path) -> dict[str, bool]:
    """Photos of each kind; by name, whether the file may be copied as it is."""
    folder.mkdir()
    photo = pixels()
    photo.save(folder / "plain.jpg", quality=90)
    photo.save(folder / "plain.png")
    photo.convert("L").save(folder / "grey.jpg")
    photo.save(folder / "lies.png", format="JPEG")
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=turned)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("RGBA").save(folder / "alpha.png")
    photo.quantize(16).save(folder / "palette.png")
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    photo.save(folder / "other.tiff")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save(folder / "profile.jpg", icc_profile=srgb, quality=90)
    copied = {"plain.jpg", "plain.png", "grey.jpg", "profile.jpg"}
    return {path.name: path.name in copied for path in folder.iterdir()}


def test_every_kind_is_written_as_a_person_sees_it(tmp_path):
    kinds = save_all_kinds(tmp_path / "photos")
    source = open_source(tmp_path / "photos")
    prediction = prediction_of(SourceOriginals.by_name(source, source.names), source.names)
    written = write_images(prediction, tmp_path, "pinhole")
    assert written.copied == sum(kinds.values())
    assert written.processed == 0
    for view, (name, as_name) in enumerate(zip(source.names, written.names, strict=True)):
        image = Image.open(tmp_path / "images" / as_name)
        assert image.size == (WIDTH, HEIGHT)
        assert image.mode in ("RGB", "L")
        assert image.format == ("PNG" if as_name.endswith(".png") else "JPEG")
        assert image.getexif().get(0x0112, 1) == 1
        seen = source.read(view).pixels.astype(int)
        assert np.abs(np.asarray(image.convert("RGB")) - seen).mean() < 2
        same = (tmp_path / "photos" / name).read_bytes() == (tmp_path / "images" / as_name).read_bytes()
        assert same == kinds[name]
    assert "other.jpg" in written.names


def test_names_are_safe_and_different():
    given = (
        *("day/a.jpg", "night/a.jpg", "b.heic", "b.JPG", "c.jpeg", "0003", "frame.001"),
        *("/home/me/d.png", "../e.png", "C:\\photos\\f.png", "ä ü.png", ".."),
    )
    names = image_names(prediction_of(None, given))
    assert names[:2] == ("day/a.jpg", "night/a.jpg")
    assert names[5:] == (
        *("0003.png", "frame.001.png", "d.png", "e.png"),
        *(names[9], "ä ü.png", "photo.png"),
    )
    assert len({name.casefold() for name in names}) == len(given)
    for name in names:
        path = Path("/out/images") / name
        assert path.resolve().is_relative_to("/out/images")
        assert path.suffix.lower() in (".jpg", ".jpeg", ".png")


def test_the_folder_of_a_scene_s_photos_is_not_written_twice():
    assert image_names(prediction_of(None, ("images/a.jpg", "images/left/a.jpg"))) == ("a.jpg", "left/a.jpg")
    assert image_names(prediction_of(None, ("images/a.jpg", "b.jpg"))) == ("images/a.jpg", "b.jpg")


def test_photos_that_are_gone_or_changed_are_said_and_the_processed_ones_have_cameras_of_their_size(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        pixels().save(tmp_path / "photos" / name)
    source = open_source(tmp_path / "photos")
    prediction = prediction_of(SourceOriginals.by_name(source, source.names), source.names)
    (tmp_path / "photos/b.jpg").unlink()
    pixels((80, 60)).save(tmp_path / "photos/c.jpg")
    with pytest.warns(ReconWarning, match=r"2 of 3 photos .*16×12 pixels"):
        written = write_images(prediction, tmp_path, "pinhole")
    assert written.processed == 2
    np.testing.assert_array_equal(written.cameras.sizes, [[64, 48], [16, 12], [16, 12]])
    np.testing.assert_allclose(written.cameras.intrinsics[0, 0], [60, 0, 32])
    np.testing.assert_allclose(written.cameras.intrinsics[1, 0], [15, 0, 8])
    np.testing.assert_allclose(written.processed_to_pinhole[:, 0, 0], [4, 1, 1])
    assert [Image.open(tmp_path / "images" / name).size for name in written.names] == [(64, 48), (16, 12), (16, 12)]


def test_photos_are_never_written_over(tmp_path):
    (tmp_path / "images").mkdir()
    pixels().save(tmp_path / "images/a.jpg")
    before = (tmp_path / "images/a.jpg").read_bytes()
    source = open_source(tmp_path / "images")
    prediction = prediction_of(SourceOriginals.by_name(source, source.names), source.names)
    with pytest.raises(InputError, match=r"a\.jpg is one of the photos"):
        write_images(prediction, tmp_path, "pinhole")
    assert (tmp_path / "images/a.jpg").read_bytes() == before


def test_photos_given_as_pixels_are_written_without_loss(tmp_path):
    given = np.asarray(pixels())
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:10, :20] = False
    source = open_source([Photo("0000", given, mask=mask)])
    small = mask[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE][None]
    prediction = prediction_of(SourceOriginals.by_name(source, source.names), source.names, mask=small)
    written = write_images(prediction, tmp_path, "pinhole")
    assert written.names == ("0000.png",)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "images/0000.png")), given)
    assert written.masks == ("0000.png.png",)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks/0000.png.png")) > 0, mask)
    # Without the photo's own mask, that of the view at the photo's size.
    shutil.rmtree(tmp_path / "masks")
    pixels().save(tmp_path / "0000.png")
    again = replace(prediction, originals=SourceOriginals.by_name(open_source([tmp_path / "0000.png"]), ["0000.png"]))
    write_images(again, tmp_path, "pinhole")
    large = np.kron(small[0], np.ones((SCALE, SCALE), bool))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks/0000.png.png")) > 0, large)


def test_a_photo_smaller_than_its_view_is_written_without_what_is_around_it(tmp_path):
    boxes = np.array([[0, 0, 16, 12], [3, 2, 8, 6]])
    mask = np.ones((2, 12, 16), bool)
    mask[1] = False
    mask[1, 2:8, 3:11] = True
    prediction = prediction_of(None, ("a.png", "b.png"), photo_boxes=boxes, mask=mask)
    with pytest.warns(ReconWarning, match="could not be written at their own resolution"):
        written = write_images(prediction, tmp_path, "pinhole")
    np.testing.assert_array_equal(written.cameras.sizes, [[16, 12], [8, 6]])
    np.testing.assert_allclose(written.cameras.intrinsics[1], [[15, 0, 5], [0, 15, 4], [0, 0, 1]])
    np.testing.assert_allclose(written.processed_to_pinhole[1], [[1, 0, -3], [0, 1, -2], [0, 0, 1]])
    image = np.asarray(Image.open(tmp_path / "images/b.png"))
    np.testing.assert_array_equal(image, prediction.processed_images[1, 2:8, 3:11])
    assert written.masks == (None, None)
