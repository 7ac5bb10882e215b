"""Taking the blocked stretches of a camera path in one step each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recon.splats.camera_path import CameraPath
from recon.types import FloatArray

_GROWTH = 2.4
"""From one step to the next, before and after a long one; with the path's own unevenness that stays below 3."""


def step_over(path: CameraPath, blocked: NDArray[np.bool_]) -> CameraPath:
    """The path without the frames that are `blocked` (F,), smooth again.

    The camera gathers speed before a blocked stretch, takes it in one step and slows down behind it. Blocked
    frames at the very start or end of the path stay. There are fewer frames than before.
    """
    leaps = _leaps(blocked)
    if not leaps:
        return path
    borders = [(0, 0), *leaps, (len(path) - 1, len(path) - 1)]
    positions = []
    for (left, landed), (leaving, landing) in pairwise(borders):
        steps = _paces(leaving - landed, landed - left, landing - leaving)
        positions += [landed, *(landed + np.cumsum(steps))]
    return path.at(np.array(positions))


def _leaps(blocked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Last frame before and first frame behind each blocked stretch; those too close to speed up between are one."""
    edges = np.diff(np.pad(blocked, 1).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)  # [begin, end)
    leaps: list[tuple[int, int]] = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if begin == 0 or end == len(blocked):
            continue
        leap = (begin - 1, end)
        while leaps and (leap[0] - leaps[-1][1]) * _GROWTH < max(leap[1] - leap[0], leaps[-1][1] - leaps[-1][0]):
            leap = (leaps.pop()[0], leap[1])
        leaps.append(leap)
    return leaps


def _paces(length: int, leap_before: int, leap_after: int) -> FloatArray:
    """Steps that sum to `length` frames, of 1 where there is room, and growing towards the leaps at either side."""
    before, after = _shrinking(leap_before), _shrinking(leap_after)
    while sum(before) + sum(after) > length:
        shorter = min((ramp for ramp in (before, after) if ramp), key=lambda ramp: ramp[-1])
        shorter.pop()
    smallest = min([ramp[-1] for ramp in (before, after) if ramp], default=1.0)
    pace = max(1.0, smallest / _GROWTH)
    between = round((length - sum(before) - sum(after)) / pace)
    steps = np.array([*before, *[pace] * between, *reversed(after)])
    if len(steps) == 0:
        return np.full(min(length, 1), float(length))
    return steps * (length / steps.sum())


def _shrinking(leap: int) -> list[float]:
    """What a leap slows down to, step by step, until it is a step of one frame."""
    steps: list[float] = []
    while (step := leap / _GROWTH ** (len(steps) + 1)) > 1:
        steps.append(step)
    return steps
