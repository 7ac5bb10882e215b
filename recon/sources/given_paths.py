"""Patterns and lists of files, as users name them, to the paths they stand for."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from recon.errors import InputError, why
from recon.files import read_text
from recon.sources.formats import PHOTO_SUFFIXES
from recon.sources.names import natural_key

LIST_SUFFIX = ".txt"
_COMMENT = "#"


def given_paths(path: Path) -> Sequence[Path]:
    """What a path stands for: the matches of a pattern, in natural order; the lines of a list; else itself.

    A pattern has `*`, `?`, `[…]`, or `**` for any folders, and is none where a file of that very name exists. In a
    list, a text file of the suffix .txt, each line is a path, seen from the list's folder, or a pattern; empty lines
    and those that begin with # count for nothing.

    Raises InputError where a pattern matches nothing, or a list names nothing, or something that is not there.
    """
    path = path.expanduser()
    if path.exists():
        return _listed(path) if path.suffix.lower() == LIST_SUFFIX and path.is_file() else (path,)
    return _matches(path) if glob.has_magic(str(path)) else (path,)


def folder_of_pattern(path: Path) -> Path:
    """The folder that everything a pattern matches is in; the path itself where it is no pattern."""
    if path.exists() or not glob.has_magic(str(path)):
        return path
    return next(parent for parent in path.parents if not glob.has_magic(str(parent)))


def _matches(pattern: Path) -> list[Path]:
    """Where files match they alone count, and of several kinds of files the photos: `scan/*` finds no notes."""
    found = [Path(text) for text in glob.glob(str(pattern), recursive=True)]
    files = [one for one in found if one.is_file()]
    photos = [one for one in files if one.suffix.lower() in PHOTO_SUFFIXES]
    chosen = photos or files or found
    if not chosen:
        raise InputError(f"'{pattern}' matches no file; give the folder, or a pattern such as 'photos/*.jpg'")
    return sorted(chosen, key=lambda one: (natural_key(one.as_posix()), one.as_posix()))


def _listed(path: Path) -> list[Path]:
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a list of photos: {why(error)}") from error
    named = [line for line in lines if line and not line.startswith(_COMMENT)]
    if not named:
        raise InputError(f"'{path}' is an empty list; write the path of a photo on each line")
    found: list[Path] = []
    for line in named:
        entry = path.parent / Path(line).expanduser()
        entries = _matches(entry) if glob.has_magic(line) and not entry.exists() else [entry]
        missing = next((one for one in entries if not one.exists()), None)
        if missing is not None:
            raise InputError(
                f"'{path}' lists '{line}', which is not there ('{missing}'); each line is the path of a photo, seen "
                "from the folder of the list"
            )
        found += entries
    return found
