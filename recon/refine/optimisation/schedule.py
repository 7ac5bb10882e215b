"""How fast everything moves while splats are fitted to photos, and how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.choices import SplatOptimisation
from recon.splats.cpu_projection_gradients import HARMONICS, MEAN, OPACITY, ROTATION, SCALE

ITERATIONS_PER_PHOTO = 65
"""Looks at each photo, where the photos held out do not say to stop before."""
_LOOKS_BETWEEN_SCORES = 10
"""At each photo, before those held out are asked again."""
PATIENCE = 2
"""Times in a row that the photos held out may get no better before it ends."""
_MEAN_RATES = 1.6e-4, 1.6e-5
"""Learning rate of positions at the beginning and at the end, as fractions of the cameras' extent."""
_SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE = 5e-3, 1e-3, 0.05
_COLOR_RATE, _HARMONICS_RATE = 2.5e-3, 6e-4
_DEPTH_WEIGHT = 0.1
"""Of relative depth errors beside the loss of colours, at the beginning; nothing at the end."""


@dataclass(frozen=True)
class Schedule:
    """What depends on how far the work is, as `progress` from 0 to 1."""

    iterations: int
    """At most."""
    seconds: float | None
    """At most; None for no limit."""
    extent: float
    """How far apart the cameras are, in the unit of the splats."""
    looks_between_scores: int
    """Of the photos held out; 0 where they are not asked when to stop."""
    levels: int = 1
    """How many sizes of the photos are looked at, one after another; the last for half of the steps."""

    @staticmethod
    def of(options: SplatOptimisation, fitted: int, held_out: int, extent: float, levels: int = 1) -> Schedule:
        """For numbers of photos that are fitted to and held out, looked at at so many levels (`Photos.levels`)."""
        usual = ITERATIONS_PER_PHOTO * fitted * levels
        iterations = usual if options.gs_iterations is None else options.gs_iterations
        stops_early = held_out > 0 and options.gs_iterations is None
        between = _LOOKS_BETWEEN_SCORES * fitted if stops_early else 0
        return Schedule(iterations, options.gs_seconds, extent, between, levels)

    def level(self, progress: float) -> int:
        """Which size of the photos is looked at."""
        return self.levels - 1 if progress >= 0.5 else int(2 * progress * (self.levels - 1))

    def progress(self, done: int, elapsed: float) -> float:
        """After so many steps and seconds."""
        return max(done / self.iterations, 0 if self.seconds is None else elapsed / self.seconds)

    def rates(self, progress: float, coefficients: int) -> NDArray[np.float32]:
        """(D,) learning rates of a splat with so many harmonics, in the order of `cpu_projection_gradients`."""
        first, last = _MEAN_RATES
        rates = np.empty(HARMONICS + 3 * coefficients, np.float32)
        rates[MEAN:SCALE] = first * (last / first) ** progress * self.extent
        rates[SCALE:ROTATION], rates[ROTATION:OPACITY], rates[OPACITY] = _SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE
        rates[HARMONICS:] = _HARMONICS_RATE
        rates[HARMONICS::coefficients] = _COLOR_RATE
        return rates

    def depth_weight(self, progress: float) -> float:
        """Of the mean relative error of depth beside the loss of colours."""
        return _DEPTH_WEIGHT * (1 - progress)
