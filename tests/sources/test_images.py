"""Photos from every kind of source; bad ones named, left out, or refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.messages import ReconWarning, collect_warnings
from recon.sources.images import list_images
from recon.sources.loading import load_each, load_photos
from recon.sources.names import natural_key
from recon.sources.photo import Photo
from tests.seeds import numpy_random


def random_pixels(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    return numpy_random(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, seed: int = 0) -> Path:
    Image.fromarray(random_pixels(seed)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good images whose alphabetical order is not their natural one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(["img1.png", "img2.png", "img10.png"]):
        save(folder / name, seed)
    return folder


def truncated(path: Path) -> None:
    save(path)
    path.write_bytes(path.read_bytes()[:-400])


def only_text(path: Path) -> None:
    path.write_text("not an image at all")


def empty(path: Path) -> None:
    path.touch()


def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


def thirteen_pixels(path: Path) -> None:
    Image.new("RGB", (200, 13)).save(path)


def gone(path: Path) -> None:
    """A link to nothing, as a pattern may name it."""
    path.symlink_to(path.with_name("nothing.png"))


BAD_FILES = [
    (truncated, r"bad\.png' cannot be read, it may be truncated or damaged"),
    (only_text, r"bad\.png' is text, not a photo"),
    (empty, r"bad\.png' is empty \(0 bytes\)"),
    (one_pixel, r"bad\.png' is 1×1 pixels; both sides must be at least 14"),
    (thirteen_pixels, r"bad\.png' is 200×13 pixels"),
    (gone, r"bad\.png' does not exist"),
]


def test_folder_is_read_in_natural_order(folder: Path) -> None:
    for name in ["notes.txt", ".hidden.png", "._img1.png", "Thumbs.db"]:
        (folder / name).write_text("passed over")
    (folder / "nested.png").mkdir()
    loaded = load_photos(folder)
    assert [photo.name for photo in loaded.photos] == ["img1.png", "img2.png", "img10.png"]
    assert loaded.kept == [0, 1, 2]
    for seed, photo in enumerate(loaded.photos):
        np.testing.assert_array_equal(photo.pixels, random_pixels(seed))


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    pixels = random_pixels(3)
    path = save(tmp_path / "a.png", 3)
    with Image.open(path) as lazily_opened:
        sources = [path, str(path), pixels, pixels / 255, Image.fromarray(pixels), lazily_opened, Photo("a", pixels)]
        for source in [*sources, *([source] for source in sources), tuple(sources), iter(sources), pixels[None]]:
            for photo in load_photos(source).photos:
                np.testing.assert_array_equal(photo.pixels, pixels)
        assert len(load_photos([*sources, tmp_path]).photos) == len(sources) + 1


def test_batch_array_is_several_photos() -> None:
    batch = np.stack([random_pixels(seed) for seed in range(3)])
    loaded = load_photos(batch)
    assert [photo.name for photo in loaded.photos] == ["0000", "0001", "0002"]
    np.testing.assert_array_equal(np.stack([photo.pixels for photo in loaded.photos]), batch)


def test_one_lazily_opened_image_given_many_times(tmp_path: Path) -> None:
    with Image.open(save(tmp_path / "a.png", 3)) as image:
        for photo in load_photos([image] * 8).photos:
            np.testing.assert_array_equal(photo.pixels, random_pixels(3))


def test_names_tell_files_apart(tmp_path: Path) -> None:
    for part in ["left", "right"]:
        (tmp_path / part).mkdir()
    left, right = save(tmp_path / "left" / "0.png"), save(tmp_path / "right" / "0.png")
    other = save(tmp_path / "other.png")
    names = [photo.name for photo in load_photos([left, right, other, other, random_pixels(0)]).photos]
    assert names == [left.as_posix(), right.as_posix(), "other.png", "other.png", "0004"]
    with Image.open(other) as image, Image.open(left) as first, Image.open(right) as second:
        opened = load_photos([image, first, second]).photos
    assert [photo.name for photo in opened] == ["other.png", left.as_posix(), right.as_posix()]


def test_different_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Cameras belong to names."""
    path = save(tmp_path / "a.png")
    first, second = Photo("a", random_pixels(0)), Photo("a.png", random_pixels(1))
    for pair in ([first, replace(second, name="a")], [path, second]):
        with pytest.raises(InputError, match=r"two images go by the name 'a(\.png)?'"):
            load_photos(pair)


def test_natural_key_orders_as_people_count() -> None:
    names = ["b1", "img2.png", "IMG10.png", "img011.png", "img100", "a9", "²1", "10", "9"]
    ordered = ["9", "10", "a9", "b1", "img2.png", "IMG10.png", "img011.png", "img100", "²1"]
    assert sorted(names, key=natural_key) == ordered


@pytest.mark.parametrize(("spoil", "message"), BAD_FILES)
def test_single_bad_image_is_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tmp_path / "bad.png")
    with pytest.raises(InputError, match=message) as error:
        load_photos(tmp_path / "bad.png")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("spoil", "message"), BAD_FILES)
def test_bad_image_among_others_is_named_and_left_out(
    tmp_path: Path, folder: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path / "bad.png")
    source = [folder / "img1.png", tmp_path / "bad.png", folder / "img2.png"]
    with collect_warnings() as messages, pytest.warns(ReconWarning, match=f"left out: .*{message}"):
        loaded = load_photos(source)
    assert len(messages) == 1
    assert loaded.kept == [0, 2]
    assert loaded.names == ["img1.png", "bad.png", "img2.png"]
    assert [photo.name for photo in loaded.photos] == ["img1.png", "img2.png"]
    with pytest.raises(InputError, match=message):
        load_photos(source, strict=True)


def test_a_name_among_others_without_a_file_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"imgg2\.png' does not exist"):
        load_photos([folder / "img1.png", folder / "imgg2.png"])


def test_bad_image_in_a_folder(folder: Path) -> None:
    truncated(folder / "img3.png")
    with pytest.warns(ReconWarning, match=r"left out: .*img3\.png' cannot be read"):
        loaded = load_photos(folder)
    assert [photo.name for photo in loaded.photos] == ["img1.png", "img2.png", "img10.png"]
    assert loaded.kept == [0, 1, 3]
    assert len(loaded.names) == 4


def test_bad_array_and_bad_pillow_image_are_left_out(tmp_path: Path) -> None:
    truncated(tmp_path / "bad.png")
    good, nan = random_pixels(0), np.full((20, 20, 3), np.nan)
    with Image.open(tmp_path / "bad.png") as image:
        with pytest.warns(ReconWarning) as record:
            loaded = load_photos([nan, good, image])
        with pytest.raises(InputError, match=r"image 'bad\.png' cannot be decoded"):
            load_photos(image)
    assert loaded.kept == [1]
    assert any("image '0000' has pixels that are NaN" in str(warning.message) for warning in record)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    for name in ["a.png", "b.png"]:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"none of the 2 images can be used; the first: .*a\.png' is empty"):
        load_photos(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_file_without_permission(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(InputError, match=r"a\.png' cannot be read.*ermission"):
        load_photos(path)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        load_photos(tmp_path)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(InputError, match="holds no images"):
        list_images(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"did you mean '.*images'"):
        load_photos(tmp_path)


@pytest.mark.parametrize("source", [[], (), np.zeros((0, 20, 30, 3), np.uint8)])
def test_no_images_at_all(source: object) -> None:
    with pytest.raises(InputError, match="no images given"):
        load_photos(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [7, None, b"bytes", [3.5], {"a": 1}])
def test_what_is_no_image_is_refused(source: object) -> None:
    with pytest.raises(InputError, match="must be a path, a numpy array or a Pillow image, not"):
        load_photos(source)  # type: ignore[arg-type]


def test_missing_single_path() -> None:
    with pytest.raises(InputError, match=r"'nowhere/photo\.jpg' does not exist"):
        load_photos("nowhere/photo.jpg")


def test_elongated_photo_loads(tmp_path: Path) -> None:
    Image.new("L", (20_000, 50)).save(tmp_path / "a.png")
    for source in (np.zeros((50, 20_000), np.uint8), tmp_path / "a.png"):
        photo = load_photos(source).photos[0]
        assert (photo.width, photo.height) == (20_000, 50)


def test_photo_refuses_other_arrays() -> None:
    with pytest.raises(InputError, match="photo 'a' must be"):
        Photo("a", np.zeros((20, 20, 3), np.float32))


def test_real_photos(shared_data: Path) -> None:
    loaded = load_photos(shared_data / "door" / "images")
    assert len(loaded.photos) == 12
    assert {(photo.width, photo.height, photo.exif_focal_35mm) for photo in loaded.photos} == {(1296, 1936, 43.0)}
    assert [photo.name for photo in loaded.photos] == [f"DSC_{i:04d}.JPG" for i in range(1, 13)]
    with Image.open(shared_data / "door" / "images" / "DSC_0007.JPG") as image:
        np.testing.assert_array_equal(loaded.photos[6].pixels, np.asarray(image))


def test_load_each_keeps_what_is_made_of_the_photos(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)

    def width_unless_b(photo: Photo) -> int:
        if photo.name == "b.png":
            raise InputError("'b.png' is no good")
        return photo.width

    with pytest.warns(ReconWarning, match=r"left out: 'b\.png' is no good"):
        loaded = load_each(tmp_path, width_unless_b)
    assert loaded.photos == [40, 40]
    assert loaded.kept == [0, 2]
    with pytest.raises(InputError, match=r"b\.png"):
        load_each(tmp_path, width_unless_b, strict=True)
