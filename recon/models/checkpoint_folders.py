"""Weights in the folders that other programs leave: the hub's cache, and checkpoints under any of the usual names.

The cache has `models--ORG--NAME/refs/main`, which holds a commit, and `models--ORG--NAME/snapshots/COMMIT/` with the
files. A checkpoint of several files has an index, `….index.json`, whose `weight_map` says which key is in which.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from recon.errors import CheckpointError
from recon.models.hub import CONFIG_FILE, WEIGHTS_FILE
from recon.models.weights import INDEX_SUFFIX, PICKLED_SUFFIXES

SNAPSHOTS = "snapshots"
"""Folder of a repository in the cache."""

_USUAL_NAMES = (
    WEIGHTS_FILE,
    f"{WEIGHTS_FILE}{INDEX_SUFFIX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX_SUFFIX}",
)
"""In the order in which they are looked for."""
_SUFFIXES = (".safetensors", *PICKLED_SUFFIXES)
_REPOSITORY = re.compile(r"models--(.+?)--(.+)")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
_SHOWN = 3


@dataclass(frozen=True)
class Snapshot:
    """One state of a hub repository in the cache."""

    folder: Path
    repo: str
    """`org/name`."""
    revision: str
    """Its commit."""


def find_snapshot(folder: Path) -> Snapshot | None:
    """The snapshot that a folder of the hub's cache stands for; None for any other folder.

    That may be the snapshot itself, the folder of all snapshots, or that of the repository: then it is the one that
    `refs/main` names, else the only one. CheckpointError where there is none, or a choice.
    """
    folder = folder.absolute()
    for repository in (folder, folder.parent, folder.parent.parent):
        named = _REPOSITORY.fullmatch(repository.name)
        snapshots = repository / SNAPSHOTS
        if (
            named is None
            or not snapshots.is_dir()
            or (repository != folder and snapshots not in (folder, folder.parent))
        ):
            continue
        chosen = folder if folder.parent == snapshots else _chosen(repository, snapshots)
        return Snapshot(chosen, f"{named.group(1)}/{named.group(2)}", chosen.name)
    return None


def _chosen(repository: Path, snapshots: Path) -> Path:
    found = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = repository / "refs" / "main"
    if main.is_file() and snapshots / main.read_text(encoding="utf-8").strip() in found:
        return snapshots / main.read_text(encoding="utf-8").strip()
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(f"{repository} has no snapshot in it: its download did not finish; download it again")
    raise CheckpointError(f"{repository} has {len(found)} snapshots: give one of them, such as {found[-1]}")


def find_weights(folder: Path, further_names: Collection[str] = ()) -> Path:
    """The weights file in a folder, or the index of several.

    Args:
        folder: looked at itself, not below.
        further_names: of files that are weights; they count before other names than the usual ones.

    Raises:
        CheckpointError: no weights, or several files and no telling which; the message says where they may be.
    """
    for name in _USUAL_NAMES:
        if (folder / name).is_file():
            return folder / name
    named = [folder / name for name in further_names if (folder / name).is_file()]
    candidates = named or sorted(path for path in folder.iterdir() if _is_weights(path))
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        shown = ", ".join(path.name for path in candidates[:_SHOWN]) + (", …" if len(candidates) > _SHOWN else "")
        raise CheckpointError(f"{folder} has {len(candidates)} weights files ({shown}): give one of them")
    raise CheckpointError(f"{folder} has no {WEIGHTS_FILE}{_hint(folder)}")


def _is_weights(path: Path) -> bool:
    return (
        path.suffix in _SUFFIXES and path.is_file() and not path.name.startswith(".") and not _SHARD.search(path.name)
    )


def _hint(folder: Path) -> str:
    """Where the weights may be, or why they are not there."""
    broken = [path for path in folder.iterdir() if path.is_symlink() and not path.exists()]
    if broken:
        return f": {broken[0].name} is a link to a file that is not there; download it again"
    shards = [path for path in folder.iterdir() if _SHARD.search(path.name)]
    if shards:
        return f": {shards[0].name} is a part of it, and the {INDEX_SUFFIX} file that says of what is missing"
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _holds_checkpoint(path)]
    if below:
        return f": did you mean {below[0]}{f' or another of its {len(below)} folders' if len(below) > 1 else ''}?"
    return f": a checkpoint folder holds {CONFIG_FILE} and that file"


def _holds_checkpoint(folder: Path) -> bool:
    try:
        in_cache = _REPOSITORY.fullmatch(folder.name) is not None and (folder / SNAPSHOTS).is_dir()
        return in_cache or any(_is_weights(path) for path in folder.iterdir())
    except OSError:
        return False
