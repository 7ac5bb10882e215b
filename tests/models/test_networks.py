"""What the networks promise beyond equality with the reference."""

from __future__ import annotations

import pytest
import torch

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.models.build import build_network, random_network
from recon.models.heads import SkyDPT
from recon.models.postprocess import finish
from recon.models.precision import convolutions_as_precise_as
from recon.models.presets import all_preset_names, load_preset
from tests.models.tiny import TINY, cameras, images, tiny_network


def test_two_runs_are_bit_identical() -> None:
    network, views = tiny_network("nested"), images(4)
    with torch.inference_mode():
        first, second = (network(views, infer_gs=True, use_ray_pose=True) for _ in range(2))
    assert torch.equal(first.depth, second.depth)
    assert torch.equal(first.extrinsics, second.extrinsics)
    assert torch.equal(first.gaussians.means, second.gaussians.means)


@pytest.mark.parametrize("kind", ["any_view", "single_view", "nested"])
def test_scenes_of_a_batch_do_not_see_each_other(kind: str) -> None:
    network, views = tiny_network(kind), images(3, scenes=2)
    with torch.inference_mode():
        together = finish(network(views))
        alone = [finish(network(views[scene : scene + 1])) for scene in range(2)]
    torch.testing.assert_close(together.depth, torch.cat([x.depth for x in alone]), rtol=1e-4, atol=1e-5)


def test_more_views_than_a_chunk_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of the head cut across scenes of a batch without mixing them up."""
    network, views = tiny_network("giant"), images(3, scenes=2)
    with torch.inference_mode():
        one_by_one = network(views, infer_gs=True, use_ray_pose=True)
        monkeypatch.setattr("recon.models.heads.views_at_once", lambda device: 4)
        four_at_once = network(views, infer_gs=True, use_ray_pose=True)
    torch.testing.assert_close(one_by_one.depth, four_at_once.depth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one_by_one.extrinsics, four_at_once.extrinsics, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(one_by_one.gaussians.harmonics, four_at_once.gaussians.harmonics, rtol=1e-4, atol=1e-4)


def test_ray_branch_runs_only_for_ray_cameras() -> None:
    network, views = tiny_network("any_view"), images(2)
    calls = []
    network.head.scratch["output_conv2_aux"][-1].register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        without = network(views)
        assert not calls
        with_rays = network(views, use_ray_pose=True)
    assert calls
    assert torch.equal(without.depth, with_rays.depth)
    assert not torch.allclose(without.extrinsics, with_rays.extrinsics)


def test_given_cameras_condition_the_prediction_and_leave_the_order_alone() -> None:
    network, views = tiny_network("any_view"), images(4)
    with torch.inference_mode():
        unposed, posed = network(views), network(views, *cameras(4))
    assert unposed.ref_view is not None
    assert posed.ref_view is None
    assert not torch.allclose(unposed.depth, posed.depth)


def test_permuting_other_views_permutes_the_output() -> None:
    """With the first view as the reference, the order of the others does not matter."""
    network, views = tiny_network("any_view"), images(4)
    with torch.inference_mode():
        straight = network(views, ref_view_strategy="first").depth
        swapped = network(views[:, [0, 3, 1, 2]], ref_view_strategy="first").depth
    torch.testing.assert_close(swapped, straight[:, [0, 3, 1, 2]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(TINY))
def test_half_precision_encoder_stays_close(kind: str) -> None:
    network, views = tiny_network(kind), images(2)
    with torch.inference_mode():
        full, half = (finish(network(views, encoder_dtype=dtype)).depth for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    error = (full - half).abs().mean() / full.std()
    assert 0 < error < 0.2  # random weights amplify rounding; that some rounding shows proves the encoder took it


@pytest.mark.cuda
@pytest.mark.parametrize("kind", list(TINY))
def test_cuda_gives_what_the_cpu_gives(kind: str) -> None:
    network, views = tiny_network(kind), images(3)
    with torch.inference_mode():
        expected = finish(network(views))
        with convolutions_as_precise_as(torch.float32):
            found = finish(network.to("cuda")(views.to("cuda")))
        half = finish(network(views.to("cuda"), encoder_dtype=torch.bfloat16))
    spread = expected.depth.std()
    assert (found.depth.cpu() - expected.depth).abs().mean() <= 1e-3 * spread
    assert (half.depth.cpu() - expected.depth).abs().mean() <= 0.2 * spread  # random weights amplify rounding
    if expected.extrinsics is not None:
        torch.testing.assert_close(found.extrinsics.cpu(), expected.extrinsics, rtol=1e-3, atol=1e-3)


def test_camera_tokens_turn_into_cameras() -> None:
    with torch.inference_mode():
        output = tiny_network("any_view")(images(3))
    rotation = output.extrinsics[..., :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), rtol=0, atol=1e-5)
    assert (torch.linalg.det(rotation) > 0).all()
    assert output.intrinsics[0, 0, 0, 2] == 35
    assert output.intrinsics[0, 0, 1, 2] == 28


def test_nested_is_one_frame_and_one_scale() -> None:
    network, views = tiny_network("nested"), images(3)
    with torch.inference_mode():
        relative, metric = network.da3(views, infer_gs=True), finish(network(views, infer_gs=True))
    scale = metric.scale_factor.item()
    assert abs(scale - 1) > 0.01
    not_sky = metric.sky < 0.3
    torch.testing.assert_close(metric.depth[not_sky], relative.depth[not_sky] * scale)
    torch.testing.assert_close(metric.extrinsics[..., 3], relative.extrinsics[..., 3] * scale)
    torch.testing.assert_close(metric.gaussians.means, relative.gaussians.means * scale)
    torch.testing.assert_close(metric.gaussians.scales, relative.gaussians.scales * scale)


def test_nested_of_nothing_but_sky_stays_relative_and_says_so() -> None:
    network, views = tiny_network("nested"), images(2)
    for module in network.modules():
        if isinstance(module, SkyDPT):
            torch.nn.init.constant_(module.scratch["sky_output_conv2"][-1].bias, 100.0)
    with torch.inference_mode(), pytest.warns(ReconWarning, match="scale is undetermined"):
        output, relative = finish(network(views)), network.da3(views)
    assert output.scale_factor.isnan().all()
    assert torch.equal(output.depth, relative.depth)


def test_a_scene_of_nothing_but_sky_leaves_the_others_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    network, views = tiny_network("nested"), images(2, scenes=2)
    with torch.inference_mode():
        alone = finish(network(views[:1]))
        head = type(network.da3_metric.head).forward

        def sky_in_the_second_scene(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
            depth, sky = head(*arguments)
            return depth, torch.cat([sky[:2], torch.ones_like(sky[2:])])

        monkeypatch.setattr(type(network.da3_metric.head), "forward", sky_in_the_second_scene)
        with pytest.warns(ReconWarning, match="scale is undetermined"):
            both = finish(network(views))
        relative = network.da3(views)
    torch.testing.assert_close(both.depth[0], alone.depth[0], rtol=1e-4, atol=1e-5)
    assert both.scale_factor[0].item() == pytest.approx(alone.scale_factor.item(), rel=1e-4)
    assert both.scale_factor[1].isnan()
    assert torch.equal(both.depth[1], relative.depth[1])
    assert torch.equal(both.depth_conf[1], relative.depth_conf[1])


def test_intrinsics_alone_give_a_nested_network_its_metres() -> None:
    network, views = tiny_network("nested"), images(2)
    with torch.inference_mode():
        predicted = finish(network(views))
        known = predicted.intrinsics * torch.tensor([[2.0], [2.0], [1.0]])
        twice = finish(network(views, None, known), known)
    assert twice.scale_factor.item() == pytest.approx(2 * predicted.scale_factor.item(), rel=1e-4)
    torch.testing.assert_close(twice.intrinsics, predicted.intrinsics)


@pytest.mark.parametrize("given", [0, 1])
def test_half_given_cameras_are_refused(given: int) -> None:
    half = [camera if index == given else None for index, camera in enumerate(cameras(2))]
    with pytest.raises(InputError, match="together, or neither"):
        tiny_network("any_view")(images(2), *half)


def test_gaussians_of_a_model_without_them() -> None:
    with pytest.raises(InputError, match="da3-giant"):
        tiny_network("any_view")(images(1), infer_gs=True)


def test_single_view_networks_refuse_cameras() -> None:
    with pytest.raises(InputError, match="takes no cameras"):
        tiny_network("single_view")(images(1), *cameras(1))


@pytest.mark.parametrize("shape", [(1, 2, 3, 50, 56), (2, 3, 56, 56), (1, 2, 1, 56, 56)])
def test_misshaped_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(B, V, 3, H, W\)"):
        tiny_network("any_view")(torch.zeros(shape))


@pytest.mark.parametrize("name", all_preset_names())
def test_parameter_counts_of_presets(name: str) -> None:
    preset = load_preset(name)
    with torch.device("meta"):
        network = build_network(preset.network)
    assert sum(parameter.numel() for parameter in network.parameters()) == preset.parameters


def test_unknown_preset_names_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown model 'da3-huge'.*da3-small"):
        load_preset("da3-huge")


def test_random_weights_follow_the_seed() -> None:
    one, again, other = (random_network(TINY["giant"], seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    assert all(torch.isfinite(value).all() for value in one.values())
