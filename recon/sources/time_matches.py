"""Photos that are called by the time they were taken at, and cameras that were somewhere at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from recon.sources.name_matches import NameMatches

_NEAR = 0.02
"""Seconds between a photo and its camera: as in the TUM RGB-D benchmark's associate.py."""
_UNITS = (1.0, 1e-9, 1e-6, 1e-3)
"""Seconds, or what the times in names may be counted in instead; nanoseconds in EuRoC's data sets."""


def match_times(photos: Sequence[str], times: NDArray[np.float64]) -> NameMatches | None:
    """Photos and the cameras (M,) nearest in time, in seconds, each within 0.02 s; None where the photos' names are no
    times, or times of something else."""
    try:
        named = np.array([float(PurePosixPath(name).stem) for name in photos], np.float64)
    except ValueError:
        return None
    if not len(times) or not np.isfinite(named).all():
        return None
    order = np.argsort(times, kind="stable")
    for unit in _UNITS:
        taken_at = named * unit
        after = np.clip(np.searchsorted(times[order], taken_at), 1, max(len(times) - 1, 1))
        candidates = order[np.stack([after - 1, np.minimum(after, len(times) - 1)])]  # (2, N)
        apart = np.abs(times[candidates] - taken_at)
        nearest = np.take_along_axis(candidates, apart.argmin(axis=0)[None], axis=0)[0]
        near = apart.min(axis=0) <= _NEAR
        if near.any():
            cameras = tuple(int(one) if found else None for one, found in zip(nearest, near, strict=True))
            # Of more poses than photos nothing is missed: a tracker is faster than a camera.
            return NameMatches(cameras, ())
    return None
