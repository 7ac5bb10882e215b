"""Points of a page as quantised arrays: 15 bytes each, before compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.packing import LEVEL, Bounds, Packed
from recon.export.page_content import PagePoints
from recon.types import FloatArray

_LEVELS = 256
_SORTED = 1_000_000
"""At most this many values of the confidence decide its levels."""


class PointPacking:
    """Bounds of the points' positions and levels of their confidence, so that they can be packed whole or in pieces.

    The arrays are `position`, `color`, and where they are known `view` and `confidence`: the rank of a point's
    confidence among all, from 0 to 255.
    """

    def __init__(self, points: PagePoints) -> None:
        self._points = points
        self.bounds = {
            "position": Bounds.of(points.positions, 24),
            "color": Bounds.of(np.zeros((0, 3)), 8, 0, 255),
        }
        self.levels: list[float] | None = None
        """(256,) the confidence that a point of each rank has at least."""
        self._levels: FloatArray = np.zeros(_LEVELS)
        if points.views is not None:
            self.bounds["view"] = Bounds.of(np.zeros((0, 1)), 16, 0, 65535)
        if points.confidence is not None and len(points):
            few = np.sort(points.confidence[:: -(-len(points) // _SORTED)]).astype(np.float64)
            self._levels = few[np.linspace(0, len(few) - 1, _LEVELS).astype(int)]
            self.levels = self._levels.round(6).tolist()
            self.bounds["confidence"] = Bounds.of(np.zeros((0, 1)), 8, 0, 255)

    def packed(self, name: str, rows: NDArray[np.integer[Any]] | slice = slice(None), level: int = LEVEL) -> Packed:
        """The array of that name, of some of the points."""
        return self.bounds[name].quantise(self._values(name, self._points[rows]), level)

    def all_packed(self, rows: NDArray[np.integer[Any]] | slice = slice(None)) -> dict[str, Packed]:
        """Every array, of some of the points."""
        return {name: self.packed(name, rows) for name in self.bounds}

    def _values(self, name: str, points: PagePoints) -> FloatArray | NDArray[np.integer[Any]]:
        if name == "position":
            return points.positions
        if name == "color":
            return points.colors
        if name == "view":
            assert points.views is not None
            return points.views[:, None]
        assert points.confidence is not None
        ranks = np.searchsorted(self._levels, points.confidence, side="right") - 1
        return ranks.clip(0)[:, None]
