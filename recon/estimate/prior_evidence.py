"""What cameras, stereo and other sure depth say of depth that the user has: its scale, and which views it is of.

A network says nothing here: it is what depth that is sure is to correct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.geometry.scale_between_views import WITHIN, agreeing_views, pairs_of, scale_between
from recon.geometry.scale_field import FEWEST, blocks_of
from recon.types.cameras import MEASURED_ORIGINS

if TYPE_CHECKING:
    from recon.sources.fitting import Views

_CLEARLY = 0.75
"""Share of the comparisons of a view that agree, from which on nothing else needs to be asked."""
_AT_PIXELS = 0.7
"""Share of a view that agrees with sure depth at the same pixels, below which it is of another photo: there is no
occlusion in the way, and the middle of some pixels is compared."""


@dataclass(frozen=True)
class Evidence:
    """Of depth of N views."""

    factor: float | None
    """What it is to be multiplied by to be in the scale of the cameras; None where that cannot be told."""
    agreeing: NDArray[np.bool_]
    """(N,) its depth is clearly that of the photo."""
    apart: NDArray[np.bool_]
    """(N,) its depth is clearly another."""
    against: str
    """What those are at odds with."""


def evidence_of(depth: NDArray[np.float32], certain: NDArray[np.float32], views: Views, unit_holds: bool) -> Evidence:
    """Hold depth against sure depth, and views against each other where the cameras are known.

    Args:
        depth: (N, H, W) 0 where there is none.
        certain: (N, H, W) depth in the scale of the cameras that is sure, 0 where there is none.
        views: what both are of.
        unit_holds: depth is said to be in the unit of the cameras.
    """
    found = _by_sure_depth(depth, certain)
    cameras = views.cameras
    if not cameras.complete or cameras.origin not in MEASURED_ORIGINS:
        return found
    assert cameras.intrinsics is not None
    assert cameras.world_to_camera is not None
    seen = ~found.apart[:, None, None] * depth
    best = scale_between(seen, cameras.intrinsics, cameras.world_to_camera)
    if best is None:
        return found
    told = best.scale if best.told else None
    factor = told if found.factor is None else found.factor
    at = factor or (1.0 if unit_holds else best.scale)
    shares, apart = agreeing_views(pairs_of(seen, cameras.intrinsics, cameras.world_to_camera), at)
    compared = np.isfinite(shares)
    apart &= compared & ~found.agreeing
    enough = 2 if best.told else 3
    if found.factor is None and enough * apart.sum() >= compared.sum() > 0 and apart.sum() > 1:
        apart = compared  # nobody is left to say which are right
    clearly = compared & ~apart & (shares >= _CLEARLY) & (factor is not None)
    against = found.against if found.apart.any() else "each other, by the cameras"
    return Evidence(factor, found.agreeing | clearly, found.apart | apart, against)


def _by_sure_depth(depth: NDArray[np.float32], certain: NDArray[np.float32]) -> Evidence:
    """Of the scales of the views, that one counts which most of all depth goes with."""
    ratios = {}
    for view, maps in enumerate(zip(certain, depth, strict=True)):
        blocks = blocks_of(*maps)
        if len(blocks.counts) >= FEWEST:
            ratios[view] = -blocks.ratios
    agreeing, apart = (np.zeros(len(depth), bool) for _ in range(2))
    if not ratios:
        return Evidence(None, agreeing, apart, "")
    everything = np.concatenate(list(ratios.values()))
    middles = [float(np.median(one)) for one in ratios.values()]
    middle = max(middles, key=lambda one: float((np.abs(everything - one) <= WITHIN).mean()))
    middle = float(np.median(everything[np.abs(everything - middle) <= WITHIN]))
    for view, one in ratios.items():
        good = float((np.abs(one - middle) <= WITHIN).mean())
        agreeing[view], apart[view] = good >= _CLEARLY, good < _AT_PIXELS
    if 2 * apart.sum() >= len(ratios):  # what is usual is wrong: only what clearly agrees is right
        apart[list(ratios)] = ~agreeing[list(ratios)]
    told = not all(apart[view] for view in ratios)
    return Evidence(float(np.exp(middle)) if told else None, agreeing, apart, "depth that is sure by the cameras")
