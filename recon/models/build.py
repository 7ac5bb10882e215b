"""Networks from presets: explicit constructors, and weights to start from when there is no checkpoint."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from recon.models.camera_tokens import CameraDecoder
from recon.models.encoder import Encoder
from recon.models.networks import AnyViewNetwork, NestedNetwork, Network, SingleViewNetwork
from recon.models.presets import AnyViewConfig, NestedConfig, NetworkConfig
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
    return SingleViewNetwork(config).eval()


def random_network(config: NetworkConfig, seed: int = 0) -> Network:
    """The network of `config` with weights drawn from `seed`: the same on every machine and run."""
    with torch.device("meta"):
        network = build_network(config)
    network.to_empty(device="cpu")
    initialise_random(network, seed)
    return network


@torch.no_grad()
def initialise_random(network: nn.Module, seed: int) -> None:
    """Fill every parameter of `network` in place, so that signals keep their size and cameras are sensible."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # Uniform, with the variance 1 / fan-in that keeps the size of what passes through.
            bound = math.sqrt(3 / _fan_in(module))
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
        elif isinstance(module, LayerScale):
            module.gamma.fill_(module.initial)
        elif isinstance(module, Encoder):
            for token in [module.cls_token, module.pos_embed, getattr(module, "camera_token", None)]:
                if token is not None:
                    token.normal_(std=_TOKEN_SPREAD, generator=generator)
    for module in network.modules():
        if isinstance(module, CameraDecoder):
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
