"""Parts of the dense prediction transformer head (DPT, arXiv 2103.13413), shared by all heads.

Tokens of four encoder layers become images at 4, 2, 1 and 1/2 times the patch grid (reassembly), which are fused from
coarse to fine. Everything is channels-last: tokens are already laid out so, and oneDNN and cuDNN convolve it fastest.
Module names are those of the official checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.models.kernels import linear
from recon.models.presets import PATCH_SIZE, HeadConfig
from recon.models.threads import computes_in_parts, in_parallel

HEAD_CHANNELS = 32
"""Channels of the last hidden layer at full resolution."""
_MAX_ELEMENTS = 2**30
"""Largest image torch's bilinear kernel is trusted with; its CUDA version indexes with 32 bits."""


class Reassemble(nn.Module):
    """Base of the heads: token projection, resizing and the four 3 × 3 convolutions before fusion."""

    def __init__(
        self,
        dim_in: int,
        config: HeadConfig,
        *,
        normalise: bool,
        position_embedding: bool,
        unread_unit: bool = False,
    ) -> None:
        super().__init__()
        first, second, _, fourth = config.channels
        self.position_embedding = position_embedding
        self.norm = nn.LayerNorm(dim_in) if normalise else nn.Identity()
        self.projects = nn.ModuleList(TokenProjection(dim_in, channels, 1) for channels in config.channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, kernel_size=4, stride=4),
                nn.ConvTranspose2d(second, second, kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(fourth, fourth, kernel_size=3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.ModuleDict()
        for stage, channels in enumerate(config.channels, start=1):
            self.scratch[f"layer{stage}_rn"] = nn.Conv2d(channels, config.features, 3, padding=1, bias=False)
        self.add_fusion("", config.features, unread_unit=unread_unit)

    def add_fusion(self, suffix: str, features: int, *, unread_unit: bool = False) -> None:
        """Add a chain of four fusion blocks, `refinenet1` (finest) to `refinenet4`.

        Nothing comes into the coarsest from the side; `unread_unit` gives it the weights for that all the same.
        """
        for stage in (1, 2, 3, 4):
            self.scratch[f"refinenet{stage}{suffix}"] = FusionBlock(features, has_lateral=stage < 4 or unread_unit)

    def reassemble(self, layers_npc: Sequence[Tensor], rows: int, columns: int) -> list[Tensor]:
        """Patch tokens (N, P, F) of four layers to four images (N, features, h, w), fine to coarse."""
        stages = []
        for index, tokens_npc in enumerate(layers_npc):
            projected = self.projects[index](self.norm(tokens_npc))
            image = projected.unflatten(1, (rows, columns)).permute(0, 3, 1, 2)  # (N, C, rows, columns)
            if self.position_embedding:
                image = add_position_embedding(image, columns / rows)
            image = self.resize_layers[index](image)
            stages.append(self.scratch[f"layer{index + 1}_rn"](image))
        return stages

    def fuse(self, stages: Sequence[Tensor], suffix: str = "") -> Tensor:
        """Coarse-to-fine fusion of four images (N, features, h, w), to twice the size of the finest."""
        finest, finer, coarser, coarsest = stages
        block = {stage: self.scratch[f"refinenet{stage}{suffix}"] for stage in (1, 2, 3, 4)}
        fused = block[4](coarsest, size=coarser.shape[-2:])
        fused = block[3](fused, coarser, size=finer.shape[-2:])
        fused = block[2](fused, finer, size=finest.shape[-2:])
        return block[1](fused, finest, size=(2 * finest.shape[-2], 2 * finest.shape[-1]))


class TokenProjection(nn.Conv2d):
    """A 1 × 1 convolution applied to tokens (N, P, C), which are an image's pixels in a row."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight[:, :, 0, 0], self.bias)


class ResidualConvUnit(nn.Module):
    """Two 3 × 3 convolutions, each after a ReLU, as a residual."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class FusionBlock(nn.Module):
    """Add a finer image to the coarser one, refine, upsample, mix channels."""

    def __init__(self, features: int, has_lateral: bool) -> None:
        super().__init__()
        if has_lateral:
            self.resConfUnit1 = ResidualConvUnit(features)
        self.resConfUnit2 = ResidualConvUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, fused: Tensor, lateral: Tensor | None = None, *, size: Sequence[int]) -> Tensor:
        if lateral is not None:
            fused = fused + self.resConfUnit1(lateral)
        # Mixing channels and interpolating pixels commute; in this order the mixing sees a quarter of the pixels.
        return upsample(self.out_conv(self.resConfUnit2(fused)), size)


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of an image (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def upsample(image: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of (N, C, h, w) to `size`, corner pixels on corner pixels."""
    if torch.onnx.is_in_onnx_export():
        return F.interpolate(image, size=(size[0], size[1]), mode="bilinear", align_corners=True)
    size = (int(size[0]), int(size[1]))
    per_image = image.shape[1] * size[0] * size[1]
    images_at_once = max(1, _MAX_ELEMENTS // per_image)
    if len(image) <= images_at_once:
        return F.interpolate(image, size=size, mode="bilinear", align_corners=True)
    parts = image.split(images_at_once)
    return torch.cat([F.interpolate(part, size=size, mode="bilinear", align_corners=True) for part in parts])


def add_position_embedding(image: Tensor, aspect: float) -> Tensor:
    """An image (N, C, h, w) plus 0.1 times sines and cosines of each pixel's place; in place outside of exports.

    The first half of the channels describes x, the second y; both span the unit diagonal of an image of `aspect`
    (width / height), as in MoGe (arXiv 2410.19115).
    """
    channels, height, width = image.shape[1:]
    half = channels // 2
    if torch.onnx.is_in_onnx_export():  # sizes may be symbols, which linspace and hypot do not take
        diagonal = (aspect * aspect + 1.0) ** 0.5
        of_x = _waves(_centres(width, image.device) * (aspect / diagonal), half) * 0.1  # (w, half)
        of_y = _waves(_centres(height, image.device) * (1.0 / diagonal), half) * 0.1  # (h, half)
        of_x, of_y = of_x.to(image.dtype).T[:, None, :], of_y.to(image.dtype).T[:, :, None]
        return torch.cat([image[:, :half] + of_x, image[:, half:] + of_y], dim=1)
    diagonal = math.hypot(aspect, 1.0)
    for axis, (length, span) in enumerate([(width, aspect / diagonal), (height, 1.0 / diagonal)]):
        edge = span * (length - 1) / length
        places = torch.linspace(-edge, edge, length, device=image.device)
        waves = _waves(places, half).to(image.dtype).mul_(0.1)  # (length, half)
        waves = waves.T[:, None, :] if axis == 0 else waves.T[:, :, None]  # (half, 1, w) or (half, h, 1)
        image[:, axis * half : (axis + 1) * half].add_(waves)
    return image


def _centres(length: int, device: torch.device) -> Tensor:
    """Centres (L,) of L cells that span [-1, 1]."""
    return (2.0 * torch.arange(length, device=device, dtype=torch.float32) + 1.0) / length - 1.0


def _waves(places: Tensor, channels: int) -> Tensor:
    """Sines, then cosines, of `places` (L,) at frequencies 1 down to 1/100: (L, channels)."""
    exponents = torch.arange(channels // 2, device=places.device, dtype=torch.float32) / (channels / 2)
    angles = places[:, None] * (1.0 / 100.0**exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def in_view_chunks(
    forward: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], chunk: int
) -> tuple[Tensor, ...]:
    """Run `forward` over the first axis of `inputs`, `chunk` at a time, to bound memory; join the results.

    On a CPU each thread takes chunks of its own, as far as there are enough for all; what is left over is shared.
    """
    if torch.onnx.is_in_onnx_export():  # their number may be a symbol
        return forward(*inputs)
    count = len(inputs[0])
    if count <= chunk:
        return forward(*inputs)

    def run(start: int) -> tuple[Tensor, ...]:
        return forward(*(x[start : start + chunk] for x in inputs))

    starts = range(0, count, chunk)
    alone = len(starts) // torch.get_num_threads() * torch.get_num_threads() if computes_in_parts(inputs[0]) else 0
    parts = [*in_parallel(run, starts[:alone]), *map(run, starts[alone:])]
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def views_at_once(device: torch.device) -> int:
    """How many views a head takes at a time: on a CPU one fills all cores and stays in cache."""
    return 1 if device.type == "cpu" else 8


def full_size(rows: int, columns: int) -> tuple[int, int]:
    """Image size in pixels of a grid of patches."""
    return rows * PATCH_SIZE, columns * PATCH_SIZE
