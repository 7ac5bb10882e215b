"""What each preset, an ONNX file and stereo say they can do, against what they do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.estimate.estimator import Estimator, Fit, Wishes
from recon.estimate.network import NetworkEstimator, profile_of
from recon.estimate.onnx_file import OnnxEstimator
from recon.estimate.stereo import PROFILE as STEREO
from recon.estimate.unrelated import check_single, one_view
from recon.models.presets import load_preset, preset_names
from recon.models.ready import ReadyModel, WeightsRecord
from recon.sources.fitting import combine
from recon.sources.photo import Photo
from recon.types.cameras import Cameras
from tests.models.onnx.graphs import stated, write_graph
from tests.models.tiny import TINY, tiny_network
from tests.seeds import numpy_random

PRESETS = {
    "any_view": "da3-small",
    "giant": "da3-giant",
    "nested": "da3nested-giant-large",
    "single_view": "da3metric-large",
    "disparity": "depth-anything-v2-small",
    "metric_depth": "depth-anything-v2-metric-outdoor-small",
}


def estimator(kind: str, folder: Path) -> Estimator:
    if kind == "onnx":
        return OnnxEstimator(write_graph(folder / "graph.onnx", metadata=stated("depth")))
    preset = replace(load_preset(PRESETS[kind]), network=TINY[kind])
    return NetworkEstimator(ReadyModel(tiny_network(kind), preset, WeightsRecord("random", seed=0)))


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")  # that metres need a focal length
@pytest.mark.parametrize("kind", [*PRESETS, "onnx"])
def test_abilities_are_what_comes_out(kind: str, tmp_path: Path) -> None:
    ready = estimator(kind, tmp_path)
    abilities, fit = ready.profile.abilities, ready.profile.fit
    generator = numpy_random(0)
    photos = [Photo(f"{i}", generator.integers(0, 256, (56, 70, 3), np.uint8)) for i in range(2)]
    views = combine([fit.photo(photo, 70, "upper_bound_resize") for photo in photos])
    intrinsics = np.tile([[60.0, 0, 35], [0, 60.0, 28], [0, 0, 1]], (2, 1, 1))
    features = (0, abilities.features - 1) if abilities.features else ()
    wishes = Wishes(gaussians=abilities.gaussians, features=features)
    found = ready.estimate(views, wishes)
    assert (found.extrinsics is not None) == (found.intrinsics is not None) == abilities.cameras
    assert (found.conf is not None) == abilities.confidence
    assert (found.sky is not None) == abilities.sky
    assert (found.gaussians is not None) == abilities.gaussians
    assert tuple(found.features) == features
    assert (found.units == "metric") == (abilities.metres == "always")
    known = ready.estimate(replace(views, cameras=Cameras(intrinsics=intrinsics)))
    assert (known.units == "metric") == (abilities.metres != "never")
    np.testing.assert_array_equal(known.intrinsics, intrinsics.astype(np.float32))
    assert (found.made_by.kind, found.made_by.name) == (ready.profile.kind, ready.profile.name)
    if not abilities.several_views:  # then a view is what it is alone
        alone = ready.estimate(combine([fit.photo(photos[1], 70, "upper_bound_resize")]))
        np.testing.assert_allclose(one_view(found, 1).depth, alone.depth, rtol=1e-4)
        assert one_view(found, 1).image_names == alone.image_names


@pytest.mark.parametrize("name", preset_names())
def test_of_every_preset(name: str) -> None:
    preset = load_preset(name)
    profile = profile_of(preset)
    assert profile.name == name
    assert profile.abilities.features == preset.encoder.depth
    assert profile.abilities.cameras == ("cameras" in preset.abilities)
    assert profile.abilities.gaussians == ("gaussians" in preset.abilities)
    assert profile.abilities.sky == ("sky" in preset.abilities)
    assert (profile.abilities.metres == "with focal") == ("metric scale with intrinsics" in preset.abilities)
    trained = Fit(518, "lower_bound_resize") if name.startswith("depth-anything") else Fit(504, "upper_bound_resize")
    assert profile.fit == trained


def test_stereo_needs_cameras_and_two_views() -> None:
    assert (STEREO.needs.cameras, STEREO.needs.least_views, STEREO.needs.weights) == (True, 2, False)
    assert not STEREO.abilities.cameras


def test_single_photos_are_for_estimators_of_single_views() -> None:
    check_single(profile_of(load_preset("da3mono-large")))
    with pytest.raises(InputError, match=r"da3-base looks at the views.*da3metric-large.*Depth Anything 2 and 1"):
        check_single(profile_of(load_preset("da3-base")))
