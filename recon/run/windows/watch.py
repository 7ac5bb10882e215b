"""A folder in which photos arrive one after the other, as from a camera that uploads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recon.errors import InputError
from recon.messages import collect_warnings
from recon.run.window_choice import WindowSizes
from recon.sources.images import ImageSource

_POLL = 0.5
"""Seconds between two looks."""
_AT_REST = 1.0
"""Seconds after which a file that has not changed is taken for whole, if it can be read."""
_GIVEN_UP = 10.0
"""Seconds after which one that cannot be read is a bad photo, which the run leaves out."""


class Arrivals:
    """The photos of a folder that are whole, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._since: dict[Path, float] = {}
        self._whole: set[Path] = set()

    def count(self) -> int:
        """How many there are before the first that is still being written."""
        now = time.monotonic()
        for number, path in enumerate(self._paths()):
            try:
                found = path.stat()
            except OSError:
                return number
            state = (found.st_size, found.st_mtime_ns)
            if self._seen.get(path) != state:
                self._seen[path], self._since[path] = state, now
                self._whole.discard(path)
            if path not in self._whole and not self._is_whole(path, now - self._since[path]):
                return number
            self._whole.add(path)
        return len(self._seen)

    def _paths(self) -> list[Path]:
        try:
            with collect_warnings():
                paths = ImageSource.of([self._folder]).paths
        except InputError:  # nothing there yet
            paths = ()
        found = [path for path in paths if path is not None]
        for gone in set(self._seen) - set(found):
            del self._seen[gone], self._since[gone]
            self._whole.discard(gone)
        return found

    def _is_whole(self, path: Path, unchanged: float) -> bool:
        if unchanged < _AT_REST:
            return False
        try:
            ImageSource.of([path]).read(0)
        except InputError:
            return unchanged >= _GIVEN_UP
        return True


def whole_windows(
    folder: Path,
    sizes: WindowSizes,
    idle: float | None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[int]:
    """Numbers of photos that fill so many windows, each as soon as they are there.

    Ends when for `idle` seconds no photo has arrived (None: never), or `stop` says so.
    """
    arrivals, done = Arrivals(folder), 0
    before, since = -1, time.monotonic()
    while not stop():
        count = arrivals.count()
        if count != before:
            before, since = count, time.monotonic()
        due = _filled(count, sizes)
        if due > done:
            done = due
            yield due
            since = time.monotonic()  # what has arrived meanwhile is new
            before = -1
            continue
        if idle is not None and time.monotonic() - since >= idle:
            return
        time.sleep(_POLL)


def _filled(count: int, sizes: WindowSizes) -> int:
    """The most photos, of `count`, that fill windows without a rest."""
    if count < sizes.size:
        return 0
    step = sizes.size - sizes.overlap
    return sizes.size + (count - sizes.size) // step * step
