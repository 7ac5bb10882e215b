"""Relative depth from disparity that is known up to scale and shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = TypeVar("Array", Tensor, NDArray)

FARTHEST = 100.0
"""Depth of what has no disparity, where the nearest pixel has depth 1."""


def depth_from_disparity(disparity: Array, nearest: Array) -> Array:
    """Depth in multiples of the nearest pixel's: `nearest / disparity`, at most `FARTHEST`.

    The networks' disparity is a / z + b with unknown a and b (MiDaS, arXiv 1907.01341); b is taken as 0, so that zero
    disparity, which these networks give the sky, is far away. A map without any disparity is `FARTHEST` throughout.

    Args:
        disparity: (..., H, W) at least 0, near is large; numpy or torch.
        nearest: (..., 1, 1) largest disparity of each map.
    """
    return 1 / (disparity / nearest.clip(1e-6, None)).clip(1 / FARTHEST, None)
