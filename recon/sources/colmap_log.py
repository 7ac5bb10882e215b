"""COLMAP without its log on the terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_NOTHING = 4
"""Above glog's FATAL (3): no level is printed."""

_lock = threading.Lock()
_open_blocks = 0
_settings_before = (0, 0, False)


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
