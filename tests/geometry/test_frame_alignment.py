from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.frame_alignment import SeenPoints, align_frames
from recon.geometry.rotation_vectors import from_rotation_vectors, rotation_vectors
from recon.geometry.similarity import Similarity
from tests.seeds import numpy_random

LENS = np.array([[300.0, 0, 250], [0, 305, 190], [0, 0, 1]])


def pair(
    random: np.random.Generator, count: int, scale: float = 2.5, pixel_noise: float = 0.0, depth_noise: float = 0.0
) -> tuple[SeenPoints, SeenPoints, Similarity]:
    """What two cameras see of the same points, and how the second's world lies in that of the first."""
    turn = from_rotation_vectors(random.normal(0, 0.15, (1, 3)))[0]
    truth = Similarity(scale, turn, random.normal(0, 0.5, 3))
    pixels = random.uniform((20, 20), (480, 360), (count, 2))
    first = SeenPoints(pixels, random.uniform(3, 9, count), LENS)
    points = truth.inverse().apply(first.points)
    image = points @ LENS.T
    second = SeenPoints(image[:, :2] / image[:, 2:], points[:, 2], LENS)
    noisy = [
        SeenPoints(
            one.pixels + random.normal(0, pixel_noise, (count, 2)),
            one.depth * np.exp(random.normal(0, depth_noise, count)),
            LENS,
        )
        for one in (first, second)
    ]
    return noisy[0], noisy[1], truth


def errors(found: Similarity, truth: Similarity) -> tuple[float, float, float]:
    turn = float(np.linalg.norm(rotation_vectors((found.rotation.T @ truth.rotation)[None])))
    return turn, float(np.linalg.norm(found.translation - truth.translation)), abs(np.log(found.scale / truth.scale))


def test_exact_points_give_the_exact_similarity() -> None:
    first, second, truth = pair(numpy_random(1), 60)
    found = align_frames(first, second, 20)
    assert max(errors(found.second_to_first, truth)) < 1e-6
    assert found.agreeing.all()


def test_wrong_matches_are_left_out() -> None:
    random = numpy_random(2)
    first, second, truth = pair(random, 90, pixel_noise=0.4, depth_noise=0.01)
    wrong = np.arange(90) % 3 == 0
    spoilt = np.where(wrong[:, None], random.uniform((20, 20), (480, 360), (90, 2)), second.pixels)
    found = align_frames(first, SeenPoints(spoilt, second.depth, LENS), 20)
    assert not found.agreeing[wrong].sum() > 2
    assert found.agreeing[~wrong].mean() > 0.9
    assert max(errors(found.second_to_first, truth)) < 0.05


def test_deviations_say_how_far_off_it_is() -> None:
    off = []
    for seed in range(12):
        first, second, truth = pair(numpy_random(3, seed), 80, pixel_noise=0.7, depth_noise=0.02)
        found = align_frames(first, second, 20)
        off.append(np.array(errors(found.second_to_first, truth)) / found.deviations)
    typical = np.sqrt((np.array(off) ** 2).mean(axis=0))
    assert (typical < 3).all()
    assert (typical > 0.2).all()


@pytest.mark.parametrize("count", [0, 3, 19])
def test_too_few_points_say_nothing(count: int) -> None:
    first, second, _ = pair(numpy_random(4), count)
    assert align_frames(first, second, 20) is None


def test_points_that_have_nothing_in_common_say_nothing() -> None:
    first, _, _ = pair(numpy_random(5), 60)
    _, second, _ = pair(numpy_random(6), 60)
    assert align_frames(first, second, 20) is None
