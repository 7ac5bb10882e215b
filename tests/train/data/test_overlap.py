"""Views that go together: what they see of each other's surfaces, and chains of views that do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.train.data.overlap import Overlaps
from recon.train.data.read_cache import ReadCache
from recon.train.data.scene import Labels, Scene
from tests.eval.layout_folders import cameras
from tests.seeds import numpy_random
from tests.train.data.wall_scene import wall_scene


def row_of_cameras(count: int, step: float) -> np.ndarray:
    """(N, 4, 4) looking straight at the wall, one beside the other."""
    matrices = np.tile(np.eye(4), (count, 1, 1))
    matrices[:, 0, 3] = -step * np.arange(count)
    return matrices


def overlaps(scene: Scene) -> Overlaps:
    return Overlaps(scene, ReadCache(1 << 20))


def test_a_view_sees_all_of_itself_and_overlap_is_mutual() -> None:
    found = overlaps(wall_scene())
    for first in range(4):
        assert found.between(first, first) == 1.0
        for second in range(first):
            assert 0 < found.between(first, second) == found.between(second, first) <= 1


def test_overlap_of_shifted_views_is_the_share_that_both_show() -> None:
    """Views of a wall in front of them, about 6 away and 6.9 wide: moved by a part of that, the rest is in both."""
    scene = wall_scene(extrinsics=row_of_cameras(4, 1.4))
    found = overlaps(scene)
    shares = [found.between(1, view) for view in (1, 0, 2, 3)]
    assert shares[0] == 1
    # The wall leans: where views lie to the left of it, it is farther and more of it is seen.
    np.testing.assert_allclose(shares[1:], [1 - 1.4 / 7.1, 1 - 1.4 / 6.7, 1 - 2.8 / 6.5], atol=0.06)


def test_what_is_hidden_is_not_seen() -> None:
    """Two views from one place, one of which has its lens covered by something near."""
    scene = wall_scene(2, extrinsics=np.tile(np.eye(4), (2, 1, 1)))
    labels = scene.read_labels
    assert labels is not None

    def with_a_board(view: int, size: tuple[int, int], to_photo: np.ndarray) -> Labels:
        known = labels(view, size, to_photo)
        depth = known.depth.copy()
        if view == 1:
            depth[:, : size[1] // 2] = 2.0
        return replace(known, depth=depth)

    found = overlaps(replace(scene, read_labels=with_a_board))
    assert found.between(0, 1) == pytest.approx(0.5, abs=0.03)


def test_chosen_views_hang_together() -> None:
    scene = wall_scene(30, extrinsics=row_of_cameras(30, 0.3))
    found = overlaps(scene)
    for case in range(12):
        random = numpy_random(case)
        first, count = int(random.integers(30)), int(random.integers(2, 19))
        chosen = found.choose(first, count, 0.3, random)
        assert chosen[0] == first
        assert len(set(chosen)) == count == len(chosen)
        for place, view in enumerate(chosen[1:], start=1):
            assert max(found.between(view, before) for before in chosen[:place]) >= 0.3
    assert found.choose(5, 8, 0.3, numpy_random(1)) == found.choose(5, 8, 0.3, numpy_random(1))
    assert found.choose(5, 8, 0.3, numpy_random(1)) != found.choose(5, 8, 0.3, numpy_random(2))


def test_views_that_see_different_things_are_refused() -> None:
    away = cameras(3)
    away[2] = np.diag([-1.0, 1, -1, 1]) @ away[2]  # looks the other way
    found = overlaps(wall_scene(3, extrinsics=away))
    assert found.choose(0, 2, 0.1, numpy_random(0)) == [0, 1]
    with pytest.raises(InputError, match=r"wall: 0\.png: only 2 views overlap by 0\.1 .* sample has 3"):
        found.choose(0, 3, 0.1, numpy_random(0))
