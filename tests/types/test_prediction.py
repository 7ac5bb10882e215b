from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.types import Gaussians, MadeBy, Prediction


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
        ({"filled": np.ones((2, 4, 6))}, TypeError, "filled must be bool"),
        ({"mask": np.ones((2, 4), bool)}, ValueError, "mask must have shape"),
        ({"features": {3: np.zeros((1, 2, 3, 4), np.float32)}}, ValueError, "feat_layer_3 must have shape"),
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


def test_valid_is_depth_that_was_found_and_may_be_used(prediction):
    depth, conf = np.ones((2, 4, 6), np.float32), np.ones((2, 4, 6), np.float32)
    depth[0, 0] = [np.nan, np.inf, -1, 0, 3e38, 1e-40]
    conf[0, 1, 0] = np.nan
    sky, mask, filled = np.zeros(depth.shape, bool), np.ones(depth.shape, bool), np.zeros(depth.shape, bool)
    sky[0, 1, 1], mask[0, 1, 2], filled[0, 1, 3] = True, False, True
    changed = replace(prediction, depth=depth, conf=conf, sky=sky, mask=mask, filled=filled)
    expected = np.ones(depth.shape, bool)
    expected[0, 0] = expected[0, 1, :4] = False
    np.testing.assert_array_equal(changed.valid, expected)
    expected[0, 1, 3] = True
    np.testing.assert_array_equal(changed.valid_or_filled, expected)
    expected[0, 1, 1] = True
    np.testing.assert_array_equal(changed.pixels_with_depth(filled=True, sky=True), expected)
    assert replace(changed, depth=np.ones_like(depth)).valid[0, 0].all()
    with pytest.raises(ValueError, match="read-only"):
        changed.valid[0] = True
    half = np.array([np.inf, 6e4, 0, 6e-5], np.float16).reshape(1, 2, 2)
    assert Prediction(half, np.zeros((1, 2, 2, 3), np.uint8)).valid.tolist() == [[[False, True], [False, True]]]


def test_aux_shows_features_and_gaussians_and_is_read_only(prediction):
    assert dict(prediction.aux) == {}
    features = np.zeros((2, 1, 1, 3), np.float32)
    gaussians = Gaussians(*(np.ones((2, *shape), np.float32) for shape in ((3,), (3,), (4,), (3, 1), ())))
    with_both = replace(prediction, features={7: features}, gaussians=gaussians, gaussian_source="depth")
    assert set(with_both.aux) == {"feat_layer_7", "gaussians"}
    assert with_both.aux["feat_layer_7"] is features
    assert with_both.aux["gaussians"] is gaussians
    with pytest.raises(TypeError, match="assignment"):
        with_both.aux["gaussians"] = None
    assert replace(with_both, gaussians=None, gaussian_source=None).aux.keys() == {"feat_layer_7"}


def test_what_made_the_depth_is_one_of_the_known_kinds():
    assert MadeBy("stereo", "mvs").verified
    assert not MadeBy("network", "da3-small").verified
    with pytest.raises(ValueError, match="network, onnx, stereo"):
        MadeBy("guess", "me")  # type: ignore[arg-type]


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
