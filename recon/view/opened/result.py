"""The result of a run: its folder, its `run.json`, or one of its `results.npz`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from recon.choices import CleanChoices
from recon.errors import InputError
from recon.export.gs_ply import GS_PLY_PATH
from recon.export.mesh import MESH
from recon.export.npz import MINI_NPZ_PATH, NPZ_PATH
from recon.export.page_content import PageContent, PageLayer
from recon.export.page_of_prediction import content_of, known_up
from recon.export.page_stream import MOST_POINTS
from recon.export.ply import POINTS
from recon.export.points import PointOptions
from recon.export.splats import SplatOptions
from recon.geometry.mesh import Mesh
from recon.messages import warn
from recon.refine.clean import clean_again
from recon.run.load import load
from recon.run.record import CACHE_NAME, FILE_NAME, read_record, run_folder
from recon.types import Prediction
from recon.view.opened.glb import read_glb
from recon.view.opened.kind import Viewable, starts_with
from recon.view.opened.meshes import mesh_layer
from recon.view.opened.ply import PLY, read_surface

_MOST_PIXELS = 3_000_000
"""Of a result without a file of a mesh, a mesh is made where fusing so many pixels does not keep a person waiting."""
_READERS: dict[str, Callable[[Path], object]] = {".ply": read_surface, ".obj": read_surface, ".glb": read_glb}


def _is_run(path: Path) -> bool:
    if path.is_file():
        return path.name == FILE_NAME
    names = (FILE_NAME, NPZ_PATH, MINI_NPZ_PATH, Path(NPZ_PATH.name), Path(CACHE_NAME))
    return path.is_dir() and any((path / name).exists() for name in names)


def _open(path: Path) -> PageContent:
    """Points, splats, photos, cameras, the mesh that the run wrote, else one of its depth, and sparse points."""
    folder = path if path.is_dir() else run_folder(path)
    folder = folder.parent if path.name == FILE_NAME else folder
    try:
        prediction = load(path)
    except InputError as error:
        content = _of_files(folder) if path.is_dir() else None
        if content is None:
            raise
        warn(f"{error}: the page shows the files that are there")
        return content
    prediction = replace(prediction, kept=clean_again(prediction, CleanChoices()).kept)
    mesh = _mesh_of_run(prediction, folder)
    points = PointOptions(num_max_points=MOST_POINTS)
    made = prediction.depth.size <= _MOST_PIXELS
    return content_of(prediction, points, SplatOptions(), mesh=made if mesh is None else mesh)


def _of_files(folder: Path) -> PageContent | None:
    """Of a folder whose depth is gone, points, splats and mesh in the world of its cameras; None without any."""
    found: list[PageContent] = []
    for name in (POINTS, GS_PLY_PATH, "mesh.ply"):
        try:
            found += [PLY.open(folder / name)] if (folder / name).is_file() else []
        except InputError as error:
            warn(str(error))
    if not found:
        return None
    content = replace(found[0], title=f"recon: {folder.name}", up=_up_of_run(folder))
    for one in found[1:]:
        content = replace(
            content,
            points=content.points or one.points,
            splats=content.splats or one.splats,
            layers={**one.layers, **content.layers},
            words=(*content.words, *one.words),
        )
    return content


def _up_of_run(folder: Path) -> tuple[float, float, float] | None:
    try:
        return known_up(read_record(folder) or {})
    except InputError:  # files are shown without a record as well
        return None


def _mesh_of_run(prediction: Prediction, folder: Path) -> PageLayer | None:
    """The mesh that the run's record lists, in the world of its cameras."""
    exports = prediction.run.get("exports")
    written = exports.get(MESH.name) if isinstance(exports, dict) else None
    for file in (folder / name for name in MESH.outputs):
        reader = _READERS.get(file.suffix)
        if written is None or reader is None or not file.is_file():
            continue
        try:
            found = reader(file)
        except InputError as error:
            warn(f"{error}: the page is without")
            continue
        if isinstance(found, Mesh):
            to_gltf = written.get("details", {}).get("world_to_gltf")
            return mesh_layer(found if to_gltf is None else _in_world(found, np.reshape(to_gltf, (4, 4))))
    return None


def _in_world(mesh: Mesh, world_to_gltf: np.ndarray) -> Mesh:
    rotation, shift = world_to_gltf[:3, :3], world_to_gltf[:3, 3]
    return Mesh(((mesh.vertices - shift) @ rotation).astype(np.float32), mesh.faces, mesh.colors)


RUN = Viewable("the folder of a run", _is_run, _open)
NPZ = Viewable(
    "a results.npz", lambda path: path.is_file() and starts_with(path, b"PK") and path.suffix == ".npz", _open
)
