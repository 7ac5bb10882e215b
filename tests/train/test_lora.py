"""Low-rank changes: merged they are what they were when applied, and nothing else is trained in the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.errors import InputError
from recon.models.build import build_network, random_network
from recon.models.presets import load_preset
from recon.models.ready import ready_model
from recon.train.loop import train
from recon.train.lora import LoraLinear, add_lora, merged_state
from recon.train.parts import encoder_of
from tests.seeds import numpy_random, torch_random
from tests.train.scene import Rooms, room, rooms
from tests.train.settings import config

PRESET = load_preset("tiny-any-view")
LAYERS = ("qkv", "proj", "fc1", "fc2")


def changed_network(rank: int = 4, alpha: float | None = 6.0) -> torch.nn.Module:
    """With changes that are not 0."""
    network = random_network(PRESET.network, 0)
    add_lora(encoder_of(network), LAYERS, rank, alpha, seed=1)
    generator = torch_random(5)
    for module in network.modules():
        if isinstance(module, LoraLinear):
            with torch.no_grad():
                module.lora_up.copy_(0.1 * torch.randn(module.lora_up.shape, generator=generator))
    return network


def test_merged_is_applied() -> None:
    network, plain = changed_network(), build_network(PRESET.network)
    plain.load_state_dict(merged_state(network), strict=True)
    images = torch.from_numpy(room(2, 56, 70).images)[None]
    before = random_network(PRESET.network, 0)
    with torch.no_grad():
        applied, merged, unchanged = network(images), plain(images), before(images)
    for name in ("depth", "depth_conf", "extrinsics", "intrinsics"):
        one, other = getattr(applied, name), getattr(merged, name)
        # In float32 the products of a whole network are rounded otherwise: a few pixels by a little more.
        assert (one - other).abs().mean() <= 1e-6 * one.abs().mean(), name
        assert (one - other).abs().max() <= 1e-5 * one.abs().max(), name
        assert (one - getattr(unchanged, name)).abs().max() > 1e-3, name


def test_a_layer_against_numpy() -> None:
    base = torch.nn.Linear(7, 5).double()
    holder = torch.nn.ModuleDict({"qkv": base})
    add_lora(holder, ("qkv",), 3, 6.0, seed=0)
    layer = holder["qkv"].double()
    random = numpy_random(0)
    a, b, x = random.normal(size=(3, 7)), random.normal(size=(5, 3)), random.normal(size=(4, 7))
    with torch.no_grad():
        layer.lora_down.copy_(torch.from_numpy(a))
        layer.lora_up.copy_(torch.from_numpy(b))
        found = layer(torch.from_numpy(x)).numpy()
    merged = torch.nn.functional.linear(torch.from_numpy(x), merged_state(holder)["qkv.weight"], base.bias)
    torch.testing.assert_close(torch.from_numpy(found), merged.detach(), rtol=0, atol=1e-12)
    w, bias = base.weight.detach().numpy(), base.bias.detach().numpy()
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(x @ (w + 6.0 / 3 * b @ a).T + bias))


def test_it_begins_as_no_change() -> None:
    network = random_network(PRESET.network, 0)
    add_lora(encoder_of(network), LAYERS, 4, None, seed=1)
    original = random_network(PRESET.network, 0).state_dict()
    assert all(torch.equal(value, original[name]) for name, value in merged_state(network).items())


def test_trained_it_is_exported_merged(tmp_path: Path) -> None:
    data = Rooms(rooms(1, scenes=1, views=2, side=28))
    lora = {"rank": 2, "layers": ["qkv", "fc1"]}
    settings = config(steps=3, lora=lora, freeze=["decoder", "cameras"], optimiser={"average": 0.5})
    model = train(settings, data, tmp_path).model
    found = ready_model("tiny-any-view", weights=model).network.state_dict()
    original = random_network(PRESET.network, 0).state_dict()
    changed = {name for name, value in found.items() if not torch.equal(value, original[name])}
    expected = {
        f"backbone.pretrained.blocks.{block}.{name}.weight" for block in range(8) for name in ("attn.qkv", "mlp.fc1")
    }
    assert changed == expected
    for name in expected:
        rank = torch.linalg.matrix_rank(found[name] - original[name], rtol=1e-3)
        assert 1 <= int(rank) <= 2


def test_unknown_layers_are_named() -> None:
    with pytest.raises(InputError, match="did you mean 'qkv'"):
        add_lora(encoder_of(random_network(PRESET.network, 0)), ("qvk",), 4, None, seed=0)
