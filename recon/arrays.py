"""Checks on arrays that the value types share."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_shape(array: Any, name: str, shape: tuple[int | None, ...]) -> None:
    """Raise if `array` is not a numpy array of `shape`, where None stands for any length."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {array.shape}")
