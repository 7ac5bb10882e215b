"""Our networks against the reference's, with the same random weights: every output within 1e-4, relative."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.models.build import build_network
from recon.models.networks import Network
from recon.models.outputs import NetworkOutput
from recon.models.postprocess import finish
from recon.models.presets import load_preset, preset_names
from recon.models.reference_view import REF_VIEW_STRATEGIES, choose_ref_view, order_with_first, take_views
from tests.models.tiny import TINY, cameras, images, tiny_network
from tests.reference.networks import build_reference_network, needs_reference, on_meta_device
from tests.seeds import torch_random

pytestmark = needs_reference
TOLERANCE = 1e-4


def assert_close(ours: Tensor, theirs: Tensor, name: str) -> None:
    """Largest difference within `TOLERANCE` of the largest value."""
    assert ours.shape == theirs.shape, name
    assert torch.isfinite(theirs).all(), f"the reference's {name} is not finite: the test says nothing"
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error <= TOLERANCE, f"{name} differs by {error:.2e}"


def run_both(network: Network, kind: str, *arguments: Tensor | None, **options: object) -> tuple[NetworkOutput, dict]:
    """Ours and the reference's output for the same weights and input."""
    reference = build_reference_network(TINY[kind])
    reference.load_state_dict(network.state_dict(), strict=True)
    layers = list(options.get("feature_layers", ()))
    with torch.inference_mode():
        ours = finish(network(*arguments, **options))
        options.pop("feature_layers", None)
        theirs = reference(*arguments, export_feat_layers=layers, **options)
    return ours, theirs


def assert_same(ours: NetworkOutput, theirs: dict) -> None:
    names = {"depth": "depth", "depth_conf": "depth_conf", "sky": "sky", "intrinsics": "intrinsics"}
    compared = 0
    for our_name, their_name in names.items():
        if theirs.get(their_name) is not None:
            assert_close(getattr(ours, our_name), theirs[their_name], our_name)
            compared += 1
    if theirs.get("extrinsics") is not None:
        assert_close(ours.extrinsics, theirs["extrinsics"][..., :3, :], "extrinsics")
    assert compared >= 2
    if theirs.get("gaussians") is not None:
        for field in ("means", "scales", "rotations", "harmonics", "opacities"):
            assert_close(getattr(ours.gaussians, field), getattr(theirs["gaussians"], field), field)


@pytest.mark.parametrize("views", [1, 2, 3, 5])
@pytest.mark.parametrize("given", [False, True], ids=["unposed", "posed"])
@pytest.mark.parametrize("kind", ["any_view", "giant"])
def test_any_view(kind: str, views: int, given: bool) -> None:
    extrinsics, intrinsics = cameras(views) if given else (None, None)
    assert_same(*run_both(tiny_network(kind), kind, images(views), extrinsics, intrinsics))


@pytest.mark.parametrize("given", [False, True], ids=["unposed", "posed"])
def test_batch_of_two(given: bool) -> None:
    extrinsics, intrinsics = cameras(3, scenes=2) if given else (None, None)
    assert_same(*run_both(tiny_network("any_view"), "any_view", images(3, scenes=2), extrinsics, intrinsics))


@pytest.mark.parametrize("strategy", REF_VIEW_STRATEGIES)
def test_choice_of_the_reference_view(strategy: str) -> None:
    from depth_anything_3.model.reference_view_selector import select_reference_view

    tokens = torch.randn(200, 6, 4, 16, generator=torch_random(0))
    theirs = select_reference_view(tokens, strategy=strategy)
    ours = choose_ref_view(tokens[:, :, 0], strategy)
    # Where two views tie, the reference's choice between them is left to rounding.
    assert (ours == theirs).float().mean() > (0.5 if strategy == "saddle_sim_range" else 0.999)
    directions = torch.nn.functional.normalize(tokens[:, :, 0], dim=-1)
    similarity = directions @ directions.mT - torch.eye(6)
    ranges = similarity.amax(dim=-1) - similarity.amin(dim=-1)
    if strategy == "saddle_sim_range":
        scene = torch.arange(200)
        torch.testing.assert_close(ranges[scene, ours], ranges[scene, theirs], rtol=0, atol=1e-4)


@pytest.mark.parametrize("strategy", REF_VIEW_STRATEGIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reference_view_strategies(strategy: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if strategy == "saddle_sim_range":
        # It ties on these images; the reference is given our choice, so that the rest can be compared.
        monkeypatch.setattr(
            "depth_anything_3.model.dinov2.vision_transformer.select_reference_view",
            lambda tokens, strategy: choose_ref_view(tokens[:, :, 0], strategy),
        )
    network = tiny_network("any_view", seed)
    assert_same(*run_both(network, "any_view", images(5, seed=seed), ref_view_strategy=strategy))


@pytest.mark.parametrize("views", [2, 5])
def test_features(views: int) -> None:
    layers = (1, 3, 5, 7)
    ours, theirs = run_both(tiny_network("any_view"), "any_view", images(views), feature_layers=layers)
    assert tuple(ours.features) == layers
    for layer in layers:
        expected = theirs["aux"][f"feat_layer_{layer}"]
        if ours.ref_view is not None and layer >= 3:
            # The reference leaves these with the reference view first; ours are in the order of the input.
            expected = take_views(expected, order_with_first(ours.ref_view, views).argsort(dim=1))
        assert_close(ours.features[layer], expected, f"feat_layer_{layer}")


def test_features_are_labelled_by_layer_in_any_order() -> None:
    network, views = tiny_network("any_view"), images(2)
    with torch.inference_mode():
        forward = network(views, feature_layers=(2, 5)).features
        backward = network(views, feature_layers=(5, 2)).features
    assert torch.equal(forward[5], backward[5])
    assert torch.equal(forward[2], backward[2])


@pytest.mark.parametrize("views", [1, 3])
def test_gaussians(views: int) -> None:
    assert_same(*run_both(tiny_network("giant"), "giant", images(views), infer_gs=True))


def test_gaussians_with_cameras_are_the_references_but_for_its_pose_scale() -> None:
    """Ours stay in the frame of the predicted cameras; the reference rescales them towards the given ones."""
    extrinsics, intrinsics = cameras(4)
    ours, theirs = run_both(tiny_network("giant"), "giant", images(4), extrinsics, intrinsics, infer_gs=True)
    gaussians = theirs.pop("gaussians")
    assert_same(ours, theirs)
    ratio = (gaussians.scales / ours.gaussians.scales).median()
    assert abs(ratio - 1) > 0.01, "the cameras have to differ in scale"
    assert_close(ours.gaussians.scales * ratio, gaussians.scales, "scales")
    assert_close(ours.gaussians.means * ratio, gaussians.means, "means")
    assert_close(ours.gaussians.rotations, gaussians.rotations, "rotations")
    assert_close(ours.gaussians.harmonics, gaussians.harmonics, "harmonics")


@pytest.mark.parametrize("views", [1, 3])
def test_single_view(views: int) -> None:
    ours, theirs = run_both(tiny_network("single_view"), "single_view", images(views))
    assert_same(ours, theirs)
    sky = ours.sky >= 0.3
    assert 10 < sky.sum() < sky.numel() - 10, "the input has to have both sky and no sky"


@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize("given", [False, True], ids=["unposed", "posed"])
def test_nested(views: int, given: bool) -> None:
    network = tiny_network("nested")
    arguments = cameras(views) if given else (None, None)
    ours, theirs = run_both(network, "nested", images(views), *arguments)
    assert_same(ours, theirs)
    assert ours.scale_factor.item() == pytest.approx(theirs["scale_factor"], rel=TOLERANCE)
    sky = ours.sky >= 0.3
    assert 10 < sky.sum() < sky.numel() - 10, "the input has to have both sky and no sky"


@pytest.mark.parametrize("size", [(14, 14), (56, 42), (518, 518)])
def test_image_sizes(size: tuple[int, int]) -> None:
    views = images(2, height=size[0], width=size[1])
    assert_same(*run_both(tiny_network("any_view"), "any_view", views))


@pytest.mark.parametrize("name", [name for name in preset_names() if name.startswith("da3")])
def test_keys_and_shapes_of_full_size_presets(name: str) -> None:
    preset = load_preset(name)
    with on_meta_device():
        ours = build_network(preset.network)
        theirs = build_reference_network(preset.network)
    expected = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
    assert sum(parameter.numel() for parameter in ours.parameters()) == preset.parameters


@pytest.mark.parametrize("name", [name for name in preset_names() if name.startswith("da3")])
def test_presets_are_the_references_own(name: str) -> None:
    """The sizes in our configs against the reference's configs, by the state of the network each builds."""
    from pathlib import Path

    import depth_anything_3
    from depth_anything_3.cfg import create_object, load_config

    config = Path(next(iter(depth_anything_3.__path__))) / "configs" / f"{name}.yaml"
    with on_meta_device():
        ours, theirs = build_network(load_preset(name).network), create_object(load_config(str(config)))
    expected = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
    reference_encoder = (theirs.da3 if name.startswith("da3nested") else theirs).backbone
    assert tuple(reference_encoder.out_layers) == load_preset(name).encoder.taken_layers


@pytest.mark.slow
def test_full_size_da3_small() -> None:
    from recon.models.build import random_network

    config = load_preset("da3-small").network
    network, reference = random_network(config, seed=1), build_reference_network(config)
    reference.load_state_dict(network.state_dict(), strict=True)
    views = images(3, height=252, width=336)
    with torch.inference_mode():
        ours, theirs = network(views, feature_layers=(5,)), reference(views, export_feat_layers=[5])
    assert_same(ours, theirs)
