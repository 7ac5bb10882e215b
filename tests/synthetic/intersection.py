"""Where rays meet shapes, compiled.

Rays are origin + t · direction with directions of any length; a camera ray has a direction of unit z in the camera, so
that its t is the depth.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .scene_arrays import BOX, CYLINDER, MESH, RECTANGLE, SPHERE, SceneArrays
from .vectors import Vector, along, cross, dot, inner, minus, moved, row, turned

FAR = 1e30
"""Farther than anything."""

Hit: TypeAlias = tuple[float, int, int, Vector]
"""Distance t, shape (-1 for none), and of a mesh the triangle and the weights of its corners."""


@inner
def _inverse(direction: Vector) -> Vector:
    x, y, z = direction
    return (
        1.0 / x if abs(x) > FAR**-1 else FAR,
        1.0 / y if abs(y) > FAR**-1 else FAR,
        1.0 / z if abs(z) > FAR**-1 else FAR,
    )


@inner
def _slabs(low: Vector, high: Vector, origin: Vector, inverse: Vector) -> tuple[float, float]:
    """Where a line enters and leaves a box: enter > leave if it misses. `inverse` is that of its direction."""
    x1, x2 = (low[0] - origin[0]) * inverse[0], (high[0] - origin[0]) * inverse[0]
    y1, y2 = (low[1] - origin[1]) * inverse[1], (high[1] - origin[1]) * inverse[1]
    z1, z2 = (low[2] - origin[2]) * inverse[2], (high[2] - origin[2]) * inverse[2]
    enter = max(max(min(x1, x2), min(y1, y2)), min(z1, z2))
    leave = min(min(max(x1, x2), max(y1, y2)), max(z1, z2))
    return enter, leave


@inner
def _enters(scene: SceneArrays, node: int, origin: Vector, inverse: Vector, nearest: float) -> bool:
    """Whether a ray passes through the box of a node before `nearest`."""
    boxes = scene.node_boxes
    low = (boxes[node, 0], boxes[node, 1], boxes[node, 2])
    high = (boxes[node, 3], boxes[node, 4], boxes[node, 5])
    enter, leave = _slabs(low, high, origin, inverse)
    return max(enter, 0.0) <= min(leave, nearest)


@inner
def _meet_rectangle(size: Vector, origin: Vector, direction: Vector) -> float:
    if abs(direction[2]) < FAR**-1:
        return FAR
    t = -origin[2] / direction[2]
    x, y = origin[0] + t * direction[0], origin[1] + t * direction[1]
    return t if t > 0 and abs(x) <= size[0] and abs(y) <= size[1] else FAR


@inner
def _meet_box(size: Vector, origin: Vector, direction: Vector) -> float:
    enter, leave = _slabs((-size[0], -size[1], -size[2]), size, origin, _inverse(direction))
    if enter > leave or leave <= 0:
        return FAR
    return enter if enter > 0 else leave


@inner
def _meet_sphere(radius: float, origin: Vector, direction: Vector) -> float:
    a, half_b = dot(direction, direction), dot(origin, direction)
    discriminant = half_b * half_b - a * (dot(origin, origin) - radius * radius)
    if discriminant < 0:
        return FAR
    root = math.sqrt(discriminant)
    t = (-half_b - root) / a
    if t <= 0:
        t = (-half_b + root) / a
    return t if t > 0 else FAR


@inner
def _meet_cylinder(radius: float, half_height: float, origin: Vector, direction: Vector) -> float:
    best = FAR
    a = direction[0] ** 2 + direction[1] ** 2
    half_b = origin[0] * direction[0] + origin[1] * direction[1]
    discriminant = half_b * half_b - a * (origin[0] ** 2 + origin[1] ** 2 - radius * radius)
    for sign in (-1.0, 1.0):
        if a > FAR**-1 and discriminant >= 0:
            t = (-half_b + sign * math.sqrt(discriminant)) / a
            if 0 < t < best and abs(origin[2] + t * direction[2]) <= half_height:
                best = t
        if abs(direction[2]) > FAR**-1:
            t = (sign * half_height - origin[2]) / direction[2]
            x, y = origin[0] + t * direction[0], origin[1] + t * direction[1]
            if 0 < t < best and x * x + y * y <= radius * radius:
                best = t
    return best


@inner
def _meet_triangle(a: Vector, b: Vector, c: Vector, origin: Vector, direction: Vector) -> tuple[float, Vector]:
    """Distance and the weights of the corners (Möller and Trumbore 1997)."""
    nowhere = (0.0, 0.0, 0.0)
    ab, ac = minus(b, a), minus(c, a)
    p = cross(direction, ac)
    determinant = dot(ab, p)
    if abs(determinant) < FAR**-1:
        return FAR, nowhere
    s = minus(origin, a)
    u = dot(s, p) / determinant
    q = cross(s, ab)
    v = dot(direction, q) / determinant
    # The slack closes the seams between triangles that share an edge.
    if u < -1e-9 or v < -1e-9 or u + v > 1 + 1e-9:
        return FAR, nowhere
    t = dot(ac, q) / determinant
    return (t if t > 0 else FAR), (1 - u - v, u, v)


@inner
def _meet_mesh(
    scene: SceneArrays,
    root: int,
    origin: Vector,
    direction: Vector,
    nearest: float,
    any_hit: bool,
    stack: NDArray[np.int64],
    base: int,
) -> Hit:
    """The hit before `nearest`, its shape 0 if there is one; uses `stack` from `base` on."""
    inverse = _inverse(direction)
    triangle, weights = -1, (0.0, 0.0, 0.0)
    stack[base] = root
    top = base + 1
    while top > base:
        top -= 1
        node = stack[top]
        if not _enters(scene, node, origin, inverse, nearest):
            continue
        first, count = scene.node_links[node, 0], scene.node_links[node, 1]
        if count == 0:
            stack[top], stack[top + 1] = first, first + 1
            top += 2
            continue
        for i in range(first, first + count):
            a, b, c = row(scene.corners[i], 0), row(scene.corners[i], 1), row(scene.corners[i], 2)
            t, found = _meet_triangle(a, b, c, origin, direction)
            if t < nearest:
                nearest, triangle, weights = t, i, found
        if any_hit and triangle >= 0:
            break
    return nearest, (0 if triangle >= 0 else -1), triangle, weights


@inner
def cast(
    scene: SceneArrays, origin: Vector, direction: Vector, nearest: float, any_hit: bool, stack: NDArray[np.int64]
) -> Hit:
    """First hit before `nearest`.

    `any_hit` stops at whatever is found first, which is enough for shadows. `stack` (128,) int64 is scratch.
    """
    inverse = _inverse(direction)
    shape, triangle, weights = -1, -1, (0.0, 0.0, 0.0)
    stack[0] = 0
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if not _enters(scene, node, origin, inverse, nearest):
            continue
        first, count = scene.node_links[node, 0], scene.node_links[node, 1]
        if count == 0:
            stack[top], stack[top + 1] = first, first + 1
            top += 2
            continue
        for p in range(first, first + count):
            kind, size = scene.kinds[p], row(scene.sizes, p)
            local_origin, local_direction = moved(scene.to_local[p], origin), turned(scene.to_local[p], direction)
            t = FAR
            if kind == RECTANGLE:
                t = _meet_rectangle(size, local_origin, local_direction)
            elif kind == BOX:
                t = _meet_box(size, local_origin, local_direction)
            elif kind == SPHERE:
                t = _meet_sphere(size[0], local_origin, local_direction)
            elif kind == CYLINDER:
                t = _meet_cylinder(size[0], size[1], local_origin, local_direction)
            else:
                root = scene.mesh_roots[p]
                distance, found, i, w = _meet_mesh(
                    scene, root, local_origin, local_direction, nearest, any_hit, stack, top
                )
                if found >= 0:
                    t, triangle, weights = distance, i, w
            if t < nearest:
                nearest, shape = t, p
                if any_hit:
                    return nearest, shape, triangle, weights
    return nearest, shape, triangle, weights


@inner
def surface(scene: SceneArrays, hit: Hit, point: Vector) -> tuple[Vector, Vector, float, float]:
    """A hit at a world point, in the frame of its shape.

    Returns:
        point, unit normal (outwards), and u, v of the point unrolled on the surface, metres.
    """
    _, p, triangle, weights = hit
    local = moved(scene.to_local[p], point)
    x, y, z = local
    kind, size = scene.kinds[p], row(scene.sizes, p)
    if kind == BOX:
        beyond_x, beyond_y, beyond_z = abs(x) - size[0], abs(y) - size[1], abs(z) - size[2]
        if beyond_x > beyond_y and beyond_x > beyond_z:
            return local, (math.copysign(1.0, x), 0.0, 0.0), y, z
        if beyond_y > beyond_z:
            return local, (0.0, math.copysign(1.0, y), 0.0), x, z
        return local, (0.0, 0.0, math.copysign(1.0, z)), x, y
    if kind == SPHERE:
        return local, (x / size[0], y / size[0], z / size[0]), math.atan2(y, x) * size[0], z
    from_axis = math.sqrt(x * x + y * y)
    if kind == CYLINDER:
        if size[1] - abs(z) < 1e-7 * size[1]:
            return local, (0.0, 0.0, math.copysign(1.0, z)), x, y
        return local, (x / from_axis, y / from_axis, 0.0), math.atan2(y, x) * size[0], z
    if kind == MESH:
        n = scene.normals[triangle]
        smooth = along(along((0.0, 0.0, 0.0), weights[0], row(n, 0)), weights[1], row(n, 1))
        smooth = along(smooth, weights[2], row(n, 2))
        length = math.sqrt(dot(smooth, smooth))
        normal = (smooth[0] / length, smooth[1] / length, smooth[2] / length)
        return local, normal, math.atan2(y, x) * from_axis, z
    return local, (0.0, 0.0, 1.0), x, y
