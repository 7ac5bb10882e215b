from __future__ import annotations

import cv2
import numpy as np
import pytest

from recon.sfm.frame_matches import FrameFeatures, explained_by_one_motion, frame_features, match_features
from tests.seeds import numpy_random


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    random = numpy_random(1)
    coarse = random.uniform(0, 255, (24, 32, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (256, 192), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def test_features_are_found_again_where_the_picture_is_moved(picture: np.ndarray) -> None:
    first, second = frame_features(picture[:170, :230], 300), frame_features(picture[15:185, 20:250], 300)
    matches = match_features(first, second)
    assert len(matches) > 50
    moved = first.pixels[matches[:, 0]] - second.pixels[matches[:, 1]]
    assert (np.abs(moved - (20, 15)).max(axis=1) < 0.5).mean() > 0.95


def test_features_lie_in_pixels_whose_centres_are_at_halves() -> None:
    spot = np.full((101, 121, 3), 40, np.uint8)
    y, x = np.mgrid[:101, :121] + 0.5
    spot[((x - 60.5) ** 2 + (y - 50.5) ** 2) < 81] = 220  # symmetric about the centre of the middle pixel
    found = frame_features(spot, 50)
    middle = found.pixels[np.linalg.norm(found.pixels - (60.5, 50.5), axis=1).argmin()]
    np.testing.assert_allclose(middle, (60.5, 50.5), atol=0.1)


def test_masked_pixels_have_no_features(picture: np.ndarray) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[:, :128] = True
    assert frame_features(picture, 300, mask).pixels[:, 0].max() < 130
    blank = frame_features(np.full((64, 64, 3), 90, np.uint8), 300)
    assert blank.pixels.shape == (0, 2)
    assert match_features(blank, blank).shape == (0, 2)


def test_matches_that_no_motion_explains_are_told() -> None:
    random = numpy_random(2)
    lens = np.array([[250.0, 0, 128], [0, 250, 96], [0, 0, 1]])
    points = random.uniform((-2, -1.5, 4), (2, 1.5, 9), (80, 3))
    turn, _ = cv2.Rodrigues(np.array([0.02, 0.1, -0.03]))
    pixels = []
    for seen in (points, points @ turn.T + (0.6, 0.1, 0.2)):
        image = seen @ lens.T
        pixels.append((image[:, :2] / image[:, 2:]).astype(np.float32))
    wrong = np.arange(80) % 4 == 0
    pixels[1][wrong] = random.uniform((0, 0), (256, 192), (20, 2))
    explained = explained_by_one_motion(*pixels, lens, lens)
    assert explained[~wrong].mean() > 0.95
    assert explained[wrong].mean() < 0.3
    assert not explained_by_one_motion(pixels[0][:5], pixels[1][:5], lens, lens).any()


def test_unlike_features_do_not_match() -> None:
    random = numpy_random(3)

    def made_up() -> FrameFeatures:
        found = np.abs(random.normal(0, 1, (200, 128))).astype(np.float32)
        return FrameFeatures(
            random.uniform(0, 200, (200, 2)).astype(np.float32), found / np.linalg.norm(found, axis=1, keepdims=True)
        )

    assert len(match_features(made_up(), made_up())) < 8
