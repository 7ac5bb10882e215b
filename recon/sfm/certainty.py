"""How sure each camera of a model is: what the scatter of its observations leaves open.

A lens that the model does not describe, or points that move, come on top of that: of surveyed photos, errors are one to
four times as large.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.sfm.bundle import LAST_LOSS_SCALE, enough_points, with_points
from recon.sfm.lens_models import free_parameters
from recon.sfm.linearised import POSE, Linearised

if TYPE_CHECKING:
    import pycolmap

_ALL_POINTS_UP_TO = 100
"""Photos: of larger sets some points of each photo are enough."""
_POINTS = 400
_MOST_PHOTOS = 500
"""Of more, the system of all cameras together takes too long to invert."""
_WEAK_DEGREES, _WEAK_SHARE = 0.1, 0.01
"""Turn, and distance in units of the mean distance of the cameras from their middle, from which on a camera is weak."""


@dataclass(frozen=True)
class Certainty:
    """Standard deviations of M cameras against the others: the whole may be moved, turned and scaled freely."""

    degrees: NDArray[np.float64]
    """(M,) of the turn, all axes together; NaN where it cannot be told."""
    distances: NDArray[np.float64]
    """(M,) of the centre, all axes together, in the unit of the cameras; likewise."""
    points: NDArray[np.int64]
    """(M,) that hold the camera."""
    spread: float
    """Mean distance of the camera centres from their middle."""

    @property
    def weak(self) -> NDArray[np.intp]:
        """Indices of the cameras that are not to be relied on."""
        sure = (self.degrees < _WEAK_DEGREES) & (self.distances < _WEAK_SHARE * self.spread)
        return np.flatnonzero(~sure)

    def scaled(self, factor: float) -> Certainty:
        """In another unit, `factor` of which are one of this."""
        return replace(self, distances=self.distances * factor, spread=self.spread * factor)

    def rows(self, rows: Sequence[int | None]) -> Certainty:
        """Of some of the cameras; unknown where there is None."""
        unknown = np.array([row is None for row in rows])
        chosen = np.array([row or 0 for row in rows], np.intp)

        def of(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(unknown, np.nan, values[chosen])

        points = np.where(unknown, 0, self.points[chosen])
        return replace(self, degrees=of(self.degrees), distances=of(self.distances), points=points)


def certainty_of(
    model: pycolmap.Reconstruction, centres: Collection[int], known: Collection[int] = ()
) -> Certainty | None:
    """Of an adjusted model; None for more photos than can be told.

    Args:
        model: of at least two photos.
        centres: ids of cameras whose principal points are estimated.
        known: ids of cameras whose lenses are known.
    """
    count = model.num_reg_images()
    if count > _MOST_PHOTOS:
        return None
    part = model if count <= _ALL_POINTS_UP_TO else with_points(model, enough_points(model, _POINTS))
    linearised = Linearised.of(part, LAST_LOSS_SCALE, free_parameters(part, centres, known))
    try:
        variances = np.diag(linearised.covariance())[: POSE * count].reshape(count, POSE).copy()
    except np.linalg.LinAlgError:
        variances = np.full((count, POSE), np.nan)
    variances[(variances < 0).any(axis=1)] = np.nan
    turns, steps = np.sqrt(variances[:, :3].sum(axis=1)), np.sqrt(variances[:, 3:].sum(axis=1))
    points = np.bincount(linearised.image, minlength=count)
    return Certainty(np.degrees(turns), steps * linearised.spread, points.astype(np.int64), linearised.spread)
