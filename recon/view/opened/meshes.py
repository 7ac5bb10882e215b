"""A mesh of a file as a layer of the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from recon.export.packing import Packed
from recon.export.page_content import PageContent, PageLayer
from recon.export.page_layers import layer_size, pack_mesh
from recon.geometry.mesh import Mesh
from recon.view.opened.kind import file_facts

SHARE = 0.9
"""Of the size of a page: there is nothing else."""


def mesh_layer(mesh: Mesh) -> PageLayer:
    """The layer `mesh`."""
    return PageLayer(partial(_packed, mesh), "face", SHARE, "no mesh: it is too large.")


def _packed(mesh: Mesh, room: int) -> dict[str, Packed] | None:
    packed = pack_mesh(mesh)
    return packed if layer_size(packed) <= room else None


def content_of_mesh(mesh: Mesh, path: Path, unit: str, up: tuple[float, float, float] | None = None) -> PageContent:
    """The page of one mesh."""
    facts, words = file_facts(path, vertices=len(mesh.vertices), triangles=len(mesh.faces))
    return PageContent(
        f"recon: {path.name}", unit, facts, words, layers={"mesh": mesh_layer(mesh)}, up=up, placed_by=mesh.vertices
    )
