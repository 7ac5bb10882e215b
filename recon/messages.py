"""Warnings that reach both the person and `run.json`.

Any function may call `warn`. Python's own machinery shows the message to people who call the library; a run that wants
to keep the messages (the pipeline, for `run.json` and the summary table) wraps its work in `collect_warnings`.
"""

from __future__ import annotations

import contextlib
import contextvars
import warnings
from collections.abc import Iterator, Sequence


class ReconWarning(UserWarning):
    """A fallback, a crop, a dropped image, an undetermined scale: something a careful user wants to know."""


_collector: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("recon_warnings", default=None)


def warn(message: str) -> None:
    """Warn the caller, and note the message (once) for whoever collects them."""
    collected = _collector.get()
    if collected is not None and message not in collected:
        collected.append(message)
    warnings.warn(message, ReconWarning, stacklevel=3)


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Gather the messages of every `warn` in this context, in order, each once. Nested collectors pass theirs on."""
    outer = _collector.get()
    messages: list[str] = []
    token = _collector.set(messages)
    try:
        yield messages
    finally:
        _collector.reset(token)
        if outer is not None:
            outer.extend(m for m in messages if m not in outer)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
