"""How bright photos are relative to each other, from the colours of places that two of them show.

sRGB (IEC 61966-2-1) encodes light L as 1.055 L^(1/2.4) - 0.055, but for the darkest hundredth. Of a photo exposed f
times as long, or balanced to another white, a channel therefore is a (x + 0.055) - 0.055 where the first photo has x,
with a = f^(1/2.4): a gain and an offset of what is displayed, and one number for each channel. Between two photos it is
the median over the places that both show, unclipped, so that what moved or shines does not count; from all pairs, those
of the photos follow by least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recon.refine.optimisation.matched_pixels import carry, neighbours
from recon.types import Prediction

OFFSET = 0.055
"""Of sRGB."""
_PLACES = 10_000
"""Pixels of a photo that are compared with another, about."""
_NEIGHBOURS = 10
"""Photos that each is compared with."""
_SAME_PLACE = 0.01
"""Relative difference of depths."""
_UNCLIPPED = 12, 243
"""Of 255: pixels darker or brighter may have been cut off."""
_FEWEST = 50
"""Places that two photos are compared by."""
_EVEN = 0.02
"""Photos that differ from the brightness of the rest by less count as even: medians are no more accurate."""


def relative_exposures(prediction: Prediction, fitted: Sequence[int]) -> NDArray[np.float64]:
    """(N, 6) gains and offsets of the three channels of N photos; the median photo's are 1 and 0.

    Those of the photos `fitted` do not depend on the others. Photos that share no places with any are taken as even.
    """
    count = len(prediction.depth)
    logarithms = np.zeros((count, 3))
    views = list(fitted)
    blurred = [cv2.blur(photo, (3, 3)) for photo in prediction.processed_images]
    if len(views) > 1:
        pairs = [(one, other) for one in views for other in neighbours(prediction, one, views, _NEIGHBOURS)]
        logarithms[views] = _solve(prediction, blurred, pairs)[views]
        for view in set(range(count)).difference(views):
            found = [
                logarithms[other] + ratio
                for other in neighbours(prediction, view, [view, *views], _NEIGHBOURS)
                if (ratio := _ratio(prediction, blurred, view, other)) is not None
            ]
            if found:
                logarithms[view] = np.median(found, axis=0)
    logarithms[np.abs(logarithms).max(axis=1) < _EVEN] = 0
    gains = np.exp(logarithms)
    return np.concatenate([gains, OFFSET * (gains - 1)], axis=1)


def evenly_exposed(prediction: Prediction, exposures: NDArray[np.float64]) -> Prediction:
    """The prediction with photos as if all had been exposed alike, cut off at white."""
    uneven = np.flatnonzero((exposures != (1, 1, 1, 0, 0, 0)).any(axis=1))
    if not len(uneven):
        return prediction
    photos = prediction.processed_images.copy()
    for view in uneven:
        even = (np.arange(256)[:, None] - 255 * exposures[view, 3:]) / exposures[view, :3]
        table = np.clip(np.rint(even), 0, 255).astype(np.uint8)
        photos[view] = cv2.LUT(photos[view], table.reshape(1, 256, 3))
    return replace(prediction, processed_images=photos)


def _solve(
    prediction: Prediction, blurred: list[NDArray[np.uint8]], pairs: list[tuple[int, int]]
) -> NDArray[np.float64]:
    """(N, 3) logarithms of gains, from the ratios of the pairs of photos that share places."""
    count = len(blurred)
    known = [(pair, ratio) for pair in pairs if (ratio := _ratio(prediction, blurred, *pair)) is not None]
    found = np.zeros((count, 3))
    if not known:
        return found
    one, other = np.array([pair for pair, _ in known]).T
    differences = np.zeros((len(known), count))
    differences[np.arange(len(known)), one] = 1
    differences[np.arange(len(known)), other] = -1
    found = np.linalg.lstsq(differences, np.array([ratio for _, ratio in known]), rcond=None)[0]
    graph = coo_array((np.ones(len(known)), (one, other)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    for member in np.unique(group):
        found[group == member] -= np.median(found[group == member], axis=0)
    return found


def _ratio(
    prediction: Prediction, blurred: list[NDArray[np.uint8]], one: int, other: int
) -> NDArray[np.float64] | None:
    """(3,) logarithm of how much brighter the channels of a photo are than those of another; None where too little
    is seen by both, or too little of it unclipped."""
    stride = max(1, round(math.sqrt(prediction.depth[0].size / _PLACES)))
    carried = carry(prediction, one, other, stride)
    depth = np.where(prediction.valid[other], prediction.depth[other], np.inf).ravel()[carried.target]
    same = np.abs(carried.depth / depth - 1) < _SAME_PLACE
    mine = blurred[one].reshape(-1, 3)[carried.source[same]]
    theirs = blurred[other].reshape(-1, 3)[carried.target[same]]
    unclipped = ((mine > _UNCLIPPED[0]) & (mine < _UNCLIPPED[1]) & (theirs > _UNCLIPPED[0])) & (theirs < _UNCLIPPED[1])
    if unclipped.sum(axis=0).min() < _FEWEST:
        return None
    return np.array(
        [
            float(np.median(np.log((mine[use, c] / 255 + OFFSET) / (theirs[use, c] / 255 + OFFSET))))
            for c, use in enumerate(unclipped.T)
        ]
    )
