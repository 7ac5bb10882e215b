"""Checks on arrays that the value types share, and reading the arrays of a file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, why
from recon.files import check_readable
from recon.types.mapped import map_npz

Arrays = dict[str, NDArray[Any]]
FloatArray = NDArray[np.floating[Any]]
Numbers = Literal["real", "whole", "flag", "byte", "text"]

_KINDS: dict[Numbers, tuple[str, str]] = {
    "real": ("f", "floating-point numbers"),
    "whole": ("iu", "whole numbers"),
    "flag": ("b", "true or false (bool)"),
    "byte": ("u", "whole numbers of 8 bits (uint8)"),
    "text": ("U", "text"),
}
"""The kinds of numpy types, and their name."""
_UNREADABLE = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy and zipfile raise on damaged files; the last for a compression that zipfile does not know."""


def check_shape(array: Any, name: str, shape: tuple[int | None, ...]) -> None:
    """Raise if `array` is not a numpy array of `shape`, where None stands for any length."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {array.shape}")


def read_arrays(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Arrays:
    """The arrays of an npz file whose names are `wanted`; no other is decoded, and nothing is unpickled.

    Those of a long run stay on the disk (`recon.types.mapped`).

    Raises InputError naming the file where it is missing, not an npz, or damaged.
    """
    check_readable(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not an npz file, or cut short")
    try:
        return map_npz(path, wanted)
    except _UNREADABLE as error:
        raise InputError(f"{path}: damaged npz file: {why(error)}") from error


@dataclass(frozen=True)
class Layout:
    """What one array of a file must be."""

    numbers: Numbers
    shape: str
    """Its lengths, separated by spaces: numbers, or names that stand for the same length in all arrays of the file."""
    least: float | None = None
    """All its values must be at least this; then NaN is refused."""
    most: float | None = None
    """All its values must be at most this; then NaN is refused."""
    may_be_empty: bool = False


def check_layouts(arrays: Mapping[str, NDArray[Any]], layouts: Mapping[str, Layout]) -> None:
    """Raise ValueError naming the first of `arrays` that is not as the `layouts` of the same names say.

    Names in shapes get their lengths from the first array that has them, in the order of `layouts`.
    """
    lengths: dict[str, int] = {}
    for name, layout in layouts.items():
        if name in arrays:
            _check(name, arrays[name], layout, lengths)


def _check(name: str, array: NDArray[Any], layout: Layout, lengths: dict[str, int]) -> None:
    kinds, words = _KINDS[layout.numbers]
    if array.dtype.kind not in kinds or (layout.numbers == "byte" and array.dtype.itemsize != 1):
        raise ValueError(f"array {name!r} must hold {words}, not {array.dtype}")
    sides = layout.shape.split()
    fits = array.ndim == len(sides) and all(
        length == (int(side) if side.isdigit() else lengths.get(side, length))
        for side, length in zip(sides, array.shape, strict=True)
    )
    if not fits:
        known = ", ".join(f"{side} = {lengths[side]}" for side in sides if side in lengths)
        expected = f"({', '.join(sides)})" + (f" with {known}" if known else "")
        raise ValueError(f"array {name!r} must have shape {expected}, got {array.shape}")
    if array.size == 0 and not layout.may_be_empty:
        raise ValueError(f"array {name!r} is empty, of shape {array.shape}")
    lengths |= {side: length for side, length in zip(sides, array.shape, strict=True) if not side.isdigit()}
    for bound, words, holds in (
        (layout.least, "at least", np.greater_equal),
        (layout.most, "at most", np.less_equal),
    ):
        if bound is not None and not holds(array, bound).all():
            raise ValueError(f"array {name!r} must hold numbers of {words} {bound:g}")
