"""SIGTERM and SIGHUP end a command as Ctrl-C does: by an exception, so that everything begun is cleaned up."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread; while that is handled, others do nothing.

    Where it only stopped a part early, and the command went on, the next one counts again.

    The signals are blocked in this thread and those that it starts, and waited for in one of their own: COLMAP puts a
    handler in place when it is imported, which prints a native stack trace and ends the process at once. The handler
    here is for threads that were there before. Signals that were ignored, as by `nohup`, stay so. Outside the main
    thread, and where there are no such signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    awaited = {one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == signal.SIG_DFL}
    if not awaited:
        yield
        return
    main_thread = threading.get_ident()
    is_over = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not _is_interrupted(sys.exc_info()[1]):
            raise KeyboardInterrupt

    def wait() -> None:
        while True:
            signal.sigwait(awaited)
            if is_over.is_set():
                return
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    handlers = {one: signal.signal(one, interrupt) for one in (signal.SIGUSR1, *awaited)}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    waiting = threading.Thread(target=wait, name="recon-signals", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        is_over.set()
        assert waiting.ident is not None
        signal.pthread_kill(waiting.ident, next(iter(awaited)))
        waiting.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        for one, handler in handlers.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def first_ctrl_c_waits(heard: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C does nothing but call `heard`; each one after raises KeyboardInterrupt.

    Gives what says whether there was one. Where there was a second one, KeyboardInterrupt is raised at the end also if
    what is within took it for its own. Outside the main thread, or where Ctrl-C does something else, nothing changes.
    """
    times = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal times
        times += 1
        if times > 1:
            raise KeyboardInterrupt
        threading.Thread(target=heard).start()  # what is being printed just now is printed first

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield lambda: times > 0
    finally:
        signal.signal(signal.SIGINT, before)
    if times > 1:
        raise KeyboardInterrupt


def _is_interrupted(handled: BaseException | None) -> bool:
    """Whether the exception that is being handled, None for none, is an interruption or came up while handling one."""
    while handled is not None:
        if isinstance(handled, KeyboardInterrupt):
            return True
        handled = handled.__context__
    return False
