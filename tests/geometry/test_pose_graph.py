from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from recon.geometry.pose_graph import Edge, interpolate, optimise_pose_graph
from recon.geometry.rotation_vectors import (
    from_rotation_vectors,
    inverse_right_jacobian,
    rotation_vectors,
    skew,
)
from recon.geometry.similarity import Similarity
from tests.seeds import numpy_random


def random_similarity(random: np.random.Generator, turn: float = 3.0, scale: float = 0.5) -> Similarity:
    vector = random.uniform(-1, 1, (1, 3))
    vector *= random.uniform(0, turn) / np.linalg.norm(vector)
    return Similarity(float(np.exp(random.normal(0, scale))), from_rotation_vectors(vector)[0], random.normal(0, 2, 3))


def noise(random: np.random.Generator, size: float) -> Similarity:
    return Similarity(
        float(np.exp(random.normal(0, size))),
        from_rotation_vectors(random.normal(0, size, (1, 3)))[0],
        random.normal(0, size, 3),
    )


def measured(nodes: list[Similarity], i: int, j: int, off: Similarity | None = None, certain: bool = True) -> Edge:
    between = nodes[i].inverse().compose(nodes[j])
    between = between if off is None else between.compose(off)
    return Edge(i, j, between, 0.02, 0.02, 0.02, certain)


def ring(count: int, random: np.random.Generator) -> list[Similarity]:
    """Worlds along a circle, each with a unit and axes of its own; the first is the world."""
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    nodes = [
        Similarity(s, from_rotation_vectors(np.array([[0, 0, a]]))[0], 5 * np.array([np.cos(a), np.sin(a), 0]))
        for s, a in zip(np.exp(random.normal(0, 0.3, count)), turns, strict=True)
    ]
    back = nodes[0].inverse()
    return [back.compose(node) for node in nodes]


def distance(one: Similarity, other: Similarity) -> float:
    left = one.inverse().compose(other)
    turn = np.linalg.norm(rotation_vectors(left.rotation[None]))
    return float(max(abs(np.log(left.scale)), turn, np.abs(left.translation).max()))


def rms(placed, nodes: list[Similarity]) -> float:
    squares = [(one.translation - node.translation) ** 2 for one, node in zip(placed.node_to_world, nodes, strict=True)]
    return float(np.sqrt(np.sum(squares, axis=1).mean()))


def cost(placed: list[Similarity], edges: list[Edge]) -> float:
    """What is optimised, edge by edge."""
    total = 0.0
    for edge in edges:
        between = placed[edge.first].inverse().compose(placed[edge.second])
        turn = rotation_vectors((edge.second_to_first.rotation.T @ between.rotation)[None])[0]
        total += float(turn @ turn) / edge.rotation**2
        total += float(((between.translation - edge.second_to_first.translation) ** 2).sum()) / edge.translation**2
        total += float(np.log(between.scale / edge.second_to_first.scale) ** 2) / edge.log_scale**2
    return total


def test_rotation_vectors_are_undone_and_step_as_their_jacobian_says() -> None:
    random = numpy_random(1)
    vectors = random.uniform(-1.7, 1.7, (20, 3))
    vectors[0], vectors[1] = 0, 1e-6
    rotations = from_rotation_vectors(vectors)
    np.testing.assert_allclose(rotation_vectors(rotations), vectors, atol=1e-12)
    steps = random.normal(0, 1e-6, (20, 3))
    expected = (rotation_vectors(rotations @ from_rotation_vectors(steps)) - vectors) / 1e-6
    predicted = (inverse_right_jacobian(vectors) @ steps[..., None])[..., 0] / 1e-6
    np.testing.assert_allclose(predicted, expected, atol=1e-4)
    np.testing.assert_allclose((skew(vectors) @ steps[..., None])[..., 0], np.cross(vectors, steps), atol=1e-15)


@pytest.mark.parametrize("free_scale", [True, False])
def test_exact_graphs_are_recovered_from_a_wrong_start(free_scale: bool) -> None:
    random = numpy_random(2)
    nodes = [replace(node, scale=node.scale if free_scale else 1.0) for node in ring(12, random)]
    nodes[0] = Similarity(1.0, np.eye(3), np.zeros(3))
    edges = [measured(nodes, i, j) for i in range(12) for j in range(i + 1, 12) if random.random() < 0.4 or j == i + 1]
    start = [nodes[0]] + [
        node.compose(replace(noise(random, 0.2), **({} if free_scale else {"scale": 1.0}))) for node in nodes[1:]
    ]
    placed = optimise_pose_graph(12, edges, start, free_scale=free_scale)
    for one, node in zip(placed.node_to_world, nodes, strict=True):
        assert distance(one, node) < 1e-6
    assert placed.errors.max() < 1e-4


def test_nodes_are_found_without_a_start_and_the_first_of_each_group_stays() -> None:
    random = numpy_random(3)
    nodes = [random_similarity(random) for _ in range(9)]
    edges = [measured(nodes, *pair) for pair in ((0, 3), (3, 1), (6, 5), (1, 2), (4, 6))]
    placed = optimise_pose_graph(9, edges)
    groups = placed.groups.tolist()
    assert [groups[k] == groups[0] for k in range(9)] == [k < 4 for k in range(9)]
    assert groups[4] == groups[5] == groups[6]
    assert len({groups[0], groups[4], groups[7], groups[8]}) == 4
    for group in ((0, 1, 2, 3), (4, 5, 6)):
        root = placed.node_to_world[group[0]]
        assert distance(root, Similarity(1.0, np.eye(3), np.zeros(3))) == 0
        for node in group:
            expected = nodes[group[0]].inverse().compose(nodes[node])
            assert distance(placed.node_to_world[node], expected) < 1e-9


def test_where_nodes_are_held_does_not_change_the_shape() -> None:
    random = numpy_random(4)
    nodes = ring(8, random)
    edges = [measured(nodes, i, (i + 1) % 8, noise(random, 0.02)) for i in range(8)]
    world = random_similarity(random)
    first = optimise_pose_graph(8, edges, nodes)
    other = optimise_pose_graph(8, edges, [world.compose(node) for node in nodes])
    for one, moved in zip(first.node_to_world, other.node_to_world, strict=True):
        assert distance(world.compose(one), moved) < 1e-6


def test_a_closed_loop_takes_noise_away_and_is_the_least_squares_solution() -> None:
    random = numpy_random(5)
    better = []
    for _ in range(3):
        nodes = ring(40, random)
        chain = [measured(nodes, i, i + 1, noise(random, 0.02)) for i in range(39)]
        loops = [measured(nodes, i, 39 - i, noise(random, 0.002), certain=False) for i in range(4)]
        loops = [replace(edge, rotation=0.002, translation=0.002, log_scale=0.002) for edge in loops]
        open_ends, closed = optimise_pose_graph(40, chain), optimise_pose_graph(40, [*chain, *loops])
        assert closed.believed.min() > 0.5
        better.append(rms(open_ends, nodes) / rms(closed, nodes))
    assert np.median(better) > 2
    certain = [*chain, *(replace(loop, certain=True) for loop in loops)]
    found = list(optimise_pose_graph(40, certain).node_to_world)
    least = cost(found, certain)
    for _ in range(20):  # no small step makes it better
        tried = list(found)
        which = int(random.integers(1, 40))
        tried[which] = tried[which].compose(noise(random, 1e-4))
        assert cost(tried, certain) > least


def test_false_loops_are_not_believed_and_true_ones_are() -> None:
    random = numpy_random(6)
    nodes = ring(40, random)
    chain = [measured(nodes, i, i + 1, noise(random, 0.01)) for i in range(39)]
    true = [measured(nodes, i, 39 - i, noise(random, 0.005), certain=False) for i in range(4)]
    false = [
        replace(measured(nodes, i, j, certain=False), second_to_first=random_similarity(random, 0.3, 0.1))
        for i, j in ((3, 20), (11, 30), (8, 25))
    ]
    clean = optimise_pose_graph(40, [*chain, *true])
    spoilt = optimise_pose_graph(40, [*chain, *false, *true])
    assert spoilt.believed[39:42].max() < 0.05
    assert spoilt.believed[42:].min() > 0.5
    assert spoilt.believed[:39].min() == 1
    assert rms(spoilt, nodes) < 1.1 * rms(clean, nodes) + 0.01


def test_a_hundred_windows_take_little_time() -> None:
    random = numpy_random(7)
    nodes = ring(400, random)
    edges = [measured(nodes, i, i + 1, noise(random, 0.005)) for i in range(399)]
    edges += [measured(nodes, i, 399 - i, noise(random, 0.005), certain=False) for i in range(0, 40, 4)]
    began = time.process_time()
    placed = optimise_pose_graph(400, edges)
    assert time.process_time() - began < 5
    assert placed.believed.min() > 0.5


def test_interpolation_meets_its_ends_and_goes_evenly() -> None:
    random = numpy_random(8)
    first, second = random_similarity(random, 1.0), random_similarity(random, 1.0)
    assert distance(interpolate(first, second, 0.0), first) < 1e-9
    assert distance(interpolate(first, second, 1.0), second) < 1e-9
    middle = interpolate(first, second, 0.5)
    assert distance(interpolate(first, middle, 0.5), interpolate(first, second, 0.25)) < 1e-9
    assert abs(middle.scale - np.sqrt(first.scale * second.scale)) < 1e-12
    place = random.normal(0, 3, 3)
    moved = interpolate(first, second, 0.3, place).apply(place)
    np.testing.assert_allclose(moved, 0.7 * first.apply(place) + 0.3 * second.apply(place), atol=1e-12)
