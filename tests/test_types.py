from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.types import Gaussians, Prediction


@pytest.fixture
def prediction():
    return Prediction(depth=np.ones((2, 4, 6), np.float32), processed_images=np.zeros((2, 4, 6, 3), np.uint8))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"depth": np.ones((4, 6))}, ValueError, r"depth must have shape \(any, any, any\)"),
        ({"depth": [[1.0]]}, TypeError, "depth must be a numpy array, got list"),
        ({"processed_images": np.zeros((2, 4, 6, 3))}, TypeError, "processed_images must be uint8"),
        ({"conf": np.ones((1, 4, 6))}, ValueError, "conf must have shape"),
        ({"sky": np.ones((2, 4, 6))}, TypeError, "sky must be bool"),
        ({"extrinsics": np.zeros((2, 4, 4))}, ValueError, r"extrinsics must have shape \(2, 3, 4\)"),
        ({"intrinsics": np.zeros((1, 3, 3))}, ValueError, "intrinsics must have shape"),
        ({"original_sizes": np.zeros((2, 3), np.int64)}, ValueError, "original_sizes must have shape"),
        ({"processed_to_original": np.zeros((3, 3))}, ValueError, "processed_to_original must have shape"),
        ({"image_names": ("a.jpg",)}, ValueError, "image_names must have 2 names"),
        ({"units": "feet"}, ValueError, "units must be one of relative, aligned, metric"),
    ],
)
def test_prediction_checks_its_fields(prediction, fields, error, message):
    with pytest.raises(error, match=message):
        replace(prediction, **fields)


def test_prediction_knows_metres(prediction):
    assert not prediction.is_metric
    assert replace(prediction, units="metric").is_metric


@pytest.mark.parametrize(("bands", "degree"), [(1, 0), (4, 1), (9, 2), (16, 3)])
def test_gaussians_know_their_degree(bands, degree):
    gaussians = Gaussians(np.zeros((5, 3)), np.ones((5, 3)), np.ones((5, 4)), np.zeros((5, 3, bands)), np.ones(5))
    assert len(gaussians) == 5
    assert gaussians.sh_degree == degree
    with pytest.raises(ValueError, match=r"harmonics must hold \(degree \+ 1\)²"):
        replace(gaussians, harmonics=np.zeros((5, 3, bands + 1)))
    with pytest.raises(ValueError, match="opacities must have shape"):
        replace(gaussians, opacities=np.ones(4))
