"""Reading binary glTF 2.0: its document, its arrays, and where its nodes stand (Khronos specification, 3.5 to 3.7)."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.quaternions import to_matrix

_JSON_CHUNK, _BIN_CHUNK = 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_DEEPEST = 100
"""Nodes within nodes."""


class Glb:
    """The document of a file and the bytes beside it."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is no glTF 2.0 in one piece."""
        self._path = path
        data = path.read_bytes()
        chunks: dict[int, bytes] = {}
        try:
            magic, version, length = struct.unpack_from("<4sII", data)
            at = 12
            while at + 8 <= min(length, len(data)):
                size, kind = struct.unpack_from("<II", data, at)
                if at + 8 + size > len(data):
                    raise InputError(f"{path}: cut short, a part of {size} bytes ends after {len(data)}")
                chunks.setdefault(kind, data[at + 8 : at + 8 + size])
                at += 8 + size
            if magic != b"glTF" or version != 2:
                raise InputError(f"{path}: not a binary glTF 2.0 file")
            document = json.loads(chunks[_JSON_CHUNK])
        except (struct.error, KeyError, ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: not a binary glTF 2.0 file, or damaged") from error
        if not isinstance(document, dict):
            raise InputError(f"{path}: not a binary glTF 2.0 file, or damaged")
        self.document: dict[str, Any] = document
        self._bytes = chunks.get(_BIN_CHUNK, b"")

    @property
    def extras(self) -> Mapping[str, Any]:
        """Of the scene, as recon writes them: its units, and how it was placed."""
        scenes = self.document.get("scenes") or [{}]
        found = scenes[0].get("extras") if isinstance(scenes[0], dict) else None
        return found if isinstance(found, dict) else {}

    def primitives(self) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
        """Each primitive of the scene, and the (4, 4) matrix that places it."""
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes")
        roots = scenes[self.document.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
        waiting = [(number, np.eye(4), 0) for number in roots]
        while waiting:
            number, above, depth = waiting.pop(0)
            if depth > _DEEPEST:
                raise InputError(f"{self._path}: its nodes lie in one another without end")
            node = nodes[number]
            placed = above @ _matrix(node)
            if "mesh" in node:
                for primitive in self.document["meshes"][node["mesh"]]["primitives"]:
                    yield primitive, placed
            waiting += [(child, placed, depth + 1) for child in node.get("children", [])]

    def array(self, number: int) -> NDArray[Any]:
        """(R, C) the numbers of an accessor; whole numbers that are normalised as shares of their largest."""
        accessor = self.document["accessors"][number]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise InputError(f"{self._path}: its arrays are sparse or compressed, which is not read: export it without")
        kind, columns = np.dtype(_COMPONENTS[accessor["componentType"]]), _COLUMNS[accessor["type"]]
        view = self.document["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        step, count = view.get("byteStride") or columns * kind.itemsize, accessor["count"]
        if count and start + (count - 1) * step + columns * kind.itemsize > len(self._bytes):
            raise InputError(f"{self._path}: an array reaches beyond the file's bytes: cut short, or in another file")
        array: NDArray[Any] = np.ndarray((count, columns), kind, self._bytes, start, (step, kind.itemsize))
        if accessor.get("normalized") and kind.kind in "iu":
            array = np.maximum(array / np.float32(np.iinfo(kind).max), -1).astype(np.float32)
        return array

    def picture(self, texture: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a texture."""
        import io

        from PIL import Image

        image = self.document["images"][self.document["textures"][texture]["source"]]
        view = self.document["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        with Image.open(io.BytesIO(self._bytes[start : start + view["byteLength"]])) as opened:
            return np.asarray(opened.convert("RGB"))


def _matrix(node: Mapping[str, Any]) -> NDArray[np.float64]:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # column by column
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    matrix[:3, :3] = to_matrix(np.array([[w, x, y, z]], np.float64))[0] * np.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix
