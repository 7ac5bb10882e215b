"""Three numbers at a time, in compiled code. Imported only when something is rendered: numba takes long to import."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from numba import njit

from recon.types import FloatArray

Vector: TypeAlias = tuple[float, float, float]
"""A point, a direction or a linear RGB colour."""

Function = TypeVar("Function", bound=Callable[..., object])


def inner(function: Function) -> Function:
    """Decorate what only compiled code calls: it has no door to Python, which halves the time to compile it."""
    without_door: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compile_lazily: Callable[[Function], Function] = njit(nogil=True, error_model="numpy", **without_door)
    return compile_lazily(function)


@inner
def along(origin: Vector, t: float, direction: Vector) -> Vector:
    """origin + t · direction."""
    return origin[0] + t * direction[0], origin[1] + t * direction[1], origin[2] + t * direction[2]


@inner
def minus(a: Vector, b: Vector) -> Vector:
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@inner
def dot(a: Vector, b: Vector) -> float:
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inner
def cross(a: Vector, b: Vector) -> Vector:
    """Vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inner
def scaled(factor: float, a: Vector) -> Vector:
    """factor · a."""
    return factor * a[0], factor * a[1], factor * a[2]


@inner
def unit(a: Vector) -> Vector:
    """a at length 1."""
    return scaled(1 / math.sqrt(dot(a, a)), a)


@inner
def row(array: FloatArray, index: int) -> Vector:
    """One row of (N, 3)."""
    return array[index, 0], array[index, 1], array[index, 2]


@inner
def mix(a: Vector, b: Vector, weight: float) -> Vector:
    """a where `weight` is 0, b where it is 1."""
    return along(a, weight, minus(b, a))


@inner
def weighted(array: FloatArray, indices: tuple[int, int, int], weights: Vector) -> Vector:
    """Sum of three rows of (N, 3)."""
    total = scaled(weights[0], row(array, indices[0]))
    total = along(total, weights[1], row(array, indices[1]))
    return along(total, weights[2], row(array, indices[2]))


@inner
def turned(matrix: FloatArray, a: Vector) -> Vector:
    """A direction mapped by (3, 3), or by the rotation in (3, 4)."""
    return dot(row(matrix, 0), a), dot(row(matrix, 1), a), dot(row(matrix, 2), a)


@inner
def moved(matrix: FloatArray, a: Vector) -> Vector:
    """A point mapped by (3, 4)."""
    return (
        dot(row(matrix, 0), a) + matrix[0, 3],
        dot(row(matrix, 1), a) + matrix[1, 3],
        dot(row(matrix, 2), a) + matrix[2, 3],
    )


@inner
def turned_back(matrix: FloatArray, a: Vector) -> Vector:
    """A direction mapped by the inverse of the rotation in (3, 4)."""
    return along(along(scaled(a[0], row(matrix, 0)), a[1], row(matrix, 1)), a[2], row(matrix, 2))


@inner
def across(a: Vector) -> tuple[Vector, Vector]:
    """Two unit vectors at right angles to a unit vector and to each other."""
    first = unit((0.0, -a[2], a[1]) if abs(a[0]) < 0.6 else (a[2], 0.0, -a[0]))
    return first, cross(a, first)
