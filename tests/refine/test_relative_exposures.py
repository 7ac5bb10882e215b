"""Brightness of photos relative to each other, as a camera makes it: in linear light, then encoded and cut off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.refine.optimisation.relative_exposures import evenly_exposed, relative_exposures
from recon.types import Prediction
from tests.refine.depth_scene import make_prediction

STOPS = np.array([-1.5, 0.4, 0.0, 1.5, -0.7])
WHITE = np.array([1.0, 1.0, 1.15])
"""Of the last photo, by channel."""


def exposed(pixels: NDArray[np.uint8], factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(H, W, 3) sRGB pixels of a photo exposed `factors` (3,) times as long."""
    x = pixels / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) * factors
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    return np.rint(255 * np.clip(encoded, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def room() -> Prediction:
    return make_prediction(5, 90, 120)


def mixed(room: Prediction) -> tuple[Prediction, NDArray[np.float64]]:
    """The room with photos of mixed exposure, and what was done to each channel, (N, 3)."""
    factors = 2.0 ** STOPS[:, None] * np.where(np.arange(5)[:, None] == 4, WHITE, 1)
    photos = np.stack([exposed(photo, each) for photo, each in zip(room.processed_images, factors, strict=True)])
    return replace(room, processed_images=photos), factors


def test_gains_and_offsets_are_those_of_the_exposures(room: Prediction) -> None:
    prediction, factors = mixed(room)
    found = relative_exposures(prediction, range(5))
    true = factors ** (1 / 2.4)
    true /= np.median(true, axis=0)
    np.testing.assert_allclose(found[:, :3], true, rtol=0.03)
    np.testing.assert_allclose(found[:, 3:], 0.055 * (found[:, :3] - 1))
    even = evenly_exposed(prediction, found).processed_images.astype(int)
    seen = (prediction.processed_images > 5) & (prediction.processed_images < 250)
    middle = evenly_exposed(room, relative_exposures(room, range(5))).processed_images.astype(int)
    assert np.abs(even - middle)[seen].mean() < 4


def test_even_photos_are_left_as_they_are(room: Prediction) -> None:
    found = relative_exposures(room, range(5))
    np.testing.assert_array_equal(found, np.tile([1.0, 1, 1, 0, 0, 0], (5, 1)))
    assert evenly_exposed(room, found) is room


def test_photos_held_out_do_not_change_those_of_the_others(room: Prediction) -> None:
    prediction, _ = mixed(room)
    photos = prediction.processed_images.copy()
    photos[3] = exposed(photos[3], np.full(3, 0.25))
    one, other = (
        relative_exposures(p, [0, 1, 2, 4]) for p in (prediction, replace(prediction, processed_images=photos))
    )
    np.testing.assert_array_equal(one[[0, 1, 2, 4]], other[[0, 1, 2, 4]])
    np.testing.assert_allclose(other[3, :3] / one[3, :3], 0.25 ** (1 / 2.4), rtol=0.03)


def test_without_places_in_common_photos_count_as_even(room: Prediction) -> None:
    prediction, _ = mixed(room)
    apart = replace(prediction, depth=np.zeros_like(prediction.depth))
    np.testing.assert_array_equal(relative_exposures(apart, range(5))[:, :3], 1)
    np.testing.assert_array_equal(relative_exposures(prediction, [2])[2], [1, 1, 1, 0, 0, 0])
