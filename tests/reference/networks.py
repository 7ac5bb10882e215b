"""The reference package's networks, for any configuration, to compare ours with."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from recon.models.presets import PATCH_SIZE, AnyViewConfig, EncoderConfig, HeadConfig, NestedConfig, NetworkConfig

needs_reference = [
    pytest.mark.reference,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("depth_anything_3", "addict", "e3nn", "evo")),
        reason="depth-anything-3 is not installed",
    ),
]
"""Marks of a test module that needs the reference package."""


def build_reference_network(config: NetworkConfig) -> nn.Module:
    """The reference's own classes put together as `config` says, in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from depth_anything_3.model.da3 import NestedDepthAnything3Net
    _silence()
    if isinstance(config, NestedConfig):
        nested = NestedDepthAnything3Net.__new__(NestedDepthAnything3Net)
        nn.Module.__init__(nested)
        nested.da3 = build_reference_network(config.any_view)
        nested.da3_metric = build_reference_network(config.metric)
        return nested.eval()

    from depth_anything_3.model.cam_dec import CameraDec
    from depth_anything_3.model.cam_enc import CameraEnc
    from depth_anything_3.model.da3 import DepthAnything3Net
    from depth_anything_3.model.dpt import DPT
    from depth_anything_3.model.dualdpt import DualDPT
    from depth_anything_3.model.gs_adapter import GaussianAdapter
    from depth_anything_3.model.gsdpt import GSDPT

    dim, head = config.encoder.dim, config.head
    backbone = _ReferenceBackbone(config.encoder)
    if not isinstance(config, AnyViewConfig):
        return DepthAnything3Net(backbone, DPT(dim, output_dim=1, **_head_sizes(head))).eval()
    adapter, gs_head = None, None
    if config.gaussian_sh_degree is not None:
        adapter = GaussianAdapter(
            sh_degree=config.gaussian_sh_degree,
            pred_offset_depth=True,
            gaussian_scale_min=1e-5,
            gaussian_scale_max=30.0,
        )
        gs_head = GSDPT(2 * dim, output_dim=adapter.d_in + 1, **_head_sizes(head))
    return DepthAnything3Net(
        backbone,
        DualDPT(2 * dim, output_dim=2, **_head_sizes(head)),
        cam_dec=CameraDec(2 * dim),
        cam_enc=CameraEnc(dim),
        gs_head=gs_head,
        gs_adapter=adapter,
    ).eval()


class _ReferenceBackbone(nn.Module):
    """The reference's encoder; its own wrapper knows only the four full sizes."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        from depth_anything_3.model.dinov2.vision_transformer import DinoVisionTransformer

        start = -1 if config.cross_view_from is None else config.cross_view_from
        self.taken_layers = list(config.taken_layers)
        self.pretrained = DinoVisionTransformer(
            img_size=518,
            patch_size=PATCH_SIZE,
            embed_dim=config.dim,
            depth=config.depth,
            num_heads=config.heads,
            ffn_layer="swiglufused" if config.feed_forward == "swiglu" else "mlp",
            alt_start=start,
            qknorm_start=start,
            rope_start=start,
            cat_token=start != -1,
        )

    def forward(self, x: torch.Tensor, **kwargs: object) -> object:
        return self.pretrained.get_intermediate_layers(x, self.taken_layers, **kwargs)


def _head_sizes(head: HeadConfig) -> dict[str, object]:
    return {"features": head.features, "out_channels": list(head.channels)}


@contextmanager
def on_meta_device() -> Iterator[None]:
    """Build the reference without memory; it reads values of one `linspace`, which has to stay real."""
    linspace = torch.linspace
    torch.linspace = functools.partial(linspace, device="cpu")
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.linspace = linspace


def _silence() -> None:
    from depth_anything_3.utils.logger import logger

    logger.level = 0  # errors only
