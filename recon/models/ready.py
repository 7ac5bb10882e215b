"""From a name to a network that can be run: preset, weights, licence, engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recon.errors import CheckpointError, InputError
from recon.messages import warn
from recon.models.build import build_network, random_network
from recon.models.checkpoints import (
    CheckpointSource,
    announce_licence,
    file_sha256,
    identify_preset,
    load_weights,
    locate_checkpoint,
    read_shapes,
    require_commercial_use,
)
from recon.models.precision import PRECISIONS, resolve_precision
from recon.models.presets import Preset, all_preset_names, load_preset, preset_names

ENGINES = ("recon", "reference")
OFFICIAL = "official"
"""The `weights` that stand for the preset's own hub repository."""


@dataclass(frozen=True)
class WeightsRecord:
    """Where the weights of a network come from."""

    source: str
    """`official`, `random`, or what the user gave: a hub id, a folder or a file."""
    seed: int | None = None
    """Of random weights."""
    checkpoint: CheckpointSource | None = None
    """The file; None for random weights."""
    licence: str | None = None
    """Of the checkpoint's preset; None for random weights."""

    def describe(self) -> dict[str, Any]:
        """The record as JSON values, with the SHA-256 of the file."""
        entry: dict[str, Any] = {"source": self.source, "seed": self.seed, "licence": self.licence}
        if self.checkpoint is not None:
            entry["file"] = str(self.checkpoint.path)
            entry["sha256"] = file_sha256(self.checkpoint.path)
            entry["repo"] = self.checkpoint.repo
            entry["revision"] = self.checkpoint.revision
        return entry


@dataclass(frozen=True)
class ReadyModel:
    """A network that can be run, and what there is to say about it."""

    network: nn.Module
    """Called as `recon.models.networks.AnyViewNetwork.forward`."""
    preset: Preset
    weights: WeightsRecord
    engine: str = "recon"
    precision: str = "auto"
    """Of the encoder, one of `PRECISIONS`."""
    warnings: tuple[str, ...] = ()
    """What was warned of while it was made ready."""

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        dtype = str(resolve_precision(self.precision, self.device)).removeprefix("torch.")
        return {
            "preset": self.preset.name,
            "engine": self.engine,
            "weights": self.weights.describe(),
            "precision": {"asked": self.precision, "encoder": dtype},
            "device": str(self.device),
        }

    @property
    def name(self) -> str:
        """Of the preset."""
        return self.preset.name

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.network.parameters()).device


def ready_model(
    model_name: str,
    *,
    weights: str | os.PathLike[str] | None = OFFICIAL,
    seed: int = 0,
    precision: str = "auto",
    engine: str = "recon",
    revision: str | None = None,
    token: str | None = None,
    commercial_only: bool = False,
) -> ReadyModel:
    """The network of a preset with its weights, on the CPU, in evaluation mode.

    Args:
        model_name: one of `all_preset_names()`.
        weights: `official` (the preset's hub repository), a hub id, a checkpoint folder, a `.safetensors` file, or None
            for random weights drawn from `seed`.
        seed: of random weights.
        precision: of the encoder, one of `PRECISIONS`.
        engine: `recon`, or `reference` for the network of an installed depth-anything-3.
        revision, token: for the hub.
        commercial_only: refuse weights whose licence forbids commercial use.

    Raises:
        InputError: an unknown name, precision or engine, or a licence refused.
        CheckpointError: weights that cannot be found or do not fit.
    """
    preset = load_preset(model_name)
    for name, value, known in (("precision", precision, PRECISIONS), ("engine", engine, ENGINES)):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if weights is None:
        if revision is not None:
            raise InputError(f"revision {revision} is for a repository of the hub, and random weights come from none")
        message = f"random weights (seed {seed}): the results show that the program works, not what the photos show"
        warn(message)
        record = WeightsRecord(source="random", seed=seed)
        return ReadyModel(_random_network(preset, seed, engine), preset, record, engine, precision, (message,))
    if commercial_only:
        require_commercial_use(preset)
    if weights == OFFICIAL and not preset.hub_repo:
        raise CheckpointError(
            f"{preset.name} has no official weights: train it (recon train) and give the folder of its checkpoint as "
            "weights, or 'none' for random ones"
        )
    name = preset.hub_repo if weights == OFFICIAL else os.fspath(weights)
    checkpoint = locate_checkpoint(name, revision=revision, token=token)
    if checkpoint.preset_name not in (None, preset.name):
        raise CheckpointError(f"{name} holds {checkpoint.preset_name}, not {preset.name}: name that model instead")
    announce_licence(preset)
    network = _empty_network(preset, engine)
    load_weights(network, checkpoint.path)
    record = WeightsRecord(source=os.fspath(weights), checkpoint=checkpoint, licence=preset.licence)
    return ReadyModel(network, preset, record, engine, precision)


def preset_of_checkpoint(
    name: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
) -> tuple[str, str | os.PathLike[str]]:
    """Preset and weights that `name` stands for: a preset, a hub id, a checkpoint folder, or a `.safetensors` file.

    A preset stands for its official weights. A checkpoint without `config.json` is recognised by its keys and shapes.
    """
    if isinstance(name, str) and name in all_preset_names():
        return name, OFFICIAL
    for preset in map(load_preset, preset_names()):
        if name == preset.hub_repo:
            return preset.name, name
    if isinstance(name, str) and "/" not in name and not Path(name).exists():
        raise InputError(
            f"{name!r} is neither a preset ({', '.join(preset_names())}) nor a hub id (org/name), a folder or a file"
        )
    checkpoint = locate_checkpoint(name, revision=revision, token=token)
    if checkpoint.preset_name is not None:
        return checkpoint.preset_name, name
    return identify_preset(read_shapes(checkpoint.path), {p: _shapes(p) for p in all_preset_names()}), name


def _shapes(preset_name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = build_network(load_preset(preset_name).network)
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _empty_network(preset: Preset, engine: str) -> nn.Module:
    if engine == "reference":
        from recon.models.reference_engine import ReferenceNetwork

        return ReferenceNetwork(preset)
    with torch.device("meta"):
        return build_network(preset.network)


def _random_network(preset: Preset, seed: int, engine: str) -> nn.Module:
    """The same random weights in either engine."""
    network = random_network(preset.network, seed)
    if engine == "recon":
        return network
    reference = _empty_network(preset, engine)
    reference.load_state_dict(network.state_dict(), strict=True)
    return reference
