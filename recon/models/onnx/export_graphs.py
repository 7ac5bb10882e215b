"""What goes into an ONNX file: a network with the input and the outputs that the file has.

Sky is not filled in: the placeholder that `recon` puts there is an order statistic of a whole picture, which not every
runtime computes at such sizes. Depth is the network's own everywhere, and the sky score is an output of its own.
Inputs and outputs are float32, also of files with weights in float16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from recon.errors import InputError
from recon.models.encoder import Encoder, EncoderOutput
from recon.models.networks import AnyViewNetwork, MonocularNetwork, Network, SingleViewNetwork
from recon.models.presets import PATCH_SIZE

_STRATEGY = "saddle_balanced"
"""How the reference view is chosen, as in `recon run` by default."""
_FLOAT32_PARTS = ("cam_enc", "cam_dec")
"""Modules of a network that stay float32 in files of half precision."""


@dataclass(frozen=True)
class Signature:
    """Names of a file's input and outputs, and which of their axes are what."""

    input_name: str
    input_axes: tuple[int | str, ...]
    """Each axis by its length or its name: `batch`, `views`, `height` and `width`."""
    outputs: dict[str, tuple[int | str, ...]]
    """Axes of each output, likewise."""


class SingleViewGraph(nn.Module):
    """Images (N, 3, H, W) to depth (N, 1, H, W), and with `sky` the sky score in the same shape."""

    def __init__(self, network: SingleViewNetwork, *, sky: bool) -> None:
        super().__init__()
        self.network = network
        names = ("depth", "sky") if sky else ("depth",)
        axes = ("batch", 1, "height", "width")
        self.signature = Signature("image", ("batch", 3, "height", "width"), dict.fromkeys(names, axes))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        encoder = self.network.backbone.pretrained
        maps = self.network.head(_layers(_encode(encoder, images[:, None])), *_grid(images))
        return tuple(values[:, None].float() for values in maps[: len(self.signature.outputs)])


class MonocularGraph(nn.Module):
    """Images (N, 3, H, W) to disparity, or to depth in metres, (N, H, W)."""

    signature: ClassVar = Signature(
        "pixel_values", ("batch", 3, "height", "width"), {"predicted_depth": ("batch", "height", "width")}
    )

    def __init__(self, network: MonocularNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        encoded = _encode(self.network.pretrained, images[:, None])
        values = self.network.depth_head(_layers(encoded), *_grid(images)).float()
        max_depth = self.network.max_depth
        return (values.relu() if max_depth is None else max_depth * values.sigmoid(),)


class AnyViewGraph(nn.Module):
    """Views (1, V, 3, H, W) to depth and confidence (1, V, H, W), extrinsics (1, V, 3, 4), intrinsics (1, V, 3, 3)."""

    signature: ClassVar = Signature(
        "images",
        (1, "views", 3, "height", "width"),
        {
            "depth": (1, "views", "height", "width"),
            "confidence": (1, "views", "height", "width"),
            "extrinsics": (1, "views", 3, 4),
            "intrinsics": (1, "views", 3, 3),
        },
    )

    def __init__(self, network: AnyViewNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        encoded = _encode(self.network.backbone.pretrained, images)
        maps = self.network.head(_layers(encoded), *_grid(images))
        extrinsics, intrinsics = self.network.cam_dec(encoded.camera_tokens, *images.shape[-2:])
        return maps.depth[None], maps.depth_conf[None], extrinsics, intrinsics


Graph = SingleViewGraph | MonocularGraph | AnyViewGraph


def graph_of(network: Network, *, sky: bool = False) -> Graph:
    """The network as a file has it; `sky` gives the sky score as well.

    Raises InputError for a network without sky, and for a nested one: its scale depends on order statistics.
    """
    if sky and not isinstance(network, SingleViewNetwork):
        raise InputError("sky is for da3mono-large and da3metric-large; other networks give no sky score")
    if isinstance(network, SingleViewNetwork):
        return SingleViewGraph(network, sky=sky)
    if isinstance(network, MonocularNetwork):
        return MonocularGraph(network)
    if isinstance(network, AnyViewNetwork):
        return AnyViewGraph(network)
    raise InputError(
        "a nested model cannot be exported: its scale is an order statistic; take da3-giant or da3metric-large"
    )


def to_half(graph: Graph) -> None:
    """Bring the linear layers and convolutions of encoder and head to float16, in place.

    As under torch's autocast, what rounding would add up in stays float32: the tokens from block to block, the norms,
    the position embedding, and the exponential and sigmoid at the end. So do the cameras.
    """
    halved = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for name, module in graph.network.named_modules():
        if name.split(".")[0] in _FLOAT32_PARTS:
            continue
        if isinstance(module, halved):
            module.half().register_forward_pre_hook(lambda _, inputs: (inputs[0].half(),))
        elif isinstance(module, nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))


def _encode(encoder: Encoder, images_bvchw: Tensor) -> EncoderOutput:
    return encoder(images_bvchw, None, (), _STRATEGY)


def _layers(encoded: EncoderOutput) -> list[Tensor]:
    """Patch tokens (N, P, F) of each taken layer."""
    return [tokens.flatten(0, 1) for tokens in encoded.patch_tokens]


def _grid(images: Tensor) -> tuple[int, int]:
    """Rows and columns of patches."""
    return images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE
