"""Worlds that overlap brought into one: least squares over similarities, or rigid motions, between them.

    placed = optimise_pose_graph(count, edges)
    placed.node_to_world[k].apply(points_of_node_k)

A node is a world with a unit and axes of its own, an edge what was measured between two of them. Edges that may be
wrong altogether, as a loop that was closed between two places that look alike, are told from the others by how badly
they agree, by graduated non-convexity (Yang et al., RA-L 2020, with the kernel of Geman and McClure).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.rotation_vectors import from_rotation_vectors, inverse_right_jacobian, rotation_vectors, skew
from recon.geometry.similarity import Similarity

_OUTLIER = 24.3
"""Squared error, in deviations, beyond which an uncertain edge is not believed: 99.9 % of chi² with 7 degrees of
freedom are below."""
_STEP_OF_MU = 1.4
"""By which the control of non-convexity falls from round to round."""
_STEPS_PER_ROUND = 3
_MOST_STEPS = 50
_SMALL_GAIN = 1e-9
"""Of the cost, relative, below which an optimisation is over."""
_FIRST_DAMPING = 1e-6


@dataclass(frozen=True)
class Edge:
    """What was measured between two nodes, and how well."""

    first: int
    second: int
    second_to_first: Similarity
    """From the world of the second node to that of the first."""
    rotation: float
    """Standard deviation in radians, about each axis."""
    translation: float
    """Standard deviation along each axis, in units of the first node's world."""
    log_scale: float
    """Standard deviation of the logarithm of the scale."""
    certain: bool = True
    """Whether it holds in any case; else it may be wrong altogether."""


@dataclass(frozen=True)
class PlacedNodes:
    """What `optimise_pose_graph` ends in."""

    node_to_world: tuple[Similarity, ...]
    """Of each node. The first node of each group that edges connect stays where it began."""
    groups: NDArray[np.intp]
    """(N,) number of the group of nodes that edges connect; what is between groups is not known."""
    believed: NDArray[np.float64]
    """(E,) from 0 to 1, how far each edge was believed; 1 for certain ones."""
    errors: NDArray[np.float64]
    """(E,) how far each edge is from what was measured in the end, in deviations (root mean square of its numbers)."""


def optimise_pose_graph(
    count: int,
    edges: Sequence[Edge],
    start: Sequence[Similarity] | None = None,
    *,
    free_scale: bool = True,
) -> PlacedNodes:
    """Place `count` nodes so that their edges agree best (Levenberg and Marquardt, sparse normal equations).

    Args:
        count: number of nodes, N.
        edges: between them, in any order; certain ones count by their squares.
        start: where nodes begin, (N,); None: along the edges from the first node of each group, certain ones first.
        free_scale: similarities; otherwise scales stay as they begin, and those that are measured do not count.
    """
    begun = _along_edges(count, edges) if start is None else list(start)
    groups = _groups(count, edges)
    if not edges:
        return PlacedNodes(tuple(begun), groups, np.zeros(0), np.zeros(0))
    graph = _Graph.of(begun, edges, groups, free_scale)
    certain = np.array([edge.certain for edge in edges])
    weights = np.ones(len(edges))
    if not certain.all():
        graph, weights = _graduated(graph, certain)
    graph = graph.optimised(weights, _MOST_STEPS)
    squares = graph.squares()
    placed = tuple(Similarity(float(np.exp(s)), r, t) for s, r, t in zip(*graph.nodes, strict=True))
    return PlacedNodes(placed, groups, weights, np.sqrt(squares / graph.numbers))


def interpolate(
    first: Similarity, second: Similarity, share: float, at: NDArray[np.float64] | None = None
) -> Similarity:
    """The similarity `share` of the way from `first` to `second`: at an even turn and an even change of the scale's
    logarithm, and moving the point `at` (3,), by default the origin, along a straight line."""
    place = np.zeros(3) if at is None else at
    turn = rotation_vectors((first.rotation.T @ second.rotation)[None])
    scale = float(np.exp((1 - share) * np.log(first.scale) + share * np.log(second.scale)))
    rotation = first.rotation @ from_rotation_vectors(share * turn)[0]
    moved = (1 - share) * first.apply(place) + share * second.apply(place)
    return Similarity(scale, rotation, moved - scale * (rotation @ place))


def _groups(count: int, edges: Sequence[Edge]) -> NDArray[np.intp]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array([(edge.first, edge.second) for edge in edges], np.intp).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.intp)


def _along_edges(count: int, edges: Sequence[Edge]) -> list[Similarity]:
    """Nodes placed along edges from the first node of each group, breadth first, over uncertain edges last."""
    neighbours: list[list[tuple[int, Similarity]]] = [[] for _ in range(count)]
    uncertain = []
    for edge in edges:
        if edge.certain:
            neighbours[edge.first].append((edge.second, edge.second_to_first))
            neighbours[edge.second].append((edge.first, edge.second_to_first.inverse()))
        else:
            uncertain.append(edge)
    placed: dict[int, Similarity] = {}

    def spread(from_node: int) -> None:
        waiting = [from_node]
        for node in waiting:
            for other, to_node in neighbours[node]:
                if other not in placed:
                    placed[other] = placed[node].compose(to_node)
                    waiting.append(other)

    for node in range(count):
        if node in placed:
            continue
        joined = True
        while joined:
            joined = False
            for edge in uncertain if placed else ():
                for known, new, to_known in (
                    (edge.first, edge.second, edge.second_to_first),
                    (edge.second, edge.first, edge.second_to_first.inverse()),
                ):
                    if known in placed and new not in placed:
                        placed[new] = placed[known].compose(to_known)
                        spread(new)
                        joined = True
        if node not in placed:
            placed[node] = Similarity(1.0, np.eye(3), np.zeros(3))
            spread(node)
    return [placed[node] for node in range(count)]


def _graduated(graph: _Graph, certain: NDArray[np.bool_]) -> tuple[_Graph, NDArray[np.float64]]:
    """The graph optimised with ever less patience with uncertain edges, and how far (E,) each was believed at last.

    The cost begins almost convex and ends as the kernel of Geman and McClure (Yang et al. 2020, eqs. 12 and 14).
    """
    squares = graph.squares()
    mu = max(1.0, 2 * float(squares[~certain].max()) / _OUTLIER)
    while True:
        weights = np.where(certain, 1.0, (mu * _OUTLIER / (squares + mu * _OUTLIER)) ** 2)
        graph = graph.optimised(weights, _STEPS_PER_ROUND if mu > 1 else _MOST_STEPS)
        squares = graph.squares()
        if mu <= 1:
            return graph, np.where(certain, 1.0, (_OUTLIER / (squares + _OUTLIER)) ** 2)
        mu = max(1.0, mu / _STEP_OF_MU)


@dataclass(frozen=True)
class _Graph:
    """Nodes and edges as arrays: N nodes, E edges, D = 7 numbers of each, 6 without scale."""

    nodes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    """(N,) logarithms of scales, (N, 3, 3) rotations, (N, 3) translations, node to world."""
    ends: NDArray[np.intp]
    """(E, 2)."""
    measured: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    """The same of the edges, second to first."""
    deviations: NDArray[np.float64]
    """(E, D) of rotation, translation and scale."""
    free: NDArray[np.intp]
    """Nodes that move."""

    @staticmethod
    def of(nodes: Sequence[Similarity], edges: Sequence[Edge], groups: NDArray[np.intp], free_scale: bool) -> _Graph:
        held = np.unique(groups, return_index=True)[1]
        numbers = 7 if free_scale else 6
        return _Graph(
            _arrays(nodes),
            np.array([(edge.first, edge.second) for edge in edges], np.intp),
            _arrays([edge.second_to_first for edge in edges]),
            np.array([(*[e.rotation] * 3, *[e.translation] * 3, e.log_scale)[:numbers] for e in edges]),
            np.setdiff1d(np.arange(len(nodes)), held),
        )

    @property
    def numbers(self) -> int:
        """D."""
        return self.deviations.shape[1]

    def residuals(self) -> NDArray[np.float64]:
        """(E, D) what is left of each edge, in deviations: turn, translation in the first's world, change of scale."""
        (scales, rotations, places), (i, j) = self.nodes, self.ends.T
        log_z, r_z, t_z = self.measured
        to_first = rotations[i].swapaxes(1, 2)  # (E, 3, 3)
        turn = rotation_vectors(r_z.swapaxes(1, 2) @ to_first @ rotations[j])
        between = (to_first @ (places[j] - places[i])[..., None])[..., 0] / np.exp(scales[i])[:, None]
        grown = scales[j] - scales[i] - log_z
        left = np.concatenate([turn, between - t_z, grown[:, None]], axis=1)[:, : self.numbers]
        return np.asarray(left / self.deviations)

    def squares(self) -> NDArray[np.float64]:
        """(E,)."""
        return np.asarray((self.residuals() ** 2).sum(axis=1))

    def optimised(self, weights: NDArray[np.float64], most_steps: int) -> _Graph:
        """With edges that count by `weights` (E,), after so many steps or once nothing is gained."""
        graph, damping = self, _FIRST_DAMPING
        if not len(self.free):
            return self
        cost = float(weights @ graph.squares())
        for _ in range(most_steps):
            hessian, gradient = graph._normal_equations(weights)
            while True:
                moved = graph._moved(_solve(hessian, gradient, damping))
                new_cost = float(weights @ moved.squares())
                if new_cost <= cost or damping > 1e6:
                    break
                damping *= 10
            if not new_cost <= cost:  # NaN too
                break
            gained, graph, damping = cost - new_cost, moved, max(damping / 10, 1e-12)
            cost = new_cost
            if gained <= _SMALL_GAIN * (cost + 1e-12):
                break
        return graph

    def _normal_equations(self, weights: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
        """Of a step of the free nodes: turn and place in the node's own world, change of the scale's logarithm."""
        from scipy.sparse import coo_array

        jacobians = self._jacobians() * np.sqrt(weights)[:, None, None, None]  # (E, 2, D, D)
        left = self.residuals() * np.sqrt(weights)[:, None]
        size = self.numbers
        column_of = np.full(len(self.nodes[0]), -1)
        column_of[self.free] = np.arange(len(self.free))
        moves = column_of[self.ends] >= 0  # (E, 2)
        edge, end = np.nonzero(moves)
        rows = (edge[:, None] * size + np.arange(size))[:, :, None]  # (M, D, 1)
        columns = (column_of[self.ends[edge, end]][:, None] * size + np.arange(size))[:, None, :]  # (M, 1, D)
        shape = len(self.ends) * size, len(self.free) * size
        filled = np.broadcast_shapes(rows.shape, columns.shape)
        indices = np.broadcast_to(rows, filled).ravel(), np.broadcast_to(columns, filled).ravel()
        jacobian = coo_array((jacobians[edge, end].ravel(), indices), shape=shape).tocsc()
        return (jacobian.T @ jacobian).tocsc(), np.asarray(jacobian.T @ left.ravel())

    def _jacobians(self) -> NDArray[np.float64]:
        """(E, 2, D, D) of the residuals by the steps of the first and the second node."""
        (scales, rotations, places), (i, j) = self.nodes, self.ends.T
        r_z = self.measured[1]
        to_first = rotations[i].swapaxes(1, 2)
        turned = to_first @ rotations[j]  # (E, 3, 3) second to first
        between = (to_first @ (places[j] - places[i])[..., None])[..., 0] / np.exp(scales[i])[:, None]
        turn = inverse_right_jacobian(rotation_vectors(r_z.swapaxes(1, 2) @ turned))
        all_of = np.zeros((len(i), 2, 7, 7))
        all_of[:, 0, :3, :3] = -turn @ turned.swapaxes(1, 2)
        all_of[:, 1, :3, :3] = turn
        all_of[:, 0, 3:6, :3] = skew(between)
        all_of[:, 0, 3:6, 3:6] = -np.eye(3)
        all_of[:, 0, 3:6, 6] = -between
        all_of[:, 1, 3:6, 3:6] = np.exp(scales[j] - scales[i])[:, None, None] * turned
        all_of[:, 0, 6, 6], all_of[:, 1, 6, 6] = -1, 1
        chosen = all_of[:, :, : self.numbers, : self.numbers]
        return np.asarray(chosen / self.deviations[:, None, :, None])

    def _moved(self, step: NDArray[np.float64]) -> _Graph:
        scales, rotations, places = (part.copy() for part in self.nodes)
        by_node = step.reshape(-1, self.numbers)
        grown = np.exp(scales[self.free])[:, None]
        places[self.free] += (rotations[self.free] @ (grown * by_node[:, 3:6])[..., None])[..., 0]
        rotations[self.free] = rotations[self.free] @ from_rotation_vectors(by_node[:, :3])
        if self.numbers == 7:
            scales[self.free] += by_node[:, 6]
        return _Graph((scales, rotations, places), self.ends, self.measured, self.deviations, self.free)


def _solve(hessian: Any, gradient: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import spsolve

    diagonal = hessian.diagonal()
    damped = hessian + diags_array(damping * np.maximum(diagonal, 1e-12))
    return np.asarray(spsolve(damped.tocsc(), -gradient))


def _arrays(
    similarities: Sequence[Similarity],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of scales, rotations, translations."""
    return (
        np.log([one.scale for one in similarities]),
        np.stack([one.rotation for one in similarities]),
        np.stack([one.translation for one in similarities]),
    )
