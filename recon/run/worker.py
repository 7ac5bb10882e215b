"""A process that does jobs one after the other for another one: its side of the talk, one JSON object a line.

It is told a job, which is any object with the key `job`, and while that goes on `{"cancel": true}`. It tells
`{"progress": {…}}`, `{"warning": TEXT}`, and last how the job ended: an object with the key `end`. When nobody is there
any more to tell it anything, it ends at once: a run's store is made for that. `recon.run.worker_process` is the other
side.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from recon.errors import InputError
from recon.files import only_writer
from recon.messages import ReconWarning
from recon.progress import Progress

_SECONDS_BETWEEN = 0.1
"""Of progress within one part of a stage."""
_SECONDS_FOR_ANOTHER = 20.0
"""How long a process that a killed one left behind may take to end."""


class Cancelled(BaseException):
    """Whoever asked for the job wants it no more. No KeyboardInterrupt: that may mean to come to an end early."""


class Worker:
    """Does one job after the other."""

    def __init__(self, told: TextIO, tells: TextIO, shown: Callable[[str], str] = str) -> None:
        """Is told by `told`, tells `tells`; warnings as `shown` makes them."""
        self._told, self._tells, self._shown = told, tells, shown
        self._jobs: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._cancelled = threading.Event()
        self._last: tuple[float, str, str] = (0.0, "", "")

    def work(self, do: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Until there is nobody left to be told by: `do` takes a job and returns how it ended."""
        threading.Thread(target=self._listen, name="recon-orders", daemon=True).start()
        while True:
            self._tell(do(self._jobs.get()))

    def _listen(self) -> None:
        for line in self._told:
            message = json.loads(line)
            if "cancel" in message:
                self._cancelled.set()
            else:
                self._cancelled.clear()
                self._jobs.put(message)
        os._exit(0)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._tells.write(json.dumps(message) + "\n")
        self._tells.flush()

    @contextlib.contextmanager
    def report(self) -> Iterator[Worker]:
        """Progress and warnings of a run are told, each warning once."""
        said = set()
        with warnings.catch_warnings():
            warnings.simplefilter("always", ReconWarning)
            show_others = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
                if not issubclass(category, ReconWarning):
                    show_others(message, category, *place, **more)
                elif str(message) not in said:
                    said.add(str(message))
                    self._tell({"warning": self._shown(str(message))})

            warnings.showwarning = show
            yield self

    def begin(self, what: str) -> None:
        """A step before the stages of a run."""
        self(Progress(what))

    def __call__(self, event: Progress) -> None:
        """Where the run is. Raises Cancelled where it is to end."""
        if self._cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        place = (event.stage, event.part)
        if place != self._last[1:] or now > self._last[0] + _SECONDS_BETWEEN:
            self._last = (now, *place)
            self._tell({"progress": asdict(event)})


def worker_streams() -> tuple[TextIO, TextIO]:
    """What a worker is told by, and what it tells; what jobs print of their own goes to stderr from here on."""
    tells = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return sys.stdin, tells


def wait_for_another(result: Path) -> None:
    """Until a process that a killed one left behind has noticed that, and writes into the folder no more."""
    end = time.monotonic() + _SECONDS_FOR_ANOTHER
    while time.monotonic() < end:
        with contextlib.suppress(InputError), only_writer(result):
            return
        time.sleep(0.2)
