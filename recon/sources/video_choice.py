"""Which frames of a video are taken: one of each interval, and of those in an interval the sharpest."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.messages import warn

USUAL_RATE, FEWEST, MOST = 2.0, 20, 60
"""Frames a second that are taken where nobody says how many, within these bounds."""

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_ROUNDING = 1e-6
"""Seconds, within which a time on the border of two intervals belongs to the later one."""


@dataclass(frozen=True)
class Intervals:
    """From which frames one is to be taken, for each of N that are wanted."""

    candidates: NDArray[np.int64]
    """(F,) for each frame of the video the interval that it may be taken for, 0 to N - 1 in order; -1: none."""
    chosen_by: str
    """In messages: what decided how many there are."""

    @property
    def count(self) -> int:
        """N."""
        return int(self.candidates.max(initial=-1)) + 1

    def say_if_usual(self, label: str, sharpest: bool) -> None:
        """Warn of the frames that are left out where nobody said how many to take; `label` names what they are of."""
        if self.chosen_by or self.count == len(self.candidates):
            return
        which = ", the sharpest of each interval" if sharpest else ""
        taken = f"{self.count} of {len(self.candidates)} frames are taken{which}"
        warn(f"{label}: {taken}; fps, frames or every say how many")


def seconds(clock: float | str | None, label: str) -> float | None:
    """A time given as seconds, `m:s` or `h:m:s`. Raises InputError, naming the option, for anything else."""
    if clock is None:
        return None
    found = _CLOCK.fullmatch(str(clock).strip())
    if found is None:
        raise InputError(f"{label} must be seconds, minutes:seconds or hours:minutes:seconds, got {clock!r}")
    hours, minutes, rest = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest)


def intervals(times: NDArray[np.float64], options: SourceOptions, label: str) -> Intervals:
    """Put the frames of a video into intervals as the options say.

    Args:
        times: (F,) seconds, ascending.
        options: `start`, `end`, and one of `fps`, `frames` and `every`, else as many as is usual; `limit`, `sharpest`.
        label: of the video in errors.

    Raises:
        InputError: options that contradict each other, or leave no frame.
    """
    asked = [name for name in ("fps", "frames") if getattr(options, name) is not None]
    asked += ["every"] if options.every > 1 else []
    if len(asked) > 1:
        raise InputError(f"{asked[0]} and {asked[1]} both say which frames of a video to take: give one of them")
    start = seconds(options.start, "start") or 0.0
    end = seconds(options.end, "end")
    if end is not None and end <= start:
        raise InputError(f"end must be after start, got {options.end} and {options.start or 0}")
    within = (times >= start - _ROUNDING) & (times < (math.inf if end is None else end - _ROUNDING))
    if not within.any():
        raise InputError(f"start and end leave no frame of {label}, which is {times[-1]:.2f} s long")
    own = times[within]
    if options.fps is not None:
        numbers = np.floor((own - max(start, times[0])) * options.fps + _ROUNDING).astype(np.int64)
    elif options.every > 1:
        numbers = np.arange(len(own)) // options.every
    else:
        numbers = _even(own, _usual_count(own) if options.frames is None else options.frames)
    numbers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)  # without those that no frame is in
    if options.limit is not None:
        numbers[numbers >= options.limit] = -1
    if not options.sharpest or options.every > 1:
        first = np.diff(numbers, prepend=-1) > 0
        numbers[~first] = -1
    candidates = np.full(len(times), -1, np.int64)
    candidates[within] = numbers
    return Intervals(candidates, asked[0] if asked else "limit" if options.limit is not None else "")


def chosen_rows(times: NDArray[np.float64], options: SourceOptions, label: str) -> list[int]:
    """Of each interval the number of its first frame; arguments and errors as `intervals`, usual numbers are said."""
    found = intervals(times, options, label)
    found.say_if_usual(label, sharpest=False)
    return np.unique(found.candidates, return_index=True)[1][-found.count :].tolist()


def _even(times: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Intervals of equal length in time; of equal numbers of frames where some would have none."""
    if count >= len(times):
        return np.arange(len(times))
    last = times[-1] + (times[-1] - times[0]) / max(len(times) - 1, 1)
    numbers = np.floor((times - times[0]) / (last - times[0]) * count + _ROUNDING).astype(np.int64)
    if len(np.unique(numbers)) < count:
        return np.arange(len(times)) * count // len(times)
    return numbers


def _usual_count(times: NDArray[np.float64]) -> int:
    return int(np.clip(round((times[-1] - times[0]) * USUAL_RATE), FEWEST, MOST))
