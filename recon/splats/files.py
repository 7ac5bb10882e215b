"""Splats from a file of any kind that is read, by its ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from recon.errors import InputError
from recon.splats.ply import read_ply
from recon.splats.spz import read_spz
from recon.types import Gaussians

READERS: Mapping[str, Callable[[Path], Gaussians]] = {".ply": read_ply, ".spz": read_spz}
"""By the ending of the file's name, in lower case."""


def read_splats(path: Path) -> Gaussians:
    """The splats of a file, without those that are not finite, which a warning counts.

    Raises InputError naming the file where it is not there, of another kind, damaged, or holds no splat.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: splats are read from a {' or '.join(READERS)} file")
    if not path.is_file():
        raise InputError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; give a file of splats")
    gaussians = reader(path)
    if len(gaussians) == 0:
        raise InputError(f"{path}: holds no splats")
    return gaussians
