"""Masks beside photos: found by name, of any kind of picture, turned and sized as the photo is; black is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from recon.choices import InferenceOptions, MaskOptions
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.messages import ReconWarning
from recon.sources.fitting import fit_photo, preprocess
from recon.sources.mask_resize import resize_mask, shrink_mask
from recon.sources.masked import with_masks
from recon.sources.masks import PhotoMasks, read_mask
from recon.sources.open_source import open_source
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.types.cameras import Cameras
from tests.seeds import numpy_random

SIZE = (48, 32)


def shape(size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) bool without any symmetry: black in one corner, and a bar."""
    mask = np.ones(size[::-1], bool)
    mask[: size[1] // 2, : size[0] // 3] = False
    mask[size[1] // 4, :] = False
    return mask


def save(path: Path, pixels: np.ndarray, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
    return path


def photo(path: Path, size: tuple[int, int] = SIZE, **how: object) -> Path:
    return save(path, numpy_random(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8), **how)


def grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def masked(photos: object, masks: Path, invert: bool = False) -> Source:
    return with_masks(open_source(photos), MaskOptions(masks=masks, invert_masks=invert))  # type: ignore[arg-type]


class TestNames:
    @pytest.mark.parametrize("name", ["a.jpg.png", "a.png", "a.jpg", "a.TIF"])
    def test_both_ways_of_naming_and_any_format(self, name: str, tmp_path: Path) -> None:
        photo(tmp_path / "photos" / "a.jpg")
        save(tmp_path / "m" / name, grey(shape()), format=None)
        read = masked(tmp_path / "photos", tmp_path / "m").read(0)
        assert read.mask is not None
        if name != "a.jpg":  # whose block edges are not sharp
            np.testing.assert_array_equal(read.mask, shape())

    def test_sub_folders_and_the_whole_name_win(self, tmp_path: Path) -> None:
        for name in ("left/0.jpg", "right/0.jpg", "right/0.png"):
            photo(tmp_path / "photos" / name)
        wanted = {"left/0.jpg": "left/0.png", "right/0.jpg": "right/0.jpg.png", "right/0.png": "right/0.png.png"}
        for name in wanted.values():
            save(tmp_path / "m" / name, grey(shape()))
        source = open_source(tmp_path / "photos")
        found = PhotoMasks.find(tmp_path / "m", source.names).paths
        assert dict(zip(source.names, found, strict=True)) == {k: tmp_path / "m" / v for k, v in wanted.items()}

    def test_photos_in_the_folder_images_of_a_scene(self, tmp_path: Path) -> None:
        photo(tmp_path / "images" / "a.jpg")
        save(tmp_path / "masks" / "a.jpg.png", grey(shape()))
        with pytest.warns(ReconWarning, match="passed over"):
            source = masked(tmp_path, tmp_path / "masks")
        assert source.names == ("images/a.jpg",)
        assert source.read(0).mask is not None

    def test_photos_without_are_named_and_used_whole(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg"):
            photo(tmp_path / "photos" / name)
        save(tmp_path / "m" / "a.png", grey(shape()))
        save(tmp_path / "m" / "B_.png", grey(shape()))
        with pytest.warns(ReconWarning, match=r"no mask for 'b\.jpg'.*'B_\.png'"):
            source = masked(tmp_path / "photos", tmp_path / "m")
        assert source.read(1).mask is None
        assert source.read(0).mask is not None

    def test_one_picture_for_all_photos(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg"):
            photo(tmp_path / "photos" / name)
        source = masked(tmp_path / "photos", save(tmp_path / "rig.png", grey(shape())))
        for index in range(2):
            np.testing.assert_array_equal(source.read(index).mask, shape())  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("masks", "message"),
        [
            ([], "'.*m' does not exist"),
            (["x.png"], r"no picture in '.*m' is named like a photo.*a\.jpg\.png or a\.png"),
            (["a.png", "a.tif"], r"a\.png' and '.*a\.tif' are both named like 'a\.jpg'"),
            (["a.png", "c.png"], r"c\.png' is named like 'c\.jpg' and like 'c\.png'"),
            (["photos"], "keep photos and masks apart"),
        ],
    )
    def test_what_cannot_be_told_is_refused(self, masks: list[str], message: str, tmp_path: Path) -> None:
        for name in ("a.jpg", "c.jpg", "c.png"):
            photo(tmp_path / "photos" / name)
        for name in masks:
            if name != "photos":
                save(tmp_path / "m" / name, grey(shape()))
        if masks == ["photos"]:
            (tmp_path / "photos" / "c.png").unlink()
        with pytest.raises(InputError, match=message):
            masked(tmp_path / "photos", tmp_path / ("photos" if masks == ["photos"] else "m"))

    def test_inverting_nothing_is_refused(self) -> None:
        with pytest.raises(InputError, match="invert_masks is for masks"):
            InferenceOptions(invert_masks=True)


class TestPictures:
    def test_every_kind_of_picture(self, tmp_path: Path) -> None:
        mask, levels = shape(), grey(shape())
        soft = np.where(mask, 128, 127).astype(np.uint8)
        coloured = np.zeros((*mask.shape, 3), np.uint8)
        coloured[mask] = (200, 0, 30)
        palette = Image.fromarray(mask.astype(np.uint8), "P")
        palette.putpalette([10, 20, 0, 255, 255, 0])
        cut_out = np.dstack([np.full((*mask.shape, 3), 255, np.uint8), levels])
        kinds = {
            "grey": Image.fromarray(levels),
            "soft": Image.fromarray(soft),
            "bits": Image.fromarray(levels).convert("1"),
            "sixteen": Image.fromarray(levels.astype(np.uint16) * 257),
            "coloured": Image.fromarray(coloured),
            "palette": palette,
            "zero and one": Image.fromarray(mask.astype(np.uint8)),
            "transparent": Image.fromarray(cut_out),
        }
        for name, picture in kinds.items():
            picture.save(tmp_path / f"{name}.png")
            np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), mask, err_msg=name)

    def test_white_is_left_out_on_request(self, tmp_path: Path) -> None:
        save(tmp_path / "m" / "a.png", grey(shape()))
        source = masked(photo(tmp_path / "a.jpg"), tmp_path / "m", invert=True)
        np.testing.assert_array_equal(source.read(0).mask, ~shape())  # type: ignore[arg-type]
        assert source.content(0) != masked(tmp_path / "a.jpg", tmp_path / "m").content(0)

    def test_content_is_that_of_photo_and_mask(self, tmp_path: Path) -> None:
        path = save(tmp_path / "m" / "a.png", grey(shape()))
        source = masked(photo(tmp_path / "a.jpg"), tmp_path / "m")
        before = source.content(0)
        assert before == source.content(0)
        save(path, grey(~shape()))
        assert source.content(0) != before

    def test_a_photos_own_transparency_is_a_mask_and_adds_to_another(self, tmp_path: Path) -> None:
        pixels = numpy_random(0).integers(0, 256, (32, 48, 4), dtype=np.uint8)
        pixels[..., 3] = np.where(shape(), 200, 40)
        path = save(tmp_path / "a.png", pixels)
        for given in (path, pixels, Image.fromarray(pixels)):
            np.testing.assert_array_equal(open_source(given).read(0).mask, shape())  # type: ignore[arg-type]
        other = np.arange(48) % 2 == np.zeros((32, 1))
        read = masked(path, save(tmp_path / "m.png", grey(other))).read(0)
        np.testing.assert_array_equal(read.mask, shape() & other)  # type: ignore[arg-type]
        pixels[..., 3] = 255
        assert open_source(pixels).read(0).mask is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda mask: np.zeros_like(mask), r"m\.png' leaves nothing of '.*'.*black is left out.*give invert_masks"),
            (lambda mask: mask[:, 3:], r"m\.png' is 45×32 and the photo '.*' 48×32"),
        ],
    )
    def test_what_does_not_go_with_the_photo(self, make: object, message: str, tmp_path: Path) -> None:
        mask = save(tmp_path / "m.png", grey(make(shape())))  # type: ignore[operator]
        with pytest.raises(InputError, match=message):
            masked(photo(tmp_path / "a.jpg"), mask).read(0)

    def test_what_is_no_picture_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "m.png").write_bytes(b"none")
        with pytest.raises(InputError, match=r"m\.png'"):
            masked(photo(tmp_path / "a.jpg"), tmp_path / "m.png").read(0)


class TestTurned:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", [".jpg", ".tif"])
    def test_a_mask_lies_as_the_photo_is_stored(self, orientation: int, suffix: str, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = photo(tmp_path / f"a{suffix}", exif=exif)
        stored = Image.fromarray(grey(shape()))
        stored.save(tmp_path / "m.png")
        stored.info["exif"] = exif.tobytes()
        upright = np.asarray(ImageOps.exif_transpose(stored)) > 0
        read = masked(path, tmp_path / "m.png").read(0)
        np.testing.assert_array_equal(read.mask, upright)  # type: ignore[arg-type]
        if orientation >= 5:  # one that is upright already has another shape
            read = masked(path, save(tmp_path / "m.png", grey(upright))).read(0)
            np.testing.assert_array_equal(read.mask, upright)  # type: ignore[arg-type]

    def test_a_mask_says_itself_how_it_lies(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        save(tmp_path / "m.png", grey(np.rot90(shape())), exif=exif)
        read = masked(photo(tmp_path / "a.jpg"), tmp_path / "m.png").read(0)
        np.testing.assert_array_equal(read.mask, shape())  # type: ignore[arg-type]


class TestSizes:
    @pytest.mark.parametrize("size", [(24, 16), (96, 64), (35, 23)])
    def test_a_mask_of_another_size_is_stretched(self, size: tuple[int, int], tmp_path: Path) -> None:
        small = shape(size)
        read = masked(photo(tmp_path / "a.jpg"), save(tmp_path / "m.png", grey(small))).read(0)
        assert read.mask is not None
        rows = (np.arange(32) + 0.5) * size[1] / 32
        columns = (np.arange(48) + 0.5) * size[0] / 48
        nearest = small[np.floor(rows).astype(int)[:, None], np.floor(columns).astype(int)]
        assert not (read.mask & ~nearest).any()
        assert read.mask.mean() > small.mean() - 0.12

    @pytest.mark.parametrize("new", [(7, 5), (13, 9), (40, 31), (44, 37)])
    def test_a_pixel_counts_where_all_of_it_does(self, new: tuple[int, int]) -> None:
        mask = numpy_random(0).random((31, 40)) < 0.98
        found = resize_mask(mask, new)
        expected = np.ones(new[::-1], bool)
        for row in range(new[1]):
            for column in range(new[0]):
                top, bottom = row * 31 / new[1], (row + 1) * 31 / new[1]
                left, right = column * 40 / new[0], (column + 1) * 40 / new[0]
                for y, x in zip(*np.nonzero(~mask), strict=True):
                    overlap = min(bottom, y + 1) - max(top, y) > 1e-5 and min(right, x + 1) - max(left, x) > 1e-5
                    expected[row, column] &= not overlap
        np.testing.assert_array_equal(found, expected)

    def test_a_factor_that_leaves_a_part_over(self) -> None:
        mask = np.ones((10, 10), bool)
        mask[9] = False
        np.testing.assert_array_equal(shrink_mask(mask, (2.5, 2.5), (4, 3)), np.ones((3, 4), bool))
        mask[7] = False
        np.testing.assert_array_equal(shrink_mask(mask, (2.5, 2.5), (4, 3))[2], np.zeros(4, bool))

    @pytest.mark.parametrize("method", ["upper_bound_resize", "upper_bound_crop", "lower_bound_resize"])
    def test_no_colour_of_what_is_left_out_is_in_a_pixel_that_counts(self, method: str) -> None:
        """What is left out is white and the rest is black: pixels that count stay black."""
        height, width = 333, 250
        mask = np.ones((height, width), bool)
        mask[100:201, 60:133] = False
        mask[250:, :7] = False
        pixels = np.where(mask, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
        fitted = fit_photo(Photo("a", pixels, mask=mask), 98, method)
        assert fitted.mask is not None
        assert fitted.pixels[fitted.mask].max() == 0
        assert fitted.mask.mean() > 0.9 * mask.mean()

    def test_a_mask_with_no_whole_pixel_left(self) -> None:
        mask = np.zeros((320, 480), bool)
        mask[100:102, 100:102] = True
        with pytest.raises(InputError, match="mask of 'a' leaves no whole pixel of it at 84×56"):
            fit_photo(Photo("a", np.zeros((320, 480, 3), np.uint8), mask=mask), 84)


def test_points_that_are_seen_at_masked_pixels_alone_go() -> None:
    mask = np.ones((56, 84), bool)
    mask[:, :42] = False
    given = [Photo("a", np.zeros((56, 84, 3), np.uint8), mask=mask), Photo("b", np.zeros((56, 84, 3), np.uint8))]
    intrinsics = np.tile([[80.0, 0, 42], [0, 80, 28], [0, 0, 1]], (2, 1, 1))
    positions = np.array([[-1.0, 0, 4], [1, 0, 4], [-1, 0.5, 4], [0, 0, 9]])  # left, right, left, seen by none
    points = SparsePoints(positions, (np.array([0, 1, 2]), np.array([1, 2])), np.arange(4.0))
    cameras = Cameras(np.tile(np.eye(4), (2, 1, 1)), intrinsics)
    left = preprocess(given, 84).with_cameras(cameras, points).points
    assert left is not None
    np.testing.assert_array_equal(left.points, positions[1:])
    np.testing.assert_array_equal(left.errors, [1, 2, 3])  # type: ignore[arg-type]
    assert [seen.tolist() for seen in left.observed] == [[0], [0, 1]]
    unmasked = preprocess(given[1:] * 2, 84).with_cameras(cameras, points).points
    assert unmasked is points


def test_one_shape_is_checked_before_a_photo_is_decoded(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        photo(tmp_path / "photos" / name)
    upright = save(tmp_path / "m.png", grey(shape((32, 48))))
    masked(tmp_path / "photos", upright)  # may be of a photo that lies on its side
    with pytest.raises(InputError, match=r"m\.png' is 48×48 and the photo 'a\.jpg' 48×32"):
        masked(tmp_path / "photos", save(upright, grey(shape((48, 48)))))
    photo(tmp_path / "photos" / "c.png", (20, 20))
    masked(tmp_path / "photos", upright)  # it fits one: the others are left out one by one
