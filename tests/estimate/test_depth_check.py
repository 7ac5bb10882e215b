"""What is said of depth that is missing, whatever was to give it."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.estimate.depth_check import LITTLE, check_depth
from recon.estimate.network import profile_of
from recon.estimate.stereo import PROFILE as STEREO
from recon.messages import ReconWarning, collect_warnings
from recon.models.presets import load_preset
from recon.types import Prediction

NETWORK = profile_of(load_preset("da3-small"))
NAMES = ("a.jpg", "b.jpg")


def prediction(depth: np.ndarray, **more: object) -> Prediction:
    pixels = np.zeros((*depth.shape, 3), np.uint8)
    return Prediction(depth.astype(np.float32), pixels, image_names=NAMES[: len(depth)], **more)


def test_good_depth_is_left_alone() -> None:
    good = prediction(np.ones((2, 10, 10)))
    with collect_warnings() as messages:
        assert check_depth(good, NETWORK) is good
    assert messages == []


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_depth_and_its_share_is_said(missing: float) -> None:
    depth = np.ones((2, 10, 10))
    depth[1, :5] = missing
    with pytest.warns(ReconWarning, match=r"da3-small gives no number for 25\.0% of the pixels \('b\.jpg'\)"):
        checked = check_depth(prediction(depth, conf=np.full(depth.shape, 2.0, np.float32)), NETWORK)
    np.testing.assert_array_equal(checked.depth[1, :5], 0)
    np.testing.assert_array_equal(checked.depth[1, 5:], 1)
    np.testing.assert_array_equal(checked.valid, depth == 1)


def test_confidence_that_is_no_number_is_none_either() -> None:
    conf = np.full((1, 10, 10), 3.0, np.float32)
    conf[0, 0] = np.nan
    with pytest.warns(ReconWarning, match=r"no number for 10\.0%"):
        checked = check_depth(prediction(np.ones((1, 10, 10)), conf=conf), NETWORK)
    np.testing.assert_array_equal(checked.depth[0, 0], 0)
    assert np.isfinite(checked.conf).all()


def test_nothing_but_nan_names_the_likely_cause() -> None:
    with pytest.raises(InputError, match=r"no number for any pixel of 'a\.jpg', 'b\.jpg'.*weights.*fp32"):
        check_depth(prediction(np.full((2, 5, 5), np.nan)), NETWORK)


def test_cameras_are_to_blame_only_where_they_were_given() -> None:
    for origin, blamed in (("given", True), ("sfm", False)):
        nothing = prediction(np.zeros((2, 5, 5)), extrinsics_origin=origin)
        with pytest.raises(InputError) as said:
            check_depth(nothing, STEREO)
        assert ("cameras may not be those" in str(said.value)) == blamed


@pytest.mark.parametrize(("profile", "cause"), [(NETWORK, "weights"), (STEREO, "too little in common")])
@pytest.mark.parametrize("depth", [0.0, -1.0])
def test_no_depth_at_all(profile, cause: str, depth: float) -> None:
    with pytest.raises(InputError, match=f"no pixel of 'a.jpg', 'b.jpg' has a positive, finite depth: .*{cause}"):
        check_depth(prediction(np.full((2, 5, 5), depth)), profile)


@pytest.mark.parametrize("profile", [NETWORK, STEREO], ids=["network", "stereo"])
def test_little_depth_is_said_of_every_estimator(profile) -> None:
    depth = np.zeros((2, 10, 10))
    depth[:, 0] = 1
    with pytest.warns(ReconWarning, match=f"only 10.0% of the photos got depth by {profile.name}: "):
        check_depth(prediction(depth), profile)
    depth[:, :3] = 1
    assert LITTLE < 0.3
    with collect_warnings() as messages:
        check_depth(prediction(depth), profile)
    assert messages == []


def test_sky_and_what_is_masked_out_are_not_missed() -> None:
    depth = np.zeros((1, 10, 10))
    depth[0, 9] = 1
    sky, mask = np.zeros((1, 10, 10), bool), np.ones((1, 10, 10), bool)
    sky[0, :5], mask[0, 5:8] = True, False
    with collect_warnings() as messages:
        check_depth(prediction(depth, sky=sky, mask=mask), NETWORK)
    assert messages == []


def test_filled_in_depth_was_not_found() -> None:
    filled = np.ones((1, 10, 10), bool)
    filled[0, 0] = False
    with pytest.warns(ReconWarning, match=r"only 10\.0%"):
        check_depth(prediction(np.ones((1, 10, 10)), filled=filled), STEREO)


def test_a_view_without_any_is_named() -> None:
    depth = np.ones((2, 10, 10))
    depth[0] = 0
    with pytest.warns(ReconWarning, match=r"gives no depth for 'a\.jpg'"):
        check_depth(prediction(depth), STEREO)


def test_nothing_but_sky_is_no_error() -> None:
    with pytest.warns(ReconWarning, match=r"nothing but sky in 'a\.jpg'"):
        check_depth(prediction(np.ones((1, 5, 5)), sky=np.ones((1, 5, 5), bool)), NETWORK)
