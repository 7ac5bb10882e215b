"""More splats where they are wanted, as Markov chain Monte Carlo has it (3DGS-MCMC, Kheradmand et al., NeurIPS 2024).

Splats that have faded are put where others are, and some are added there; those that share a place are made fainter and
smaller, so that together they look as the one did before. Faint splats are moved at random, along their own shape
(stochastic gradient Langevin dynamics), and small derivatives by all opacities and scales let what nothing needs fade.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

from recon.geometry.quaternions import normalise, to_matrix
from recon.refine.optimisation.state import AdamSplats

_FADED = 0.005
"""Opacity of splats that are put elsewhere."""
_MOST_COPIES = 51
"""At one place and time, as in the paper."""
_LARGEST_OPACITY = 1 - 1e-6
_NOISE = 5e5
"""Random moves of a faint splat, as a multiple of the learning rate of positions and of its covariance."""
NOISE_SHARPNESS, NOISE_OPACITY = 100.0, 0.005
"""Of the logistic function of opacity that says how faint a splat is."""
_NOISE_UP_TO = 0.1
"""Opacity above which that is next to nothing."""
_PENALTIES = 0.01, 0.01
"""Of the mean opacity, and of the mean scale as a fraction of the cameras' extent."""
_ROUNDS = 60
"""Over the time in which splats become more."""
_SHARE = 0.7
"""Of the way, after which their number stays, and they are moved no more."""
_GROWTH = 1.05
"""How many there are after a round for each before it, at least, while there are fewer than there may be."""


@dataclass(frozen=True)
class Densification:
    """When splats become more, and how many."""

    first: int
    """Splats to begin with."""
    most: int

    def is_going_on(self, progress: float) -> bool:
        """Whether splats are moved at random, and let fade, so far (0 to 1) of the way."""
        return progress < _SHARE

    def rounds(self, progress: float) -> int:
        """How many rounds there are to be by then."""
        return int(_ROUNDS * min(progress / _SHARE, 1))

    def count(self, rounds: int) -> int:
        """How many splats there are to be after so many rounds: the most well before the last."""
        needed = (max(self.most, 1) / max(self.first, 1)) ** (1.5 / _ROUNDS)
        return min(self.most, int(np.ceil(self.first * max(_GROWTH, needed) ** rounds)))

    def penalties(self, count: int, extent: float) -> NDArray[np.float64]:
        """(2,) see `StepRates.penalties`, for so many splats."""
        of_opacity, of_scale = _PENALTIES
        return np.array([of_opacity / count, of_scale / (3 * count * extent)])

    def noise(self, mean_rate: float) -> float:
        """What `shake` is to be given, by the learning rate of positions."""
        return _NOISE * mean_rate


def densify(splats: AdamSplats, count: int, rng: np.random.Generator) -> AdamSplats:
    """Put what has faded elsewhere, in place, and add some up to `count`; in other arrays where some are added."""
    _relocate(splats, rng)
    added = count - len(splats.gaussians)
    return _with_added(splats, added, rng) if added > 0 else splats


def shake(splats: AdamSplats, amount: float, rng: np.random.Generator) -> None:
    """Move faint splats at random, in place: by `amount` times their covariance, the fainter the more (eq. 9)."""
    found = splats.gaussians
    faint = np.flatnonzero(found.opacities < _NOISE_UP_TO)
    noise = rng.standard_normal((len(faint), 3), np.float32)
    rotation = to_matrix(normalise(found.rotations[faint]))  # (F, 3, 3)
    local = np.einsum("fji,fj->fi", rotation, noise) * np.square(found.scales[faint])
    weight = amount * how_faint(found.opacities[faint])
    found.means[faint] += (weight[:, None] * np.einsum("fij,fj->fi", rotation, local)).astype(np.float32)


def how_faint(opacities: NDArray[np.floating]) -> NDArray[np.float64]:
    """From 0 for opaque splats to nearly 1 for those that cannot be seen."""
    away: NDArray[np.float64] = 1 / (1 + np.exp(NOISE_SHARPNESS * (opacities.astype(np.float64) - NOISE_OPACITY)))
    return away


def shared(
    opacities: NDArray[np.float32], scales: NDArray[np.float32], copies: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Opacities (S,) and scales (S, 3) of each of `copies` (S,) splats at one place that look as one did (eq. 8).

    The opacity o' is such that 1 - (1 - o')^N = o. The light that they hold back together, summed along a line through
    their centre, is the same where the scale is multiplied by o / sum over j = 1 … N of C(N, j) (-1)^(j - 1) o'^j / √j.
    """
    whole = opacities.astype(np.float64)
    part = -np.expm1(np.log1p(-np.minimum(whole, _LARGEST_OPACITY)) / copies)
    number = np.arange(1, int(copies.max(initial=1)) + 1)
    terms = comb(copies[:, None], number) * (-1.0) ** (number - 1) * part[:, None] ** number / np.sqrt(number)  # (S, N)
    smaller = whole / terms.sum(axis=1)
    part = np.maximum(part, _FADED)
    return part.astype(np.float32), (scales * smaller[:, None]).astype(np.float32)


def _relocate(splats: AdamSplats, rng: np.random.Generator) -> None:
    opacities = splats.gaussians.opacities
    faded = np.flatnonzero(opacities <= _FADED)
    others = np.flatnonzero(opacities > _FADED)
    if not len(faded) or not len(others):
        return
    sources = _share(splats, others, len(faded), rng)
    for array in splats.arrays.values():
        array[faded] = array[sources]


def _with_added(splats: AdamSplats, number: int, rng: np.random.Generator) -> AdamSplats:
    sources = _share(splats, np.arange(len(splats.gaussians)), number, rng)
    return AdamSplats.from_arrays(
        {name: np.concatenate([array, array[sources]]) for name, array in splats.arrays.items()}
    )


def _share(splats: AdamSplats, candidates: NDArray[np.intp], number: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose (number,) splats to be copied, the more opaque the more often, and prepare them; Adam forgets them."""
    found = splats.gaussians
    weights = found.opacities[candidates].astype(np.float64)
    sources = rng.choice(candidates, number, p=weights / weights.sum())
    chosen, times = np.unique(sources, return_counts=True)
    copies = np.minimum(times + 1, _MOST_COPIES)
    found.opacities[chosen], found.scales[chosen] = shared(found.opacities[chosen], found.scales[chosen], copies)
    splats.moments[chosen], splats.steps[chosen] = 0, 0
    return sources
