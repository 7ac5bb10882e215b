"""Splats between the photos: with photos of mixed exposure, something that moved, many steps, and few photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.choices import SplatOptimisation
from recon.refine import from_depth
from recon.refine.optimise_splats import optimise_splats
from recon.splats.rendering import render
from recon.splats.view_metrics import psnr
from recon.types import Gaussians, Prediction
from tests.refine.depth_scene import make_prediction
from tests.refine.test_relative_exposures import exposed

SIZE = (48, 64)
VIEWS = 5
FITTED = SplatOptimisation(gs_iterations=200)


@pytest.fixture(scope="module")
def room() -> Prediction:
    return make_prediction(VIEWS, *SIZE)


@pytest.fixture(scope="module")
def of_the_room(room: Prediction) -> Gaussians:
    return optimise_splats(room, FITTED).gaussians


def between(gaussians: Gaussians, counts: NDArray[np.bool_] | None = None) -> float:
    """Mean PSNR at the cameras halfway between the photos, after one gain for each channel."""
    truth = make_prediction(VIEWS, *SIZE, between=True)
    found = []
    for view, pixels in zip(
        render(gaussians, truth.cameras, SIZE, rasterizer="cpu").color.clip(0, 1), truth.processed_images, strict=True
    ):
        photo = pixels / 255
        gain = (view * photo).sum(axis=(0, 1)) / (view * view).sum(axis=(0, 1))
        found.append(psnr(np.clip(view * gain, 0, 1), photo, counts))
    return float(np.mean(found))


def test_very_different_exposures_cost_little(room: Prediction, of_the_room: Gaussians) -> None:
    factors = 2.0 ** np.array([[1.2, 1.3, 1.5], [-1.4, -1.5, -1.3], [0, 0, 0], [0.7, 0.6, 0.5], [-0.6, -0.5, -0.5]])
    photos = np.stack([exposed(photo, each) for photo, each in zip(room.processed_images, factors, strict=True)])
    found = optimise_splats(replace(room, processed_images=photos), FITTED)
    assert between(found.gaussians) > between(of_the_room) - 0.7
    true = factors ** (1 / 2.4)
    np.testing.assert_allclose(found.gains / found.gains[2], true / true[2], rtol=0.02)


def test_what_moved_in_one_photo_costs_little_elsewhere(room: Prediction, of_the_room: Gaussians) -> None:
    photos, depth = room.processed_images.copy(), room.depth.copy()
    photos[2, 14:34, 26:38] = (30, 200, 40)
    depth[2, 12:36, 24:40] = 0  # stereo finds none: the others show nothing like it
    found = optimise_splats(replace(room, processed_images=photos, depth=depth), FITTED)
    elsewhere = np.ones(SIZE, bool)
    elsewhere[8:40, 14:50] = False
    assert between(found.gaussians, elsewhere) > between(of_the_room, elsewhere) - 0.5
    assert between(found.gaussians) > between(of_the_room) - 1


def test_more_steps_are_not_worse(room: Prediction, of_the_room: Gaussians) -> None:
    assert between(optimise_splats(room, SplatOptimisation(gs_iterations=800)).gaussians) > between(of_the_room) - 0.2


def test_three_photos_are_enough(room: Prediction) -> None:
    few = make_prediction(3, *SIZE)
    found = optimise_splats(few, SplatOptimisation(gs_iterations=120))
    assert between(found.gaussians) > between(from_depth(few)) + 1
