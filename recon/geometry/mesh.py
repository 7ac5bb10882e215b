"""Triangle meshes: what they hold, and what keeps the parts that matter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Texture:
    """A picture on the F triangles of a mesh."""

    uv: NDArray[np.float32]
    """(U, 2) places in the picture from 0 to 1, from its top left: one for each vertex and chart that it is in."""
    faces: NDArray[np.int32]
    """(F, 3) which of these the corners of each triangle are at."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) sRGB."""

    def vertices(self, faces: NDArray[np.int32]) -> NDArray[np.int32]:
        """(U,) the vertex that each place belongs to, of a mesh whose triangles (F, 3) these are."""
        found = np.zeros(len(self.uv), np.int32)
        found[self.faces] = faces
        return found


@dataclass(frozen=True)
class Mesh:
    """A surface of F triangles between V vertices, in the world frame."""

    vertices: NDArray[np.float32]
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3) indices of vertices, counter-clockwise as seen from outside."""
    colors: NDArray[np.uint8] | None = None
    """(V, 3) sRGB."""
    texture: Texture | None = None
    """In place of the colours."""


def without_unused_vertices(mesh: Mesh) -> Mesh:
    """The mesh without vertices that no triangle has, and without triangles that have one twice."""
    faces = mesh.faces
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[proper]
    used = np.zeros(len(mesh.vertices), bool)
    used[faces.ravel()] = True
    numbers = np.cumsum(used, dtype=np.int32) - 1
    colors = None if mesh.colors is None else mesh.colors[used]
    return Mesh(mesh.vertices[used], numbers[faces], colors)


def without_small_parts(mesh: Mesh, least_faces: int) -> Mesh:
    """The mesh without connected parts of fewer triangles; where all are smaller, the largest part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(mesh.faces):
        return mesh
    count = len(mesh.vertices)
    first, second = mesh.faces[:, [0, 1]].ravel(), mesh.faces[:, [1, 2]].ravel()
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    _, part_of_vertex = connected_components(links, directed=False)
    part = part_of_vertex[mesh.faces[:, 0]]
    sizes = np.bincount(part)
    kept = sizes[part] >= min(least_faces, int(sizes.max()))
    return without_unused_vertices(replace(mesh, faces=mesh.faces[kept]))


def vertex_normals(mesh: Mesh) -> NDArray[np.float32]:
    """(V, 3) unit normals: means of the triangles' around, weighted by area; 0 where they cancel out."""
    from recon.geometry.mesh_kernel import add_face_normals

    normals = np.zeros((len(mesh.vertices), 3), np.float64)
    add_face_normals(mesh.vertices, mesh.faces, normals)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.where(lengths > 0, lengths, 1)).astype(np.float32)
