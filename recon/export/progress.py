"""Progress within one long export: told to whoever listens, else shown as a bar where there is a terminal."""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int], None]

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("recon_export_progress", default=None)


@contextlib.contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Have `listener(what, done, total)` called before each item of every `track` in this context; shows no bar."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, their progress told to the listener or shown on stderr; nothing is shown where stderr is a file."""
    listener = _listener.get()
    if listener is not None:
        for done, item in enumerate(items):
            listener(what, done, total)
            yield item
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as track_with_bar

        yield from track_with_bar(items, what, total, console=Console(stderr=True), transient=True)
    else:
        yield from items
