"""What textures look like, compiled: one function per pattern.

Each gives a `Blend`: how far the first colour gives way to the second, the third and the fourth (of joints), and a
factor on all of them.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .noise import noise, octaves, smooth_step, stones, uniform
from .vectors import Vector, inner, mix, row, scaled

Blend: TypeAlias = tuple[float, float, float, float]
"""Weights of the second, third and fourth colour in [0, 1], and the shade."""


@inner
def texture(
    pattern: int,
    colors: NDArray[np.float64],
    scale: float,
    detail: float,
    seed: int,
    point: Vector,
    u: float,
    v: float,
    footprint: float,
) -> Vector:
    """Linear RGB of a texture.

    Args:
        pattern: index in `tests.synthetic.textures.PATTERNS`.
        colors: (4, 3) linear RGB.
        scale, detail, seed: see `tests.synthetic.textures.Texture`.
        point: in the frame of the shape, metres.
        u, v: the same point unrolled on the surface, metres.
        footprint: metres that a pixel covers there.
    """
    if pattern == 0:
        return row(colors, 0)
    if pattern == 1:
        return row(colors, (math.floor(u / scale) + math.floor(v / scale)) & 1)
    fine = octaves(point, seed + 50, 0.25, 8, 0.75, footprint)
    if pattern == 2:
        blend = _plaster(point, scale, seed, footprint)
    elif pattern == 3:
        blend = _stone(point, scale, seed, footprint)
    elif pattern == 4:
        blend = _bricks(point, u, v, scale, seed, footprint, fine)
    elif pattern == 5:
        blend = _flagstones(point, u, v, scale, seed, footprint, fine)
    elif pattern == 6:
        blend = _planks(u, v, scale, seed, footprint)
    elif pattern == 7:
        blend = _marble(point, scale, seed, footprint)
    elif pattern == 8:
        blend = _terrazzo(u, v, scale, seed, fine)
    elif pattern == 9:
        blend = _weave(u, v, scale, seed, footprint)
    else:
        blend = _print(u, v, scale, seed, footprint)
    color = mix(row(colors, 0), row(colors, 1), min(1.0, max(0.0, blend[0])))
    color = mix(color, row(colors, 2), min(1.0, max(0.0, blend[1])))
    color = mix(color, row(colors, 3), min(1.0, max(0.0, blend[2])))
    return scaled(blend[3] * max(0.15, 1 + 1.8 * detail * fine), color)


@inner
def _plaster(point: Vector, scale: float, seed: int, footprint: float) -> Blend:
    """Large stains and small spots."""
    stains = smooth_step(-0.35, 0.45, octaves(point, seed, scale, 5, 0.6, footprint))
    spots = smooth_step(0.15, 0.5, octaves(point, seed + 20, scale * 0.3, 6, 0.7, footprint))
    return stains, spots, 0.0, 1.0


@inner
def _stone(point: Vector, scale: float, seed: int, footprint: float) -> Blend:
    """Layers, spots and cracks."""
    x, y, z = point
    layers = smooth_step(-0.4, 0.4, octaves((x, y, z * 1.6), seed, scale, 7, 0.65, footprint))
    spots = smooth_step(0.1, 0.6, octaves(point, seed + 11, scale * 0.15, 5, 0.7, footprint))
    cracks = 1 - smooth_step(0.0, 0.05, abs(octaves(point, seed + 30, scale * 0.7, 5, 0.55, footprint)))
    return layers, spots, 0.8 * cracks, 1.0


@inner
def _bricks(point: Vector, u: float, v: float, scale: float, seed: int, footprint: float, fine: float) -> Blend:
    """Courses with uneven joints; every brick has a colour of its own."""
    height = scale * 0.36
    warp = 0.03 * scale * noise(scaled(6 / scale, point), seed + 7)
    course = math.floor((v + warp) / height)
    shift = 0.5 * (course & 1) + 0.16 * (uniform(course, 3, 0, seed) - 0.5)
    place = (u + warp) / scale + shift
    brick = math.floor(place)
    from_left, from_below = (place - brick) * scale, v + warp - course * height
    edge = min(min(from_left, scale - from_left), min(from_below, height - from_below))
    joint = 1 - smooth_step(0.02 * scale, 0.05 * scale, edge + 0.012 * scale * fine)
    chance = uniform(brick, course, 5, seed)
    dark = 0.9 if uniform(brick, course, 6, seed) > 0.82 else 0.0
    inside = (point[0] + 3 * chance, point[1] - 5 * chance, point[2])
    shade = 0.75 + 0.5 * uniform(brick, course, 9, seed)
    return chance * chance, dark, joint, shade * (1 + 0.22 * octaves(inside, seed + 3, scale * 0.5, 5, 0.7, footprint))


@inner
def _flagstones(point: Vector, u: float, v: float, scale: float, seed: int, footprint: float, fine: float) -> Blend:
    """Irregular slabs with joints; every slab has a colour of its own."""
    bent_u = u / scale + 0.09 * noise((u * 3 / scale, v * 3 / scale, 0.5), seed + 7)
    bent_v = v / scale + 0.09 * noise((u * 3 / scale, v * 3 / scale, 7.5), seed + 8)
    border, slab_u, slab_v = stones(bent_u, bent_v, seed)
    joint = 1 - smooth_step(0.015, 0.045, border + 0.012 * fine)
    chance = uniform(slab_u, slab_v, 5, seed)
    light = 0.8 if uniform(slab_u, slab_v, 6, seed) > 0.75 else 0.0
    inside = (point[0] + 7 * chance, point[1] - 4 * chance, point[2])
    shade = 0.8 + 0.4 * uniform(slab_u, slab_v, 9, seed)
    return chance, light, joint, shade * (1 + 0.3 * octaves(inside, seed + 3, scale * 0.5, 6, 0.7, footprint))


@inner
def _planks(u: float, v: float, scale: float, seed: int, footprint: float) -> Blend:
    """Boards along u, the grain of each cut from its own tree."""
    board = math.floor(v / scale)
    length = scale * (9 + 5 * uniform(board, 2, 0, seed))
    start = u + 20 * uniform(board, 1, 0, seed)
    piece = math.floor(start / length)
    chance = uniform(board, piece, 5, seed)
    from_end, from_side = start - piece * length, v - board * scale
    edge = min(min(from_side, scale - from_side), min(from_end, length - from_end))
    joint = 1 - smooth_step(0.008 * scale, 0.03 * scale, edge)
    bend = octaves((u * 0.35, v * 1.4 + 31 * chance, 13 * chance), seed + 4, scale * 1.5, 3, 0.5, footprint)
    rings = (v / scale * (3 + 4 * chance) + 2.2 * bend + 50 * chance) * 2.0
    ring = rings - math.floor(rings)
    grain = octaves((u * 0.06, v + 9 * chance, 3 * chance), seed + 6, scale * 0.12, 5, 0.8, footprint)
    late_wood = smooth_step(0.0, 0.8, ring) * (1 - smooth_step(0.85, 1.0, ring))
    shade = 0.78 + 0.44 * uniform(board, piece, 9, seed)
    return 0.75 * late_wood + 0.45 * grain, 0.7 * smooth_step(0.1, 0.5, grain) * chance, joint, shade


@inner
def _marble(point: Vector, scale: float, seed: int, footprint: float) -> Blend:
    """Veins through clouds."""
    x, y, z = point
    clouds = octaves(point, seed, scale, 7, 0.6, footprint)
    bent = (x + 0.5 * clouds * scale, y - 0.4 * clouds * scale, z)
    veins = 1 - smooth_step(0.0, 0.09, abs(octaves(bent, seed + 31, scale * 0.8, 5, 0.5, footprint)))
    spots = smooth_step(0.2, 0.6, octaves(point, seed + 9, scale * 0.2, 5, 0.7, footprint))
    return smooth_step(-0.3, 0.5, clouds), 0.5 * spots, 0.85 * veins, 1.0


@inner
def _terrazzo(u: float, v: float, scale: float, seed: int, fine: float) -> Blend:
    """Chips of two sizes in three colours."""
    border, chip_u, chip_v = stones(u / scale, v / scale, seed)
    cover = smooth_step(0.05, 0.08, border + 0.03 * fine)
    ink = uniform(chip_u, chip_v, 5, seed)
    if cover <= 0 or uniform(chip_u, chip_v, 6, seed) >= 0.55:
        border, chip_u, chip_v = stones(u / scale * 2.7, v / scale * 2.7, seed + 40)
        cover = smooth_step(0.06, 0.1, border) if uniform(chip_u, chip_v, 6, seed) < 0.5 else 0.0
        ink = uniform(chip_u, chip_v, 7, seed)
    if ink < 0.45:
        return cover, 0.0, 0.0, 1.0
    if ink < 0.75:
        return 0.0, cover, 0.0, 1.0
    return 0.0, 0.0, cover, 1.0


@inner
def _weave(u: float, v: float, scale: float, seed: int, footprint: float) -> Blend:
    """Uneven threads over and under, and a large ornament."""
    thread = scale * 0.02
    along_u = (u + 0.2 * thread * noise((u * 40, v * 9, 0.0), seed)) / thread
    along_v = (v + 0.2 * thread * noise((u * 9, v * 40, 5.0), seed)) / thread
    thread_u, thread_v = math.floor(along_u), math.floor(along_v)
    over = (thread_u + thread_v) & 1
    bulge = math.sin(math.pi * (along_u - thread_u if over == 1 else along_v - thread_v))
    stripe = thread_v if over == 1 else thread_u
    strength = min(1.0, max(0.0, 0.7 * thread / footprint - 0.4))
    shade = 1 + strength * (0.35 * (bulge - 0.6) + 0.3 * (uniform(stripe, over, 2, seed) - 0.5))
    shade *= 0.85 + 0.3 * uniform(thread_u // 3, thread_v // 3, 4, seed)
    bands = math.sin(9 * octaves((u, v, 0.3), seed + 5, scale, 4, 0.5, footprint))
    patches = octaves((u, v, 4.3), seed + 6, scale * 0.4, 3, 0.5, footprint)
    lines = abs(octaves((u, v, 8.3), seed + 8, scale * 0.6, 3, 0.5, footprint))
    outline = 0.9 * (1 - smooth_step(0.015, 0.03, lines))
    return smooth_step(-0.05, 0.02, bands), smooth_step(0.2, 0.25, patches), outline, shade


@inner
def _print(u: float, v: float, scale: float, seed: int, footprint: float) -> Blend:
    """An abstract painting: patches of two sizes in three inks, outlined, with brush strokes."""
    bent_u = u + 0.25 * scale * octaves((u, v, 0.2), seed + 5, scale, 4, 0.5, footprint)
    bent_v = v + 0.25 * scale * octaves((u, v, 5.2), seed + 6, scale, 4, 0.5, footprint)
    border, patch_u, patch_v = stones(bent_u / scale * 2, bent_v / scale * 2, seed)
    ink = uniform(patch_u, patch_v, 5, seed)
    small_border, patch_u, patch_v = stones(bent_u / scale * 6 + 0.3, bent_v / scale * 6, seed + 9)
    if uniform(patch_u, patch_v, 6, seed) < 0.35:
        ink, border = uniform(patch_u, patch_v, 7, seed), small_border
    outline = 0.9 * (1 - smooth_step(0.02, 0.04, border))
    strokes = 1 + 0.25 * octaves((u * 4, v * 0.7, 1.0), seed + 12, scale * 0.2, 5, 0.7, footprint)
    return (1.0 if ink > 0.35 else 0.0), (1.0 if ink > 0.68 else 0.0), outline, strokes
