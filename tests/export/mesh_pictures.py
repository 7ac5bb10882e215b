"""What a camera sees of a mesh, with its texture or the colours of its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry.mesh import Mesh
from recon.geometry.mesh_drawing import draw, project, weights_of_corners
from recon.types import FloatArray


def picture(
    mesh: Mesh, intrinsics: FloatArray, world_to_camera: FloatArray, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(H, W, 3) sRGB from 0 to 255, and (H, W) where there is a surface; a texture's nearest texel counts."""
    face = draw(mesh, intrinsics, world_to_camera, size).face
    rows, columns = np.nonzero(face >= 0)
    hit = face[rows, columns]
    corners = project(mesh.vertices, intrinsics, world_to_camera)[mesh.faces[hit]]
    weights = np.stack(weights_of_corners(np.stack([columns, rows], axis=1) + 0.5, corners), axis=1)[..., None]
    shown = np.zeros((*size, 3))
    if mesh.texture is None:
        assert mesh.colors is not None
        shown[rows, columns] = (mesh.colors[mesh.faces[hit]] * weights).sum(axis=1)
    else:
        pixels = mesh.texture.pixels
        uv = (mesh.texture.uv[mesh.texture.faces[hit]] * weights).sum(axis=1)
        x, y = np.floor(uv * pixels.shape[1::-1]).astype(int).T
        shown[rows, columns] = pixels[y, x]
    return shown, face >= 0
