"""Triangle meshes, coloured or textured, as binary glTF 2.0 (Khronos glTF 2.0 specification, sections 3.7 and 3.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.gltf import write_container
from recon.export.pictures import encode_jpeg
from recon.geometry.mesh import Mesh

_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_FLOAT, _UNSIGNED_INT, _UNSIGNED_SHORT = 5126, 5125, 5123
_LINEAR, _LINEAR_MIPMAPS, _CLAMP = 9729, 9987, 33071
_UNLIT = "KHR_materials_unlit"
_QUALITY = 96
"""Of the JPEG: from here on its colours are as fine as its brightness."""


def write_mesh_glb(
    path: Path, mesh: Mesh, normals: NDArray[np.float32], generator: str, extras: dict[str, Any]
) -> None:
    """One mesh whose scene carries `extras`. The same input gives the same bytes.

    Its texture, where it has one, is a JPEG in the file; else its colours are linear, as the specification has them.
    Neither is lit anew: photos hold their light already.

    Args:
        path: of the file.
        mesh: with colours or a texture, in glTF axes.
        normals: (V, 3) of its vertices, unit length; where one is 0, it points up.
        generator: of the file.
        extras: JSON values.
    """
    normals = np.where((normals * normals).sum(axis=1, keepdims=True) > 0.5, normals, np.array([0, 1, 0], np.float32))
    vertices, faces = mesh.vertices, mesh.faces
    material: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 1}
    colors: tuple[NDArray[Any], dict[str, Any]]
    if mesh.texture is None:
        assert mesh.colors is not None
        name, colors = "COLOR_0", _vertex_colors(mesh.colors)
    else:  # a vertex has one place in the picture: it is there once for each
        name, colors = "TEXCOORD_0", (mesh.texture.uv, {"componentType": _FLOAT, "type": "VEC2"})
        places = mesh.texture.vertices(faces)
        vertices, normals, faces = vertices[places], normals[places], mesh.texture.faces
        material["baseColorTexture"] = {"index": 0}
    ends = {"min": vertices.min(axis=0).astype(float).tolist(), "max": vertices.max(axis=0).astype(float).tolist()}
    parts: list[tuple[NDArray[Any], dict[str, Any]]] = [
        (vertices.astype("<f4"), {"componentType": _FLOAT, "type": "VEC3", **ends}),
        (normals.astype("<f4"), {"componentType": _FLOAT, "type": "VEC3"}),
        colors,
        (faces.reshape(-1, 1).astype("<u4"), {"componentType": _UNSIGNED_INT, "type": "SCALAR"}),
    ]
    arrays = [np.ascontiguousarray(array) for array, _ in parts]
    sizes = [array.nbytes for array in arrays]
    views: list[dict[str, Any]] = [
        {"buffer": 0, "byteOffset": sum(sizes[:index]), "byteLength": size, "target": target}
        for index, (size, target) in enumerate(zip(sizes, [_ARRAY_BUFFER] * 3 + [_ELEMENT_BUFFER], strict=True))
    ]
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": generator},
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"nodes": [0], "extras": extras}],
        "nodes": [{"name": "mesh", "mesh": 0}],
        "meshes": [
            {
                "name": "mesh",
                "primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1, name: 2}, "indices": 3, "material": 0}],
            }
        ],
        "materials": [
            {"name": "photos", "doubleSided": True, "pbrMetallicRoughness": material, "extensions": {_UNLIT: {}}}
        ],
        "accessors": [
            {"bufferView": index, "count": len(array), **accessor} for index, (array, accessor) in enumerate(parts)
        ],
        "bufferViews": views,
    }
    if mesh.texture is not None:
        picture = encode_jpeg(mesh.texture.pixels, _QUALITY)
        views.append({"buffer": 0, "byteOffset": sum(sizes), "byteLength": len(picture)})
        arrays.append(np.frombuffer(picture + bytes(-len(picture) % 4), np.uint8))
        document |= {
            "textures": [{"sampler": 0, "source": 0}],
            "samplers": [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAPS, "wrapS": _CLAMP, "wrapT": _CLAMP}],
            "images": [{"name": "photos", "mimeType": "image/jpeg", "bufferView": len(views) - 1}],
        }
    document["buffers"] = [{"byteLength": sum(array.nbytes for array in arrays)}]
    write_container(path, document, arrays)


def _vertex_colors(colors: NDArray[np.uint8]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Linear RGBA of sRGB colours (V, 3), and what its accessor says."""
    linear = np.full((len(colors), 4), 65535, "<u2")
    linear[:, :3] = _linear_of_srgb()[colors]
    return linear, {"componentType": _UNSIGNED_SHORT, "type": "VEC4", "normalized": True}


def _linear_of_srgb() -> NDArray[np.uint16]:
    """(256,) 16-bit linear values of sRGB bytes (IEC 61966-2-1)."""
    srgb = np.arange(256) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.rint(linear * 65535).astype(np.uint16)
