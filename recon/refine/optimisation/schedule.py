"""How fast everything moves while splats are fitted to photos, and how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.choices import SplatOptimisation
from recon.refine.optimisation.densification import Densification
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.updater import StepRates
from recon.splats.cpu_projection_gradients import HARMONICS, MEAN, OPACITY, ROTATION, SCALE
from recon.types import Gaussians

ITERATIONS_PER_PHOTO = 65
"""Looks at each photo, where the photos held out do not say to stop before."""
_LOOKS_BETWEEN_SCORES = 10
"""At each photo, before those held out are asked again."""
_TIMES_DENSIFIED, _LEAST_DENSIFIED = 4, 3000
"""Where sparse splats become more: so many times the looks, and at least so many steps."""
PATIENCE = 2
"""Times in a row that the photos held out may get no better before it ends."""
_MEAN_RATES = 3.2e-4, 3.2e-5
"""Learning rate of positions at the beginning and at the end, as fractions of the cameras' extent."""
_SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE = 2e-2, 8e-3, 0.1
"""Of logarithms, numbers of quaternions, and logits."""
_COLOR_RATE, _HARMONICS_RATE = 5e-3, 1.2e-3
"""Some sixty looks at each photo are too few for the rates of 3DGS, of which these are two to eight times as many.
After 40 looks, at half size, courtyard is at 37.5 dB held out instead of 35.8, fountain where it is covered at 34.6
instead of 33.6; from sparse points, which become more, a small room is at 27.9 dB after 600 steps instead of 24.9.
Scales and rotations gain the most; rates that fall to a tenth by the end lose a decibel."""
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
    levels: int
    """How many sizes of the photos are looked at, one after another; the last for half of the steps."""
    sh_degrees: tuple[int, int]
    """Of the harmonics at the beginning, and from the middle on."""
    densification: Densification | None
    """None where splats stay as many as they are."""

    @staticmethod
    def of(
        options: SplatOptimisation,
        start: Gaussians,
        is_sparse: bool,
        most: int,
        photos: tuple[int, int],
        extent: float,
        levels: int,
    ) -> Schedule:
        """What the options ask for.

        Args:
            options: see there.
            start: splats to begin with.
            is_sparse: whether these are far fewer than are wanted, and not from depth.
            most: how many they may become.
            photos: how many are fitted to, and held out.
            extent: see above.
            levels: see above.
        """
        fitted, held_out = photos
        is_few = is_sparse or (levels > 1 and len(start) < most / 2)
        densifies = is_few if options.gs_densify == "auto" else options.gs_densify == "mcmc"
        usual = ITERATIONS_PER_PHOTO * fitted * levels
        if densifies and is_sparse:
            usual = max(_TIMES_DENSIFIED * usual, _LEAST_DENSIFIED)
        iterations = usual if options.gs_iterations is None else options.gs_iterations
        stops_early = held_out > 0 and options.gs_iterations is None
        lowest = max(1, start.sh_degree)
        highest = lowest if options.gs_sh_degree is None else options.gs_sh_degree
        return Schedule(
            iterations=iterations,
            seconds=options.gs_seconds,
            extent=extent,
            looks_between_scores=_LOOKS_BETWEEN_SCORES * fitted if stops_early else 0,
            levels=levels,
            sh_degrees=(min(lowest, highest), highest),
            densification=Densification(len(start), most) if densifies else None,
        )

    def progress(self, done: int, elapsed: float) -> float:
        """After so many steps and seconds."""
        return max(done / self.iterations, 0 if self.seconds is None else elapsed / self.seconds)

    def expected(self, done: int, elapsed: float) -> int:
        """How many steps there will be, if they go on as fast as so many in so many seconds."""
        if self.seconds is None or done == 0 or elapsed <= 0:
            return self.iterations
        return min(self.iterations, max(done, int(done * self.seconds / elapsed)))

    def level(self, progress: float) -> int:
        """Which size of the photos is looked at."""
        return _risen(0, self.levels - 1, progress)

    def sh_degree(self, progress: float) -> int:
        """Of the harmonics."""
        return _risen(*self.sh_degrees, progress)

    def is_settled(self, progress: float) -> bool:
        """Whether nothing begins any more, so that photos held out can tell when to stop."""
        is_growing = self.densification is not None and self.densification.is_going_on(progress)
        return not is_growing and (self.level(progress), self.sh_degree(progress)) == (
            self.levels - 1,
            self.sh_degrees[1],
        )

    def mean_rate(self, progress: float) -> float:
        """Learning rate of positions."""
        first, last = _MEAN_RATES
        return first * (last / first) ** progress * self.extent

    def rates(self, progress: float, splats: AdamSplats) -> StepRates:
        """For one step of these splats."""
        coefficients = splats.coefficients
        rates = np.empty(HARMONICS + 3 * coefficients, np.float32)
        rates[MEAN:SCALE] = self.mean_rate(progress)
        rates[SCALE:ROTATION], rates[ROTATION:OPACITY], rates[OPACITY] = _SCALE_RATE, _ROTATION_RATE, _OPACITY_RATE
        rates[HARMONICS:] = _HARMONICS_RATE
        rates[HARMONICS::coefficients] = _COLOR_RATE
        penalties = np.zeros(2)
        if self.densification is not None and self.densification.is_going_on(progress):
            penalties = self.densification.penalties(len(splats.gaussians), self.extent)
        return StepRates(rates, _DEPTH_WEIGHT * (1 - progress), penalties)


def _risen(first: int, last: int, progress: float) -> int:
    """From `first` at the beginning to `last` in the middle, one at a time."""
    return min(last, first + int(2 * progress * (last - first)))
