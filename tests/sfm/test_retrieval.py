"""Photos that look alike, of scenes in which it is known which overlap."""

from __future__ import annotations

import numpy as np
import pytest

from recon.sfm.retrieval import LARGEST, LIKELY, Codebook, look_alikes, picture_features, shared_features
from tests.seeds import numpy_random

from .cards import arc, photograph, prepared, shifted, stage


@pytest.fixture(scope="module")
def walk() -> list[np.ndarray]:
    """Features of a video through three places that comes back to the first: 0 to 3, 4 to 7, 8 to 11, 12 to 15."""
    pictures = [photograph(stage(seed), arc(5)[:4]) for seed in (0, 7, 8)]
    nearby = np.stack([camera @ shifted(np.array([0.0, 0.05, -0.2])) for camera in arc(5)[:4]])
    pictures.append(photograph(stage(0), nearby))
    return [picture_features(photo.gray) for photo in prepared(np.concatenate(pictures))]


def test_a_loop_is_found_and_nothing_else(walk: list[np.ndarray]):
    found = look_alikes(walk, 1, apart=4)
    likely = {(i, j) for i, j, shared in found if shared >= LIKELY}
    assert {(i, i + 12) for i in range(4)} <= likely
    assert all(i < 4 and j >= 12 for i, j in likely)
    assert found == look_alikes(walk, 1, apart=4)
    assert all(j - i > 4 for i, j, _ in found)


def test_photos_of_one_moment_do_not_take_all_places(walk: list[np.ndarray]):
    plain, spaced = (look_alikes(walk, 3, apart=4, spaced=spaced) for spaced in (0, 4))
    of_loop = [[(i, j) for i, j, shared in found if shared >= LIKELY] for found in (plain, spaced)]
    assert len(of_loop[1]) < len(of_loop[0])
    assert {i for i, _ in of_loop[1]} == {0, 1, 2, 3}


def test_descriptions_of_one_place_are_nearest(walk: list[np.ndarray]):
    book = Codebook.learn(walk[::3], seed=1)
    np.testing.assert_array_equal(book.words, Codebook.learn(walk[::3], seed=1).words)
    described = np.stack([book.describe(one) for one in walk])
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    cosine = described @ described.T
    np.fill_diagonal(cosine, -1)
    place = np.array([0, 1, 2, 0]).repeat(4)
    assert (place[cosine.argmax(axis=1)] == place).all()


def test_the_largest_features_of_a_picture_come_first():
    (photo,) = prepared(photograph(stage(), arc(1)))
    features = picture_features(photo.gray)
    assert features.shape == (LARGEST, 128)
    assert features.dtype == np.uint8
    np.testing.assert_array_equal(features, picture_features(photo.gray))
    assert shared_features(features, features) > 200
    mask = np.ones(photo.gray.shape, bool)
    mask[:, 60:] = False
    left = picture_features(photo.gray, mask)
    assert 0 < len(left) < LARGEST
    assert shared_features(left, features) < 256 * 0.5
    assert picture_features(photo.gray, np.zeros_like(mask)).shape == (0, 128)


def test_pictures_without_features_look_like_nothing():
    blank = picture_features(np.full((60, 80), 127, np.uint8))
    assert blank.shape == (0, 128)
    some = numpy_random(0).integers(0, 256, (50, 128), dtype=np.uint8)
    assert shared_features(blank, some) == 0
    assert not Codebook.learn([blank]).describe(some).size
    assert not Codebook.learn([some]).describe(blank).any()
    assert [shared for *_, shared in look_alikes([blank, some, blank], 2)] == [0, 0, 0]
    assert look_alikes([some], 2) == []
    assert look_alikes([], 2) == []
