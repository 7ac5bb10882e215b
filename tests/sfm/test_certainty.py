"""How sure cameras are, on models whose truth is known."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from recon.sfm.bundle import adjust
from recon.sfm.certainty import Certainty, certainty_of

from .synthetic_models import around, synthetic_model


def model_with_weak_photo(keep: int) -> pycolmap.Reconstruction:
    """Six photos, of which the third sees `keep` points only."""
    model = synthetic_model(around(6), points=300)
    image = model.images[3]
    for index, point in enumerate(image.points2D):
        if point.has_point3D() and keep <= 0:
            model.delete_observation(3, index)
        keep -= point.has_point3D()
    adjust(model, loss_scale=0.35)
    return model


def test_a_camera_that_few_points_hold_is_weak():
    found = certainty_of(model_with_weak_photo(5), ())
    assert found is not None
    assert found.weak.tolist() == [2]
    assert found.points[2] == 5
    others = np.delete(found.degrees, 2)
    assert found.degrees[2] > 3 * others.max()
    assert (others < 0.1).all()


def test_twice_the_noise_is_twice_as_unsure():
    sizes = []
    for noise in (0.1, 0.2):
        model = synthetic_model(around(5), points=300, noise=noise)
        adjust(model, loss_scale=0.35)
        found = certainty_of(model, ())
        assert found is not None
        sizes.append((np.median(found.degrees), np.median(found.distances)))
    np.testing.assert_allclose(np.divide(sizes[1], sizes[0]), 2, rtol=0.25)


def test_a_lens_that_is_known_makes_cameras_surer():
    model = synthetic_model(around(5, 40), points=300)
    adjust(model, loss_scale=0.35)
    free, known = certainty_of(model, model.cameras), certainty_of(model, (), model.cameras)
    assert free is not None
    assert known is not None
    assert (known.degrees < free.degrees).all()


def test_distances_are_in_the_unit_of_the_cameras():
    found = Certainty(np.array([0.05, 0.05]), np.array([0.002, 0.03]), np.array([9, 9]), 1.0)
    larger = found.scaled(10)
    assert larger.distances.tolist() == pytest.approx([0.02, 0.3])
    assert found.weak.tolist() == larger.weak.tolist() == [1]
    assert np.isnan(found.rows([1, None]).degrees[1])
    assert found.rows([1, None]).weak.tolist() == [0, 1]
