"""Areas without texture take the plane that their borders lie on, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.stereo.bridging import bridge
from tests.seeds import numpy_random

SIZE = (60, 80)
ROWS, COLUMNS = np.indices(SIZE)
HOLE = (slice(12, 48), slice(14, 66))
TOLERANCE = 0.01


def slanted(w: float = 0.2, along_x: float = 0.001, along_y: float = -0.0008) -> NDArray[np.float32]:
    return (w + along_x * COLUMNS + along_y * ROWS).astype(np.float32)


def wall(noise: float = 2.0) -> NDArray[np.uint8]:
    """A wall of one colour, lit a little unevenly."""
    levels = 170 + 0.3 * COLUMNS[..., None] + noise * numpy_random(0).standard_normal((*SIZE, 3))
    return levels.clip(0, 255).astype(np.uint8)


def test_a_bare_wall_is_bridged_between_its_borders() -> None:
    truth = slanted()
    known = truth * (1 + 0.002 * numpy_random(1).standard_normal(SIZE).astype(np.float32))
    known[HOLE] = 0
    before = known.copy()
    planes = bridge(known, wall(), TOLERANCE)
    found = planes[0]
    np.testing.assert_array_equal(known, before)
    assert (found[before > 0] == 0).all()
    assert (found[HOLE] > 0).mean() > 0.97
    there = found > 0
    np.testing.assert_allclose(found[there], truth[there], rtol=0.002)
    np.testing.assert_allclose(planes[1:, there].T, np.broadcast_to((0.001, -0.0008), (there.sum(), 2)), atol=3e-5)


def test_what_looks_different_is_no_border_and_not_bridged() -> None:
    """A window in the wall: its rim is the wall's, but of another colour."""
    known, image = slanted(), wall()
    known[HOLE] = 0
    image[HOLE] = 60
    assert (bridge(known, image, TOLERANCE)[0] == 0).all()


def test_borders_on_no_common_plane_bridge_nothing() -> None:
    """A gap between things at four depths."""
    known = slanted()
    known[:30, :40] *= 1.1
    known[30:, :40] *= 1.25
    known[:30, 40:] *= 0.9
    known[HOLE] = 0
    assert (bridge(known, wall(), TOLERANCE)[0] == 0).all()


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_is_bridged_beyond_what_the_borders_span(turned: bool) -> None:
    """Depth on the left alone: the rest of the wall may go anywhere."""
    known, image = slanted(), wall()
    known[:, 20:] = 0
    if turned:
        known, image = np.ascontiguousarray(known[:, ::-1]), np.ascontiguousarray(image[:, ::-1])
    assert (bridge(known, image, TOLERANCE)[0] > 0).mean() < 0.01


def test_masked_pixels_are_not_bridged() -> None:
    known = slanted()
    known[HOLE] = 0
    wanted = np.ones(SIZE, bool)
    wanted[20:30, 30:50] = False
    found = bridge(known, wall(), TOLERANCE, wanted)[0]
    assert (found[20:30, 30:50] == 0).all()
    assert (found > 0).sum() > 0.9 * (36 * 52 - 200)


def test_nothing_known_bridges_nothing() -> None:
    assert (bridge(np.zeros(SIZE, np.float32), wall(), TOLERANCE) == 0).all()
