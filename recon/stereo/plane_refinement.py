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

from recon.stereo.images import Matching, in_bands, pack_pixels, pack_quads
from recon.stereo.plane_refinement_kernels import STEEPEST, Limits, refine_band

REACHES = np.array([1, 2, 4, 7], np.int64)
"""Distances in pixels at which a plane may be taken over; in each of four directions the best-scored one is tried."""

LAST_FITS = 2
"""Gauss-Newton steps of a pixel in the last pass; one in those before."""

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


class Refined(NamedTuple):
    """The best plane found at each pixel."""

    planes: NDArray[np.float32]
    """(3, H, W) inverse depth and its slopes along columns and rows."""
    scores: NDArray[np.float32]
    """(H, W) mean of the best correlations."""
    information: NDArray[np.float32]
    """(H, W) how sharply the correlation with the fitted sources peaks at the inverse depth, per squared unit: about
    the inverse of the variance of what was found, but for a factor; 0 where nothing was fitted."""


def refine(
    matching: Matching,
    planes: NDArray[np.float32],
    bounds: Bounds,
    window: int,
    passes: int,
    pool: ThreadPoolExecutor,
) -> Refined:
    """Passes over all pixels on the CPU: take over a neighbour's plane, then a Gauss-Newton step on the own.

    Args:
        matching: the views.
        planes: (3, H, W) to start from: inverse depth and its slopes along columns and rows.
        bounds: of the hypotheses.
        window: odd diameter of the correlation window in pixels.
        passes: in the first, pixels only fit their planes; in the last, they do so twice.
        pool: what the bands of rows are worked on by.
    """
    reference = pack_pixels(matching.colours, matching.reference)
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
    scores = np.zeros(planes.shape[1:], np.float32)
    better, better_scores = np.empty_like(planes), np.empty_like(scores)
    information = np.empty_like(scores)
    for number in range(passes):
        # The first pass has no scores to choose neighbours by.
        reaches = REACHES if number > 0 else REACHES[:0]
        fits = 1 if number < passes - 1 else LAST_FITS

        def work(first: int, last: int, reaches: NDArray[np.int64] = reaches, fits: int = fits) -> None:
            refine_band(
                first, last, reference, wanted, quads, size, visible, warp, taps, count, limits, reaches, fits,
                planes, scores, better, better_scores, information,  # noqa: B023 (all bands are done before these change)
            )  # fmt: skip

        in_bands(pool, len(scores), _BAND, work)
        planes, better = better, planes
        scores, better_scores = better_scores, scores
    return Refined(planes, scores, information)


def window_taps(window: int) -> tuple[NDArray[np.float32], int]:
    """(2, K) columns and rows of a window with rounded corners, padded to whole vector registers, and their number."""
    radius = window // 2
    across, down = np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1))
    within = across**2 + down**2 <= radius**2 + radius // 2
    count = int(within.sum())
    taps = np.zeros((2, -(-count // 16) * 16), np.float32)
    taps[0, :count], taps[1, :count] = across[within], down[within]
    return taps, count
