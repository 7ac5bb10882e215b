"""Holes of a mesh, closed by the triangles of least area (Barequet and Sharir, 1995)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled
from recon.geometry.mesh import Mesh

LARGEST_HOLE = 1000
"""Edges; the work grows with their cube."""


def close_holes(mesh: Mesh, most_edges: int) -> tuple[Mesh, int]:
    """The mesh with every hole of at most so many edges closed, and how many those are. Its own vertices stay.

    The rim of a surface that ends is a hole, too: a larger one than those that are to be closed.
    """
    loops = [loop for loop in boundary_loops(mesh.faces) if 3 <= len(loop) <= min(most_edges, LARGEST_HOLE)]
    added = [mesh.faces]
    for loop in loops:
        corners = np.ascontiguousarray(mesh.vertices[loop], np.float64)
        added.append(loop[least_area_triangles(corners)].astype(np.int32))
    return Mesh(mesh.vertices, np.concatenate(added), mesh.colors), len(loops)


def boundary_loops(faces: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Vertices around each hole, so that a triangle with three of them in this order faces as the surface does."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)  # (3 F, 2)
    size = int(faces.max(initial=-1)) + 1
    keys, opposite = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    open_edges = edges[~np.isin(keys, opposite)]
    following: dict[int, list[int]] = {}
    for start, end in open_edges[:, ::-1].tolist():  # the other way round: a triangle in the hole has it so
        following.setdefault(start, []).append(end)
    loops = []
    while following:
        start = next(iter(following))
        path, places = [start], {start: 0}
        while path:
            ends = following[path[-1]]
            vertex = ends.pop()
            if not ends:
                del following[path[-1]]
            if vertex in places:  # where holes touch in a vertex, each is a loop of its own
                first = places[vertex]
                loops.append(np.array(path[first:], np.int32))
                for gone in path[first + 1 :]:
                    del places[gone]
                path = path[: first + 1]
                if vertex not in following:
                    break
                continue
            if vertex not in following:  # a rim that ends: faces that turn differently meet there
                break
            places[vertex] = len(path)
            path.append(vertex)
    return loops


@compiled()
def least_area_triangles(corners: NDArray[np.float64]) -> Any:
    """(n - 2, 3) indices of the triangles between n corners (n, 3) of a loop whose areas sum up to least."""
    count = len(corners)
    area = np.zeros((count, count))
    middle = np.full((count, count), -1, np.int64)
    for length in range(2, count):
        for first in range(count - length):
            last = first + length
            best = np.inf
            for between in range(first + 1, last):
                a = corners[between] - corners[first]
                b = corners[last] - corners[first]
                cross_x, cross_y = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2]
                cross_z = a[0] * b[1] - a[1] * b[0]
                size = (cross_x * cross_x + cross_y * cross_y + cross_z * cross_z) ** 0.5
                total = area[first, between] + area[between, last] + size
                if total < best:
                    best = total
                    middle[first, last] = between
            area[first, last] = best
    triangles = np.empty((count - 2, 3), np.int64)
    stack = [(0, count - 1)]
    written = 0
    while len(stack) > 0:
        first, last = stack.pop()
        if last - first < 2:
            continue
        between = middle[first, last]
        triangles[written, 0], triangles[written, 1], triangles[written, 2] = first, between, last
        written += 1
        stack.append((first, between))
        stack.append((between, last))
    return triangles
