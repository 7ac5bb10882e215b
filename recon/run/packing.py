"""Values of the package as plain arrays and JSON, and back: what the store keeps, without pickles.

Dataclasses are packed field by field (those that `==` compares) and tagged with the name of their class, so that a new
field needs no new code; which classes may come back is for the caller to say. Arrays come back with equal bytes, in
rows (C order).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.types.mapped import Streamed

Arrays = dict[str, NDArray[Any]]


def pack(value: Any) -> tuple[Any, Arrays]:
    """`value` as a tree of JSON values, and the arrays that the tree refers to.

    Takes dataclasses, mappings, lists, tuples, numpy arrays and numbers, numbers, text, True, False and None. Raises
    TypeError for anything else.
    """
    arrays: Arrays = {}
    return _packed(value, arrays, {}), arrays


def pack_streamed(
    value: Any, streams: Sequence[tuple[NDArray[Any], Streamed]]
) -> tuple[Any, dict[str, NDArray[Any] | Streamed]]:
    """As `pack`, of a value in which some arrays stand for those that are made as they are written."""
    arrays: dict[str, Any] = {}
    return _packed(value, arrays, {id(array): stream for array, stream in streams}), arrays


def unpack(tree: Any, arrays: Mapping[str, NDArray[Any]], classes: Sequence[type]) -> Any:
    """What `pack` took; dataclasses must be of one of `classes`.

    Raises ValueError, TypeError or KeyError where the two do not fit each other or the classes.
    """
    return _unpacked(tree, arrays, {one.__name__: one for one in classes})


def _packed(value: Any, arrays: dict[str, Any], streams: Mapping[int, Streamed]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of Python objects cannot be kept")
        name = f"array{len(arrays)}"
        streamed = streams.get(id(value))
        arrays[name] = np.ascontiguousarray(value).reshape(value.shape) if streamed is None else streamed
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        kept = [field.name for field in fields(value) if field.init and field.compare]
        content = {name: _packed(getattr(value, name), arrays, streams) for name in kept}
        return {"class": type(value).__name__, "fields": content}
    if isinstance(value, Mapping):
        return {
            "mapping": [[_packed(key, arrays, streams), _packed(item, arrays, streams)] for key, item in value.items()]
        }
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, arrays, streams) for item in value]}
    if isinstance(value, list):
        return [_packed(item, arrays, streams) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _unpacked(tree: Any, arrays: Mapping[str, NDArray[Any]], classes: Mapping[str, type]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(item, arrays, classes) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    if "tuple" in tree:
        return tuple(_unpacked(item, arrays, classes) for item in tree["tuple"])
    if "mapping" in tree:
        return {_unpacked(key, arrays, classes): _unpacked(item, arrays, classes) for key, item in tree["mapping"]}
    content = {name: _unpacked(item, arrays, classes) for name, item in tree["fields"].items()}
    return classes[tree["class"]](**content)
