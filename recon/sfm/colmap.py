"""Calling COLMAP: without its log on the terminal, with progress, and so that Ctrl-C ends it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pycolmap

Result = TypeVar("Result")

_WATCH_SECONDS = 0.2
_NOTHING = 4
"""Above glog's FATAL (3): no level is printed."""

_SEEDS = 2**31 - 1000
"""COLMAP's seeds are signed 32-bit integers, and some are counted up from the one given."""

_lock = threading.Lock()
_open_blocks = 0
_settings_before = (0, 0, False)


def colmap_seed(seed: int) -> int:
    """A seed for COLMAP from any that is not negative: itself where it is small enough, and room to add to it."""
    return seed % _SEEDS


@contextlib.contextmanager
def quiet_colmap() -> Iterator[None]:
    """Silence COLMAP's log within the block, and leave its settings as they were; blocks may nest and overlap.

    Errors reach the caller as exceptions all the same.
    """
    global _open_blocks, _settings_before
    from pycolmap import logging

    with _lock:
        if _open_blocks == 0:
            _settings_before = (logging.minloglevel, logging.stderrthreshold, logging.alsologtostderr)
            logging.minloglevel, logging.stderrthreshold, logging.alsologtostderr = _NOTHING, _NOTHING, False
        _open_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _open_blocks -= 1
            if _open_blocks == 0:
                logging.minloglevel, logging.stderrthreshold, logging.alsologtostderr = _settings_before


def run_cancellable(work: Callable[[pycolmap.CancellationToken], Result], watch: Callable[[], None]) -> Result:
    """Do `work` in a thread and call `watch` here a few times a second.

    COLMAP's long functions do not return to Python until they are done, so a Ctrl-C would wait for them. Here it, or
    an error of `watch`, cancels the work through the token that it is given, and is raised as soon as the work stops.
    """
    import pycolmap

    token = pycolmap.CancellationToken()
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(work, token)
        try:
            while not wait([task], timeout=_WATCH_SECONDS).done:
                watch()
        except BaseException:
            token.cancel()
            raise
        return task.result()
