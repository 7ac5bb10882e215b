"""Triangle meshes with colours as binary glTF 2.0 (Khronos glTF 2.0 specification, sections 3.7 and 3.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.gltf import write_container

_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_FLOAT, _UNSIGNED_INT, _UNSIGNED_SHORT = 5126, 5125, 5123
_UNLIT = "KHR_materials_unlit"


def write_mesh_glb(
    path: Path,
    positions: NDArray[np.float32],
    normals: NDArray[np.float32],
    colors: NDArray[np.uint8],
    faces: NDArray[np.int32],
    generator: str,
    extras: dict[str, Any],
) -> None:
    """One mesh whose scene carries `extras`. The same input gives the same bytes.

    Colours are linear in the file, as the specification has them, and not lit anew: photos hold their light already.

    Args:
        path: of the file.
        positions: (V, 3) in glTF axes.
        normals: (V, 3) unit length, likewise; where one is 0, it points up.
        colors: (V, 3) sRGB.
        faces: (F, 3).
        generator: of the file.
        extras: JSON values.
    """
    linear = np.full((len(colors), 4), 65535, "<u2")
    linear[:, :3] = _linear_of_srgb()[colors]
    normals = np.where((normals * normals).sum(axis=1, keepdims=True) > 0.5, normals, np.array([0, 1, 0], np.float32))
    arrays: list[NDArray[Any]] = [
        np.ascontiguousarray(positions, "<f4"),
        np.ascontiguousarray(normals, "<f4"),
        linear,
        np.ascontiguousarray(faces.ravel(), "<u4"),
    ]
    accessors: list[dict[str, Any]] = [
        {
            "componentType": _FLOAT,
            "type": "VEC3",
            "count": len(positions),
            "min": [float(value) for value in positions.min(axis=0)],
            "max": [float(value) for value in positions.max(axis=0)],
        },
        {"componentType": _FLOAT, "type": "VEC3", "count": len(normals)},
        {"componentType": _UNSIGNED_SHORT, "type": "VEC4", "count": len(linear), "normalized": True},
        {"componentType": _UNSIGNED_INT, "type": "SCALAR", "count": faces.size},
    ]
    sizes = [array.nbytes for array in arrays]
    targets = [_ARRAY_BUFFER] * 3 + [_ELEMENT_BUFFER]
    document = {
        "asset": {"version": "2.0", "generator": generator},
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"nodes": [0], "extras": extras}],
        "nodes": [{"name": "mesh", "mesh": 0}],
        "meshes": [
            {
                "name": "mesh",
                "primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}],
            }
        ],
        "materials": [
            {
                "name": "photos",
                "doubleSided": True,
                "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1},
                "extensions": {_UNLIT: {}},
            }
        ],
        "accessors": [{"bufferView": index, **accessor} for index, accessor in enumerate(accessors)],
        "bufferViews": [
            {"buffer": 0, "byteOffset": sum(sizes[:index]), "byteLength": size, "target": target}
            for index, (size, target) in enumerate(zip(sizes, targets, strict=True))
        ],
        "buffers": [{"byteLength": sum(sizes)}],
    }
    write_container(path, document, arrays)


def _linear_of_srgb() -> NDArray[np.uint16]:
    """(256,) 16-bit linear values of sRGB bytes (IEC 61966-2-1)."""
    srgb = np.arange(256) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.rint(linear * 65535).astype(np.uint16)
