"""How far long work is: one kind of event, told to whoever listens.

A run names its stages, and what takes long within one tells of its parts, without knowing who listens:

    with listen(show), stage("cameras", 0, 3):           # the run: the first of 3 stages
        tell("features", 4, 12)                          # anything within: 4 of 12 photos are done
    for frame in track(frames, "frames", count): ...     # the same for each of so many items

A listener that raises stops the work: its exception goes up to whoever started it, as that of Ctrl-C does.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    stage: str = ""
    """What the run is doing: `cameras`, `predict`, `export glb`, …; empty outside any stage."""
    part: str = ""
    """What the stage is doing: `features`, `matches`, `depth`, …; empty as a stage begins."""
    done: int = 0
    """How many photos, pairs or frames of the part are done."""
    total: int = 0
    """Of how many; 0 where the part is not counted."""
    stages_done: int = 0
    """How many stages came before this one."""
    stages: int = 0
    """How many there are; 0 where nobody knows."""

    @property
    def text(self) -> str:
        """For a person: `cameras: matches 12/66`."""
        counted = f"{self.done}/{self.total}" if self.total else ""
        part = " ".join(text for text in (self.part, counted) if text)
        return ": ".join(text for text in (self.stage, part) if text)


Listener: TypeAlias = Callable[[Progress], None]
"""Called in the thread that does the work, as a stage begins and a few times a second at most points within it."""


def silent(event: Progress) -> None:
    """A listener that does nothing."""


TellPart: TypeAlias = Callable[[str, int, int], None]
"""What a long function may be given to call: with its part, how much of it is done, and of how much. `tell` is one."""

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("recon_progress_listener", default=None)
_stage: contextvars.ContextVar[Progress | None] = contextvars.ContextVar("recon_progress_stage", default=None)


@contextlib.contextmanager
def listen(listener: Listener | None) -> Iterator[None]:
    """Have `listener` told of everything in this context, instead of who listened before; None leaves it to them."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def stage(name: str, stages_done: int = 0, stages: int = 0) -> Iterator[None]:
    """Announce stage `name`, before which `stages_done` of all `stages` were; parts told within belong to it."""
    event = Progress(name, stages_done=stages_done, stages=stages)
    token = _stage.set(event)
    try:
        _say(event)
        yield
    finally:
        _stage.reset(token)


def tell(part: str, done: int = 0, total: int = 0) -> None:
    """The stage that this context is in has done `done` of the `total` items of its part `part`."""
    _say(replace(_stage.get() or Progress(), part=part, done=done, total=total))


def track(items: Iterable[Item], part: str, total: int) -> Iterator[Item]:
    """The items, telling before each how many came before it; where nobody listens, a bar on a terminal's stderr."""
    if _listener.get() is None and sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as track_with_bar

        yield from track_with_bar(items, part, total, console=Console(stderr=True), transient=True)
        return
    for done, item in enumerate(items):
        tell(part, done, total)
        yield item


def _say(event: Progress) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(event)
