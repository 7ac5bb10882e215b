"""`--engine reference` gives what the reference's own network gives, in our terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import recon.models.reference_engine
from recon.estimate.network import NetworkEstimator
from recon.messages import ReconWarning
from recon.models.postprocess import finish
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, ready_model
from recon.models.reference_engine import ReferenceNetwork
from recon.run.pipeline import reconstruct
from tests.fake_network import photos
from tests.models.tiny import TINY, cameras, images, tiny_network
from tests.reference.networks import build_reference_network, needs_reference

pytestmark = needs_reference
PRESETS = {
    "any_view": "da3-small",
    "giant": "da3-giant",
    "single_view": "da3mono-large",
    "nested": "da3nested-giant-large",
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    """Makes a tiny reference engine, its network called directly, and our own network, of the same weights."""

    def make(kind: str):
        ours, direct = tiny_network(kind), build_reference_network(TINY[kind])
        direct.load_state_dict(ours.state_dict(), strict=True)
        monkeypatch.setattr(recon.models.reference_engine, "_create", lambda name: build_reference_network(TINY[kind]))
        engine = ReferenceNetwork(replace(load_preset(PRESETS[kind]), network=TINY[kind]))
        engine.load_state_dict(ours.state_dict(), strict=True)
        return engine, direct, ours

    return make


def close(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("kind", PRESETS)
def test_equals_the_direct_call(kind: str, tiny) -> None:
    engine, direct, _ = tiny(kind)
    x = images(3)
    assert list(engine.state_dict()) == list(direct.state_dict())
    output = engine(x)
    with torch.inference_mode():
        expected = direct(x)
    assert torch.equal(output.depth, expected["depth"])
    for name in ("depth_conf", "sky", "intrinsics"):
        if name in expected:
            assert torch.equal(getattr(output, name), expected[name]), name
    if "extrinsics" in expected:
        assert torch.equal(output.extrinsics, expected["extrinsics"][:, :, :3])
    if kind == "nested":
        assert output.scale_factor.tolist() == pytest.approx([expected["scale_factor"]])


@pytest.mark.parametrize("given", [False, True], ids=["unposed", "posed"])
@pytest.mark.parametrize("kind", ["giant", "nested"])
def test_gaussians_features_and_reference_view_are_as_ours(kind: str, given: bool, tiny) -> None:
    engine, _, ours = tiny(kind)
    known = cameras(4) if given else (None, None)
    options = {"infer_gs": True, "feature_layers": (7, 1, 2, 3), "ref_view_strategy": "saddle_balanced"}
    with torch.inference_mode():
        theirs, expected = engine(images(4), *known, **options), finish(ours(images(4), *known, **options))
    for name in ("means", "scales", "rotations", "harmonics", "opacities"):
        close(getattr(theirs.gaussians, name), getattr(expected.gaussians, name))
    assert set(theirs.features) == set(expected.features)
    for layer, tensor in expected.features.items():
        close(theirs.features[layer], tensor)
    assert (theirs.ref_view is None) == given
    if not given:
        assert theirs.ref_view.tolist() == expected.ref_view.tolist()


def test_it_prints_nothing_and_leaves_the_random_state(tiny, capsys: pytest.CaptureFixture[str]) -> None:
    engine, _, _ = tiny("any_view")
    state = torch.get_rng_state()
    first, second = engine(images(3), use_ray_pose=True), engine(images(3), use_ray_pose=True)
    assert torch.equal(first.extrinsics, second.extrinsics)
    assert torch.equal(torch.get_rng_state(), state)
    assert capsys.readouterr().out == ""


def test_half_precision_only_where_asked_for(tiny) -> None:
    engine, _, _ = tiny("any_view")
    full, half = engine(images(2)), engine(images(2), encoder_dtype=torch.bfloat16)
    assert not torch.equal(full.depth, half.depth)
    torch.testing.assert_close(full.depth, half.depth, rtol=0.1, atol=0.1)
    assert half.depth.dtype == torch.float32


def test_full_size_da3_small_through_the_pipeline() -> None:
    predictions = []
    for engine in ("recon", "reference"):
        with pytest.warns(ReconWarning, match="random weights"):
            model: ReadyModel = ready_model("da3-small", weights=None, engine=engine)
        predictions.append(reconstruct(NetworkEstimator(model), photos(3)).prediction)
    ours, theirs = predictions
    np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-4)
    np.testing.assert_allclose(ours.extrinsics, theirs.extrinsics, atol=1e-4)
    assert ours.ref_view == theirs.ref_view


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from recon.errors import InputError

    monkeypatch.setitem(sys.modules, "depth_anything_3", None)
    with pytest.raises(InputError, match=r"pip install --no-deps depth-anything-3==0\.1\.1"):
        ReferenceNetwork(load_preset("da3-small"))
