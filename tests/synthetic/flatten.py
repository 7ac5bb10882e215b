"""From a scene to flat arrays, with bounding-volume hierarchies over shapes and triangles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid

from .lightmaps import light_samples, vertex_normals
from .scene_arrays import KINDS, SceneArrays
from .scene_model import Scene, Shape
from .textures import PATTERNS, linear_color

_LEAF = 2


def flatten(scene: Scene, offsets: Mapping[int, NDArray[np.float64]] | None = None) -> SceneArrays:
    """The arrays of `scene`, its objects moved by `offsets` (3,) metres per object id."""
    shapes = list(scene.shapes)
    to_world = np.stack([shape.shape_to_world for shape in shapes])  # (P, 4, 4)
    for index, shape in enumerate(shapes):
        if offsets and shape.object_id in offsets:
            to_world[index, :3, 3] += offsets[shape.object_id]
    boxes = np.stack([_world_box(shape, matrix) for shape, matrix in zip(shapes, to_world, strict=True)])  # (P, 6)
    order, node_boxes, node_links = _hierarchy(boxes)
    sampled = [light_samples(shape, scene.light_spacing) for shape in shapes]
    counts = np.array([len(points) for _, points, _ in sampled])
    light_starts = (np.cumsum(counts) - counts)[order]
    shapes, to_world = [shapes[i] for i in order], to_world[order]
    boxes_of_nodes, links_of_nodes = [node_boxes], [node_links]
    corners, normals, light_corners = [np.zeros((0, 3, 3))], [np.zeros((0, 3, 3))], [np.zeros((0, 3), np.int64)]
    roots = np.full(len(shapes), -1)
    nodes, triangles = len(node_boxes), 0
    for index, shape in enumerate(shapes):
        if shape.kind != "mesh":
            continue
        assert shape.vertices is not None
        assert shape.faces is not None
        of_mesh = shape.vertices[shape.faces]  # (F, 3, 3)
        sequence, node_boxes, node_links = _hierarchy(
            np.concatenate([of_mesh.min(axis=1), of_mesh.max(axis=1)], axis=1)
        )
        leaf = node_links[:, 1] > 0
        node_links[:, 0] += np.where(leaf, triangles, nodes)
        corners.append(of_mesh[sequence])
        normals.append(vertex_normals(shape.vertices, shape.faces)[shape.faces][sequence])
        light_corners.append(shape.faces[sequence] + light_starts[index])
        boxes_of_nodes.append(node_boxes)
        links_of_nodes.append(node_links)
        roots[index] = nodes
        nodes, triangles = nodes + len(node_boxes), triangles + len(sequence)
    colors = [[linear_color(c) for c in (*s.texture.colors, *[s.texture.colors[-1]] * 3)[:4]] for s in shapes]
    lamp, sky = scene.lamp, scene.sky
    return SceneArrays(
        node_boxes=np.concatenate(boxes_of_nodes),
        node_links=np.concatenate(links_of_nodes),
        kinds=np.array([KINDS[shape.kind] for shape in shapes]),
        sizes=np.array([(*shape.size, 0.0, 0.0, 0.0)[:3] for shape in shapes]),
        to_local=np.ascontiguousarray(invert_rigid(to_world)[:, :3]),
        mesh_roots=roots,
        object_ids=np.array([shape.object_id for shape in shapes]),
        patterns=np.array([PATTERNS.index(shape.texture.pattern) for shape in shapes]),
        colors=np.array(colors),
        texture_values=np.array([(s.texture.scale, s.texture.detail, s.texture.seed) for s in shapes], np.float64),
        corners=np.concatenate(corners),
        normals=np.concatenate(normals),
        light=np.zeros((counts.sum(), 3), np.float32),
        light_starts=light_starts,
        light_grids=np.stack([grids for grids, _, _ in sampled])[order],
        light_corners=np.concatenate(light_corners),
        albedo=np.array([_albedo(np.array(c), s.texture.pattern) for c, s in zip(colors, shapes, strict=True)]),
        lamp=np.array([*lamp.position, lamp.radius, *lamp.color, float(lamp.is_sun)]),
        sky=np.array([*sky.zenith, *sky.horizon, sky.ambient, *sky.ground, sky.clouds]),
        seed=scene.seed,
    )


def _world_box(shape: Shape, to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """(6,) lower and upper corner of a box around `shape`, in the world."""
    if shape.kind == "mesh":
        assert shape.vertices is not None
        points = shape.vertices @ to_world[:3, :3].T + to_world[:3, 3]
        low, high = points.min(axis=0), points.max(axis=0)
    else:
        size = shape.size
        half = {"rectangle": (*size, 0.0), "box": size, "sphere": size * 3, "cylinder": (size[0], *size)}[shape.kind]
        reach = np.abs(to_world[:3, :3]) @ np.array(half[:3])
        low, high = to_world[:3, 3] - reach, to_world[:3, 3] + reach
    return np.concatenate([low - 1e-6, high + 1e-6])


def _albedo(colors: NDArray[np.float64], pattern: str) -> NDArray[np.float64]:
    """(3,) mean of the colours (4, 3) of a texture, by about how much of it they cover."""
    weights = {"uniform": (1.0, 0, 0, 0), "tiles": (0.5, 0.5, 0, 0)}.get(pattern, (0.45, 0.3, 0.2, 0.05))
    return np.array(weights) @ colors


def _hierarchy(boxes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Split boxes (E, 6) in halves at the median along the longest side, down to leaves of two.

    Returns:
        order (E,) of the entries; boxes (M, 6) and links (M, 2) of the nodes, the first of which is the root.
    """
    centres = (boxes[:, :3] + boxes[:, 3:]) / 2
    order = np.arange(len(boxes))
    starts, counts = np.array([0]), np.array([len(boxes)])  # of the nodes of one level, that cover consecutive entries
    node_boxes, node_links, nodes = [], [], 0
    while len(starts):
        within = np.repeat(np.arange(len(starts)), counts)
        first = np.cumsum(counts) - counts
        positions = np.arange(len(within)) + np.repeat(starts - first, counts)
        entries = order[positions]
        low = np.minimum.reduceat(boxes[entries, :3], first)
        high = np.maximum.reduceat(boxes[entries, 3:], first)
        extent = np.maximum.reduceat(centres[entries], first) - np.minimum.reduceat(centres[entries], first)
        along = centres[entries, np.argmax(extent, axis=1)[within]]
        order[positions] = entries[np.lexsort((along, within))]
        inner = counts > _LEAF
        children = nodes + len(starts) + 2 * (np.cumsum(inner) - 1)
        node_boxes.append(np.concatenate([low, high], axis=1))
        node_links.append(np.stack([np.where(inner, children, starts), np.where(inner, 0, counts)], axis=1))
        nodes += len(starts)
        half = counts[inner] // 2
        halves = np.stack([starts[inner], starts[inner] + half], axis=1).reshape(-1)
        counts = np.stack([half, counts[inner] - half], axis=1).reshape(-1)
        starts = halves
    return order, np.concatenate(node_boxes), np.concatenate(node_links)
