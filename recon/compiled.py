"""How loops become machine code: when first called, and kept for the next process.

Numba compiles a function again when its file has changed, not when a constant or a function has that it takes from
another: whoever changes one deletes the `.nbi` and `.nbc` files in `__pycache__`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from recon.messages import warn

Function = TypeVar("Function", bound=Callable[..., object])

FUSED = {"contract"}
"""For `fastmath`: a product and a sum may be rounded once instead of twice, differently wherever the function is
inlined."""


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Decorate a function to be compiled when first called, and to run without the interpreter's lock.

    A division by zero gives infinity or NaN. Where no folder can hold compiled code, every process compiles anew, and a
    warning says so.

    Args:
        options: further ones of `numba.njit`.
    """
    options = {"nogil": True, "error_model": "numpy", **options}

    def compile_lazily(function: Function) -> Function:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # numba may write neither in the package's folder nor in the user's cache
            _warn_of_missing_cache()
            return njit(**options)(function)

    return compile_lazily


@functools.cache
def _warn_of_missing_cache() -> None:
    """Once, not for every function."""
    warn(
        "no folder can hold compiled code, so every process compiles it anew: "
        "set NUMBA_CACHE_DIR to a folder that can be written"
    )
