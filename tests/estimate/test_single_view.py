"""What maps of single-view networks amount to: depth, sky and metres, each view on its own."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.estimate.single_view import SingleViewMaps, depth_of_disparity, fill_sky, single_view_prediction
from recon.messages import ReconWarning
from recon.models.conventions import DA2, DA2_METRIC, DA3_METRIC, DA3_MONO, Conventions
from recon.models.outputs import NetworkOutput
from recon.models.postprocess import finish
from recon.sources.fitting import combine, fit_photo
from recon.sources.photo import Photo
from recon.types import MadeBy, Prediction
from recon.types.cameras import Cameras
from tests.seeds import numpy_random

HEIGHT, WIDTH = 28, 42
INTRINSICS = np.tile([[60.0, 0, 21], [0, 66.0, 14], [0, 0, 1]], (2, 1, 1))


def predict(maps: SingleViewMaps, conventions: Conventions, cameras: Cameras = Cameras()) -> Prediction:  # noqa: B008
    photos = [Photo(f"{i}", np.zeros((HEIGHT, WIDTH, 3), np.uint8)) for i in range(len(maps.values))]
    views = combine([fit_photo(photo, WIDTH) for photo in photos])
    return single_view_prediction(maps, MadeBy("network", "net"), conventions, replace(views, cameras=cameras))


def values(seed: int = 0) -> np.ndarray:
    return numpy_random(seed).uniform(1, 5, (2, HEIGHT, WIDTH)).astype(np.float32)


def test_sky_of_each_view_goes_to_its_own_far_end() -> None:
    depth, score = values(), np.zeros((2, HEIGHT, WIDTH), np.float32)
    depth[1] *= 10
    score[:, :7] = 0.3
    prediction = predict(SingleViewMaps(depth, score), DA3_MONO)
    assert prediction.sky[:, :7].all()
    assert not prediction.sky[:, 7:].any()
    for view in range(2):
        np.testing.assert_allclose(prediction.depth[view, :7], np.quantile(depth[view, 7:], 0.99), rtol=1e-6)
    np.testing.assert_array_equal(prediction.depth[:, 7:], depth[:, 7:])
    scenes = NetworkOutput(depth=torch.from_numpy(depth)[:, None], sky=torch.from_numpy(score)[:, None])
    np.testing.assert_allclose(finish(scenes).depth[:, 0], prediction.depth, rtol=1e-6)


def test_nan_spoils_neither_sky_nor_disparity() -> None:
    depth, sky = values()[0], np.zeros((HEIGHT, WIDTH), bool)
    sky[:7], depth[20] = True, np.nan
    filled = fill_sky(depth, sky)
    np.testing.assert_allclose(filled[:7], np.nanquantile(depth[7:], 0.99), rtol=1e-6)
    disparity = values()
    disparity[0, 3, 4], disparity[1, 0] = np.nan, np.inf
    relative = depth_of_disparity(disparity)
    np.testing.assert_array_equal(np.isfinite(relative), np.isfinite(disparity))
    known = disparity[0][np.isfinite(disparity[0])]
    np.testing.assert_allclose(relative[0][np.isfinite(disparity[0])], known.max() / known, rtol=1e-6)
    in_torch = finish(NetworkOutput(disparity=torch.from_numpy(disparity)[:, None])).depth[:, 0].numpy()
    np.testing.assert_allclose(in_torch, relative, rtol=1e-6)


@pytest.mark.parametrize(("origin", "units"), [("given", "metric"), ("exif", "metric"), ("assumed", "relative")])
def test_metres_need_a_focal_length_that_is_known(origin, units: str) -> None:
    said = contextlib.nullcontext()
    if units == "relative":
        said = pytest.warns(ReconWarning, match="only with a focal length")
    with said:
        prediction = predict(SingleViewMaps(values()), DA3_METRIC, Cameras(intrinsics=INTRINSICS, origin=origin))
    factor = 63 / 300 if units == "metric" else 1.0
    assert prediction.units == units
    np.testing.assert_allclose(prediction.depth, values() * factor, rtol=1e-6)
    np.testing.assert_allclose(prediction.intrinsics, INTRINSICS, rtol=1e-6)


def test_other_networks_do_without() -> None:
    assert predict(SingleViewMaps(values()), DA2_METRIC).units == "metric"
    for conventions in (DA3_MONO, DA2):
        assert predict(SingleViewMaps(values()), conventions, Cameras(intrinsics=INTRINSICS)).units == "relative"


def test_given_extrinsics_pass_through_and_their_scale_is_said() -> None:
    given = Cameras(np.tile(np.eye(4), (2, 1, 1)), INTRINSICS)
    with pytest.warns(ReconWarning, match="depth is not in their scale"):
        prediction = predict(SingleViewMaps(values()), DA3_MONO, given)
    np.testing.assert_array_equal(prediction.extrinsics, given.world_to_camera[:, :3])
    with pytest.warns(ReconWarning, match="taken to be in metres too"):
        predict(SingleViewMaps(values()), DA2_METRIC, given)
