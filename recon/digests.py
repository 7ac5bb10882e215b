"""Hashes of what decides an outcome: values, photos and the program itself."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from recon.files import configs_folder, file_digest
from recon.types.mapped import row_pieces

_PACKAGES = (
    *("numpy", "scipy", "opencv-python-headless", "opencv-python", "numba", "pillow", "pillow-heif", "pycolmap"),
    *("torch", "onnxruntime", "onnxruntime-gpu", "gsplat", "av", "imageio", "trimesh", "depth-anything-3"),
)
"""Whose version may change an outcome."""


def digest(*parts: Any) -> str:
    """Hash of values, in hex: the same for equal values in any process, another where anything differs.

    Takes dataclasses (the fields that `==` compares), mappings (in any order), sequences, sets, numpy arrays and
    numbers, paths, text, bytes, numbers, True, False and None. Raises TypeError for anything else.
    """
    hashed = hashlib.sha256()
    for part in parts:
        _feed(hashed, part)
    return hashed.hexdigest()[:32]


def file_content(path: Path) -> str:
    """Hash of the bytes of a file, or of names and bytes of the files in a folder; of one that cannot be read, why."""
    try:
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if one.is_file())
            return digest([(one.relative_to(path).as_posix(), file_digest(one)) for one in files])
        return file_digest(path)
    except OSError as error:
        return f"unreadable: {error.strerror or error}"


def with_contents(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options for `digest`; beside the paths of files among them, their contents."""
    return {**values, "contents": {name: file_content(one) for name, one in values.items() if isinstance(one, Path)}}


@functools.cache
def program_digest() -> str:
    """Hash of the sources of this package, of its presets, and of the versions of the packages it computes with.

    An update of any of them makes everything anew.
    """
    hashed = hashlib.sha256()
    package = Path(__file__).resolve().parent
    for root, pattern in ((package, "**/*.py"), (configs_folder(), "models/*.yaml")):
        for path in sorted(root.glob(pattern)):
            _feed(hashed, (path.relative_to(root).as_posix(), file_digest(path)))
    for name in _PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        _feed(hashed, (name, version))
    return hashed.hexdigest()[:32]


def _feed(hashed: Any, value: Any) -> None:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        hashed.update(f"{type(value).__name__} {json.dumps(value)}\n".encode())
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of Python objects has no hash")
        hashed.update(f"array {value.dtype.str} {value.shape}\n".encode())
        for rows in row_pieces(value) if value.ndim and value.size else ():
            hashed.update(np.ascontiguousarray(value[rows]).data.cast("B"))
        if not value.ndim:
            hashed.update(np.ascontiguousarray(value).data.cast("B"))
    elif isinstance(value, bytes):
        hashed.update(f"bytes {len(value)}\n".encode() + value)
    elif isinstance(value, PurePath):
        hashed.update(f"path {json.dumps(str(value))}\n".encode())
    elif is_dataclass(value) and not isinstance(value, type):
        hashed.update(f"class {type(value).__name__}\n".encode())
        _feed(hashed, {field.name: getattr(value, field.name) for field in fields(value) if field.compare})
    elif isinstance(value, Mapping):
        hashed.update(f"mapping {len(value)}\n".encode())
        for key in sorted(value, key=repr):
            _feed(hashed, key)
            _feed(hashed, value[key])
    elif isinstance(value, Set):
        hashed.update(f"set {len(value)}\n".encode())
        for item in sorted(value, key=repr):
            _feed(hashed, item)
    elif isinstance(value, Sequence):
        hashed.update(f"sequence {len(value)}\n".encode())
        for item in value:
            _feed(hashed, item)
    else:
        raise TypeError(f"{type(value).__name__} has no hash")
