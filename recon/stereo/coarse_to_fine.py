"""The planes of one view, coarse to fine: swept at low resolution, refined there, and again at each finer level.

What is found at a level is the start of the next one, twice as large, so that the large steps are made where they cost
little.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sources.mask_resize import resize_mask
from recon.stereo.consistency import store_slopes
from recon.stereo.images import Matching, repeat_borders, scaled_intrinsics, shrink, warp_between
from recon.stereo.matchers import Matcher
from recon.stereo.photos import Photos
from recon.stereo.plane_refinement import Bounds
from recon.stereo.plane_sweep import NO_SCORE
from recon.stereo.smoothing import smooth
from recon.stereo.stereo_options import StereoOptions
from recon.stereo.view_selection import ViewPlan
from recon.types.cameras import Cameras

_SWEEP_WINDOW = 7
"""Pixels at the level that is swept."""
_SWEEP_SIDE = 504
"""Pixels of the longest side that is swept at most; at least it is halved once."""
_FINER_PASSES = (2, 1)
"""Over the pixels of the level after the coarsest, and of those after that; with one, pixels only fit their planes."""
_BEYOND_WINDOW = 3
"""Pixels by which smoothing reaches beyond the window of a match."""
_SMOOTHED_UNITS = 0.5
"""Distance from a plane, in units of `Bounds`, at which a pixel counts little for it."""

_ENDS = 0.5
"""Units of `Bounds` from the ends of the range of inverse depth within which nothing counts as found."""


class Matched(NamedTuple):
    """The surface that one view (h, w) sees, before other views confirm it."""

    inverse_depth: NDArray[np.float32]
    """(h, w), 0 where the score is too low."""
    slopes: NDArray[np.int16]
    """(2, h, w) of its planes, as `store_slopes` gives them."""
    quality: NDArray[np.float32]
    """(h, w) correlation times uniqueness."""


def match_view(
    view: int,
    photos: Photos,
    cameras: Cameras,
    plan: ViewPlan,
    options: StereoOptions,
    matcher: Matcher,
    pool: ThreadPoolExecutor,
) -> Matched:
    """Sweep and refine one view with the sources of its plan.

    Args:
        view: index of the view.
        photos: all views.
        cameras: complete, in pixels of the photos.
        plan: of the view.
        options: how to match.
        matcher: what does it.
        pool: what smooths the planes.
    """
    assert cameras.intrinsics is not None
    inverse_depths = np.linspace(*plan.inverse_depths, options.planes, dtype=np.float32)
    spacing = float(inverse_depths[1] - inverse_depths[0])
    coarsest = _coarsest(*photos.sizes[view].tolist())
    planes = scores = np.zeros(0, np.float32)
    uniqueness = np.zeros((1, 1), np.float32)
    matching, bounds = None, None
    for factor, matching in _levels(view, photos, cameras, plan, options.noise, coarsest):
        bounds = Bounds(
            unit=spacing * min(1.0, 2 * factor / coarsest),
            lowest=float(inverse_depths[0]),
            highest=float(inverse_depths[-1]),
            focal=float(cameras.intrinsics[view, 0, 0]) / factor,
        )
        passes = options.refinements
        if factor == coarsest:
            peaks = matcher.sweep(matching, inverse_depths, _SWEEP_WINDOW)
            second = np.clip(peaks.score[1] / np.maximum(peaks.score[0], 1e-3), 0, 1)
            uniqueness = 1 - second / 2
            start = np.zeros((3, *matching.reference.shape), np.float32)
            start[0] = np.clip(peaks.inverse_depth[0], bounds.lowest, bounds.highest)
        else:
            start = _finer(planes, matching.reference.shape)
            passes = min(passes, _FINER_PASSES[0 if 2 * factor == coarsest else 1])
        planes, scores, information = matcher.refine(matching, start, bounds, options.window, passes)
    assert matching is not None
    assert bounds is not None
    planes = smooth(
        planes, scores, information, matching.colours, options.window // 2 + _BEYOND_WINDOW, options.tolerance,
        _SMOOTHED_UNITS * bounds.unit, max(options.least_score, NO_SCORE), pool,
    )  # fmt: skip
    np.clip(planes[0], bounds.lowest, bounds.highest, out=planes[0])
    # A pixel that has taken over a neighbour's plane is as unique as its own two peaks.
    rows, columns = (np.arange(side) // coarsest for side in scores.shape)
    quality = np.maximum(scores, 0) * uniqueness[rows[:, None], columns]
    # What was held back by the ends of the range was not found: so are clouds, which seem to lie at the farthest.
    margin = _ENDS * bounds.unit
    kept = (scores > options.least_score) & (planes[0] > bounds.lowest + margin) & (planes[0] < bounds.highest - margin)
    wanted = photos.wanted(view)
    return Matched(np.where(kept if wanted is None else kept & wanted, planes[0], 0), store_slopes(planes), quality)


def _coarsest(width: int, height: int) -> int:
    """Power of two by which a view is made smaller for the sweep."""
    factor = 2
    while max(width, height) > factor * _SWEEP_SIDE:
        factor *= 2
    return factor


def _levels(
    view: int, photos: Photos, cameras: Cameras, plan: ViewPlan, noise: float, coarsest: int
) -> Iterator[tuple[int, Matching]]:
    """How much smaller each level is, coarsest first, and what is matched there."""
    assert cameras.intrinsics is not None
    height, width = photos.grey.shape[1:]
    own_width, own_height = photos.sizes[view].tolist()
    indices = np.concatenate([[view], plan.sources])
    image = np.ascontiguousarray(photos.images[photos.own(view)])
    wanted = photos.wanted(view)
    agreeing = min(2, max(1, len(plan.sources) - 1))
    factor = coarsest
    while factor >= 1:
        levels = photos.grey[indices] if factor == 1 else shrink(photos.grey[indices], factor)
        size = levels.shape[1:]
        own = -(-own_height // factor), -(-own_width // factor)
        visible = None if photos.masks is None else photos.masks[plan.sources]
        colours, own_wanted = image, wanted
        if factor > 1:
            repeat_borders(levels, -(-photos.sizes[indices] // factor))
            colours = cv2.resize(image, own[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            visible = None if visible is None else np.stack([resize_mask(mask, size[::-1]) for mask in visible])
            own_wanted = None if wanted is None else resize_mask(wanted, own[::-1])
        intrinsics = scaled_intrinsics(cameras.intrinsics, (height, width), size)
        yield (
            factor,
            Matching(
                np.ascontiguousarray(levels[0, : own[0], : own[1]]),
                colours,
                levels[1:],
                warp_between(Cameras(cameras.world_to_camera, intrinsics), view, plan.sources),
                agreeing,
                noise,
                own_wanted,
                visible,
            ),
        )
        factor //= 2


def _finer(planes: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Planes (3, h, w) of a level for the pixels of the next one, of `size`: twice as high and wide."""
    height, width = size
    rows, columns = np.arange(height)[:, None] // 2, np.arange(width) // 2
    finer = np.empty((3, height, width), np.float32)
    finer[1], finer[2] = (planes[k][rows, columns] * np.float32(0.5) for k in (1, 2))
    # Each centre lies half a fine pixel to one side of that of the coarse pixel, by turns.
    across = np.where(np.arange(width) % 2 == 0, np.float32(-0.5), np.float32(0.5))
    down = np.where(np.arange(height) % 2 == 0, np.float32(-0.5), np.float32(0.5))[:, None]
    finer[0] = planes[0][rows, columns] + across * finer[1] + down * finer[2]
    return finer
