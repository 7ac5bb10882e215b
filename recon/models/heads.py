"""The prediction heads: depth with rays, depth with sky, raw Gaussians, and a single map.

Module names are those of the official checkpoints, also where a name says little (`scratch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.models.dpt import (
    HEAD_CHANNELS,
    ChannelLayerNorm,
    Reassemble,
    add_position_embedding,
    full_size,
    in_view_chunks,
    upsample,
    views_at_once,
)
from recon.models.presets import HeadConfig

RAY_CHANNELS = 6
"""Direction and origin of a pixel's ray, in the reference view's frame."""


@dataclass(frozen=True)
class DepthAndRays:
    """Output of `DualDPT` for N views."""

    depth: Tensor
    """(N, H, W)"""
    depth_conf: Tensor
    """(N, H, W) ≥ 1"""
    rays: Tensor | None = None
    """(N, h, w, 6) direction (not normalised) and origin, at 8 times the patch grid; None unless asked for"""
    ray_conf: Tensor | None = None
    """(N, h, w) ≥ 1"""


class DualDPT(Reassemble):
    """Depth with confidence, and on request rays with confidence, from shared stages (arXiv 2511.10647, section 3)."""

    def __init__(self, dim_in: int, config: HeadConfig) -> None:
        super().__init__(dim_in, config, normalise=True, position_embedding=True)
        features, half = config.features, config.features // 2
        self.scratch["output_conv1"] = nn.Conv2d(features, half, 3, padding=1)
        self.scratch["output_conv2"] = nn.Sequential(
            nn.Conv2d(half, HEAD_CHANNELS, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(HEAD_CHANNELS, 2, 1)
        )
        self.add_fusion("_aux", features)
        # Checkpoints hold a ray output for each of the four scales; only the finest, the last, is ever read.
        self.scratch["output_conv1_aux"] = nn.ModuleList(_ray_neck(features) for _ in range(4))
        self.scratch["output_conv2_aux"] = nn.ModuleList(_ray_output(half) for _ in range(4))

    def forward(
        self, layers_npc: Sequence[Tensor], rows: int, columns: int, *, with_rays: bool = False
    ) -> DepthAndRays:
        """Patch tokens (N, P, F) of four layers to depth, and rays if `with_rays`; the ray branch is skipped else."""

        def forward_views(*layers: Tensor) -> tuple[Tensor, ...]:
            stages = self.reassemble(layers, rows, columns)
            depth_logits = self._depth_logits(stages, rows, columns).float()  # (N, 2, H, W)
            depth = (depth_logits[:, 0].exp(), depth_logits[:, 1].exp() + 1)
            if not with_rays:
                return depth
            ray_logits = self._ray_logits(stages, columns / rows).permute(0, 2, 3, 1)  # (N, h, w, 7)
            return (*depth, ray_logits[..., :RAY_CHANNELS], ray_logits[..., RAY_CHANNELS].exp() + 1)

        depth, conf, *rays = in_view_chunks(forward_views, layers_npc, views_at_once(layers_npc[0].device))
        return DepthAndRays(depth, conf, *rays)

    def _depth_logits(self, stages: Sequence[Tensor], rows: int, columns: int) -> Tensor:
        image = upsample(self.scratch["output_conv1"](self.fuse(stages)), full_size(rows, columns))
        image = add_position_embedding(image, columns / rows)
        return self.scratch["output_conv2"](image)

    def _ray_logits(self, stages: Sequence[Tensor], aspect: float) -> Tensor:
        image = self.scratch.get_submodule("output_conv1_aux.3")(self.fuse(stages, "_aux"))
        image = add_position_embedding(image, aspect)
        return self.scratch.get_submodule("output_conv2_aux.3")(image)


def _ray_neck(features: int) -> nn.Sequential:
    half = features // 2
    widths = [features, half, features, half, features, half]
    return nn.Sequential(*(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)))


def _ray_output(channels: int) -> nn.Sequential:
    # Checkpoints number the layers with a permutation before and after the norm; the norm here does both itself.
    return nn.Sequential(
        nn.Conv2d(channels, HEAD_CHANNELS, 3, padding=1),
        nn.Identity(),
        ChannelLayerNorm(HEAD_CHANNELS),
        nn.Identity(),
        nn.ReLU(inplace=True),
        nn.Conv2d(HEAD_CHANNELS, RAY_CHANNELS + 1, 1),
    )


class SkyDPT(Reassemble):
    """Depth and a sky score, from the encoder's tokens as they are."""

    def __init__(self, dim_in: int, config: HeadConfig) -> None:
        super().__init__(dim_in, config, normalise=False, position_embedding=False)
        half = config.features // 2
        self.scratch["output_conv1"] = nn.Conv2d(config.features, half, 3, padding=1)
        self.scratch["output_conv2"] = _single_output(half)
        self.scratch["sky_output_conv2"] = _single_output(half)

    def forward(self, layers_npc: Sequence[Tensor], rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Patch tokens (N, P, F) of four layers to depth (N, H, W) and sky score ≥ 0 (N, H, W)."""

        def forward_views(*layers: Tensor) -> tuple[Tensor, Tensor]:
            fused = self.scratch["output_conv1"](self.fuse(self.reassemble(layers, rows, columns)))
            image = upsample(fused, full_size(rows, columns))
            depth = self.scratch["output_conv2"](image)[:, 0].float().exp()
            return depth, F.relu(self.scratch["sky_output_conv2"](image)[:, 0])

        depth, sky = in_view_chunks(forward_views, layers_npc, views_at_once(layers_npc[0].device))
        return depth, sky


class MapDPT(Reassemble):
    """One map with values before the last activation, from the encoder's tokens as they are (arXiv 2406.09414)."""

    def __init__(self, dim_in: int, config: HeadConfig) -> None:
        # Checkpoints hold a residual unit of the coarsest fusion block that nothing runs through.
        super().__init__(dim_in, config, normalise=False, position_embedding=False, unread_unit=True)
        half = config.features // 2
        self.scratch["output_conv1"] = nn.Conv2d(config.features, half, 3, padding=1)
        self.scratch["output_conv2"] = _single_output(half)

    def forward(self, layers_npc: Sequence[Tensor], rows: int, columns: int) -> Tensor:
        """Patch tokens (N, P, F) of four layers to (N, H, W)."""

        def forward_views(*layers: Tensor) -> tuple[Tensor]:
            fused = self.scratch["output_conv1"](self.fuse(self.reassemble(layers, rows, columns)))
            return (self.scratch["output_conv2"](upsample(fused, full_size(rows, columns)))[:, 0],)

        (values,) = in_view_chunks(forward_views, layers_npc, views_at_once(layers_npc[0].device))
        return values


def _single_output(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, HEAD_CHANNELS, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(HEAD_CHANNELS, 1, 1)
    )


class GaussianDPT(Reassemble):
    """Raw Gaussian parameters and opacity for each pixel, from tokens and the image itself."""

    def __init__(self, dim_in: int, config: HeadConfig, parameters: int) -> None:
        super().__init__(dim_in, config, normalise=False, position_embedding=True)
        half = config.features // 2
        self.scratch["output_conv1"] = nn.Conv2d(config.features, half, 3, padding=1)
        self.scratch["output_conv2"] = nn.Sequential(
            nn.Conv2d(half, HEAD_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(HEAD_CHANNELS, parameters + 1, 1),
        )
        widths = [3, half // 4, half // 2, half]
        pairs = pairwise(widths)
        self.images_merger = nn.Sequential(
            *(layer for a, b in pairs for layer in (nn.Conv2d(a, b, 3, padding=1), nn.GELU()))
        )

    def forward(
        self, layers_npc: Sequence[Tensor], images_nchw: Tensor, rows: int, columns: int
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N, P, F) and images (N, 3, H, W) to raw parameters (N, H, W, K) and opacity in [0, 1] (N, H, W)."""

        def forward_views(images: Tensor, *layers: Tensor) -> tuple[Tensor, Tensor]:
            fused = self.scratch["output_conv1"](self.fuse(self.reassemble(layers, rows, columns)))
            image = upsample(fused, full_size(rows, columns)) + self.images_merger(images)
            image = add_position_embedding(image, columns / rows)
            logits = self.scratch["output_conv2"](image).permute(0, 2, 3, 1)  # (N, H, W, K + 1)
            return logits[..., :-1], torch.sigmoid(logits[..., -1])

        chunk = views_at_once(images_nchw.device)
        parameters, opacity = in_view_chunks(forward_views, [images_nchw, *layers_npc], chunk)
        return parameters, opacity
