"""Depth Anything 2 and 1 beside the networks of `transformers`, with the same random weights."""

from __future__ import annotations

import re

import pytest
import torch

from recon.models.build import build_network
from recon.models.presets import MonocularConfig, load_preset
from tests.models.tiny import TINY, images, tiny_network

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.reference

_RENAMED = (
    (r"^pretrained\.norm\.", "backbone.layernorm."),
    (r"^pretrained\.(cls_token|mask_token)$", r"backbone.embeddings.\1"),
    (r"^pretrained\.pos_embed$", "backbone.embeddings.position_embeddings"),
    (r"^pretrained\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (r"^pretrained\.blocks\.", "backbone.encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.mlp\.w12\.", ".mlp.weights_in."),
    (r"\.mlp\.w3\.", ".mlp.weights_out."),
    (r"^depth_head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"^depth_head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"\.resConfUnit([12])\.conv([12])\.", r".residual_layer\1.convolution\2."),
    (r"\.out_conv\.", ".projection."),
    (r"^depth_head\.scratch\.output_conv1\.", "head.conv1."),
    (r"^depth_head\.scratch\.output_conv2\.0\.", "head.conv2."),
    (r"^depth_head\.scratch\.output_conv2\.2\.", "head.conv3."),
)


def renamed(key: str) -> str:
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    key = re.sub(r"^depth_head\.scratch\.layer(\d)_rn", lambda m: f"neck.convs.{int(m[1]) - 1}", key)
    return re.sub(r"^depth_head\.scratch\.refinenet(\d)", lambda m: f"neck.fusion_stage.layers.{4 - int(m[1])}", key)


def theirs(config: MonocularConfig) -> torch.nn.Module:
    """The network of `transformers` with the sizes of `config`."""
    encoder = config.encoder
    backbone = transformers.Dinov2Config(
        hidden_size=encoder.dim,
        num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.heads,
        use_swiglu_ffn=encoder.feed_forward == "swiglu",
        image_size=518,
        patch_size=14,
        out_indices=[layer + 1 for layer in encoder.taken_layers],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=backbone,
            patch_size=14,
            reassemble_hidden_size=encoder.dim,
            neck_hidden_sizes=list(config.head.channels),
            fusion_hidden_size=config.head.features,
            depth_estimation_type="relative" if config.max_depth is None else "metric",
            max_depth=1 if config.max_depth is None else int(config.max_depth),
        )
    ).eval()


def with_their_keys(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = renamed(key)
        if ".attn.qkv." in name:
            for part, chunk in zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True):
                found[name.replace(".attn.qkv.", f".attention.{part}.")] = chunk
        else:
            found[name] = value
    return found


@pytest.mark.parametrize(("height", "width"), [(56, 70), (518, 518), (98, 42)])
@pytest.mark.parametrize("kind", ["disparity", "metric_depth"])
def test_same_weights_same_output(kind: str, height: int, width: int) -> None:
    config = TINY[kind]
    ours, reference = tiny_network(kind), theirs(config)
    reference.load_state_dict(with_their_keys(ours.state_dict()), strict=True)
    # Theirs resizes the position embedding without the nudge of 0.1 patch that the official networks have.
    embedding = ours.pretrained._position_embedding(height // 14, width // 14)
    reference.backbone.embeddings.interpolate_pos_encoding = lambda *_: embedding
    batch = images(2, height=height, width=width)
    with torch.inference_mode():
        output = ours(batch)
        expected = reference(batch[0]).predicted_depth
    found = (output.depth if config.max_depth else output.disparity)[0]
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_keys_and_shapes_of_every_size(generation: str, size: str) -> None:
    config = load_preset(f"depth-anything-{generation}-{size}").network
    with torch.device("meta"):
        ours, reference = build_network(config), theirs(config)
    found = {key: value.shape for key, value in with_their_keys(ours.state_dict()).items()}
    assert found == {key: value.shape for key, value in reference.state_dict().items()}
