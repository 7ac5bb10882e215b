"""Processed sizes, and the law that the affine map says where every original point went."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.fitting import (
    PATCH,
    PROCESS_RES_METHODS,
    at_own_size,
    fit_photo,
    map_intrinsics,
    normalise,
    preprocess,
    unmap_intrinsics,
)
from recon.sources.photo import Photo
from tests.seeds import numpy_random

SIZES = [(1208, 680), (1296, 1936), (504, 378), (640, 480), (61, 47), (501, 333), (20, 15)]


def blank(width: int, height: int, name: str = "photo.jpg") -> Photo:
    return Photo(name, np.zeros((height, width, 3), np.uint8))


def cross(width: int, height: int, x: int, y: int) -> Photo:
    """Red is white from column x on, green is white from row y on."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, x:, 0] = 255
    pixels[y:, :, 1] = 255
    return Photo(f"{width}×{height}", pixels)


def find_cross(image: np.ndarray) -> np.ndarray:
    """Homogeneous position of the two edges: as far in as the dark part's pixels, whole and shared, reach."""
    dark = 1 - image.astype(np.float64) / 255
    return np.array([dark[..., 0].sum(axis=1).mean(), dark[..., 1].sum(axis=0).mean(), 1.0])


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_edges_land_where_the_affine_says(method: str, size: tuple[int, int]) -> None:
    x, y = int(size[0] * 0.43), int(size[1] * 0.61)
    views = preprocess([cross(*size, x, y)], process_res=280, method=method)
    affine = views.processed_to_original[0]
    found, expected = find_cross(views.pixels[0]), np.linalg.inv(affine) @ [x, y, 1]
    np.testing.assert_allclose(found, expected, atol=0.5)
    np.testing.assert_allclose(affine @ found, [x, y, 1], atol=0.5 * max(1, affine[0, 0], affine[1, 1]))


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_edges_land_where_the_affine_says_after_the_common_crop(method: str) -> None:
    sizes = [(640, 480), (480, 640), (601, 599)]
    photos = [cross(w, h, w // 2 + 20, h // 2 - 15) for w, h in sizes]
    with pytest.warns(ReconWarning, match="mixed sizes"):
        views = preprocess(photos, process_res=280, method=method)
    for image, affine, (width, height) in zip(views.pixels, views.processed_to_original, sizes, strict=True):
        expected = np.linalg.inv(affine) @ [width // 2 + 20, height // 2 - 15, 1]
        np.testing.assert_allclose(find_cross(image), expected, atol=0.5)


@pytest.mark.parametrize("method", ["upper_bound_resize", "lower_bound_resize"])
def test_resizes_keep_the_whole_photo(method: str) -> None:
    for width, height in SIZES:
        views = preprocess([blank(width, height)], process_res=280, method=method)
        _, h, w, _ = views.pixels.shape
        corners = np.array([[0, 0, 1], [w, h, 1]]).T
        np.testing.assert_allclose(
            views.processed_to_original[0] @ corners, np.array([[0, 0, 1], [width, height, 1]]).T
        )


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_sizes_follow_the_method(method: str) -> None:
    rng = numpy_random(0)
    for width, height in rng.integers(60, 400, (60, 2)).tolist():
        process_res = int(rng.integers(100, 300))
        size = fit_photo(blank(width, height), process_res, method).pixels.shape[1::-1]
        exact = process_res / (max if method.startswith("upper") else min)(width, height) * np.array([width, height])
        gain = np.array(size) - exact
        assert all(side % PATCH == 0 for side in size)
        # A rounded resize is at most half a patch off, a crop loses at most one; rounding to whole pixels adds half.
        assert (np.abs(gain) <= PATCH / 2 + 0.5).all() if method.endswith("resize") else (gain > -PATCH).all()
        assert method.endswith("resize") or (gain <= 0.5).all()


def test_crop_takes_the_very_pixels() -> None:
    pixels = numpy_random(0).integers(0, 256, (61, 70, 3), dtype=np.uint8)
    views = preprocess([Photo("a", pixels)], process_res=70, method="upper_bound_crop")
    np.testing.assert_array_equal(views.pixels[0], pixels[2:58])
    np.testing.assert_array_equal(views.processed_to_original[0], [[1, 0, 0], [0, 1, 2], [0, 0, 1]])


def test_photo_of_the_right_size_is_unchanged() -> None:
    pixels = numpy_random(0).integers(0, 256, (56, 70, 3), dtype=np.uint8)
    for method in PROCESS_RES_METHODS:
        views = preprocess([Photo("a", pixels)], process_res=56 if "lower" in method else 70, method=method)
        np.testing.assert_array_equal(views.pixels[0], pixels)
        np.testing.assert_array_equal(views.processed_to_original[0], np.eye(3))


def test_fitted_photo_does_not_hold_on_to_the_photo() -> None:
    for size in [(70, 56), (70, 61), (300, 200)]:
        for method in PROCESS_RES_METHODS:
            photo = blank(*size)
            fitted = fit_photo(photo, 56 if "lower" in method else 70, method)
            assert not np.shares_memory(fitted.pixels, photo.pixels)


def test_result_describes_the_originals() -> None:
    photos = [blank(640, 480, "a.jpg"), blank(1280, 960, "b.jpg")]
    views = preprocess(photos)
    assert views.pixels.shape == (2, 378, 504, 3)
    assert views.pixels.dtype == np.uint8
    assert views.original_sizes.tolist() == [[640, 480], [1280, 960]]
    assert views.original_sizes.dtype == np.int64
    assert views.processed_to_original.dtype == np.float64
    assert views.names == ("a.jpg", "b.jpg")


def test_photos_are_not_changed_and_runs_agree() -> None:
    rng = numpy_random(0)
    photos = [Photo(str(i), rng.integers(0, 256, (333, 501, 3), dtype=np.uint8)) for i in range(9)]
    before = [photo.pixels.copy() for photo in photos]
    first, second = preprocess(photos), preprocess(photos)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    for photo, pixels in zip(photos, before, strict=True):
        np.testing.assert_array_equal(photo.pixels, pixels)


def random_intrinsics(count: int) -> np.ndarray:
    rng = numpy_random(0)
    intrinsics = np.zeros((count, 3, 3))
    intrinsics[:, [0, 1], [0, 1]] = rng.uniform(300, 900, (count, 2))
    intrinsics[:, 0, 1] = rng.uniform(-5, 5, count)
    intrinsics[:, :2, 2] = rng.uniform(100, 500, (count, 2))
    intrinsics[:, 2, 2] = 1
    return intrinsics


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_intrinsics_go_there_and_back(method: str) -> None:
    views = preprocess([blank(501, 333), blank(1002, 666)], process_res=280, method=method)
    original = random_intrinsics(2)
    processed = map_intrinsics(original, views.processed_to_original)
    np.testing.assert_allclose(
        unmap_intrinsics(processed, views.processed_to_original), original, rtol=1e-12, atol=1e-9
    )
    np.testing.assert_array_equal(processed[:, 2], [[0, 0, 1]] * 2)
    np.testing.assert_array_equal(processed[:, 1, 0], 0)
    # A point seen at some original pixel is seen, through the processed camera, at the pixel that maps to it.
    point = np.array([0.3, -0.2, 2.0])
    seen, seen_original = processed @ point / 2.0, original @ point / 2.0
    np.testing.assert_allclose((views.processed_to_original @ seen[..., None])[..., 0], seen_original, rtol=1e-12)


def test_principal_point_at_the_centre_stays_there() -> None:
    for size in SIZES:
        views = preprocess([blank(*size)], process_res=280)
        intrinsics = np.array([[[400.0, 0, size[0] / 2], [0, 400.0, size[1] / 2], [0, 0, 1]]])
        _, h, w, _ = views.pixels.shape
        np.testing.assert_allclose(map_intrinsics(intrinsics, views.processed_to_original)[0, :2, 2], [w / 2, h / 2])


def test_mixed_sizes_are_cropped_with_a_warning_that_says_what_is_lost() -> None:
    photos = [blank(640, 480, "wide.jpg"), blank(480, 640, "tall.jpg"), blank(640, 480, "wide2.jpg")]
    with pytest.warns(ReconWarning) as record:
        views = preprocess(photos, process_res=504)
    message = str(record[0].message)
    assert len(record) == 1
    assert views.pixels.shape == (3, 378, 378, 3)
    for part in ["640×480 (2)", "480×640 (1)", "378×378", "25% of the pixels", "25% of 'wide.jpg'"]:
        assert part in message
    with pytest.raises(InputError, match=r"mixed sizes: 640×480 \(2\), 480×640 \(1\); bring them to one size"):
        preprocess(photos, mixed_sizes="error")


def test_many_mixed_sizes_stay_one_line() -> None:
    with pytest.warns(ReconWarning, match="and 6 more sizes; all are cropped to"):
        preprocess([blank(100 + 40 * i, 300) for i in range(10)], process_res=140)


def test_different_originals_of_one_processed_size_are_not_mixed() -> None:
    photos = [blank(640, 480), blank(1280, 960), blank(641, 481)]
    assert preprocess(photos, mixed_sizes="error").pixels.shape == (3, 378, 504, 3)


@pytest.mark.parametrize("method", PROCESS_RES_METHODS)
def test_too_elongated_photo_is_refused_by_name(method: str) -> None:
    with pytest.raises(InputError, match=r"photo 'strip\.png' \(20000×50\) is too elongated"):
        preprocess([blank(640, 480), blank(20_000, 50, "strip.png")], method=method)


def test_elongated_photo_fits_at_a_larger_process_res() -> None:
    assert preprocess([blank(20_000, 50)], process_res=2800, method="upper_bound_resize").pixels.shape[1] == 14


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process_res": 13}, "process_res must be at least 14 pixels, not 13"),
        ({"process_res": -504}, "at least 14"),
        ({"process_res": 504.0}, "process_res must be a whole number"),
        ({"process_res": "504"}, "process_res must be a whole number"),
        ({"method": "upper_bound"}, "process_res_method must be one of upper_bound_resize, .* not 'upper_bound'"),
        ({"mixed_sizes": "pad"}, "mixed_sizes must be one of own, crop, error, not 'pad'"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preprocess([blank(640, 480)], **settings)


def test_at_its_own_size_a_photo_stays_as_it_is() -> None:
    pixels = numpy_random(1).integers(0, 256, (31, 45, 3), np.uint8)
    mask = np.zeros((31, 45), bool)
    mask[3, 4] = True
    fitted = at_own_size(Photo("a", pixels, mask=mask))
    np.testing.assert_array_equal(fitted.pixels, pixels)
    np.testing.assert_array_equal(fitted.mask, mask)
    np.testing.assert_array_equal(fitted.processed_to_original, np.eye(3))
    assert fitted.original_size == (45, 31)
    assert not np.shares_memory(fitted.pixels, pixels)
    with pytest.raises(InputError, match=r"'huge' \(10000×6000\) .* process_res"):
        at_own_size(blank(10_000, 6_000, "huge"))


def test_no_photos_are_refused() -> None:
    with pytest.raises(InputError, match="no photos"):
        preprocess([])


def test_smallest_process_res_and_numpy_integers() -> None:
    assert preprocess([blank(640, 480)], process_res=np.int64(14)).pixels.shape == (1, 14, 14, 3)


def test_normalise_is_imagenet_standardisation() -> None:
    images = numpy_random(0).integers(0, 256, (2, 14, 28, 3), dtype=np.uint8)
    expected = (images / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    values = normalise(images)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    np.testing.assert_allclose(values, expected.transpose(0, 3, 1, 2), atol=1e-6)
