"""Calling COLMAP: with progress, and so that Ctrl-C ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pycolmap

Result = TypeVar("Result")

_WATCH_SECONDS = 0.2
_SEEDS = 2**31 - 1000
"""COLMAP's seeds are signed 32-bit integers, and some are counted up from the one given."""


def colmap_seed(seed: int) -> int:
    """A seed for COLMAP from any that is not negative: itself where it is small enough, and room to add to it."""
    return seed % _SEEDS


def run_cancellable(work: Callable[[pycolmap.CancellationToken], Result], watch: Callable[[], None]) -> Result:
    """Do `work` in a thread and call `watch` here a few times a second.

    COLMAP's long functions do not return to Python until they are done, so a Ctrl-C would wait for them. Here it, or
    an error of `watch`, cancels the work through the token that it is given, and is raised as soon as the work stops.
    """
    import pycolmap

    token = pycolmap.CancellationToken()
    task: Future[Result] = Future()

    def do() -> None:
        if not task.set_running_or_notify_cancel():
            return
        try:
            task.set_result(work(token))
        except BaseException as error:
            task.set_exception(error)

    try:
        threading.Thread(target=do, name="recon-colmap").start()
        while not wait([task], timeout=_WATCH_SECONDS).done:
            watch()
    except BaseException:  # a Ctrl-C may come as soon as the thread starts, before `start` returns
        token.cancel()
        if not task.cancel():
            wait([task])
        raise
    return task.result()
