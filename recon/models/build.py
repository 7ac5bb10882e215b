"""Networks from presets: explicit constructors, and weights to start from when there is no checkpoint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from recon.models.camera_tokens import CameraDecoder
from recon.models.encoder import Encoder
from recon.models.networks import AnyViewNetwork, MonocularNetwork, NestedNetwork, Network, SingleViewNetwork
from recon.models.presets import AnyViewConfig, MonocularConfig, NestedConfig, NetworkConfig
from recon.models.transformer import LayerScale

_TOKEN_SPREAD = 0.02
"""Standard deviation of random tokens and position embeddings, as in DINOv2."""


def build_network(config: NetworkConfig) -> Network:
    """The network of `config`, in evaluation mode, on torch's default device.

    Under `torch.device("meta")` it takes neither memory nor time, which is how to build one whose weights are loaded
    next. Its `state_dict` keys are the official checkpoints' without their leading `model.`.
    """
    if isinstance(config, NestedConfig):
        return NestedNetwork(config).eval()
    if isinstance(config, AnyViewConfig):
        return AnyViewNetwork(config).eval()
    if isinstance(config, MonocularConfig):
        return MonocularNetwork(config).eval()
    return SingleViewNetwork(config).eval()


def random_network(config: NetworkConfig, seed: int = 0) -> Network:
    """The network of `config` with weights drawn from `seed`: the same on every machine and run.

    Signals keep their size on the way through it, and its cameras are sensible.
    """
    with torch.device("meta"):
        network = build_network(config)
    spreads = _spreads(network)
    state = network.state_dict()

    def fill(index: int) -> Tensor:
        # Each parameter has a stream of its own, so that threads can fill them in any order. numpy asks the
        # system for large pages, which come faster.
        name, spread = spreads[index]
        values = np.random.Generator(np.random.SFC64([seed, index])).random(state[name].shape, np.float32)
        values -= 0.5
        values *= spread * 12**0.5  # uniform with standard deviation `spread`
        return torch.from_numpy(values)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        drawn = dict(zip((name for name, _ in spreads), pool.map(fill, range(len(spreads))), strict=True))
    constants = {name: torch.zeros(value.shape, device="cpu") for name, value in state.items() if name not in drawn}
    network.load_state_dict({**drawn, **constants}, assign=True)
    _set_constants(network)
    return network


def _spreads(network: nn.Module) -> list[tuple[str, float]]:
    """Name of each parameter to be drawn, with its standard deviation."""
    spreads: list[tuple[str, float]] = []
    for name, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # The variance 1 / fan-in keeps the size of what passes through.
            spreads.append((f"{name}.weight", _fan_in(module) ** -0.5))
        elif isinstance(module, Encoder):
            tokens = ["cls_token", "pos_embed"] + ["camera_token"] * hasattr(module, "camera_token")
            spreads += [(f"{name}.{token}", _TOKEN_SPREAD) for token in tokens]
    return spreads


@torch.no_grad()
def _set_constants(network: nn.Module) -> None:
    """Set, in place, the parameters that start at neither random values nor zero."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
        elif isinstance(module, LayerScale):
            module.gamma.fill_(module.initial)
        elif isinstance(module, CameraDecoder):
            # Cameras near the identity with a field of view near 1 rad: zero would put the focal length at infinity.
            module.fc_qvec.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 4.0]))
            field_of_view = cast(nn.Linear, module.fc_fov[0])
            field_of_view.weight.mul_(0.1)
            field_of_view.bias.fill_(1.0)


def _fan_in(module: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> int:
    """How many inputs each output adds up."""
    if isinstance(module, nn.ConvTranspose2d):
        return module.in_channels  # stride and kernel size are equal: the kernels do not overlap
    return module.weight[0].numel()
