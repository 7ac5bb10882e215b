"""Colours change within bounds and by the random numbers alone; what is where stays."""

from __future__ import annotations

import numpy as np
import pytest

from recon.train.data.colours import AUGMENTS, STRENGTHS, Augment, changed
from tests.seeds import numpy_random


def photo() -> np.ndarray:
    """Noise with a bright square."""
    pixels = numpy_random(0).integers(40, 90, (40, 60, 3)).astype(np.uint8)
    pixels[10:20, 20:35] = (200, 150, 100)
    return pixels


def _detail(image: np.ndarray) -> float:
    """How much neighbours differ in the noise."""
    return float(np.abs(np.diff(image[:8], axis=1)).mean())


@pytest.mark.parametrize("augment", AUGMENTS)
def test_colours_stay_colours_and_depend_on_the_random_numbers_alone(augment: Augment) -> None:
    pixels = photo()
    for case in range(20):
        image = changed(pixels, augment, numpy_random(case))
        assert image.dtype == np.float32
        assert image.shape == pixels.shape
        assert image.min() >= 0
        assert image.max() <= 1
        np.testing.assert_array_equal(image, changed(pixels, augment, numpy_random(case)))
    assert (pixels == photo()).all()  # the photo itself is left alone
    np.testing.assert_array_equal(changed(pixels, augment, None), pixels / np.float32(255))
    np.testing.assert_array_equal(changed(pixels, "none", numpy_random(1)), pixels / np.float32(255))


def test_strong_changes_are_larger_than_weak_ones_and_shares_are_as_said() -> None:
    pixels = photo()
    unchanged = pixels / np.float32(255)
    distances = {}
    for augment in ("weak", "strong"):
        images = [changed(pixels, augment, numpy_random(case)) for case in range(400)]
        distances[augment] = np.mean([np.abs(image - unchanged).mean() for image in images])
        strength = STRENGTHS[augment]
        grey = np.mean([np.ptp(image, axis=-1).max() < 1e-5 for image in images])
        assert grey == pytest.approx(strength.grey_share, abs=0.07)
        same = np.mean([(image == unchanged).all() for image in images])
        expected = (1 - strength.jitter_share) * (1 - strength.grey_share) * (1 - strength.blur_share)
        assert same == pytest.approx(expected, abs=0.06)
        sharp = _detail(unchanged)
        blurred = np.mean([_detail(image) < 0.5 * sharp for image in images])
        assert blurred > 0.2 if augment == "strong" else blurred < 0.1
    assert distances["strong"] > 1.5 * distances["weak"] > 0.02


def test_bright_things_stay_where_they_are() -> None:
    for case in range(30):
        image = changed(photo(), "strong", numpy_random(case)).mean(axis=-1)
        assert image[13:17, 24:31].mean() > image[25:].mean()
