"""The light that surfaces of a synthetic scene get from the sky and from each other: computed once for all views."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .flatten import flatten
from .lightmaps import light_samples
from .scene_model import Scene, Shape
from .shading import bake_samples

_BATCH = 2048
"""Samples that a thread takes at a time."""
_ROUNDS = (8, 48)
"""Rays per sample in each round; a round sees the light of the one before, so each adds a bounce."""
_Bake = Callable[[NDArray[np.float32], int, int, int, NDArray[np.float32]], None]
"""(light so far, rays, first, last, out): fills samples first…last of `out`."""


def indirect_light(scene: Scene, moving: frozenset[int], threads: int | None) -> NDArray[np.float32]:
    """(L, 3) light that surfaces get from the sky and from each other; `moving` objects get it but do not shade it."""
    still = tuple(shape for shape in scene.shapes if shape.object_id not in moving)
    arrays = flatten(replace(scene, shapes=still or scene.shapes))
    sampled = [light_samples(shape, scene.light_spacing) for shape in scene.shapes]
    counts = np.array([len(points) for _, points, _ in sampled])
    rotations = [shape.shape_to_world[:3, :3] for shape in scene.shapes]
    origins = [shape.shape_to_world[:3, 3] for shape in scene.shapes]
    points = np.concatenate([p @ r.T + o for (_, p, _), r, o in zip(sampled, rotations, origins, strict=True)])
    normals = np.concatenate([n @ r.T for (_, _, n), r in zip(sampled, rotations, strict=True)])
    of_still = np.repeat([shape.object_id not in moving for shape in scene.shapes], counts)
    if not still:
        of_still[:] = True

    def bake(light: NDArray[np.float32], rays: int, first: int, last: int, out: NDArray[np.float32]) -> None:
        bake_samples(arrays._replace(light=light[of_still]), points, normals, rays, first, last, out)

    return _gather_light(bake, scene.shapes, [grids for grids, _, _ in sampled], counts, threads)


def _gather_light(
    bake: _Bake,
    shapes: tuple[Shape, ...],
    grids: list[NDArray[np.int64]],
    counts: NDArray[np.int64],
    threads: int | None,
) -> NDArray[np.float32]:
    """(L, 3) indirect light at all samples.

    Args:
        bake: see `_Bake`.
        shapes, grids, counts: each shape, its grids (6, 2) and its number of samples.
        threads: all cores by default.
    """
    light = np.zeros((sum(counts), 3), np.float32)
    starts = np.cumsum(counts) - counts
    for rays in _ROUNDS:
        light = _bake_round(bake, light, rays, threads)
        for shape, grid, start, count in zip(shapes, grids, starts, counts, strict=True):
            light[start : start + count] = _smooth(shape, grid, light[start : start + count])
    return light


def _bake_round(bake: _Bake, light: NDArray[np.float32], rays: int, threads: int | None) -> NDArray[np.float32]:
    """One more bounce: (L, 3) from the light so far."""
    found = np.zeros_like(light)

    def part(first: int) -> None:
        bake(light, rays, first, min(first + _BATCH, len(light)), found)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(part, range(0, len(light), _BATCH)))
    return found


def _smooth(shape: Shape, grids: NDArray[np.int64], light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light (L, 3) of one shape with the noise of few rays averaged between neighbours."""
    if shape.kind == "mesh":
        assert shape.faces is not None
        summed, weight = light.copy(), np.ones((len(light), 1), np.float32)
        for first, second in ((0, 1), (1, 2), (2, 0)):
            np.add.at(summed, shape.faces[:, first], light[shape.faces[:, second]])
            np.add.at(weight, shape.faces[:, first], np.float32(1))
        return summed / weight
    smooth, start = light.copy(), 0
    for face, (columns, rows) in enumerate(grids):
        count = columns * rows
        if not count:
            continue
        plane = light[start : start + count].reshape(rows, columns, 3)
        closes = face == 0 and shape.kind in ("sphere", "cylinder")
        for _ in range(2):
            ends = (-1, 0) if closes else (0, -1)
            padded = np.concatenate([plane[:, ends[:1]], plane, plane[:, ends[1:]]], axis=1)
            plane = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
            padded = np.concatenate([plane[:1], plane, plane[-1:]])
            plane = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        smooth[start : start + count] = plane.reshape(-1, 3)
        start += count
    return smooth
