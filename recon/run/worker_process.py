"""A process that does jobs, as whoever gives them sees it; `recon.run.worker` is its own side."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[1]
_SECONDS_TO_CANCEL = 5.0
"""Until a job that is to end and does not is ended by killing the process; the next job then loads its model anew."""
STOPPED = "stopped"
"""How a job ended whose process was closed."""
DIED = "died"
"""How a job ended whose process did."""


class WorkerProcess:
    """Started when there is something to do, and again where it has ended. One thread runs jobs; others may cancel."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        log: Path,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Of a module that makes a `recon.run.worker.Worker` and calls its `work`.

        Args:
            module: to be run by this Python.
            arguments: of its command line.
            log: file for what it prints.
            folder: that it works in; by default this process's.
            environment: variables beside those of this process.
        """
        self._command = [sys.executable, "-m", module, *arguments]
        self._log, self._folder, self._environment = log, folder, dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._to_be_killed: subprocess.Popen[str] | None = None

    def run(self, job: Mapping[str, Any], tell: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
        """Have the job done, telling what it tells; returns how it ended, as the module says it.

        Where the process ends in its midst: `{"end": DIED, "error": TEXT}`; where it was closed, `{"end": STOPPED}`.
        """
        process = self._ready()
        if process is None:
            return {"end": STOPPED}
        assert process.stdout is not None
        self._say(job)
        for line in process.stdout:
            message = json.loads(line)
            if "end" in message:
                with self._lock:
                    self._to_be_killed = None
                return dict(message)
            tell(message)
        code = process.wait()
        if self._closed:
            return {"end": STOPPED}
        said = f"was killed by signal {-code}, as when memory runs out" if code < 0 else f"ended with {code}"
        return {"end": DIED, "error": f"the process that did it {said}"}

    def cancel(self) -> None:
        """The job that goes on is to end; where it does not, its process is killed, which its store is made for."""
        self._say({"cancel": True})
        with self._lock:
            self._to_be_killed = self._process
        timer = threading.Timer(_SECONDS_TO_CANCEL, self._kill)
        timer.daemon = True
        timer.start()

    def _kill(self) -> None:
        with self._lock:
            process, self._to_be_killed = self._to_be_killed, None
            if process is not None:
                process.kill()

    def close(self) -> None:
        """End the process; a job that goes on stays where it is."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _say(self, message: Mapping[str, Any]) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which whoever reads from it sees
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()

    def _ready(self) -> subprocess.Popen[str] | None:
        """The process; None where no more jobs are to be done."""
        with self._lock:
            if self._closed:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()
            return self._process

    def _started(self) -> subprocess.Popen[str]:
        """In a session of its own, so that Ctrl-C reaches this process alone; importing nothing from where it works."""
        paths = [str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONSAFEPATH": "1",
            **self._environment,
        }
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
