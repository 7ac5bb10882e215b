"""Focal lengths that photos do not tell, against EXIF that is 2 % off, on models whose truth is known."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import umeyama
from recon.sfm.bundle import LAST_LOSS_SCALE, adjust
from recon.sfm.weak_focals import hold_weak_focals

from .synthetic_models import around, forward, nadir, poses_of, relative_angle, synthetic_model

LENS = ("SIMPLE_RADIAL", (700.0, 400.0, 300.0, -0.05))
EXIF = {1: 714.0}


def estimated(poses: np.ndarray, box: tuple[float, float, float]) -> pycolmap.Reconstruction:
    """As mapping leaves it, which starts from EXIF and frees the focal length."""
    model = synthetic_model(poses, LENS, noise=0.4, points=700, box=box)
    model.cameras[1].params = [714, 400, 300, 0]
    adjust(model, iterations=60, loss_scale=LAST_LOSS_SCALE)
    return model


def off(model: pycolmap.Reconstruction, truth: np.ndarray) -> float:
    """Mean distance of the centres from the true ones, after the best similarity."""
    ours, theirs = camera_centres(poses_of(model)), camera_centres(truth)
    return float(np.linalg.norm(umeyama(theirs, ours).apply(ours) - theirs, axis=1).mean())


@pytest.mark.parametrize(
    ("truth", "box"),
    [
        pytest.param(nadir(4, 6), (5.0, 4.0, 0.1), id="straight down on flat ground"),
        pytest.param(nadir(4, 6), (5.0, 4.0, 1.0), id="straight down"),
        pytest.param(forward(10), (3.0, 2.0, 6.0), id="forward"),
    ],
)
def test_what_photos_do_not_tell_is_as_exif_says(truth: np.ndarray, box: tuple[float, float, float]):
    model = estimated(truth, box)
    found = model.cameras[1].mean_focal_length()
    held = hold_weak_focals(model, EXIF)
    assert held is not None
    assert held.deviations[1] > 0.02 * found
    assert held.model.cameras[1].mean_focal_length() == 714
    assert held.model.cameras[1].params[3] == pytest.approx(-0.05, abs=0.01)
    assert held.model.compute_mean_reprojection_error() < 1.02 * model.compute_mean_reprojection_error()
    assert off(held.model, truth) < 1.3 * off(model, truth)
    assert relative_angle(poses_of(held.model), truth) < 0.3
    assert model.cameras[1].mean_focal_length() == found  # the model given stays as it is


@pytest.mark.parametrize(
    "poses", [pytest.param(around(9), id="around"), pytest.param(around(3, 30), id="three photos")]
)
def test_what_photos_tell_stays(poses: np.ndarray):
    assert hold_weak_focals(estimated(poses, (3.0, 2.0, 2.0)), EXIF) is None


def test_without_exif_there_is_nothing_to_hold_to():
    assert hold_weak_focals(estimated(nadir(3, 3), (4.0, 4.0, 0.1)), {}) is None
