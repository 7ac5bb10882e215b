"""The configuration of a training: a YAML file of sections, each a class of options.

network: tiny-any-view
steps: 2000
data: {...}                    # what `recon.train.data` reads
losses: {depth: 1, camera: 0.5}
optimiser: {decoder_rate: 1e-4}
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from recon.choices import Device
from recon.errors import InputError, why
from recon.files import configs_folder, read_text
from recon.options import Options, build, meant, option, options_of, settings_entry
from recon.train.learning_options import LearningOptions
from recon.train.terms import term_names

_SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True)
class MainOptions(Options):
    """What is trained, and for how long."""

    network: str = option(
        help="Preset of the network: one that `recon models` lists, or one in configs/train/networks."
    )
    weights: str = option(
        "official",
        help="Weights to begin from: 'official', 'none' (random), a weights file, a checkpoint folder, or a hub id.",
        may_be_path=True,
    )
    steps: int = option(help="Updates of the weights.", least=1)
    seed: int = option(
        0, help="Of everything random: made-up weights, samples, augmentation, mixing.", least=0, most=2**63 - 1
    )
    device: Device = option("auto", help="Where it is trained. auto: cuda, else mps, else cpu.")
    precision: Literal["fp32", "bf16"] = option("fp32", help="Of the encoder's products; the rest stays float32.")
    recompute: bool = option(
        False, help="Compute activations of the encoder's blocks again for gradients: less memory, a third more time."
    )
    freeze: tuple[str, ...] = option((), help="Parts of the network that stay as they are: encoder, decoder, cameras.")
    evaluate_every: int = option(500, help="Steps between evaluations; 0 for one at the end.", least=0)
    save_every: int = option(500, help="Steps between checkpoints; 0 for one at the end.", least=0)
    report_every: int = option(10, help="Steps between lines of metrics.csv.", least=1)
    tensorboard: bool = option(False, help="Write events for TensorBoard as well.")
    most_bad_batches: int = option(
        20, help="Batches in a row with a loss that is not a number after which to give up.", least=1
    )


@dataclass(frozen=True, kw_only=True)
class OptimiserOptions(Options):
    """AdamW, the course of its rates, and the moving average."""

    encoder_rate: float = option(5e-6, help="Learning rate of the encoder, or of its low-rank changes.", above=0)
    decoder_rate: float = option(5e-5, help="Learning rate of all else.", above=0)
    weight_decay: float = option(0.01, help="Of matrices; vectors have none.", least=0)
    betas: tuple[float, float] = option((0.9, 0.999), help="Of AdamW's averages.", least=0, below=1)
    warm_up: int = option(0, help="Steps over which the rates rise to their full value.", least=0)
    decay: Literal["linear", "cosine", "none"] = option("linear", help="How the rates fall to 0 until the end.")
    clip: float = option(1.0, help="Largest norm of all gradients together; 0 for no limit.", least=0)
    accumulate: int = option(1, help="Batches whose gradients are averaged for one step.", least=1)
    average: float = option(
        0.0,
        help="Decay of an exponential moving average of the weights, which is what is evaluated and exported; 0 for "
        "none. It is shorter at first: (1 + step) / (10 + step).",
        least=0,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class LoraOptions(Options):
    """Low-rank changes of the encoder's linear layers in place of new weights (arXiv 2106.09685)."""

    rank: int = option(0, help="Rank of the changes; 0 trains the weights themselves.", least=0)
    alpha: float | None = option(None, help="The changes are scaled by alpha / rank [the rank].", above=0)
    layers: tuple[str, ...] = option(("qkv", "proj"), help="Linear layers of the encoder's blocks, by their last name.")


SECTIONS: Mapping[str, type[Options]] = {
    "optimiser": OptimiserOptions,
    "lora": LoraOptions,
    "learning": LearningOptions,
}
"""Classes of options by the key that their values stand under."""


@dataclass(frozen=True)
class TrainConfig:
    """All of it."""

    main: MainOptions
    data: Mapping[str, Any]
    """As written; `recon.train.data` checks it."""
    losses: Mapping[str, float]
    """Weights by the name of the term; empty for those that suit the network."""
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)
    learning: LearningOptions = field(default_factory=LearningOptions)
    name: str = "config"
    """Of the file, for errors."""

    def entries(self) -> dict[str, Any]:
        """As JSON or YAML values, complete; for `train.json`, and to tell whether two are the same."""
        found: dict[str, Any] = {name: _plain(value) for name, value in settings_entry(self.main).items()}
        for name in SECTIONS:
            found[name] = {key: _plain(value) for key, value in settings_entry(getattr(self, name)).items()}
        return {**found, "losses": dict(self.losses), "data": copy.deepcopy(dict(self.data))}


def read_config(name_or_path: str, changes: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a YAML file, or of the file of that name in configs/train.

    Args:
        name_or_path: of the file.
        changes: `section.key=value` texts that replace or add values, as in `optimiser.decoder_rate=1e-4`.

    Raises:
        InputError: naming the file and the key for an unknown key or a value that its option does not take.
    """
    path = _find(name_or_path)
    try:
        values = yaml.safe_load(read_text(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(values, Mapping):
        found = {list: "a list", str: "text without keys", type(None): "nothing"}.get(type(values), f"only {values!r}")
        raise InputError(
            f"{path} is no configuration: it holds {found}, not lines with a key each, such as `steps: 2000`"
        )
    changed = copy.deepcopy(dict(values))
    for change in changes:
        _apply(changed, change)
    try:
        return config_of(changed, str(path))
    except InputError as error:
        raise InputError(_with_its_place(str(error), path, values, changes)) from None


def _with_its_place(said: str, path: Path, values: Mapping[str, Any], changes: Sequence[str]) -> str:
    """The error that the file at `path` with all `changes` gives, beginning with the change that brings it, if one."""
    rest = said.removeprefix(f"{path}: ")
    if rest == said:  # of what is missing
        return said
    so_far = copy.deepcopy(dict(values))
    for change in (None, *changes):
        if change is not None:
            _apply(so_far, change)
        try:
            config_of(so_far, "")
        except InputError as error:
            if str(error) == f": {rest}":
                return said if change is None else f"--set {change}: {rest}"
    return said


def config_of(values: Mapping[str, Any], name: str = "config") -> TrainConfig:
    """The configuration that a nested mapping says; `name` is what errors call it."""
    main = options_of(MainOptions)
    known = [*main, *SECTIONS, "losses", "data"]
    for key in values:
        if key not in known:
            raise InputError(f"{name}: unknown key '{key}'; {meant(key, known)}")
    missing = [key for key, one in main.items() if one.required and key not in values]
    missing += ["data"] if "data" not in values else []
    if missing:
        raise InputError(f"{name} needs {' and '.join(missing)}")
    sections = {key: _section(values.get(key), cls, key, name) for key, cls in SECTIONS.items()}
    data = values["data"]
    if not isinstance(data, Mapping):
        raise InputError(f"{name}: data must be a mapping of keys, got {data!r}")
    read = {key: _numbers(value) for key, value in values.items() if key in main}
    return TrainConfig(
        main=MainOptions(**{key: main[key].read(value, f"{name}: {key}") for key, value in read.items()}),
        data=data,
        losses=_losses(values.get("losses"), name),
        name=Path(name).name,
        **sections,
    )


def is_changed(section: str, changes: Sequence[str]) -> bool:
    """Whether one of the `section.key=value` texts is for that section."""
    return any(change.partition("=")[0].split(".")[0] == section for change in changes)


def preparation(name_or_path: str) -> str:
    """The commands that have to be given before it is used, as its head says (comments set in by three), for errors."""
    path = _find(name_or_path)
    head = itertools.takewhile(lambda line: line.startswith("#"), read_text(path).splitlines())
    commands = [line[1:].strip() for line in head if line.startswith("#   ")]
    return f"; {path} says what makes it: {' && '.join(commands)}" if commands else ""


def config_names() -> tuple[str, ...]:
    """Names that `recon train` understands without a path."""
    return tuple(sorted(path.stem for path in (configs_folder() / "train").glob(f"*{_SUFFIX}")))


def _section(values: Any, cls: type[Options], key: str, name: str) -> Any:
    if values is None:
        return cls()
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: {key} must be a mapping of keys, got {values!r}")
    known = options_of(cls)
    for one in values:
        if one not in known:
            raise InputError(f"{name}: unknown key '{key}.{one}'; {meant(one, known)}")
    read = {one: _numbers(value) for one, value in values.items()}
    return build(cls, read, of=name, prefix=f"{name}: {key}.")


def _losses(values: Any, name: str) -> dict[str, float]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: losses must be a mapping of terms to weights, got {values!r}")
    known = term_names()
    found = {}
    for term, weight in values.items():
        if term not in known:
            raise InputError(f"{name}: unknown key 'losses.{term}'; {meant(term, known)}")
        weight = _numbers(weight)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise InputError(f"{name}: losses.{term} must be a number of at least 0, got {weight!r}")
        found[str(term)] = float(weight)
    return found


def _numbers(value: Any) -> Any:
    """Text such as `1e-4`, which YAML 1.1 takes for no number without a point, as the number that is meant."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _apply(values: dict[str, Any], change: str) -> None:
    """Put one `section.key=value` into nested `values`; a number in the path is a place in a list."""
    path, equals, text = change.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise InputError(f"--set takes KEY=VALUE, as in optimiser.decoder_rate=1e-4, got {change!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {path}: {text!r} is no value in YAML") from error
    place: Any = values
    for key in keys[:-1]:
        if isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict):
            place = place.setdefault(key, {})
        else:
            raise InputError(f"--set {path}: there is no {key} in it")
    last = keys[-1]
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise InputError(f"--set {path}: there is no {last} in it")


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.name == name_or_path and not path.suffix:
        bundled = configs_folder() / "train" / f"{name_or_path}{_SUFFIX}"
        if bundled.is_file():
            return bundled
    names = config_names()
    if path.is_dir():
        raise InputError(f"{name_or_path} is a folder; give a YAML file, or a name: {', '.join(names) or 'none'}")
    raise InputError(f"{name_or_path}: no such file; configurations known by name: {', '.join(names) or 'none'}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
