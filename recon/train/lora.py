"""Low-rank adaptation of linear layers (LoRA, Hu et al., arXiv 2106.09685).

A layer with weight W (out, in) computes x Wᵀ + b + s · x Aᵀ Bᵀ, with A (rank, in), B (out, rank) and s = alpha / rank.
B begins at 0, so that nothing changes at first; W and b stay. Merged, the layer has the weight W + s · B A.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from recon.errors import InputError
from recon.models.kernels import linear
from recon.options import meant

DOWN, UP = "lora_down", "lora_up"
"""Last names of A and B among the parameters."""


class LoraLinear(nn.Linear):
    """A linear layer with a low-rank change; the weights keep their names."""

    def __init__(self, base: nn.Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scale = scale
        down = torch.randn(rank, base.in_features, generator=generator) * base.in_features**-0.5
        self.lora_down = nn.Parameter(down.to(base.weight))
        self.lora_up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, input: Tensor) -> Tensor:
        change = linear(linear(input, self.lora_down), self.lora_up)
        return linear(input, self.weight, self.bias) + self.scale * change


def add_lora(module: nn.Module, layers: Sequence[str], rank: int, alpha: float | None, seed: int) -> None:
    """Replace, in place, the linear layers of `module` whose last name is one of `layers`; freeze all else in it.

    Raises InputError for a name that no linear layer has.
    """
    found = {name: child for name, child in module.named_modules() if isinstance(child, nn.Linear)}
    known = sorted({name.rpartition(".")[2] for name in found})
    for layer in layers:
        if layer not in known:
            raise InputError(f"lora.layers: no linear layer of the encoder is called {layer!r}; {meant(layer, known)}")
    module.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    scale = (rank if alpha is None else alpha) / rank
    for name, child in found.items():
        parent, _, last = name.rpartition(".")
        if last in layers:
            setattr(module.get_submodule(parent), last, LoraLinear(child, rank, scale, generator))


def merged_state(network: nn.Module, values: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state dict that `network` has without LoRA, each change added to its weight.

    Args:
        network: with or without layers of `LoraLinear`.
        values: parameters by name that count in place of the network's own, such as their moving averages.
    """
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    state |= values or {}
    for name, layer in _lora_layers(network):
        down, up = state.pop(f"{name}.{DOWN}"), state.pop(f"{name}.{UP}")
        weight = state[f"{name}.weight"]
        # In float64 the sum is rounded once.
        change = layer.scale * (up.double() @ down.double()) if weight.device.type != "mps" else layer.scale * up @ down
        state[f"{name}.weight"] = (weight + change).to(weight.dtype)
    return state


def _lora_layers(network: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    return ((name, child) for name, child in network.named_modules() if isinstance(child, LoraLinear))
