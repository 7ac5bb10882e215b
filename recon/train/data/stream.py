"""Batches that threads prepare ahead, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from recon.errors import InputError
from recon.train.batches import Batch

_NUMBER = "batches"
"""Key of the state."""
_AT_ONCE = 1e-3
"""Seconds: a batch that comes within them was ready."""


class Stream:
    """As `recon.train.batches.Batches`: batch number k is what `make(k)` gives, whoever made it and when.

    Decoding, resizing and most of numpy let go of Python's lock, so that threads do, which need no copies between
    processes.
    """

    def __init__(self, make: Callable[[int], Batch], workers: int, ahead: int) -> None:
        self._make = make
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._next = 0
        self._coming: deque[Future[Batch]] = deque()
        self.taken = 0
        """Batches handed out."""
        self.awaited = 0
        """Of these, those that were not ready when they were asked for."""
        self.seconds_awaited = 0.0
        """In all."""

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while len(self._coming) < self._ahead:
            self._coming.append(self._pool.submit(self._make, self._next + len(self._coming)))
        started = time.perf_counter()
        batch = self._coming.popleft().result()
        waited = time.perf_counter() - started
        self.taken += 1
        self.awaited += waited > _AT_ONCE
        self.seconds_awaited += waited
        self._next += 1
        if len(self._coming) < self._ahead:
            self._coming.append(self._pool.submit(self._make, self._next + len(self._coming)))
        return batch

    def state(self) -> dict[str, Any]:
        """As `recon.train.batches.Batches.state`."""
        return {_NUMBER: self._next}

    def resume(self, state: Mapping[str, Any]) -> None:
        """As `recon.train.batches.Batches.resume`. Raises InputError for what is no state."""
        number = state.get(_NUMBER)
        if not isinstance(number, int) or number < 0:
            raise InputError(f"the state of the data says {number!r} batches; it must be a whole number")
        self._drop()
        self._next = number

    def close(self) -> None:
        """End the threads."""
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _drop(self) -> None:
        while self._coming:
            self._coming.popleft().cancel()
