"""Checkpoints: where they are, which preset they are for, under which licence, and saving one.

A checkpoint of Depth Anything 3 is a folder (or hub repository) of `config.json`, whose `model_name` names the preset,
and `model.safetensors`; one of Depth Anything 2 or 1 is a single file, known by its name. Folders of the hub's cache,
and weights under the other usual names, are found as well (`recon.models.checkpoint_folders`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from recon.errors import CheckpointError, InputError
from recon.files import atomic_write, read_json
from recon.models.checkpoint_folders import SNAPSHOTS, find_snapshot, find_weights
from recon.models.hub import CONFIG_FILE, WEIGHTS_FILE, download_file, is_cached
from recon.models.presets import Preset, all_preset_names, load_preset, preset_names
from recon.models.weights import (
    INDEX_SUFFIX,
    KEY_PREFIX,
    PICKLED_SUFFIXES,
    load_weights,
    read_shapes,
    save_weights,
    shard_paths,
)

__all__ = [
    "CheckpointSource",
    "announce_licence",
    "file_sha256",
    "identify_preset",
    "is_cached",
    "load_weights",
    "locate_checkpoint",
    "read_shapes",
    "require_commercial_use",
    "save_checkpoint",
]

_PATH_SUFFIXES = (".safetensors", *PICKLED_SUFFIXES, INDEX_SUFFIX)


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint found on this machine, or downloaded to it."""

    path: Path
    """The weights file, or the index of several."""
    preset_name: str | None
    """Preset that its `config.json` names; None for a checkpoint without that file."""
    licence: str | None
    """Licence of the official weights of that preset; None where the preset is not known yet."""
    repo: str | None = None
    """Hub repository; None for a local file outside the hub's cache."""
    revision: str | None = None
    """Commit of that repository."""


def locate_checkpoint(
    name: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None, progress: bool = True
) -> CheckpointSource:
    """Find a checkpoint by local folder, weights file or hub id (`org/name`), downloading it if need be.

    A local path that exists wins over a hub id. `revision` (branch, tag or commit) and `token` are for the hub only.
    CheckpointError in one line when there is nothing usable under that name.
    """
    path = Path(name).expanduser()
    if revision is not None and path.exists():
        raise CheckpointError(f"revision {revision} is for a repository of the hub, and {path} is on this machine")
    if path.is_dir():
        return _local_folder(path)
    if path.exists():
        if not path.name.endswith(_PATH_SUFFIXES):
            suffixes = ", ".join(_PATH_SUFFIXES)
            raise CheckpointError(f"{path} is no weights file ({suffixes}): convert it, or give a checkpoint's folder")
        return _local_file(path)
    if isinstance(name, os.PathLike) or _looks_like_a_path(name):
        raise CheckpointError(f"{path}: no such file or folder")
    if name.count("/") != 1:
        raise CheckpointError(f"{name!r} is neither a local file or folder nor the id of a hub repository (org/name)")
    return _hub_repository(name, revision, token, progress)


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.endswith(_PATH_SUFFIXES)


def _local_folder(folder: Path) -> CheckpointSource:
    try:
        snapshot = find_snapshot(folder)
        place = folder if snapshot is None else snapshot.folder
        weights = find_weights(place, _presets_of_files())
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be listed: {error.strerror or error}") from error
    source = _single_file(weights)
    if source.preset_name is None and (place / CONFIG_FILE).exists():
        source = _with_preset(source, _read_preset_name(place / CONFIG_FILE, str(place / CONFIG_FILE)))
    return source if snapshot is None else replace(source, repo=snapshot.repo, revision=snapshot.revision)


def _local_file(path: Path) -> CheckpointSource:
    """A weights file given as such: what lies beside it says what it is where that is a checkpoint's folder."""
    source = _single_file(path)
    if source.preset_name is None and path.name in (WEIGHTS_FILE, WEIGHTS_FILE + INDEX_SUFFIX):
        with contextlib.suppress(CheckpointError):  # any other program's config.json
            source = _with_preset(source, _read_preset_name(path.parent / CONFIG_FILE, CONFIG_FILE))
    if path.absolute().parent.parent.name == SNAPSHOTS and (snapshot := find_snapshot(path.parent)) is not None:
        source = replace(source, repo=snapshot.repo, revision=snapshot.revision)
    return source


def _single_file(path: Path) -> CheckpointSource:
    """A weights file alone; its name tells the preset where it is that of an official file."""
    preset = _presets_of_files().get(path.name)
    return CheckpointSource(path, None if preset is None else preset.name, None if preset is None else preset.licence)


def _with_preset(source: CheckpointSource, name: str) -> CheckpointSource:
    return replace(source, preset_name=name, licence=load_preset(name).licence)


def _presets_of_files() -> dict[str, Preset]:
    """Presets by the name of their weights file, where that belongs to one preset alone."""
    presets = [load_preset(name) for name in preset_names()]
    counts = Counter(preset.weights_file for preset in presets)
    return {preset.weights_file: preset for preset in presets if counts[preset.weights_file] == 1}


def _hub_repository(repo: str, revision: str | None, token: str | None, progress: bool) -> CheckpointSource:
    known = next((p for p in map(load_preset, preset_names()) if p.hub_repo == repo), None)
    if known is not None and CONFIG_FILE not in known.hub_files:
        weights = download_file(repo, known.weights_file, revision=revision, token=token, progress=progress)
        return CheckpointSource(weights, known.name, known.licence, repo, weights.parent.name)
    config = download_file(repo, CONFIG_FILE, revision=revision, token=token, progress=progress)
    preset_name = _read_preset_name(config, f"{CONFIG_FILE} of {repo}")
    # The cache keeps a file under snapshots/<commit>/: asking for the weights of that commit keeps the two together.
    commit = config.parent.name
    weights = download_file(repo, WEIGHTS_FILE, revision=commit, token=token, progress=progress)
    return CheckpointSource(
        path=weights,
        preset_name=preset_name,
        licence=load_preset(preset_name).licence,
        repo=repo,
        revision=commit,
    )


def _read_preset_name(config: Path, shown: str) -> str:
    """The `model_name` of a config file; everything else in it is ignored. `shown` names the file in errors."""
    try:
        entries = read_json(config)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{shown} cannot be read as JSON: {error}") from error
    name = entries.get("model_name") if isinstance(entries, dict) else None
    known = ", ".join(preset_names())
    if name is None:
        raise CheckpointError(f"{shown} has no model_name: it has to name one of {known}")
    if name not in all_preset_names():
        raise CheckpointError(f"{shown} has the unknown model_name {name!r}: it has to be one of {known}")
    return str(name)


def identify_preset(
    shapes: Mapping[str, tuple[int, ...]], candidates: Mapping[str, Mapping[str, tuple[int, ...]]]
) -> str:
    """Name of the one candidate whose keys and shapes are exactly `shapes`; CheckpointError if none or several are."""
    fitting = [name for name, candidate in candidates.items() if dict(candidate) == dict(shapes)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise CheckpointError(f"these weights fit {' and '.join(fitting)} alike: name the preset to use (--model)")
    raise CheckpointError(f"these weights fit none of the presets {', '.join(candidates)}: not a checkpoint of them")


def save_checkpoint(network: nn.Module, preset_name: str, folder: str | os.PathLike[str]) -> Path:
    """Write `config.json` and `model.safetensors` with the official keys into `folder`, and return it.

    The reference package's `from_pretrained(folder)` loads them too. Each file appears complete or not at all.
    InputError for an unknown preset or a folder that cannot be written to.
    """
    folder = Path(folder)
    has_config = CONFIG_FILE in load_preset(preset_name).hub_files
    save_weights(network, folder / WEIGHTS_FILE, KEY_PREFIX if has_config else "")
    with atomic_write(folder / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps({"model_name": preset_name}, indent=2) + "\n", encoding="utf-8")
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; of an index that of the hashes, in hex and joined, of the files it names.

    A snapshot of the hub's cache is a link to a blob that is named by its hash, checked when it was downloaded;
    that name is taken instead of reading gigabytes again.
    """
    if path.name.endswith(INDEX_SUFFIX):
        return hashlib.sha256("".join(file_sha256(shard) for shard in shard_paths(path)).encode()).hexdigest()
    if path.is_symlink():
        blob = path.parent / os.readlink(path)
        if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
            return blob.name
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


_announced: set[str] = set()


def announce_licence(preset: Preset) -> None:
    """Print the licence of non-commercial weights to stderr, once per process for each repository."""
    if preset.non_commercial and preset.hub_repo not in _announced:
        _announced.add(preset.hub_repo)
        print(f"{preset.hub_repo}: licence {preset.licence}, no commercial use", file=sys.stderr, flush=True)


def require_commercial_use(preset: Preset) -> None:
    """InputError unless the licence of the preset's weights allows commercial use (`--commercial-only`)."""
    if preset.non_commercial:
        free = [name for name in preset_names() if not load_preset(name).non_commercial]
        raise InputError(
            f"{preset.name} is licensed {preset.licence}, which --commercial-only excludes: "
            f"choose one of {', '.join(free)}"
        )
