"""Slanted planes per pixel: taken over from neighbours where they match better, then fitted by Gauss-Newton steps.

A pixel's hypothesis is the plane through its surface point, as inverse depth w and its slopes along columns and rows:
inverse depth is affine in the pixels on a plane. Hypotheses spread as in PatchMatch stereo (Bleyer et al., BMVC 2011)
and its version for many views (Galliani et al., ICCV 2015), every pixel at once, so that neither the order of pixels
nor the number of threads matters. Matching weighs the window's pixels by their likeness to its centre, so that windows
across an edge follow the side they belong to.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.stereo.images import Matching, in_bands, pack_quads
from recon.stereo.plane_refinement_kernels import STEEPEST, UNSCORED, Limits, refine_band

REACHES = np.array([1, 2, 4, 7], np.int64)
"""Distances in pixels at which a plane may be taken over; in each of four directions the best-scored one is tried."""

_BAND = 8
"""Rows worked on at a time: few, because easy and hard rows lie together."""


class Bounds(NamedTuple):
    """What a hypothesis may be."""

    unit: float
    """A change of inverse depth that moves a match by about a pixel: the largest step, and the scale of small ones."""
    lowest: float
    """Inverse depth."""
    highest: float
    """Inverse depth."""
    focal: float
    """Pixels: limits the slopes."""

    @property
    def steepest(self) -> float:
        """Largest slope of the inverse depth per pixel, as a share of the inverse depth."""
        return STEEPEST / self.focal


def refine(
    matching: Matching,
    planes: NDArray[np.float32],
    bounds: Bounds,
    window: int,
    passes: int,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Passes over all pixels on the CPU: take over a neighbour's plane, then a Gauss-Newton step on the own.

    Args:
        matching: the views.
        planes: (3, H, W) to start from: inverse depth and its slopes along columns and rows.
        bounds: of the hypotheses.
        window: odd diameter of the correlation window in pixels.
        passes: after them, one more that only fits.
        pool: what the bands of rows are worked on by.

    Returns:
        Planes (3, H, W), inverse depth and its slopes along columns and rows, and scores (H, W).
    """
    reference, colours = matching.reference, matching.colours
    quads = pack_quads(matching.sources).reshape(-1)
    size = matching.sources.shape[1:]
    wanted, visible = matching.wanted_or_empty, matching.visible_or_empty
    warp = np.concatenate([matching.warp.matrix, matching.warp.shift[..., None]], axis=2)  # (S, 3, 4)
    limits = Limits(
        unit=np.float32(bounds.unit),
        lowest=np.float32(bounds.lowest),
        highest=np.float32(bounds.highest),
        steepest=np.float32(bounds.steepest),
        noise=np.float32(matching.noise**2),
        agreeing=matching.agreeing,
    )
    taps, count = window_taps(window)
    planes = planes.astype(np.float32, order="C")  # a copy: written to in turn with `better`
    scores = np.full(planes.shape[1:], UNSCORED, np.float32)
    better, better_scores = np.empty_like(planes), np.empty_like(scores)
    for number in range(passes + 1):
        # The first pass has no scores to choose neighbours by.
        reaches = REACHES if 0 < number < passes else REACHES[:0]

        def work(first: int, last: int, reaches: NDArray[np.int64] = reaches) -> None:
            refine_band(
                first, last, reference, colours, wanted, quads, size, visible, warp, taps, count, limits, reaches,
                planes, scores, better, better_scores,  # noqa: B023 (all bands are done before these change)
            )  # fmt: skip

        in_bands(pool, len(scores), _BAND, work)
        planes, better = better, planes
        scores, better_scores = better_scores, scores
    return planes, scores


def window_taps(window: int) -> tuple[NDArray[np.float32], int]:
    """(2, K) columns and rows of a window with rounded corners, padded to whole vector registers, and their number."""
    radius = window // 2
    across, down = np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1))
    within = across**2 + down**2 <= radius**2 + radius // 2
    count = int(within.sum())
    taps = np.zeros((2, -(-count // 16) * 16), np.float32)
    taps[0, :count], taps[1, :count] = across[within], down[within]
    return taps, count
