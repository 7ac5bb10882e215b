"""Binary glTF 2.0 files of coloured points and lines (Khronos glTF 2.0 specification, section 4)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS, LINES = 0, 1
"""Values of `mesh.primitive.mode`."""
_ARRAY_BUFFER = 34962
_COMPONENTS = {"float32": 5126, "uint8": 5121, "uint16": 5123}
"""`accessor.componentType` by numpy's name; whole numbers are shares of their largest value."""
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4"}
"""`accessor.type` by the shape of one vertex's value."""
_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class Primitive:
    """One named set of coloured vertices."""

    name: str
    mode: int
    """`POINTS`, or `LINES` for a segment between each vertex and the next, two by two."""
    positions: NDArray[np.float32]
    """(V, 3) in glTF axes: x right, y up, z backward."""
    colors: NDArray[np.uint8] | NDArray[np.uint16]
    """(V, 3) RGB or (V, 4) RGBA, written as they are."""
    attributes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Further attributes by semantic: (V,), (V, 3) or (V, 4)."""
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of the primitive, by name; no reader has to know them."""


def write_glb(path: Path, primitives: list[Primitive], generator: str, extras: dict[str, Any]) -> None:
    """Write each non-empty primitive as a node of one scene that carries `extras`. The same input gives the same bytes.

    COLOR_0 is linear by the specification, yet viewers and trimesh show the bytes of point clouds as they are: those of
    photos go in unconverted.
    """
    primitives = [p for p in primitives if len(p.positions)]
    arrays: list[NDArray[Any]] = []
    accessors: list[dict[str, Any]] = []
    meshes: list[dict[str, Any]] = []
    for primitive in primitives:
        places: dict[str, int] = {}
        for semantic, array in _attributes(primitive).items():
            places[semantic] = len(arrays)
            arrays.append(array)
            accessors.append(_accessor(array, with_bounds=semantic == "POSITION"))
        entry: dict[str, Any] = {"mode": primitive.mode, "attributes": places}
        if primitive.extensions:
            entry["extensions"] = {name: dict(content) for name, content in primitive.extensions.items()}
        meshes.append({"name": primitive.name, "primitives": [entry]})
    sizes = [array.nbytes for array in arrays]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": generator},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(primitives))), "extras": extras}],
        "nodes": [{"name": p.name, "mesh": i} for i, p in enumerate(primitives)],
        "meshes": meshes,
        "accessors": [{"bufferView": i, **accessor} for i, accessor in enumerate(accessors)],
        "bufferViews": [
            {"buffer": 0, "byteOffset": offset, "byteLength": size, "target": _ARRAY_BUFFER}
            for offset, size in zip(offsets, sizes, strict=True)
        ],
        "buffers": [{"byteLength": sum(sizes)}],
    }
    extensions = sorted({name for primitive in primitives for name in primitive.extensions})
    if extensions:
        document["extensionsUsed"] = extensions
    write_container(path, document, arrays)


def write_container(path: Path, document: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    """The file of a glTF document and its one buffer, the arrays one after the other: each of whole 4-byte words."""
    sizes = [array.nbytes for array in arrays]
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + sum(sizes)
    with path.open("wb") as file:
        file.write(struct.pack("<III", _MAGIC, 2, total))
        file.write(struct.pack("<II", len(text), _JSON_CHUNK) + text)
        file.write(struct.pack("<II", sum(sizes), _BIN_CHUNK))
        for array in arrays:
            file.write(array.data)


def _attributes(primitive: Primitive) -> dict[str, NDArray[Any]]:
    """By semantic, as the file holds them: little endian, and each vertex in whole words of four bytes."""
    colors = primitive.colors
    if colors.shape[1] == 3:
        opaque = np.full((len(colors), 4), np.iinfo(colors.dtype).max, colors.dtype)
        for channel in range(3):  # by column: numpy is several times slower on rows of three
            opaque[:, channel] = colors[:, channel]
        colors = opaque
    return {
        "POSITION": np.ascontiguousarray(primitive.positions, "<f4"),
        "COLOR_0": np.ascontiguousarray(colors, colors.dtype.newbyteorder("<")),
        **{name: np.ascontiguousarray(values, "<f4") for name, values in primitive.attributes.items()},
    }


def _accessor(array: NDArray[Any], with_bounds: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "componentType": _COMPONENTS[array.dtype.name],
        "type": _TYPES[array.shape[1:]],
        "count": len(array),
    }
    if with_bounds:
        entry["min"] = [float(column.min()) for column in array.T]
        entry["max"] = [float(column.max()) for column in array.T]
    if array.dtype.kind == "u":
        entry["normalized"] = True
    return entry
