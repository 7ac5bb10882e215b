"""Files that belong to photos and are named like them: masks, depth images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recon.errors import InputError
from recon.messages import listed, warn
from recon.sources.names import normalise_name

_NAMED = 3
"""Names that a message lists at most."""


@dataclass(frozen=True)
class FileKind:
    """What messages call such files, and what they look like."""

    option: str
    """The option that names their folder."""
    name: str
    """Of one file, for what it is."""
    one: str
    several: str
    """For what they look like."""
    suffixes: Collection[str]
    """Lower case, with the dot."""
    example: str
    """The suffix that messages propose."""
    otherwise: str
    """What becomes of a photo that has none."""


def find_named_files(
    folder: Path, names: Sequence[str], kind: FileKind, say_without: bool = True
) -> tuple[Path | None, ...]:
    """The file of each photo, None for one without.

    Args:
        folder: sub-folders count too. A photo `a/b.jpg` has the file `a/b.jpg.png` or `a/b.png`, with any suffix of
            the kind, or else `b.jpg.png` or `b.png`.
        names: N names of photos.
        kind: of the files.
        say_without: warn where some photos have none.

    Raises:
        InputError: nothing is there, no file is named like a photo, several are, or one like several photos.
    """
    files = _list_files(folder, kind)
    found = [_file_of(name, files, kind) for name in names]
    _refuse_shared(found, names, kind)
    without = [name for name, path in zip(names, found, strict=True) if path is None]
    if len(without) == len(names):
        example = PurePosixPath(names[0])
        raise InputError(
            f"{kind.option}: no {kind.one} in '{folder}' is named like a photo; that of '{example}' would be "
            f"{example.name}{kind.example} or {example.stem}{kind.example}"
        )
    if without and say_without:
        unused = sorted({path.name for paths in files.values() for path in paths} - {p.name for p in found if p})
        for_none = f"; {kind.name}s of no photo: {_listed(unused)}" if unused else ""
        warn(f"no {kind.name} for {_listed(without)}, {kind.otherwise}{for_none}")
    return tuple(found)


def _list_files(folder: Path, kind: FileKind) -> dict[str, list[Path]]:
    """The files in a folder and its sub-folders, by their path in it without the suffix."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{kind.option}: '{folder}' is a file; give a folder of {kind.several} named like the photos")
    if not folder.is_dir():
        raise InputError(
            f"{kind.option}: '{folder}' does not exist; give a folder of {kind.several} named like the photos"
        )
    found: dict[str, list[Path]] = defaultdict(list)
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place) / name for name in sorted(files) if not name.startswith(".")):
            if path.suffix.lower() in kind.suffixes:
                found[normalise_name(path.relative_to(folder).with_suffix("").as_posix())].append(path)
    return found


def _file_of(name: str, files: dict[str, list[Path]], kind: FileKind) -> Path | None:
    parts = PurePosixPath(name).parts
    for tail in (PurePosixPath(*parts[first:]) for first in range(len(parts))):
        for key in (tail.as_posix(), tail.with_suffix("").as_posix()):
            paths = files.get(key, [])
            if len(paths) > 1:
                raise InputError(
                    f"{kind.option}: '{paths[0]}' and '{paths[1]}' are both named like '{name}'; leave one there"
                )
            if paths:
                return paths[0]
    return None


def _refuse_shared(found: Sequence[Path | None], names: Sequence[str], kind: FileKind) -> None:
    owners: dict[Path, str] = {}
    for path, name in zip(found, names, strict=True):
        if path is not None and owners.setdefault(path, name) != name:
            raise InputError(
                f"{kind.option}: '{path}' is named like '{owners[path]}' and like '{name}'; name it "
                f"{PurePosixPath(name).name}{path.suffix}, or put it into a sub-folder as the photo is"
            )


def _listed(names: Iterable[str]) -> str:
    return listed([f"'{name}'" for name in names], _NAMED)
