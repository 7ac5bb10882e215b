"""Masks at another size than they were made for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLIVER = 1e-6
"""Pixels of the mask: a smaller part of one is what rounding makes of none."""


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask stretched to `size` (width, height): True where all that a pixel covers is True.

    So no pixel counts whose colour is in part that of something masked out.
    """
    height, width = mask.shape
    return mask if size == (width, height) else shrink_mask(mask, (width / size[0], height / size[1]), size)


def shrink_mask(mask: NDArray[np.bool_], scale: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of `size` (width, height) whose pixel (i, j) covers from `scale` · (i, j) to `scale` · (i + 1, j + 1)
    of `mask`: True where all of that is True. What lies beyond `mask` is as its border."""
    return _all_covered(_all_covered(mask, 0, scale[1], size[1]), 1, scale[0], size[0])


def _all_covered(mask: NDArray[np.bool_], axis: int, scale: float, count: int) -> NDArray[np.bool_]:
    length = mask.shape[axis]
    places = np.arange(count)
    first = np.clip(np.floor(places * scale + _SLIVER), 0, length - 1).astype(np.intp)
    end = np.clip(np.ceil((places + 1) * scale - _SLIVER), first + 1, length).astype(np.intp)
    # Every other interval of `reduceat` is one that a pixel covers; the row added lets the last one end.
    spare: list[Any] = [(0, 1) if one == axis else (0, 0) for one in range(2)]
    covered = np.logical_and.reduceat(np.pad(mask, spare), np.stack([first, end], axis=1).ravel(), axis=axis)
    return np.asarray(covered[::2] if axis == 0 else covered[:, ::2])
