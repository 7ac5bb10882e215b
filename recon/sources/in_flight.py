"""How many pixels of photos are decoded at one time: the largest photos take turns, small ones share the cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

MOST_PIXELS = 200_000_000
"""In flight together. Decoding, turning and converting a photo takes up to 15 bytes for each of its pixels."""

Admit: TypeAlias = Callable[[int], None]
"""Called with the number of pixels of a photo before it is decoded; returns when there is room for them."""


class PixelsInFlight:
    """Room for a number of pixels. A photo that has more than that is let in when it is alone."""

    def __init__(self, most: int = MOST_PIXELS) -> None:
        self._most = most
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def share(self) -> Iterator[Admit]:
        """For one photo at a time: what it was admitted with is given back when the block ends."""
        own = 0

        def admit(pixels: int) -> None:
            nonlocal own
            with self._changed:
                self._changed.wait_for(lambda: self._held == 0 or self._held + pixels <= self._most)
                self._held += pixels
                own += pixels

        try:
            yield admit
        finally:
            with self._changed:
                self._held -= own
                self._changed.notify_all()


IN_FLIGHT = PixelsInFlight()
"""Of this process: every reader of photo files waits for room here."""
