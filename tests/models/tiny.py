"""Small configurations of the presets' own classes: the same code paths in a fraction of a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from recon.models.build import random_network
from recon.models.heads import SkyDPT
from recon.models.networks import Network
from recon.models.presets import (
    AnyViewConfig,
    EncoderConfig,
    HeadConfig,
    MonocularConfig,
    NestedConfig,
    NetworkConfig,
    SingleViewConfig,
)
from recon.models.single_view import SKY_THRESHOLD

_HEAD = HeadConfig(features=32, channels=(16, 24, 32, 48))
_ANY_VIEW_ENCODER = EncoderConfig(dim=64, depth=8, heads=2, taken_layers=(3, 5, 6, 7), cross_view_from=4)
_SINGLE_VIEW = SingleViewConfig(EncoderConfig(dim=64, depth=6, heads=2, taken_layers=(1, 2, 4, 5)), _HEAD)
_PLAIN_ENCODER = EncoderConfig(dim=64, depth=6, heads=2, taken_layers=(1, 2, 4, 5), has_mask_token=True)
# As da3-giant: gated feed-forward, and the first block across views is the first that can be.
_GIANT = AnyViewConfig(
    EncoderConfig(dim=64, depth=8, heads=2, taken_layers=(4, 5, 6, 7), cross_view_from=3, feed_forward="swiglu"),
    _HEAD,
    gaussian_sh_degree=2,
)

TINY: dict[str, NetworkConfig] = {
    "any_view": AnyViewConfig(_ANY_VIEW_ENCODER, _HEAD),
    "giant": _GIANT,
    "single_view": _SINGLE_VIEW,
    "nested": NestedConfig(_GIANT, _SINGLE_VIEW),
    "disparity": MonocularConfig(_PLAIN_ENCODER, _HEAD),
    "metric_depth": MonocularConfig(_PLAIN_ENCODER, _HEAD, max_depth=20.0),
}
"""One of each kind: da3-small to -large, da3-giant, da3mono and da3metric, da3nested, Depth Anything 2 and 1."""


def _shallow(encoder: EncoderConfig) -> EncoderConfig:
    across = None if encoder.cross_view_from is None else 2
    return replace(encoder, depth=4, taken_layers=(0, 1, 2, 3), cross_view_from=across)


SHALLOW: dict[str, NetworkConfig] = {
    kind: replace(config, encoder=_shallow(config.encoder))
    for kind, config in TINY.items()
    if not isinstance(config, NestedConfig)
}
"""The same with as few blocks as there can be, for what takes time by the block, as writing an ONNX file does."""


def tiny_network(kind: str, seed: int = 0, table: Mapping[str, NetworkConfig] = TINY) -> Network:
    """A network of a `table` whose every parameter is random, also norms, biases and layer scales."""
    network = random_network(table[kind], seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.rand(parameter.shape, generator=generator) - 0.5
            parameter.add_(0.1 * noise)
        for module in network.modules():
            if isinstance(module, SkyDPT):
                # Sky scores on both sides of the threshold: the last layer adds and subtracts alike.
                last = module.scratch["sky_output_conv2"][-1]
                last.weight.sub_(last.weight.mean()).mul_(0.5)
                last.bias.fill_(SKY_THRESHOLD)
    return network


def images(views: int, *, scenes: int = 1, height: int = 56, width: int = 70, seed: int = 0) -> torch.Tensor:
    """Smooth random images (B, V, 3, H, W), normalised, that differ from view to view."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(scenes * views, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return fine.unflatten(0, (scenes, views))


def cameras(views: int, *, scenes: int = 1, height: int = 56, width: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """World-to-camera (B, V, 4, 4) on an arc, the first at the origin, and intrinsics (B, V, 3, 3)."""
    extrinsics = torch.eye(4).repeat(scenes, views, 1, 1)
    intrinsics = torch.eye(3).repeat(scenes, views, 1, 1)
    for scene in range(scenes):
        for view in range(views):
            angle = 0.2 * view * (1 + 0.1 * scene)
            c, s = math.cos(angle), math.sin(angle)
            extrinsics[scene, view, :3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
            extrinsics[scene, view, :3, 3] = torch.tensor([0.3 * view, 0.05 * view, 0.1 * view**2])
            intrinsics[scene, view] = torch.tensor([[60.0, 0, width / 2], [0, 62.0, height / 2], [0, 0, 1]])
    return extrinsics, intrinsics
