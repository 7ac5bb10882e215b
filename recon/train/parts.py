"""The parts of a network that training treats apart: by their names among the parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from torch import nn

from recon.errors import InputError
from recon.models.encoder import Encoder
from recon.options import meant
from recon.train.config import OptimiserOptions
from recon.train.lora import DOWN, UP

DECODER = "decoder"
ENCODER = "encoder"
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ENCODER: ("backbone.pretrained.", "pretrained."),
        DECODER: ("head.", "depth_head."),
        "cameras": ("cam_enc.", "cam_dec."),
        "gaussians": ("gs_head.", "gs_adapter."),
    }
)
"""Beginnings of the names of each part's parameters."""
_UNTRAINED = ("gaussians",)
"""Parts that no loss is for."""


def part_of_name(name: str) -> str:
    """The part that a parameter belongs to."""
    return next(part for part, starts in PARTS.items() if name.startswith(starts))


def encoder_of(network: nn.Module) -> Encoder:
    """The encoder of any of the networks."""
    return next(module for module in network.modules() if isinstance(module, Encoder))


def freeze(network: nn.Module, parts: Collection[str]) -> None:
    """Leave these parts, and those that no loss is for, as they are. InputError for an unknown part, or for all."""
    for part in parts:
        if part not in PARTS:
            raise InputError(f"freeze: the network has no part {part!r}; {meant(part, PARTS)}")
    for name, parameter in network.named_parameters():
        if part_of_name(name) in (*parts, *_UNTRAINED):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"freeze: {', '.join(parts)} is all of the network, so that there is nothing to learn")


def parameter_groups(network: nn.Module, options: OptimiserOptions) -> list[dict[str, object]]:
    """Groups for an optimiser: by rate, and with weight decay or without. Each has its full rate under `base_rate`."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = options.encoder_rate if part_of_name(name) == ENCODER else options.decoder_rate
        # Tokens and position embeddings are vectors, too, with axes of length 1 in front.
        decay = options.weight_decay if sum(size > 1 for size in parameter.shape) > 1 and _is_weight(name) else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _is_weight(name: str) -> bool:
    return name.rpartition(".")[2] in ("weight", DOWN, UP)
