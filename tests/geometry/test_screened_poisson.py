from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from recon.geometry.screened_poisson import solve
from tests.seeds import numpy_random


def problem(height: int, width: int, measured: float, seed: int = 0):
    generator = numpy_random(seed)
    data = np.where(generator.random((height, width)) < measured, 4, 1e-4)
    target = generator.normal(0, 0.1, (height, width))
    right, down = (generator.choice([1, 1, 1, 0.01], (height, width)) for _ in range(2))
    step_right, step_down = (generator.normal(0, 0.05, (height, width)) for _ in range(2))
    return [array.astype(np.float32) for array in (data, target, right, down, step_right, step_down)]


def solved_directly(data, target, right, down, step_right, step_down) -> np.ndarray:
    """The same energy, its normal equations written down pair by pair."""
    height, width = data.shape
    pixels = np.arange(height * width).reshape(height, width)
    across = (right[:, :-1], step_right[:, :-1], pixels[:, :-1], pixels[:, 1:])
    below = (down[:-1], step_down[:-1], pixels[:-1], pixels[1:])
    rows, columns, values = [pixels.ravel()], [pixels.ravel()], [data.ravel().astype(float)]
    side = (data * target).ravel().astype(float)
    for weight, step, one, other in (across, below):
        weight, step, one, other = (array.ravel() for array in (weight, step, one, other))
        for row, column, sign in ((one, one, 1), (other, other, 1), (one, other, -1), (other, one, -1)):
            rows.append(row)
            columns.append(column)
            values.append(sign * weight.astype(float))
        np.add.at(side, one, weight * step)
        np.add.at(side, other, -weight * step)
    matrix = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsr()
    return spsolve(matrix, side).reshape(height, width)


@pytest.mark.parametrize("shape", [(37, 53), (40, 24), (5, 80), (3, 3), (1, 9)])
@pytest.mark.parametrize("measured", [0.8, 0.05])
def test_it_is_the_minimum(shape: tuple[int, int], measured: float) -> None:
    given = problem(*shape, measured)
    given[0][0, 0] = 4
    found = solve(*given, start=np.zeros(shape, np.float32), tolerance=1e-6)
    np.testing.assert_allclose(found, solved_directly(*given), atol=1e-4)


def test_the_start_does_not_matter() -> None:
    given = problem(60, 90, 0.1)
    zero = solve(*given, start=np.zeros((60, 90), np.float32), tolerance=1e-6)
    start = numpy_random(1).normal(0, 1, (60, 90)).astype(np.float32)
    before = start.copy()
    found = solve(*given, start=start, tolerance=1e-6)
    assert np.abs(found - zero).mean() < 1e-5
    np.testing.assert_allclose(found, zero, atol=2e-3)  # pixels that hardly anything holds weigh little in the energy
    np.testing.assert_array_equal(start, before)


def test_pixels_that_nothing_holds_stay_numbers() -> None:
    data, target, right, down, step_right, step_down = problem(20, 30, 0.5)
    data[5:9, 5:9] = right[5:9, 4:9] = down[4:9, 5:9] = 0
    target[6, 6] = np.nan
    found = solve(data, target, right, down, step_right, step_down, np.zeros((20, 30), np.float32))
    assert np.isfinite(found).all()
