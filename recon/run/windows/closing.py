"""One world for all windows by a pose graph: joints of neighbours, loops, and how each window may be bent to meet them.

Nodes are views: where windows are joined, where loops are, and some between. So what a loop says moves every view, and
the windows beside a joint meet there without a step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recon.geometry.cameras import camera_centres, invert_rigid, to_4x4
from recon.geometry.pose_graph import Edge, interpolate, optimise_pose_graph
from recon.geometry.similarity import Similarity
from recon.run.windows.joints import WindowEdge
from recon.run.windows.loops import Loop
from recon.run.windows.placing import Placement, met_at, spread
from recon.run.windows.window import Window
from recon.types import Prediction
from recon.types.pieces import release_maps

_STEP = 10
"""Photos from one node of a window to the next, at most."""
_TURN, _PLACE, _SCALE = 2e-3, 5e-3, 3e-3
"""Deviations of a step within a window, and of a joint: radians, share of the distance to what is seen, logarithm."""
_USUAL_RESIDUAL = 0.01
"""Of the depth, by which what neighbours share differs where those deviations are right."""
_LEAST_TURN, _LEAST_PLACE, _LEAST_SCALE = 2e-3, 3e-3, 3e-3
"""Deviations that a loop has at least, for those that it tells are of its matches alone; as above."""
_BELIEVED = 0.5
_TO_CONNECT = 3
"""Loops that it takes to connect parts that nothing else does."""


@dataclass(frozen=True)
class Closed:
    """What closing loops ends in."""

    placements: list[Placement]
    """Of windows, by their first views; their parts are those that joints and loops connect."""
    similarities: list[list[Similarity]]
    """For each window and each photo of its own, the map from the window's world to that of the whole."""
    loops: tuple[Loop, ...]
    """Those that hold."""
    refused: tuple[Loop, ...]
    """Those that the rest contradicts: two places that look alike."""


def unclosed(windows: Sequence[Window], placements: Sequence[Placement], owned: Sequence[Sequence[int]]) -> Closed:
    """Windows where they are, each as it is."""
    return Closed(list(placements), spread(windows, placements, owned), (), ())


@dataclass
class _Nodes:
    """Views of windows that are nodes, and their cameras in the worlds of their windows."""

    number: dict[tuple[int, int], int]
    """By window and photo."""
    camera: list[Similarity]
    """Camera to the window's world."""
    depth: list[float]
    """Median depth that the view sees."""


def close(
    windows: Sequence[Window],
    edges: Sequence[WindowEdge],
    placements: Sequence[Placement],
    owned: Sequence[Sequence[int]],
    loops: Sequence[Loop],
    *,
    keep_scale: bool,
) -> Closed:
    """Where every view is when neighbours and loops agree best.

    Args:
        windows: with cameras.
        edges: between neighbours.
        placements: where windows are by their neighbours alone.
        owned: for each window the photos whose views the whole takes from it.
        loops: between windows; not all need be true.
        keep_scale: all windows have one unit.
    """
    loops = _connecting(loops, placements)
    nodes = _nodes(windows, edges, loops)
    start = [placements[window].similarity.compose(nodes.camera[n]) for (window, _), n in nodes.number.items()]
    certain = [*_within(nodes, _looseness(edges)), *_joints(nodes, edges)]
    placed = optimise_pose_graph(len(start), [*certain, *_closing(nodes, loops)], start, free_scale=not keep_scale)
    holds = (placed.believed[len(certain) :] >= _BELIEVED).tolist()
    held = [loop for loop, true in zip(loops, holds, strict=True) if true]
    if len(held) < len(loops):  # the others shall not pull at all
        placed = optimise_pose_graph(len(start), [*certain, *_closing(nodes, held)], start, free_scale=not keep_scale)
    to_whole = [at.compose(camera.inverse()) for at, camera in zip(placed.node_to_world, nodes.camera, strict=True)]
    parts = [placed.groups[nodes.number[one.number, one.photos[0]]] if one.photos else -1 for one in windows]
    order = list(dict.fromkeys(part for part in parts if part >= 0))
    return Closed(
        [
            replace(old, similarity=to_whole[nodes.number[one.number, one.photos[0]]], part=order.index(part))
            if one.photos
            else old
            for one, old, part in zip(windows, placements, parts, strict=True)
        ],
        [_bent(one, own, nodes, to_whole) for one, own in zip(windows, owned, strict=True)],
        tuple(held),
        tuple(loop for loop, true in zip(loops, holds, strict=True) if not true),
    )


def _connecting(loops: Sequence[Loop], placements: Sequence[Placement]) -> list[Loop]:
    """Without loops between parts that too few say the same of: there nothing else would contradict a false one."""
    between = Counter(_parts_of(loop, placements) for loop in loops)
    kept = []
    for loop in loops:
        first, second = parts = _parts_of(loop, placements)
        if first == second or between[parts] >= _TO_CONNECT:
            kept.append(loop)
    return kept


def _parts_of(loop: Loop, placements: Sequence[Placement]) -> tuple[int, int]:
    return placements[loop.first].part, placements[loop.second].part


def _nodes(windows: Sequence[Window], edges: Sequence[WindowEdge], loops: Sequence[Loop]) -> _Nodes:
    wanted: dict[int, set[int]] = {one.number: {*one.photos[::_STEP], *one.photos[-1:]} for one in windows}
    for edge in edges:
        wanted[edge.first].add(met_at(edge.shared))
        wanted[edge.second].add(met_at(edge.shared))
    for loop in loops:
        wanted[loop.first].add(loop.photos[0])
        wanted[loop.second].add(loop.photos[1])
    nodes = _Nodes({}, [], [])
    for window in windows:
        photos = sorted(wanted[window.number])
        if not photos:
            continue
        prediction = window.open().depth.prediction
        assert prediction.extrinsics is not None
        for photo, view in zip(photos, window.views_of(photos), strict=True):
            camera = invert_rigid(to_4x4(prediction.extrinsics[view].astype(np.float64)))
            nodes.number[window.number, photo] = len(nodes.camera)
            nodes.camera.append(Similarity(1.0, camera[:3, :3], camera[:3, 3]))
            nodes.depth.append(_usual_depth(prediction.window(slice(view, view + 1))))
        release_maps(prediction)
    return nodes


def _usual_depth(view: Prediction) -> float:
    """Median of one view; 1 where there is none."""
    seen = view.depth[view.valid]
    return float(np.median(seen)) if len(seen) else 1.0


def _looseness(edges: Sequence[WindowEdge]) -> float:
    """How many times worse windows fit each other than those that the deviations above are meant for; at least 1."""
    known = [edge.joint.residual for edge in edges if edge.joint.residual is not None]
    return max(1.0, float(np.median(known)) / _USUAL_RESIDUAL) if known else 1.0


def _within(nodes: _Nodes, looseness: float) -> list[Edge]:
    """From each node of a window to the next: as its cameras have it, but for how far a network drifts."""
    edges = []
    for (window, photo), (after, next_photo) in zip(nodes.number, list(nodes.number)[1:], strict=False):
        if window == after:
            steps = looseness * np.sqrt(max(next_photo - photo, 1) / _STEP)
            first, second = nodes.number[window, photo], nodes.number[after, next_photo]
            edges.append(_edge(nodes, first, second, Similarity(1.0, np.eye(3), np.zeros(3)), float(steps)))
    return edges


def _joints(nodes: _Nodes, edges: Sequence[WindowEdge]) -> list[Edge]:
    """From the view where a window goes over to the next one to the same view there."""
    return [
        _edge(
            nodes,
            nodes.number[edge.first, met_at(edge.shared)],
            nodes.number[edge.second, met_at(edge.shared)],
            edge.joint.similarity,
            _looseness([edge]),
        )
        for edge in edges
    ]


def _edge(nodes: _Nodes, first: int, second: int, between_worlds: Similarity, steps: float = 1.0) -> Edge:
    """Between the cameras of two nodes, the world of the second of which lies so in that of the first."""
    to_first = nodes.camera[first].inverse().compose(between_worlds).compose(nodes.camera[second])
    return Edge(first, second, to_first, _TURN * steps, _PLACE * nodes.depth[first] * steps, _SCALE * steps)


def _closing(nodes: _Nodes, loops: Sequence[Loop]) -> list[Edge]:
    edges = []
    for loop in loops:
        first, second = (nodes.number[at] for at in zip((loop.first, loop.second), loop.photos, strict=True))
        turn, place, scale = loop.alignment.deviations
        edges.append(
            Edge(
                first,
                second,
                loop.alignment.second_to_first,
                float(np.hypot(turn, _LEAST_TURN)),
                float(np.hypot(place, _LEAST_PLACE * nodes.depth[first])),
                float(np.hypot(scale, _LEAST_SCALE)),
                certain=False,
            )
        )
    return edges


def _bent(window: Window, own: Sequence[int], nodes: _Nodes, to_whole: Sequence[Similarity]) -> list[Similarity]:
    """The map to the whole at each photo of `own`: between those of the nodes before and after it, where it stands."""
    if not own:
        return []
    at = sorted(photo for number, photo in nodes.number if number == window.number)
    extrinsics = window.open().depth.prediction.extrinsics
    assert extrinsics is not None
    centres = camera_centres(extrinsics[window.views_of(own)].astype(np.float64))
    bent = []
    for photo, centre in zip(own, centres, strict=True):
        after = min(bisect_left(at, photo), len(at) - 1)
        before = after if at[after] <= photo else max(after - 1, 0)
        ends = to_whole[nodes.number[window.number, at[before]]], to_whole[nodes.number[window.number, at[after]]]
        share = 0.0 if before == after else (photo - at[before]) / (at[after] - at[before])
        bent.append(interpolate(*ends, share, centre))
    return bent
