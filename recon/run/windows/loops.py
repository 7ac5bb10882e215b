"""Loops of a long input: windows that show a place which others have shown long before, and how they lie to those.

Frames that look alike are found by descriptors of whole frames, and verified: one motion must explain the features that
they have in common, and one similarity their places by the depth of both windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.geometry.frame_alignment import FrameAlignment, SeenPoints, align_frames
from recon.progress import tell
from recon.run.windows.window import Window
from recon.sfm.frame_matches import FrameFeatures, explained_by_one_motion, frame_features, match_features
from recon.sfm.retrieval import look_alikes, picture_features
from recon.types.pieces import release_maps

_COMPARED = 100
"""About so many photos are compared with each other, ..."""
_LEAST_STEP, _MOST_STEP = 5, 20
"""... if the step from one to the next is then within these bounds, ..."""
_MOST_COMPARED = 1000
"""... and never more than so many: all their features are in memory."""
_CANDIDATES = 3
"""Look-alikes of each that are verified, ..."""
_LEAST_ALIKE = 12
"""... if they share so many of their largest features."""
_FEATURES = 800
_FEWEST_MATCHES = 20
"""That one motion, and then one similarity, must explain."""
_LEAST_SHARE = 0.3
"""Of the matches, that one motion must explain."""
_OF_TWO_WINDOWS = 3
"""Loops that are kept between the same two windows: more would outvote all else if a whole place were mistaken."""
_KEPT_FRAMES = 24


@dataclass(frozen=True)
class Loop:
    """Two views, far apart in the order of the photos, of one place."""

    first: int
    second: int
    """Numbers of their windows."""
    photos: tuple[int, int]
    """Numbers of the photos, the earlier one first."""
    alignment: FrameAlignment
    """From the camera of the second to that of the first."""

    @property
    def matches(self) -> int:
        """Points that agree."""
        return int(self.alignment.agreeing.sum())


@dataclass(frozen=True)
class _Frame:
    """A view as it is compared."""

    features: FrameFeatures
    seen: SeenPoints
    """Those features, with their depth; NaN where there is none."""


def find_loops(windows: Sequence[Window], owned: Sequence[Sequence[int]], apart: int) -> list[Loop]:
    """Loops between views of windows, the surest first.

    Args:
        windows: with cameras and depth.
        owned: for each window the photos whose views the whole takes from it.
        apart: photos that two views are apart at least.
    """
    window_of = {photo: number for number, photos in enumerate(owned) for photo in photos}
    chosen = _compared(sorted(window_of))
    if len(chosen) < 2 or chosen[-1] - chosen[0] < apart:
        return []
    features = []
    for done, photo in enumerate(chosen):
        tell("loops", done, len(chosen))
        features.append(_largest_features(windows[window_of[photo]], photo))
    step = max(chosen[1] - chosen[0], 1)
    pairs = look_alikes(features, _CANDIDATES, apart=apart // step)
    frame = lru_cache(_KEPT_FRAMES)(lambda photo: _frame(windows[window_of[photo]], photo))
    found: dict[tuple[int, int], list[Loop]] = {}
    for pair in pairs:
        earlier, later = chosen[pair.first], chosen[pair.second]
        if pair.shared < _LEAST_ALIKE or later - earlier < apart:
            continue
        alignment = _verified(frame(earlier), frame(later))
        if alignment is not None:
            numbers = window_of[earlier], window_of[later]
            found.setdefault(numbers, []).append(Loop(*numbers, (earlier, later), alignment))
    tell("loops", len(chosen), len(chosen))
    best = [sorted(loops, key=lambda loop: -loop.matches)[:_OF_TWO_WINDOWS] for loops in found.values()]
    return sorted((loop for loops in best for loop in loops), key=lambda loop: -loop.matches)


def _compared(photos: Sequence[int]) -> list[int]:
    step = int(np.clip(len(photos) // _COMPARED, _LEAST_STEP, _MOST_STEP))
    return list(photos[:: max(step, len(photos) // _MOST_COMPARED)])


def _largest_features(window: Window, photo: int) -> NDArray[np.uint8]:
    view = window.views_of([photo])[0]
    prediction = window.open().depth.prediction
    mask = None if prediction.mask is None else np.array(prediction.mask[view])
    gray = cv2.cvtColor(np.array(prediction.processed_images[view]), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    found = picture_features(gray, mask)
    release_maps(prediction)
    return found


def _frame(window: Window, photo: int) -> _Frame:
    view = window.views_of([photo])[0]
    prediction = window.open().depth.prediction
    one = prediction.window(slice(view, view + 1))
    release_maps(prediction)
    assert one.intrinsics is not None
    features = frame_features(one.processed_images[0], _FEATURES, None if one.mask is None else one.mask[0])
    columns, rows = features.pixels.astype(np.intp).T
    depth = np.where(one.valid[0], one.depth[0], np.nan).astype(np.float64)[rows, columns]
    return _Frame(features, SeenPoints(features.pixels.astype(np.float64), depth, one.intrinsics[0].astype(np.float64)))


def _verified(first: _Frame, second: _Frame) -> FrameAlignment | None:
    """How the cameras lie to each other; None where they do not show one place, or cannot tell."""
    matches = match_features(first.features, second.features)
    if len(matches) < _FEWEST_MATCHES:
        return None
    pixels = first.features.pixels[matches[:, 0]], second.features.pixels[matches[:, 1]]
    explained = explained_by_one_motion(*pixels, first.seen.intrinsics, second.seen.intrinsics)
    if explained.sum() < max(_FEWEST_MATCHES, _LEAST_SHARE * len(matches)):
        return None
    a, b = first.seen[matches[explained, 0]], second.seen[matches[explained, 1]]
    known = np.isfinite(a.depth) & np.isfinite(b.depth)
    return align_frames(a[known], b[known], _FEWEST_MATCHES)
