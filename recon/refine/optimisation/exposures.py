"""A gain and an offset for each photo and channel, found together with the splats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.adam import Adam

_RATES = np.array([1e-2, 1e-2, 1e-2, 5e-4, 5e-4, 5e-4])
"""Of the logarithms of the gains, and of the offsets, of the three channels, at the beginning; a tenth at the end."""


class Exposures:
    """Of N photos: what colours of the splats are multiplied by, and what is added then, to be those of each photo."""

    def __init__(self, values: NDArray[np.float64], fitted: Sequence[int]) -> None:
        """From (N, 6) gains and offsets to begin with; those of the photos `fitted` to keep their means."""
        self.values = values.copy()
        """(N, 6) gains and offsets of the three channels."""
        self._adam = Adam(values.shape, _RATES)
        self._fitted = list(fitted)
        self._means = self._of_fitted()

    @property
    def gains(self) -> NDArray[np.float64]:
        """(N, 3)."""
        return self.values[:, :3]

    @property
    def offsets(self) -> NDArray[np.float64]:
        """(N, 3)."""
        return self.values[:, 3:]

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that changes, by name; to be changed in place."""
        return {"values": self.values, **{f"adam.{name}": array for name, array in self._adam.arrays.items()}}

    def step(self, view: int, of_gain: NDArray[np.float64], of_offset: NDArray[np.float64], progress: float) -> None:
        """Move those of one photo against the derivatives (3,) of the loss, `progress` (0 to 1) of the way."""
        gradient = np.concatenate([of_gain * self.values[view, :3], of_offset])
        change = 0.1**progress * self._adam.step(view, gradient)
        self.values[view, :3] *= np.exp(-change[:3])
        self.values[view, 3:] -= change[3:]
        away = self._of_fitted() - self._means
        self.values[self._fitted, :3] /= np.exp(away[:3])
        self.values[self._fitted, 3:] -= away[3:]

    def _of_fitted(self) -> NDArray[np.float64]:
        """(6,) means of the logarithms of the gains, and of the offsets."""
        of_fitted = self.values[self._fitted]
        return np.concatenate([np.log(of_fitted[:, :3]).mean(axis=0), of_fitted[:, 3:].mean(axis=0)])
