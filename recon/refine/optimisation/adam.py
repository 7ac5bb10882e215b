"""Adam (Kingma and Ba, 2015) for rows of numbers that are not all looked at in every step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Adam:
    """Moments of each row, and how often it has been looked at."""

    def __init__(
        self, shape: tuple[int, int], rates: NDArray[np.float64], beta_1: float = 0.9, beta_2: float = 0.99
    ) -> None:
        """Of `shape` (rows, numbers), with learning rates (numbers,)."""
        self._rates, self._beta_1, self._beta_2 = rates, beta_1, beta_2
        self._means, self._squares = np.zeros(shape), np.zeros(shape)
        self._steps = np.zeros(shape[0], np.int64)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that changes, by name; to be changed in place."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    def step(self, row: int, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """What to subtract from the numbers of `row`, given their derivatives (numbers,)."""
        self._steps[row] += 1
        self._means[row] += (1 - self._beta_1) * (gradient - self._means[row])
        self._squares[row] += (1 - self._beta_2) * (gradient * gradient - self._squares[row])
        mean = self._means[row] / (1 - self._beta_1 ** self._steps[row])
        square = self._squares[row] / (1 - self._beta_2 ** self._steps[row])
        moved: NDArray[np.float64] = self._rates * mean / (np.sqrt(square) + 1e-15)
        return moved
