"""COLMAP's long functions stop with whoever waits for them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from recon.sfm.colmap import run_cancellable

if TYPE_CHECKING:
    import pycolmap


class _Work:
    """Long work that ends early where its token says so."""

    def __init__(self) -> None:
        self.ended = False
        self.was_cancelled = False

    def __call__(self, token: pycolmap.CancellationToken) -> str:
        for _ in range(500):
            if token.is_cancelled:
                break
            time.sleep(0.01)
        time.sleep(0.1)
        self.was_cancelled = token.is_cancelled
        self.ended = True
        return "done"


def test_the_result_comes_back_and_is_watched() -> None:
    watched: list[int] = []
    assert run_cancellable(lambda token: time.sleep(0.5) or "done", lambda: watched.append(1)) == "done"
    assert watched


def test_an_error_of_the_work_is_raised() -> None:
    def fail(token: pycolmap.CancellationToken) -> None:
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        run_cancellable(fail, lambda: None)


def test_an_error_of_the_watcher_ends_the_work_first() -> None:
    def watch() -> None:
        raise KeyboardInterrupt

    work = _Work()
    with pytest.raises(KeyboardInterrupt):
        run_cancellable(work, watch)
    assert work.ended
    assert work.was_cancelled


def test_an_interrupt_while_the_thread_starts_ends_the_work_first(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_and_be_interrupted(self: threading.Thread) -> None:
        start(self)
        raise KeyboardInterrupt

    work = _Work()
    monkeypatch.setattr(threading.Thread, "start", start_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_cancellable(work, lambda: None)
    assert work.ended
    assert work.was_cancelled


def test_an_interrupt_before_the_thread_starts_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def be_interrupted(self: threading.Thread) -> None:
        raise KeyboardInterrupt

    work = _Work()
    monkeypatch.setattr(threading.Thread, "start", be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_cancellable(work, lambda: None)
    assert not work.ended
