"""Ctrl-C and its like in the midst of a step: they wait until the step is done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")


@dataclass
class Interruption:
    """Whether somebody wants an end."""

    asked: bool = False


@contextlib.contextmanager
def interruption_noted() -> Iterator[Interruption]:
    """Within, the first signal that would raise KeyboardInterrupt is only noted; the next one raises it at once.

    Signals that do something else, or end the process, still do. Nothing changes outside the main thread, which alone
    handles signals.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {one: handler for one in numbers if callable(handler := signal.getsignal(one))}

    def note(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except KeyboardInterrupt:
            if found.asked:
                raise
            found.asked = True

    for one in before:
        signal.signal(one, note)
    try:
        yield found
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
