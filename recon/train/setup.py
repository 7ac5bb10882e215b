"""From a configuration to what is trained: network, learner, optimiser, moving average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recon.models.build import random_network
from recon.models.networks import MonocularNetwork
from recon.models.precision import resolve_precision
from recon.models.presets import Preset, load_preset
from recon.models.ready import ready_model
from recon.models.transformer import TransformerBlock
from recon.train.config import TrainConfig
from recon.train.learner import Learner
from recon.train.lora import add_lora, merged_state
from recon.train.parts import encoder_of, freeze, parameter_groups
from recon.train.schedule import average_decay, rate_factor
from recon.train.terms import weights_of

RANDOM = "none"
"""The `weights` that stand for random ones."""
_OPEN = 4.0
"""Standard deviations of random disparity that lie above 0 at first."""


@dataclass
class Trained:
    """A network that is being trained."""

    preset: Preset
    learner: Learner
    optimiser: torch.optim.Optimizer
    config: TrainConfig
    average: dict[str, Tensor]
    """Moving averages of the parameters that are trained; empty without."""

    @property
    def network(self) -> nn.Module:
        """Called as `recon.models.networks.AnyViewNetwork.forward`."""
        return self.learner.network

    def parameters(self) -> dict[str, nn.Parameter]:
        """Those that are trained, by name."""
        return {name: one for name, one in self.network.named_parameters() if one.requires_grad}

    def set_rates(self, step: int) -> float:
        """Give the optimiser the rates of a step; returns what the full ones are multiplied by."""
        options = self.config.optimiser
        factor = rate_factor(step, self.config.main.steps, options.warm_up, options.decay)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_rate"] * factor
        return factor

    def update(self, step: int) -> None:
        """Change the weights by their gradients, and their averages with them."""
        self.optimiser.step()
        if self.average:
            decay = average_decay(step, self.config.optimiser.average)
            current = [parameter.detach() for parameter in self.parameters().values()]
            torch._foreach_lerp_(list(self.average.values()), current, 1 - decay)

    def exported(self) -> dict[str, Tensor]:
        """The state dict to be evaluated and written: averages where there are some, LoRA merged."""
        return merged_state(self.network, self.average)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: tensors, numbers and texts."""
        return {
            "parameters": {name: parameter.detach().cpu() for name, parameter in self.parameters().items()},
            "average": {name: value.cpu() for name, value in self.average.items()},
            "optimiser": self.optimiser.state_dict(),
        }

    @torch.no_grad()
    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of the same configuration."""
        for name, parameter in self.parameters().items():
            parameter.copy_(state["parameters"][name])
        for name, value in self.average.items():
            value.copy_(state["average"][name])
        self.optimiser.load_state_dict(state["optimiser"])

    @torch.no_grad()
    def swap_averages(self) -> None:
        """Exchange the weights and their averages; a second time brings them back."""
        for name, parameter in self.parameters().items():
            if name in self.average:
                kept = parameter.clone()
                parameter.copy_(self.average[name])
                self.average[name].copy_(kept)


@torch.no_grad()
def _open_last_relu(network: nn.Module) -> None:
    """Let the disparity of a network with random weights begin well above 0.

    Its last activation is a ReLU, and where that is 0 there is no gradient to come back from.
    """
    if isinstance(network, MonocularNetwork) and network.max_depth is None:
        network.depth_head.scratch.get_parameter("output_conv2.2.bias").fill_(_OPEN)


def set_up(config: TrainConfig, device: torch.device) -> Trained:
    """The network of a configuration on `device`, ready for the first step.

    Raises InputError for a network, term or part that does not fit, and for weights that cannot be had.
    """
    main = config.main
    preset = load_preset(main.network)
    weights = weights_of(preset, config.losses)
    if main.weights == RANDOM:
        network: Any = random_network(preset.network, main.seed)
        _open_last_relu(network)
    else:
        network = ready_model(preset.name, weights=main.weights).network
    network.train()
    learner = Learner(
        network.to(device),
        preset,
        weights,
        config.learning,
        seed=main.seed,
        encoder_dtype=resolve_precision(main.precision, device),
    )
    freeze(network, main.freeze)
    if config.lora.rank:
        add_lora(encoder_of(network), config.lora.layers, config.lora.rank, config.lora.alpha, main.seed)
    for block in encoder_of(network).modules():
        if isinstance(block, TransformerBlock):
            block.recompute = main.recompute
    options = config.optimiser
    optimiser = torch.optim.AdamW(
        parameter_groups(network, options),
        lr=options.decoder_rate,
        betas=options.betas,
        fused=True if device.type in ("cpu", "cuda") else None,
    )
    trained = Trained(preset, learner, optimiser, config, {})
    if options.average:
        trained.average = {name: one.detach().clone() for name, one in trained.parameters().items()}
    return trained
