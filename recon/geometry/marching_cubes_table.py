"""Which triangles a cube of eight voxels holds, for each of the 256 ways in which their signs can lie.

Marching cubes (Lorensen and Cline, SIGGRAPH 1987). The table is derived, not listed: on each face of the cube the
crossings of its edges are joined so that positive corners are cut off, which depends on the signs of that face alone.
So both cubes at a face agree, and the surface has no cracks (Montani, Scateni and Scopigno, 1994).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

EDGES = tuple((corner, axis) for axis in range(3) for corner in range(8) if not corner >> axis & 1)
"""The twelve edges: the corner that each starts at, and the axis that it runs along. Corner c is at x = c & 1,
y = c >> 1 & 1, z = c >> 2 & 1."""
_EDGE_OF = {frozenset((corner, corner | 1 << axis)): index for index, (corner, axis) in enumerate(EDGES)}


@functools.cache
def triangle_table() -> NDArray[np.int8]:
    """(256, T, 3) indices of edges; -1 where a case has fewer triangles. Bit c of the case: corner c is positive.

    The side that triangles turn counter-clockwise to is the positive one.
    """
    cases = [_triangles(case) for case in range(256)]
    table = np.full((256, max(map(len, cases)), 3), -1, np.int8)
    for case, triangles in enumerate(cases):
        for index, triangle in enumerate(triangles):
            table[case, index] = triangle
    table.setflags(write=False)
    return table


def _triangles(case: int) -> list[tuple[int, int, int]]:
    following = dict(segment for face in _faces() for segment in _segments(face, case))
    triangles = []
    while following:
        first, current = following.popitem()
        loop = [first]
        while current != first:
            loop.append(current)
            current = following.pop(current)
        triangles += [(loop[a], loop[c], loop[b]) for a, b, c in _cut(tuple(loop))[1]]
    return triangles


def _cut(loop: tuple[int, ...]) -> tuple[int, list[tuple[int, int, int]]]:
    """Triangles (a, b, c), a < b < c, of a loop of edges, by place in it; first, how many cuts lie on the cube's faces.

    As few as can be: such a cut would be an edge of the cube beside, too.
    """

    @functools.cache
    def best(first: int, last: int) -> tuple[int, tuple[tuple[int, int, int], ...]]:
        if last - first < 2:
            return 0, ()
        options = []
        for between in range(first + 1, last):
            left, right = best(first, between), best(between, last)
            cuts = [(first, between)] * (between - first > 1) + [(between, last)] * (last - between > 1)
            cost = left[0] + right[0] + sum(_share_a_face(loop[a], loop[b]) for a, b in cuts)
            options.append((cost, ((first, between, last), *left[1], *right[1])))
        return min(options)

    cost, triangles = best(0, len(loop) - 1)
    return cost, list(triangles)


def _share_a_face(first: int, second: int) -> bool:
    """Whether two of the cube's edges lie on one of its faces."""
    ends = [(corner, corner | 1 << axis) for corner, axis in (EDGES[first], EDGES[second])]
    return any(
        all((corner >> axis & 1) == side for pair in ends for corner in pair) for axis in range(3) for side in range(2)
    )


def _segments(face: tuple[int, int, int, int], case: int) -> list[tuple[int, int]]:
    """From where the surface enters the face's outline from below to where it leaves it, around positive corners."""
    positive = [bool(case >> corner & 1) for corner in face]
    found = []
    for start in range(4):
        if positive[start] or not positive[(start + 1) % 4]:
            continue
        end = start + 1
        while positive[(end + 1) % 4]:
            end += 1
        rising = _EDGE_OF[frozenset((face[start], face[(start + 1) % 4]))]
        falling = _EDGE_OF[frozenset((face[end % 4], face[(end + 1) % 4]))]
        found.append((rising, falling))
    return found


def _faces() -> list[tuple[int, int, int, int]]:
    """Corners of the six faces, counter-clockwise as seen from outside."""
    faces = []
    for axis in range(3):
        u, v = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        lower = (0, v, u | v, u)
        side = 1 << axis
        faces += [lower, (side, side | u, side | u | v, side | v)]
    return faces
