"""Model presets: what each `configs/models/*.yaml` says, as typed values.

Sizes are those of Depth Anything 3 (arXiv 2511.10647) as its released checkpoints have them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recon.errors import InputError
from recon.files import configs_folder, read_text
from recon.options import meant

PATCH_SIZE = 14
"""Side of a patch in pixels; both image sides are multiples of it."""


@dataclass(frozen=True)
class EncoderConfig:
    """A DINOv2 vision transformer, with or without attention across views."""

    dim: int
    depth: int
    heads: int
    taken_layers: tuple[int, int, int, int]
    """Blocks whose output the heads read, shallow to deep."""
    cross_view_from: int | None = None
    """From this block on, odd blocks attend over all views and RoPE and q/k norm are on; None: views never meet."""
    feed_forward: Literal["mlp", "swiglu"] = "mlp"
    has_mask_token: bool = False
    """Whether checkpoints hold the token that stood for hidden patches in DINOv2's training; it is never read."""


@dataclass(frozen=True)
class HeadConfig:
    """A dense prediction transformer head (DPT, arXiv 2103.13413)."""

    features: int
    channels: tuple[int, int, int, int]
    """Channels of the four reassembled stages, fine to coarse."""


@dataclass(frozen=True)
class AnyViewConfig:
    """Depth, rays and cameras of any number of views; splats where `gaussian_sh_degree` is set."""

    encoder: EncoderConfig
    head: HeadConfig
    gaussian_sh_degree: int | None = None


@dataclass(frozen=True)
class SingleViewConfig:
    """Depth and sky of single views."""

    encoder: EncoderConfig
    head: HeadConfig


@dataclass(frozen=True)
class NestedConfig:
    """An any-view network whose scale a single-view metric network sets."""

    any_view: AnyViewConfig
    metric: SingleViewConfig


@dataclass(frozen=True)
class MonocularConfig:
    """One map for each single view, as Depth Anything 1 and 2 have it: disparity, or depth up to `max_depth`."""

    encoder: EncoderConfig
    head: HeadConfig
    max_depth: float | None = None
    """Farthest depth in metres; None for a network that gives disparity."""


NetworkConfig = AnyViewConfig | SingleViewConfig | NestedConfig | MonocularConfig


@dataclass(frozen=True)
class Preset:
    """A named network with the checkpoint that belongs to it."""

    name: str
    summary: str
    hub_repo: str
    """Hub repository of the newest official checkpoint; empty for a network that has none and is for training."""
    weights_file: str
    """Name of the weights in that repository."""
    licence: str
    non_commercial: bool
    abilities: tuple[str, ...]
    parameters: int
    network: NetworkConfig

    @property
    def hub_files(self) -> tuple[str, ...]:
        """What is needed of the hub repository: for Depth Anything 3 a file that names the model, too."""
        return (self.weights_file,) if isinstance(self.network, MonocularConfig) else ("config.json", self.weights_file)

    @property
    def any_view(self) -> AnyViewConfig | None:
        """The any-view network, also the one inside a nested preset; None for single-view presets."""
        if isinstance(self.network, NestedConfig):
            return self.network.any_view
        return self.network if isinstance(self.network, AnyViewConfig) else None

    @property
    def encoder(self) -> EncoderConfig:
        """The encoder whose features can be exported."""
        network = self.network.any_view if isinstance(self.network, NestedConfig) else self.network
        return network.encoder

    @property
    def has_gaussians(self) -> bool:
        """Whether the network has a Gaussian head."""
        return self.any_view is not None and self.any_view.gaussian_sh_degree is not None


@functools.cache
def preset_names() -> tuple[str, ...]:
    """Names of the presets that have official weights, smallest network first."""
    return tuple(name for name in all_preset_names() if load_preset(name).hub_repo)


@functools.cache
def all_preset_names() -> tuple[str, ...]:
    """Names of all bundled presets, also of those that are there to be trained, smallest network first."""
    presets = [load_preset(path.stem) for path in _preset_files().values()]
    return tuple(p.name for p in sorted(presets, key=lambda p: p.parameters))


@functools.cache
def load_preset(name: str) -> Preset:
    """Read a bundled preset. InputError for an unknown name, with the known ones."""
    files = _preset_files()
    if name not in files:
        raise InputError(f"unknown model {name!r}; {meant(name.lower(), sorted(files), likeness=0.8)}")
    import yaml

    entry = yaml.safe_load(read_text(files[name]))
    return Preset(
        name=name,
        summary=entry["summary"],
        hub_repo=entry.get("hub_repo", ""),
        weights_file=entry.get("weights_file", "model.safetensors"),
        licence=entry["licence"],
        non_commercial="NC" in entry["licence"],
        abilities=tuple(entry["abilities"]),
        parameters=entry["parameters"],
        network=_parse_network(entry["network"]),
    )


def _preset_files() -> dict[str, Path]:
    folders = (configs_folder() / "models", configs_folder() / "train" / "networks")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def _parse_network(entry: Mapping[str, Any]) -> NetworkConfig:
    kind = entry["kind"]
    if kind == "nested":
        any_view, metric = load_preset(entry["any_view"]).network, load_preset(entry["metric"]).network
        if not isinstance(any_view, AnyViewConfig) or not isinstance(metric, SingleViewConfig):
            raise TypeError("a nested preset names an any-view and a single-view preset")
        return NestedConfig(any_view=any_view, metric=metric)
    encoder = EncoderConfig(**{**entry["encoder"], "taken_layers": tuple(entry["encoder"]["taken_layers"])})
    head = HeadConfig(features=entry["head"]["features"], channels=tuple(entry["head"]["channels"]))
    if kind == "any_view":
        return AnyViewConfig(encoder=encoder, head=head, gaussian_sh_degree=entry.get("gaussian_sh_degree"))
    if kind == "single_view":
        return SingleViewConfig(encoder=encoder, head=head)
    if kind == "monocular":
        return MonocularConfig(encoder=encoder, head=head, max_depth=entry.get("max_depth"))
    raise ValueError(f"unknown network kind {kind!r}")
