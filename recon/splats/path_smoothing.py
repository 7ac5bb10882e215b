"""Taking the shake out of a camera path."""

from __future__ import annotations

import numpy as np

from recon.geometry.quaternions import normalise
from recon.splats.camera_path import STILL_SHARE, CameraPath, jumps
from recon.types import FloatArray

_WIDEST = 51
"""Frames, at most, that a smoothed frame is mixed from."""
_MOST_ROUNDS = 8192


def low_pass(path: CameraPath, distance: float) -> CameraPath:
    """The path smoothed over about a second and a half at 24 frames a second, shorter paths over their length.

    Every round replaces each frame, but the first and the last, by the middle of the middles between it and its two
    neighbours, along the shortest rotation. Many rounds make a Gaussian window; should the path still jump, there are
    more of them: they bring it closer and closer to the straight and even way from its start to its end. Jumps are
    looked for among slow steps too, so that slower parts may be put in. `distance` is how far away the scene typically
    is.
    """
    width = min(_WIDEST, len(path) - (len(path) + 1) % 2)  # odd
    deviation = 0.3 * ((width - 1) / 2 - 1) + 0.8  # of a Gaussian window with so many taps, OpenCV's rule
    rounds, total = max(round(2 * deviation**2), 1), 0
    while True:
        for _ in range(rounds):
            path = _smoothed_once(path)
        total += rounds
        if total >= _MOST_ROUNDS or not jumps(path, distance, STILL_SHARE / 2).any():
            return path
        rounds = total


def _smoothed_once(path: CameraPath) -> CameraPath:
    if len(path) < 3:
        return path
    return CameraPath(
        _with_ends(path.centres, _middles(_middles(path.centres))),
        _with_ends(path.rotations, _rotation_middles(_rotation_middles(path.rotations))),
        _with_ends(path.intrinsics, _middles(_middles(path.intrinsics))),
    )


def _with_ends(values: FloatArray, inner: FloatArray) -> FloatArray:
    return np.concatenate([values[:1], inner, values[-1:]])


def _middles(values: FloatArray) -> FloatArray:
    return (values[:-1] + values[1:]) / 2


def _rotation_middles(rotations: FloatArray) -> FloatArray:
    """(F - 1, 4) rotations half-way between neighbours of (F, 4)."""
    start, end = rotations[:-1], rotations[1:]
    opposite = (start * end).sum(axis=1, keepdims=True) < 0
    return normalise(start + np.where(opposite, -end, end))
