"""Which photo each triangle of a mesh takes its texture from.

As in Waechter, Moehrle and Goesele, "Let There Be Color! Large-Scale Texturing of 3D Reconstructions", ECCV 2014: a
photo is better the more pixels it has for a triangle, and neighbours should take the same one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.mesh import Mesh
from recon.geometry.mesh_drawing import draw
from recon.types import FloatArray

MOST_VIEWS = 12
"""Of each triangle that are considered, the best."""
_SWEEPS = 20
_LEAST_CHART = 60
"""Connected triangles of one photo; fewer take that of those around where it shows them at all."""
_BATCH = 8192
"""Triangles that a thread works on at a time."""


@dataclass(frozen=True)
class SeenBy:
    """The photos that show each of F triangles, best first."""

    views: NDArray[np.int32]
    """(F, K) index of the view; -1 behind the last that sees the triangle."""
    scores: NDArray[np.float32]
    """(F, K) pixels, less for what is seen at a slant or where the depth is unknown; 0 where there is no view."""


def views_of_faces(
    mesh: Mesh,
    depth: FloatArray,
    usable: NDArray[np.bool_],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    scales: NDArray[np.float64],
    tolerance: float,
) -> SeenBy:
    """The views that see each triangle whole, from its front, and nothing before it.

    Args:
        mesh: of F triangles.
        depth: (N, H, W) z-depth of what the photos show; 0 where it is not known.
        usable: (N, H, W) pixels that textures may be made of.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
        scales: (N,) pixels of the photo to each of these.
        tolerance: how far before a triangle the mesh, or the view's depth, may be.
    """
    from recon.geometry.mesh_views_kernel import score_views

    cameras = to_4x4(np.asarray(world_to_camera, np.float64))
    size = (depth.shape[1], depth.shape[2])
    with ThreadPoolExecutor(usable_cores()) as pool:
        surfaces = np.stack(
            list(
                pool.map(lambda view: draw(mesh, intrinsics[view], cameras[view], size).depth, range(len(depth))),
            )
        )
        projections = np.ascontiguousarray(np.asarray(intrinsics, np.float64) @ cameras[:, :3])
        centres = np.ascontiguousarray(invert_rigid(cameras)[:, :3, 3])
        kept = min(MOST_VIEWS, len(depth))
        views = np.full((len(mesh.faces), kept), -1, np.int32)
        scores = np.zeros((len(mesh.faces), kept), np.float32)
        known = np.ascontiguousarray(depth, np.float32)
        list(
            pool.map(
                lambda first: score_views(
                    first, min(first + _BATCH, len(mesh.faces)), mesh.vertices, mesh.faces, projections, centres,
                    surfaces, known, usable, np.asarray(scales, np.float64), tolerance, views, scores,
                ),
                range(0, len(mesh.faces), _BATCH),
            )
        )  # fmt: skip
    return SeenBy(views, scores)


def choose_views(mesh: Mesh, seen: SeenBy) -> NDArray[np.int32]:
    """(F,) the view of each triangle: one that sees it well, and that its neighbours take; -1 where none sees it."""
    from recon.geometry.mesh_views_kernel import agree

    neighbours = adjacent_faces(mesh.faces)
    shares = (seen.scores / np.maximum(seen.scores[:, :1], 1e-30)).astype(np.float32)
    chosen = np.ascontiguousarray(seen.views[:, 0])
    for _ in range(_SWEEPS):
        if agree(neighbours, seen.views, shares, chosen) < len(chosen) // 10_000 + 1:
            break
    return _without_small_charts(neighbours, seen, chosen)


def connected_charts(neighbours: NDArray[np.int32], chosen: NDArray[np.int32]) -> NDArray[np.int32]:
    """(F,) number of the connected part of triangles with the same view that each is in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces = np.repeat(np.arange(len(chosen), dtype=np.int32), 3)
    others = neighbours.ravel()
    together = (others >= 0) & (chosen[faces] == chosen[others])
    ones = np.ones(int(together.sum()), np.int8)
    links = coo_array((ones, (faces[together], others[together])), shape=(len(chosen), len(chosen)))
    return np.asarray(connected_components(links, directed=False)[1], np.int32)


def adjacent_faces(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """(F, 3) the triangle on the other side of the edge from each corner to the next; -1 where there is none.

    Of an edge with more than two triangles, any two are neighbours.
    """
    count = len(faces)
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1).astype(np.int64)
    keys = edges[:, 0] * (int(faces.max(initial=0)) + 1) + edges[:, 1]
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    found = np.full(3 * count, -1, np.int32)
    found[order[same]] = order[same + 1] // 3
    found[order[same + 1]] = order[same] // 3
    return found.reshape(count, 3)


def _without_small_charts(neighbours: NDArray[np.int32], seen: SeenBy, chosen: NDArray[np.int32]) -> NDArray[np.int32]:
    """With the view around a small chart for each triangle of it that this view sees."""
    from recon.geometry.mesh_views_kernel import take_from_around

    chosen = chosen.copy()
    for _ in range(_SWEEPS):
        charts = connected_charts(neighbours, chosen)
        small = np.bincount(charts)[charts] < _LEAST_CHART
        if not take_from_around(neighbours, small, seen.views, charts, chosen):
            break
    return chosen
