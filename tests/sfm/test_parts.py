from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from recon.errors import InputError
from recon.sfm.features import extract_features, read_keypoints, write_cameras
from recon.sfm.lenses import Lenses
from recon.sfm.merit import Merit, _lens_exists
from recon.sfm.pairs import all_pairs, choose_pairs, likely_pairs, neighbour_pairs
from recon.sfm.photos import SfmPhoto, prepare_photo
from recon.sfm.retrieval import LARGEST, LIKELY, LookAlikes, look_alikes, read_features
from recon.sources.photo import Photo
from recon.types.lens import distort
from tests.seeds import numpy_random

from .cards import arc, photograph, prepared, stage


def test_shrinking_uses_one_factor_for_both_axes():
    """A spot near the far corner of a photo whose sides do not shrink to whole pixels is where one factor puts it."""
    pixels = np.zeros((2003, 3001, 3), np.uint8)
    cv2.circle(pixels, (2930, 1950), 20, (255, 255, 255), -1, cv2.LINE_AA)
    photo = prepare_photo(Photo("spot", pixels), 407)
    assert max(photo.gray.shape) == 407
    assert photo.scale == 407 / 3001
    weights = photo.gray.astype(float)
    rows, columns = np.indices(weights.shape) + 0.5
    centre = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum() / photo.scale
    np.testing.assert_allclose(centre, [2930.5, 1950.5], atol=0.2)


def test_small_photos_are_not_enlarged():
    photo = prepare_photo(Photo("small", np.zeros((60, 80, 3), np.uint8)))
    assert photo.gray.shape == (60, 80)
    assert photo.scale == 1


def test_the_grey_picture_is_checked():
    with pytest.raises(InputError, match=r"photo 'a' must be \(h, w\) uint8"):
        SfmPhoto("a", np.zeros((3, 3, 3), np.uint8), (3, 3), 1.0)


def test_photos_of_one_size_and_focal_length_share_a_camera(tmp_path: Path):
    import pycolmap

    def photo(width: int, focal: float | None) -> SfmPhoto:
        return prepare_photo(Photo("", np.zeros((90, width, 3), np.uint8), focal))

    photos = [photo(120, None), photo(120, 28.0), photo(60, 28.0), photo(120, 28.0), photo(120, 50.0), photo(120, None)]
    for shared, expected in ((True, [1, 2, 3, 2, 4, 1]), (False, [1, 2, 3, 4, 5, 6])):
        path = tmp_path / f"{shared}.db"
        write_cameras(path, photos, "SIMPLE_RADIAL", shared)
        with pycolmap.Database.open(path) as database:
            images = sorted(database.read_all_images(), key=lambda image: image.image_id)
            priors = [camera.has_prior_focal_length for camera in database.read_all_cameras()]
        assert [image.camera_id for image in images] == expected
        assert priors == ([False, True, True, True] if shared else [False, True, True, True, True, False])


def test_pairs():
    assert all_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    assert neighbour_pairs(5, 1) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    apart = {j - i for i, j in neighbour_pairs(40, 3, furthest=16)}
    assert apart == {1, 2, 3, 4, 8, 16}
    assert neighbour_pairs(2, 10, furthest=40) == [(0, 1)]


def test_pairs_of_a_large_set_are_those_that_share_something_and_the_best_of_each_photo():
    alike = [LookAlikes(0, index, 2 * index) for index in range(1, 10)]  # 1 to 9 have no other
    assert likely_pairs(alike) == {(0, index) for index in range(1, 10)}
    ring = [LookAlikes(i, j, 0) for i, j in all_pairs(10)]
    assert len(likely_pairs(ring)) < len(ring)


def test_pairs_of_two_scenes(tmp_path: Path):
    """Two scenes, interleaved: a photo is matched with those of its own scene, as its order says nothing."""
    scenes = [photograph(stage(seed), arc(5)) for seed in (0, 7)]
    photos = prepared(np.stack(scenes, axis=1).reshape(10, *scenes[0].shape[1:]))  # (5, 2, ...) -> (10, ...)
    path = tmp_path / "database.db"
    write_cameras(path, photos, "SIMPLE_RADIAL", True)
    done: list[int] = []
    counts = extract_features(path, photos, tmp_path, 500, 2, done.append)
    assert ((counts > 300) & (counts < 1200)).all()
    assert done == sorted(done)
    assert done[-1] == 10
    assert [file.suffix for file in tmp_path.iterdir()] == [".db"]

    features = read_features(path, 10)
    assert {len(one) for one in features} == {LARGEST}
    found = look_alikes(features, 2)
    assert found == look_alikes(features, 2)
    assert all((i - j) % 2 == 0 and shared >= LIKELY for i, j, shared in found)
    chosen, pairing = choose_pairs(path, 10, ordered=False, exhaustive_up_to=9, neighbours=2, overlap=1, seed=0)
    assert chosen == [(i, j) for i, j, _ in found]
    assert (pairing.by, pairing.possible, pairing.chosen, pairing.in_order) == ("looks", 45, len(chosen), 0)
    in_time, pairing = choose_pairs(path, 10, ordered=True, exhaustive_up_to=9, neighbours=2, overlap=1, seed=0)
    assert {(i, i + 1) for i in range(9)} <= set(in_time)
    assert {(0, 2), (5, 7)} <= set(in_time)
    assert all((i - j) % 2 == 0 for i, j in set(in_time) - set(neighbour_pairs(10, 1, 4)))
    assert pairing.by == "time and looks"
    assert choose_pairs(path, 10, False, 10, 2, 1, 0)[0] == all_pairs(10)


def lenses(distortion: list[float], size: tuple[int, int] = (640, 480)) -> Lenses:
    width, height = size
    intrinsics = np.array([[[500.0, 0, width / 2], [0, 500.0, height / 2], [0, 0, 1]]])
    return Lenses(intrinsics, np.array([[*distortion, *[0] * (8 - len(distortion))]]), np.array([size]))


def test_distortion_is_that_of_opencv():
    generator = numpy_random(0)
    rays = generator.uniform(-0.6, 0.6, (50, 2))
    coefficients = generator.normal(scale=0.05, size=8)
    points = np.concatenate([rays, np.ones((50, 1))], axis=1)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
    np.testing.assert_allclose(distort(rays, coefficients), expected[:, 0], atol=1e-12)


@pytest.mark.parametrize("distortion", [[-0.2], [0.15], [-0.1, 0.05, 0.01, -0.008]])
def test_undistorting(distortion: list[float]):
    """A smooth pattern on the plane z = 1, through the lens, then undistorted, is the pinhole's picture of it."""

    def pattern(rays: np.ndarray) -> np.ndarray:
        x, y = rays[..., 0], rays[..., 1]
        waves = [np.sin(30 * x) * np.cos(20 * y), np.cos(25 * x + 10 * y), np.sin(15 * (x**2 + y**2))]
        return np.rint(127.5 + 110 * np.stack(waves, axis=-1)).astype(np.uint8)

    lens = lenses(distortion)
    x, y = np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5)
    bent = (np.stack([x, y], axis=-1).reshape(-1, 2) - [320, 240]) / 500
    rays = bent
    for _ in range(100):  # fixed point of rays = bent - (what distortion adds)
        rays = bent - (distort(rays, lens.distortion[0]) - rays)
    photo = pattern(rays.reshape(480, 640, 2))
    pinhole = lens.pinhole_intrinsics[0]
    expected = pattern((np.stack([x, y], axis=-1) - pinhole[:2, 2]) / pinhole[[0, 1], [0, 1]])
    difference = np.abs(lens.undistort(0, photo).astype(int) - expected)
    assert difference.max() <= 4
    assert np.abs(photo.astype(int) - expected).max() > 40


def test_every_pixel_is_taken_from_where_the_lens_put_it():
    """Photos that hold their own pixel coordinates: pixel centres are where they belong, on average."""
    lens = lenses([-0.2])
    x, y = np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5)
    pinhole = lens.pinhole_intrinsics[0]
    rays = (np.stack([x, y], axis=-1).reshape(-1, 2) - pinhole[:2, 2]) / pinhole[[0, 1], [0, 1]]
    expected = (distort(rays, lens.distortion[0]) * 500 + [320, 240]).reshape(480, 640, 2)
    for axis, coordinate in enumerate((x, y)):
        error = lens.undistort(0, coordinate.astype(np.float32)) - expected[..., axis]
        quarters = error.reshape(2, 240, 2, 320).mean(axis=(1, 3))  # single pixels are off by what the kernel does
        assert np.abs(quarters).max() < 0.002


@pytest.mark.parametrize(("k1", "exists"), [(-0.2, True), (0.3, True), (-0.35, False), (-0.45, False), (0.9, False)])
def test_a_lens_that_folds_within_the_photo_is_none(k1: float, exists: bool):
    """At -1/3 and the corner's radius of 1, the image of a ray is farthest out: beyond, it comes back."""
    camera = pycolmap.Camera(model="SIMPLE_RADIAL", width=1600, height=1200, params=[1000, 800, 600, k1])
    assert _lens_exists(camera) == exists


def test_a_photo_too_long_to_be_warped_is_refused():
    width = 40_000
    with pytest.raises(InputError, match="40000×20 pixels cannot be undistorted"):
        lenses([-0.2], (width, 20)).undistort(0, np.zeros((20, width, 3), np.uint8))


@pytest.mark.parametrize(("distortion", "wider"), [([-0.2], True), ([0.15], False)])
def test_the_undistorted_photo_is_full_and_as_wide_as_can_be(distortion: list[float], wider: bool):
    lens = lenses(distortion)
    pinhole = lens.pinhole_intrinsics[0]
    zoom = pinhole[0, 0] / 500
    assert (zoom < 1) != wider or zoom == pytest.approx(1, abs=0.2)
    border = np.concatenate(
        [
            np.stack(np.broadcast_arrays(x, y), axis=1)
            for x, y in ((np.linspace(0, 640, 99), 0.0), (0.0, np.linspace(0, 480, 99)))
        ]
    )
    inside = distort((border - pinhole[:2, 2]) / pinhole[0, 0], lens.distortion[0]) * 500 + [320, 240]
    slack = np.minimum(inside, [640, 480] - inside).min()
    assert -0.01 < slack < 0.5


def test_a_lens_that_bends_next_to_nothing_leaves_the_photo_alone():
    lens = lenses([1e-5])
    photo = np.zeros((480, 640, 3), np.uint8)
    assert lens.undistort(0, photo) is photo
    np.testing.assert_array_equal(lens.pinhole_intrinsics, lens.intrinsics)


def test_undistort_takes_the_upright_original_only():
    with pytest.raises(InputError, match="640×480 pixels, not 480×640"):
        lenses([-0.1]).undistort(0, np.zeros((640, 480, 3), np.uint8))


def test_lenses_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"distortion must have shape \(1, 8\)"):
        Lenses(np.eye(3)[None], np.zeros((1, 4)), np.array([[4, 4]]))


def test_the_better_of_two_models():
    """Enough points, then photos that the matches confirm, then the error."""
    worst_first = [(False, 22, 0.0), (True, 5, 0.3), (True, 8, 1.1), (True, 8, 0.3)]
    merits = [Merit(supported, confirmed, -error) for supported, confirmed, error in worst_first]
    assert sorted(merits) == merits


def test_masked_pixels_have_no_features(tmp_path: Path):
    """Also in photos searched again at double size, as these are; the photo without a mask has them everywhere."""
    pixels = numpy_random(0).integers(0, 256, (30, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    mask = np.ones(pixels.shape[:2], bool)
    mask[60:160, 100:260] = False
    photos = [prepare_photo(Photo(name, pixels, mask=m), max_side=256) for name, m in (("a", mask), ("b", None))]
    write_cameras(tmp_path / "database.db", photos, "SIMPLE_RADIAL", shared=True)
    counts = extract_features(tmp_path / "database.db", photos, tmp_path, 5000, 1, lambda done: None)
    assert 0 < counts[0] < counts[1]
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        for index in range(2):
            places = read_keypoints(database, index) / photos[index].scale
            inside = (places > (101, 61)).all(axis=1) & (places < (259, 159)).all(axis=1)
            assert inside.any() == (index == 1)
    assert not list(tmp_path.glob("*.p?m*"))
