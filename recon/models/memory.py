"""Keeping freed memory at hand while a network runs on a CPU.

glibc returns large freed blocks to the system at once and asks for them anew for the next layer; the system then has
to map and clear every page again. For da3-small on two cores that was a sixth of the time, and a third of the first
run's. Inside `reuse_freed_memory` large blocks come from the heap and stay there; peak memory barely changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator

import torch

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BELOW = 1 << 30
"""Blocks up to this many bytes are kept, and this many bytes at the end of the heap."""
# What glibc's own adaptive thresholds reach at most, and the state it is left in.
_USUAL_MMAP_THRESHOLD = 32 << 20
_USUAL_TRIM_THRESHOLD = 64 << 20

_lock = threading.Lock()
_users = 0


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


@contextlib.contextmanager
def reuse_freed_memory(device: torch.device) -> Iterator[None]:
    """Let large freed blocks be used again in this context, for work on `device`.

    Does nothing for other devices than a CPU, nor where the C library is not glibc.
    """
    global _users
    library = _glibc()
    if library is None or device.type != "cpu":
        yield
        return
    with _lock:
        _users += 1
        if _users == 1:
            if not library.mallopt(_M_MMAP_THRESHOLD, _KEEP_BELOW):
                library.mallopt(_M_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)  # the most that glibc before 2.35 takes
            library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BELOW)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                library.mallopt(_M_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
                library.mallopt(_M_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
