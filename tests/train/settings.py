"""Configurations for tests."""

from __future__ import annotations

from typing import Any

from recon.train.config import TrainConfig, config_of


def config(network: str = "tiny-any-view", steps: int = 4, **changes: Any) -> TrainConfig:
    """Of a tiny network with random weights; sections in `changes` add to what is here."""
    optimiser = {"encoder_rate": 1e-3, "decoder_rate": 1e-3, "weight_decay": 0.0, **changes.pop("optimiser", {})}
    values = {"evaluate_every": 0, "save_every": 0, "report_every": 1, "weights": "none", "device": "cpu", "data": {}}
    return config_of({"network": network, "steps": steps, **values, **changes, "optimiser": optimiser})
