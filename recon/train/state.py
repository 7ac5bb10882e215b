"""Where a training is, on the disk: what it goes on from, and the network as users load it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recon.errors import InputError, why
from recon.files import atomic_write
from recon.models.build import build_network
from recon.models.checkpoints import save_checkpoint
from recon.models.presets import Preset

STATE_FILE = "state.pt"
MODEL_FOLDER = "model"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what `read_state` reads, whole or not at all: an earlier file stays until the new one is complete.

    InputError where the machine refuses, as on a full disk.
    """
    with atomic_write(path) as temporary:
        try:
            with temporary.open("wb") as file:
                torch.save(dict(state), file)
        except RuntimeError as error:  # how torch says that the disk is full
            raise InputError(f"cannot write {path}: {why(error)}") from error


def read_state(path: Path) -> dict[str, Any]:
    """The state in a file: tensors, numbers and texts, no code. InputError for a file that is none."""
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} cannot be read ({why(error)}): begin anew with --fresh, or choose another --out"
        ) from (error)
    return found


def write_model(folder: Path, preset: Preset, values: Mapping[str, Tensor]) -> Path:
    """Write a network as `config.json` and `model.safetensors` with the official keys, which any program that reads
    official checkpoints loads.

    Args:
        folder: for the two files.
        preset: of the network.
        values: its state dict.
    """
    with torch.device("meta"):
        network = build_network(preset.network)
    network.load_state_dict({name: value.detach().cpu().float() for name, value in values.items()}, assign=True)
    return save_checkpoint(network, preset.name, folder)
