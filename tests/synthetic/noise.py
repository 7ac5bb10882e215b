"""Noise for textures, compiled."""

from __future__ import annotations

import math

from .vectors import Vector, inner

_MASK = 0xFFFFFFFF
_STEP_X, _STEP_Y, _STEP_Z, _STEP_SEED = 374761393, 668265263, 1440662683, 1274126177
"""Odd numbers that spread neighbouring cells over 32 bits."""


@inner
def _scramble(key: int) -> int:
    """A number in [0, 2³²) that looks random."""
    h = key & _MASK
    h = ((h ^ (h >> 15)) * 739982445) & _MASK
    h = ((h ^ (h >> 12)) * 695872825) & _MASK
    return h ^ (h >> 15)


@inner
def uniform(x: int, y: int, z: int, seed: int) -> float:
    """A number in [0, 1) that looks random for each cell of the integer lattice."""
    return _scramble(x * _STEP_X + y * _STEP_Y + z * _STEP_Z + seed * _STEP_SEED) / 4294967296.0


@inner
def smooth_step(low: float, high: float, x: float) -> float:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@inner
def _slope(key: int, x: float, y: float, z: float) -> float:
    """Height at offset (x, y, z) of the random slope of a lattice corner."""
    h = _scramble(key)
    # Ten bits an axis, without branches: picking one of a few unit vectors takes three times as long.
    return ((h & 1023) - 511.5) * x + ((h >> 10 & 1023) - 511.5) * y + ((h >> 20 & 1023) - 511.5) * z


@inner
def _fade(t: float) -> float:
    return t * t * t * (t * (t * 6 - 15) + 10)


@inner
def noise(point: Vector, seed: int) -> float:
    """Gradient noise (Perlin 1985, with the fade of 2002) with features of unit size, about in [-1, 1]."""
    ix, iy, iz = math.floor(point[0]), math.floor(point[1]), math.floor(point[2])
    x, y, z = point[0] - ix, point[1] - iy, point[2] - iz
    u, v, w = _fade(x), _fade(y), _fade(z)
    key = int(ix) * _STEP_X + int(iy) * _STEP_Y + int(iz) * _STEP_Z + seed * _STEP_SEED
    a = _slope(key, x, y, z)
    b = _slope(key + _STEP_X, x - 1, y, z)
    c = _slope(key + _STEP_Y, x, y - 1, z)
    d = _slope(key + _STEP_X + _STEP_Y, x - 1, y - 1, z)
    key += _STEP_Z
    e = _slope(key, x, y, z - 1)
    f = _slope(key + _STEP_X, x - 1, y, z - 1)
    g = _slope(key + _STEP_Y, x, y - 1, z - 1)
    h = _slope(key + _STEP_X + _STEP_Y, x - 1, y - 1, z - 1)
    low = (a + u * (b - a)) * (1 - v) + (c + u * (d - c)) * v
    high = (e + u * (f - e)) * (1 - v) + (g + u * (h - g)) * v
    return (low + w * (high - low)) * (1.4 / 512)


@inner
def octaves(point: Vector, seed: int, scale: float, count: int, gain: float, footprint: float) -> float:
    """Sum of noise at `scale`, scale / 2, …: each octave `gain` times the one before, about in [-1, 1].

    Octaves finer than twice the `footprint` of a pixel fade out, as they would in a photo.
    """
    total, weight, size, weights = 0.0, 1.0, scale, 0.0
    for i in range(count):
        visible = min(1.0, size / footprint - 1.0)
        weights += weight
        if visible <= 0:
            break
        shifted = (point[0] / size + 17.3 * i, point[1] / size - 9.1 * i, point[2] / size + 5.7 * i)
        total += weight * visible * noise(shifted, seed + i)
        weight *= gain
        size *= 0.5
    return total / weights * 1.6


@inner
def stones(u: float, v: float, seed: int) -> tuple[float, int, int]:
    """Irregular cells of unit size: about the distance to the border with the next one, and the cell."""
    iu, iv = math.floor(u), math.floor(v)
    best, second, cell_u, cell_v = 1e9, 1e9, 0, 0
    for du in range(-1, 2):
        for dv in range(-1, 2):
            pu = iu + du + 0.15 + 0.7 * uniform(iu + du, iv + dv, 1, seed)
            pv = iv + dv + 0.15 + 0.7 * uniform(iu + du, iv + dv, 2, seed)
            distance = math.sqrt((u - pu) ** 2 + (v - pv) ** 2)
            if distance < best:
                second, best, cell_u, cell_v = best, distance, iu + du, iv + dv
            elif distance < second:
                second = distance
    return (second - best) / 2, cell_u, cell_v
