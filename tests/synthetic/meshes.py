"""Meshes for the synthetic scenes, in their own frame: vertices (V, 3) in metres and faces (F, 3), outside first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mesh: TypeAlias = tuple[NDArray[np.float64], NDArray[np.int64]]


def lathe(profile: Sequence[tuple[float, float]], sections: int = 48) -> Mesh:
    """A vase: the line through (radius, height), its corners rounded, turned about z."""
    import trimesh

    line = np.array(profile, np.float64)
    for _ in range(2):  # corner cutting (Chaikin 1974), both ends kept
        cut = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], cut[1:-1], line[-1:]])
    return _arrays(trimesh.creation.revolve(line, sections=sections))


def torus(radius: float, tube: float) -> Mesh:
    """A ring around z."""
    import trimesh

    return _arrays(trimesh.creation.torus(radius, tube, major_sections=64, minor_sections=24))


def boulder(radius: float, seed: int, subdivisions: int = 3) -> Mesh:
    """A ball with dents: a stone, a bush, a flower."""
    import trimesh

    vertices, faces = _arrays(trimesh.creation.icosphere(subdivisions=subdivisions))
    generator = np.random.default_rng(seed)
    swell = np.zeros(len(vertices))
    for wave in range(24):
        direction = generator.normal(size=3) * (1.2 + wave * 0.12)
        swell += np.sin(vertices @ direction + generator.uniform(0, 6)) / (3 + wave)
    return vertices * radius * (1 + 0.45 * swell[:, None]) * (1.0, 0.9, 0.75), faces


def knot(radius: float, tube: float) -> Mesh:
    """A tube along a trefoil around z."""
    along, around = 200, 20
    t = np.linspace(0, 2 * np.pi, along, endpoint=False)
    axis = np.stack([np.cos(2 * t), np.sin(2 * t), np.zeros(along)], axis=1)
    curve = radius * (axis * (1 + 0.42 * np.cos(3 * t))[:, None] + np.array([0, 0, 0.5]) * np.sin(3 * t)[:, None])
    tangent = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    # The direction away from the circle that the trefoil winds around turns with it, and closes on itself.
    normal = curve - radius * axis
    normal -= (normal * tangent).sum(axis=1, keepdims=True) * tangent
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    binormal = np.cross(tangent, normal)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)[:, None]
    vertices = curve[:, None] + tube * (np.cos(angle) * normal[:, None] + np.sin(angle) * binormal[:, None])
    i, j = np.meshgrid(np.arange(along), np.arange(around), indexing="ij")
    next_i, next_j = (i + 1) % along, (j + 1) % around
    a, b, c, d = i * around + j, i * around + next_j, next_i * around + j, next_i * around + next_j
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([b, d, c], axis=-1)]).reshape(-1, 3)
    return vertices.reshape(-1, 3), faces


def _arrays(mesh: Any) -> Mesh:
    return np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
