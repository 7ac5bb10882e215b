"""Binary glTF: coloured points, a mesh, or splats (KHR_gaussian_splatting)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.gs_glb import EXTENSION
from recon.export.page_content import PageContent, PagePoints
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.mesh import Mesh, Texture
from recon.geometry.similarity import Similarity
from recon.splats.parameters import usable_gaussians
from recon.types import Gaussians
from recon.view.opened.gltf_buffers import Glb
from recon.view.opened.kind import Viewable, file_facts, starts_with
from recon.view.opened.meshes import content_of_mesh
from recon.view.opened.splats import content_of_splats

UP = (0.0, 1.0, 0.0)
"""In glTF."""
_POINTS, _TRIANGLES = 0, 4
_PLAIN = 160


def read_glb(path: Path) -> Mesh | PagePoints | Gaussians:
    """The splats of a file, else its triangles, else its points, in the file's own axes.

    Colours of triangles are linear in glTF and become sRGB; those of points are taken for sRGB, as recon writes them
    and viewers show them. Raises InputError where it cannot be read, or holds none of these.
    """
    glb = Glb(path)
    try:
        primitives = list(glb.primitives())
        for read in (_splats, _mesh, _points):
            found = read(glb, primitives, path)
            if found is not None:
                return found
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        used = ", ".join(map(str, glb.document.get("extensionsRequired", ())))
        more = f" (it requires {used})" if used else ""
        raise InputError(f"{path}: damaged, or glTF of a kind that is not read{more}") from error
    raise InputError(f"{path}: holds no points, triangles or splats")


def _splats(glb: Glb, primitives: list[Any], path: Path) -> Gaussians | None:
    found = [(primitive, placed) for primitive, placed in primitives if EXTENSION in primitive.get("extensions", {})]
    if not found:
        return None
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} sets of splats, and one is shown: export them as one")
    primitive, placed = found[0]
    attributes = primitive["attributes"]

    def read(name: str) -> NDArray[np.float32]:
        return glb.array(attributes[f"{EXTENSION}:{name}"]).astype(np.float32)

    degree = max((d for d in range(4) if f"{EXTENSION}:SH_DEGREE_{d}_COEF_0" in attributes), default=0)
    names = [f"SH_DEGREE_{d}_COEF_{order}" for d in range(degree + 1) for order in range(2 * d + 1)]
    gaussians = Gaussians(
        means=glb.array(attributes["POSITION"]).astype(np.float32),
        scales=read("SCALE"),
        rotations=np.roll(read("ROTATION"), 1, axis=1),
        harmonics=np.stack([read(name) for name in names], axis=2),
        opacities=read("OPACITY")[:, 0],
    )
    scale = float(np.cbrt(np.linalg.det(placed[:3, :3])))
    similarity = Similarity(scale, placed[:3, :3] / scale, placed[:3, 3])
    return transform_gaussians(usable_gaussians(gaussians, path), similarity)


def _mesh(glb: Glb, primitives: list[Any], path: Path) -> Mesh | None:
    parts = [one for one in primitives if one[0].get("mode", _TRIANGLES) == _TRIANGLES]
    vertices, faces, colors, before = [], [], [], 0
    for primitive, placed in parts:
        positions = _placed(glb, primitive, placed)
        count = len(positions)
        indices = glb.array(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(count)
        triangles = indices[: len(indices) // 3 * 3].reshape(-1, 3).astype(np.int64)
        if len(triangles) and triangles.max() >= count:
            raise InputError(f"{path}: a triangle names vertex {triangles.max()} of {count}")
        vertices.append(positions)
        faces.append((triangles + before).astype(np.int32))
        colors.append(_surface_colors(glb, primitive, count))
        before += count
    if not parts:
        return None
    texture = _texture(glb, parts[0][0], faces[0]) if len(parts) == 1 else None
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(colors), texture)


def _texture(glb: Glb, primitive: dict[str, Any], faces: NDArray[np.int32]) -> Texture | None:
    """The picture on a primitive, where it is shown as it is; None where colours change it, or it is repeated."""
    material, attributes = _material(glb, primitive), primitive["attributes"]
    texture = material.get("baseColorTexture")
    if texture is None or "COLOR_0" in attributes or min(material.get("baseColorFactor", [1])) < 1:
        return None
    uv = glb.array(attributes[f"TEXCOORD_{texture.get('texCoord', 0)}"]).astype(np.float32)
    if uv.min(initial=0) < 0 or uv.max(initial=0) > 1:
        return None
    return Texture(uv, faces, glb.picture(texture["index"]))


def _material(glb: Glb, primitive: dict[str, Any]) -> dict[str, Any]:
    """How glTF says that a primitive looks; empty where it does not."""
    materials = glb.document.get("materials", [])
    material = materials[primitive["material"]] if "material" in primitive else {}
    return dict(material.get("pbrMetallicRoughness", {}))


def _surface_colors(glb: Glb, primitive: dict[str, Any], count: int) -> NDArray[np.uint8]:
    """(V, 3) sRGB of each vertex: of the texture there, times its own colour, or of the material as a whole."""
    attributes = primitive["attributes"]
    material = _material(glb, primitive)
    linear = np.tile(np.array(material.get("baseColorFactor", (1, 1, 1, 1))[:3], np.float32), (count, 1))
    texture = material.get("baseColorTexture")
    if texture is not None:
        picture = glb.picture(texture["index"])
        places = glb.array(attributes[f"TEXCOORD_{texture.get('texCoord', 0)}"]) * picture.shape[1::-1]
        x, y = (places[:, axis].astype(int).clip(0, picture.shape[1 - axis] - 1) for axis in (0, 1))
        shares = picture[y, x] / np.float32(255)
        linear = linear * np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    if "COLOR_0" in attributes:
        linear = linear * glb.array(attributes["COLOR_0"])[:, :3]
    elif texture is None and "baseColorFactor" not in material:
        return np.full((count, 3), _PLAIN, np.uint8)
    linear = linear.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.rint(srgb * 255).astype(np.uint8)


def _points(glb: Glb, primitives: list[Any], path: Path) -> PagePoints | None:
    parts = [one for one in primitives if one[0].get("mode") == _POINTS]
    if not parts:
        return None
    positions, colors = [], []
    for primitive, placed in parts:
        positions.append(_placed(glb, primitive, placed))
        number = primitive["attributes"].get("COLOR_0")
        shares = np.full((len(positions[-1]), 3), _PLAIN / 255) if number is None else glb.array(number)[:, :3]
        colors.append(np.rint(shares.clip(0, 1) * 255).astype(np.uint8))
    everywhere = np.concatenate(positions)
    finite = np.isfinite(everywhere).all(axis=1)
    return PagePoints(everywhere[finite], np.concatenate(colors)[finite])


def _placed(glb: Glb, primitive: dict[str, Any], placed: NDArray[np.float64]) -> NDArray[np.float32]:
    positions = glb.array(primitive["attributes"]["POSITION"])
    return (positions @ placed[:3, :3].T + placed[:3, 3]).astype(np.float32)


def _open(path: Path) -> PageContent:
    unit = "m" if Glb(path).extras.get("units") == "metric" else "units"
    found = read_glb(path)
    if isinstance(found, Mesh):
        return content_of_mesh(found, path, unit, UP)
    if isinstance(found, Gaussians):
        return content_of_splats(found, path, unit, UP)
    facts, words = file_facts(path, points=len(found))
    return PageContent(f"recon: {path.name}", unit, facts, words, points=found, up=UP)


GLB = Viewable("a .glb file", lambda path: path.is_file() and starts_with(path, b"glTF"), _open)
