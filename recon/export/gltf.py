"""Binary glTF 2.0 files of coloured points and lines, nothing more (Khronos glTF 2.0 specification, section 4)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS, LINES = 0, 1
"""Values of `mesh.primitive.mode`."""
_ARRAY_BUFFER = 34962
_FLOAT, _UNSIGNED_BYTE = 5126, 5121
_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class Primitive:
    """One named set of coloured vertices."""

    name: str
    mode: int
    """`POINTS`, or `LINES` for a segment between each vertex and the next, two by two."""
    positions: NDArray[np.float32]
    """(V, 3) in glTF axes: x right, y up, z backward."""
    colors: NDArray[np.uint8]
    """(V, 3) RGB."""


def write_glb(path: Path, primitives: list[Primitive], generator: str, extras: dict[str, Any]) -> None:
    """Write each non-empty primitive as a node of one scene that carries `extras`. The same input gives the same bytes.

    COLOR_0 is linear by the specification, yet viewers and trimesh show the bytes of point clouds as they are, so the
    sRGB bytes of the photos go in unconverted.
    """
    primitives = [p for p in primitives if len(p.positions)]
    arrays: list[NDArray[Any]] = []
    accessors: list[dict[str, Any]] = []
    for primitive in primitives:
        positions = np.ascontiguousarray(primitive.positions, "<f4")
        colors = np.full((len(positions), 4), 255, np.uint8)  # RGBA: a vertex attribute must fill whole 4-byte words
        for channel in range(3):  # by column: numpy is several times slower on rows of three
            colors[:, channel] = primitive.colors[:, channel]
        accessors.append(
            {
                "componentType": _FLOAT,
                "type": "VEC3",
                "count": len(positions),
                "min": [float(column.min()) for column in positions.T],
                "max": [float(column.max()) for column in positions.T],
            }
        )
        accessors.append({"componentType": _UNSIGNED_BYTE, "type": "VEC4", "count": len(colors), "normalized": True})
        arrays += [positions, colors]
    sizes = [array.nbytes for array in arrays]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    document = {
        "asset": {"version": "2.0", "generator": generator},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(primitives))), "extras": extras}],
        "nodes": [{"name": p.name, "mesh": i} for i, p in enumerate(primitives)],
        "meshes": [
            {
                "name": p.name,
                "primitives": [{"mode": p.mode, "attributes": {"POSITION": 2 * i, "COLOR_0": 2 * i + 1}}],
            }
            for i, p in enumerate(primitives)
        ],
        "accessors": [{"bufferView": i, **accessor} for i, accessor in enumerate(accessors)],
        "bufferViews": [
            {"buffer": 0, "byteOffset": offset, "byteLength": size, "target": _ARRAY_BUFFER}
            for offset, size in zip(offsets, sizes, strict=True)
        ],
        "buffers": [{"byteLength": sum(sizes)}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + sum(sizes)
    with path.open("wb") as file:
        file.write(struct.pack("<III", _MAGIC, 2, total))
        file.write(struct.pack("<II", len(text), _JSON_CHUNK) + text)
        file.write(struct.pack("<II", sum(sizes), _BIN_CHUNK))
        for array in arrays:
            file.write(array.data)
