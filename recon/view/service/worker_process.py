"""The process that does the jobs, as the server sees it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[2]
_LOG, _TEMPORARY = ".worker.log", ".temporary"
_SECONDS_TO_CANCEL = 5.0
"""Until a job that is to end and does not is ended by killing the process; the next job then loads its model anew."""


class WorkerProcess:
    """Started when there is something to do, and again where it has ended. One thread runs jobs; others may cancel."""

    def __init__(self, root: Path, keep: int, of_server: Mapping[str, Any]) -> None:
        """`keep` models stay loaded, `of_server` are options over those of jobs, `root` is for a log and scratch."""
        self._root = root
        self._arguments = [str(keep), json.dumps(dict(of_server))]
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._to_be_killed: subprocess.Popen[str] | None = None

    def run(
        self, folder: Path, settings: Mapping[str, Any], tell: Callable[[Mapping[str, Any]], None]
    ) -> Mapping[str, Any]:
        """Do the job in `folder`, telling what it tells; returns how it ended, as `recon.view.service.worker` says it.

        Where the process ends in its midst, that is a failure.
        """
        process = self._ready()
        if process is None:
            return {"end": "stopped"}
        assert process.stdout is not None
        self._say({"job": str(folder), "settings": dict(settings)})
        for line in process.stdout:
            message = json.loads(line)
            if "end" in message:
                with self._lock:
                    self._to_be_killed = None
                return dict(message)
            tell(message)
        code = process.wait()
        if self._closed:
            return {"end": "stopped"}
        said = f"was killed by signal {-code}, as when memory runs out" if code < 0 else f"ended with {code}"
        return {"end": "failed", "error": f"the process that did it {said}; the server's log says more"}

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
        """The process; None where the server is closing."""
        with self._lock:
            if self._closed:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()
            return self._process

    def _started(self) -> subprocess.Popen[str]:
        """In a session of its own, so that Ctrl-C reaches the server alone; importing nothing from where it works."""
        temporary = self._root / _TEMPORARY
        temporary.mkdir(exist_ok=True)
        paths = [str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONSAFEPATH": "1",
            **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")},
        }
        with (self._root / _LOG).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "recon.view.service.worker", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._root,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
