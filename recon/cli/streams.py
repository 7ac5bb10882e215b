"""Standard streams that may be closed, or whose reader may leave: neither ends the work nor shows a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A pipe that nobody reads, a terminal that was closed, a descriptor that was closed."""


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Let whatever is printed within go nowhere once nobody can read it.

    A stream that was closed at the start (`>&-`) is the null device, so that no file that is opened later takes its
    place. One that fails for another reason, such as a full disk, raises OSError at its first failure; stderr does
    not, since there is nobody to tell.
    """
    kept = sys.stdin, sys.stdout, sys.stderr
    if None in kept:
        _occupy_standard_descriptors()
    opened = [open(os.devnull, "w") if stream is None else None for stream in kept[1:]]  # noqa: SIM115 (closed below)
    streams = [stream or null for stream, null in zip(kept[1:], opened, strict=True)]
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no failure
    sys.stdout = cast(TextIO, _Guarded(streams[0], every_failure=False))
    sys.stderr = cast(TextIO, _Guarded(streams[1], every_failure=True))
    try:
        yield
        sys.stdout.flush()
    finally:
        for guarded in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                guarded.flush()
        sys.stdin, sys.stdout, sys.stderr = kept
        for null in opened:
            if null is not None:
                null.close()


class _Guarded:
    """A text stream whose failures to write are those of nobody reading."""

    def __init__(self, stream: Any, *, every_failure: bool) -> None:
        self._stream = stream
        self._every_failure = every_failure
        self._gone = False

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _fail(self, error: OSError) -> None:
        self._gone = True
        with contextlib.suppress(OSError, ValueError):  # what is still buffered, Python writes at exit: to nowhere
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        if not (self._every_failure or error.errno in _READER_GONE):
            raise OSError(error.errno, f"cannot write to standard output: {error.strerror}") from error


def _occupy_standard_descriptors() -> None:
    """Open the null device at each of the descriptors 0, 1 and 2 that is free."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
