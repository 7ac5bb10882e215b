"""PLY and OBJ files: splats, a mesh or points, by what their header says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, why
from recon.export.page_content import PageContent, PagePoints
from recon.geometry.mesh import Mesh
from recon.splats.ply import read_ply
from recon.view.opened.kind import Viewable, file_facts, starts_with
from recon.view.opened.meshes import content_of_mesh
from recon.view.opened.splats import content_of_splats

_LONGEST_HEADER = 1 << 16
_PLAIN = 160
"""Grey of what has no colours."""
_UNITS = {"metric": "m"}


def read_surface(path: Path) -> Mesh | PagePoints:
    """The mesh or points of a PLY or OBJ file, without vertices that are not finite.

    Raises InputError where it cannot be read.
    """
    import trimesh

    try:
        # trimesh wants to merge vertices and to guess: as they are in the file is what is shown.
        loaded: Any = trimesh.load(path, process=False)
    except Exception as error:  # readers raise whatever a damaged file makes them stumble over
        raise InputError(f"{path}: cannot be read as {path.suffix[1:].upper()} ({why(error)})") from error
    if isinstance(loaded, trimesh.Scene):
        if loaded.geometry:
            loaded = loaded.to_mesh()
        else:
            return PagePoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    vertices = np.asarray(loaded.vertices, np.float32)
    colors = _colors(loaded, len(vertices))
    finite = np.asarray(np.isfinite(vertices).all(axis=1), np.bool_)
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        faces = np.asarray(loaded.faces, np.int32)
        return Mesh(np.where(finite[:, None], vertices, 0), faces[finite[faces].all(axis=1)], colors)
    return PagePoints(vertices[finite], colors[finite])


def _colors(loaded: Any, count: int) -> NDArray[np.uint8]:
    """(V, 3) sRGB of a mesh or cloud of trimesh; grey without."""
    colors = np.asarray(getattr(loaded, "colors", np.zeros((0, 4))))
    visual = getattr(loaded, "visual", None)
    if hasattr(loaded, "faces") and visual is not None and visual.defined:
        visual = visual if visual.kind in ("vertex", "face") else visual.to_color()
        colors = np.asarray(visual.vertex_colors)
    if colors.shape[:1] != (count,) or colors.ndim != 2:
        return np.full((count, 3), _PLAIN, np.uint8)
    return np.ascontiguousarray(colors[:, :3], np.uint8)


def _open_ply(path: Path) -> PageContent:
    with path.open("rb") as file:
        header = file.read(_LONGEST_HEADER).partition(b"end_header")[0].decode("ascii", "replace")
    if re.search(r"property \w+ (f_dc_0|packed_position)\s", header):
        return content_of_splats(read_ply(path), path, _unit(header))
    return _content(path, _unit(header))


def _open_obj(path: Path) -> PageContent:
    with path.open(encoding="utf-8", errors="replace") as file:
        return _content(path, _unit(file.read(1000)))


def _content(path: Path, unit: str) -> PageContent:
    found = read_surface(path)
    if isinstance(found, Mesh):
        return content_of_mesh(found, path, unit)
    facts, words = file_facts(path, points=len(found))
    return PageContent(f"recon: {path.name}", unit, facts, words, points=found)


def _unit(header: str) -> str:
    """As files of recon say in a comment."""
    found = re.search(r"(?:comment|#) units (\w+)", header)
    return _UNITS.get(found[1], "units") if found else "units"


PLY = Viewable("a .ply file", lambda path: path.is_file() and starts_with(path, b"ply"), _open_ply)
OBJ = Viewable("an .obj file", lambda path: path.is_file() and path.suffix.lower() == ".obj", _open_obj)
