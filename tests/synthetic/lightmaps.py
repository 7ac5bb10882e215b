"""Where the indirect light on the surfaces of a synthetic scene is sampled.

Each shape carries samples of the light that reaches it from the sky and from other surfaces: grids on rectangles,
boxes, spheres and cylinders, one sample per vertex on meshes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scene_model import Shape

Samples = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]

_LONGEST = 128
"""Samples at most along one side of a face."""


def light_samples(shape: Shape, spacing: float) -> Samples:
    """Where the light on `shape` is sampled, in its own frame.

    Args:
        shape: any.
        spacing: metres between samples; on surfaces longer than a metre, times the root of their length.

    Returns:
        grids (6, 2): samples along u and v of each face, faces as `tests.synthetic.shading` numbers them; zeros for
        meshes and for faces that do not exist.
        points (L, 3) and outward unit normals (L, 3), faces one after the other, v slowest.
    """
    spacing *= max(1.0, np.sqrt(2 * max(shape.size, default=0.0)))
    grids = np.zeros((6, 2), np.int64)
    if shape.kind == "mesh":
        assert shape.vertices is not None
        assert shape.faces is not None
        return grids, shape.vertices, vertex_normals(shape.vertices, shape.faces)

    def grid(face: int, width: float, height: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        grids[face] = np.clip(np.ceil(np.array([width, height]) / spacing), 2, _LONGEST)
        u, v = np.meshgrid(*((np.arange(n) + 0.5) / n for n in grids[face]))
        return u.reshape(-1), v.reshape(-1)  # fractions of the face, (nv · nu,)

    points, normals = [], []

    def flat(face: int, axis: int, side: float, sizes: tuple[float, ...]) -> None:
        across = [i for i in range(3) if i != axis]
        u, v = grid(face, *(2 * sizes[i] for i in across))
        point = np.zeros((len(u), 3))
        point[:, across] = np.stack([2 * u - 1, 2 * v - 1], axis=1) * [sizes[i] for i in across]
        point[:, axis] = side * sizes[axis]
        normal = np.zeros_like(point)
        normal[:, axis] = side
        points.append(point)
        normals.append(normal)

    if shape.kind == "rectangle":
        flat(0, 2, 1.0, (*shape.size, 0.0))
    elif shape.kind == "box":
        for face in range(6):
            flat(face, face // 2, 2.0 * (face % 2) - 1, shape.size)
    elif shape.kind == "sphere":
        radius = shape.size[0]
        u, v = grid(0, 2 * np.pi * radius, np.pi * radius)
        angle, tilt = 2 * np.pi * u - np.pi, np.pi * v
        normal = np.stack([np.sin(tilt) * np.cos(angle), np.sin(tilt) * np.sin(angle), np.cos(tilt)], axis=1)
        points.append(radius * normal)
        normals.append(normal)
    else:
        radius, half = shape.size
        u, v = grid(0, 2 * np.pi * radius, 2 * half)
        angle = 2 * np.pi * u - np.pi
        normal = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(u))], axis=1)
        points.append(normal * radius + np.stack([0 * v, 0 * v, half * (2 * v - 1)], axis=1))
        normals.append(normal)
        for face, side in ((1, -1.0), (2, 1.0)):
            flat(face, 2, side, (radius, radius, half))
            from_axis = np.linalg.norm(points[-1][:, :2], axis=1, keepdims=True)
            points[-1][:, :2] *= np.minimum(1, 0.97 * radius / np.maximum(from_axis, 1e-9))
    return grids, np.concatenate(points), np.concatenate(normals)


def vertex_normals(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """(V, 3) unit normals: the mean over a vertex's faces, by area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    of_faces = np.cross(b - a, c - a)
    summed = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(summed, faces[:, i], of_faces)
    return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-30)
