"""Jobs in order, one at a time; what happens to them is in their files before anybody is told."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recon.errors import InputError, why
from recon.progress import Progress
from recon.run.worker_process import DIED, STOPPED, WorkerProcess
from recon.view.service.job import MOST_ATTEMPTS, Job
from recon.view.service.job_store import JobStore

_MOST_WARNINGS = 200
_SECONDS_TO_REMOVE = 20.0


class JobQueue:
    """A context in which jobs are done. Those that an earlier server left are there again, begun ones first."""

    def __init__(self, store: JobStore, worker: WorkerProcess, report: Callable[[str], None]) -> None:
        """`report` is called with what whoever runs the server should know."""
        self.store = store
        self._report = report
        self._worker = worker
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._jobs = {job.id: job for job in store.load()}
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="recon-jobs", daemon=True)
        for job in self._jobs.values():
            if job.state == "running":
                job.state = "queued"

    def __enter__(self) -> JobQueue:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """A job that goes on stays `running` in its file: the next server goes on with it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.close()
        self._thread.join()

    @property
    def is_closed(self) -> bool:
        """Whether the server is about to end."""
        return self._closed

    def all(self) -> list[Job]:
        """The latest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def get(self, identifier: str) -> Job | None:
        """The job of that name."""
        with self._lock:
            return self._jobs.get(identifier)

    def position(self, job: Job) -> int | None:
        """How many are to be done before it; None where it is not waiting."""
        with self._lock:
            waiting = self._waiting()
            return waiting.index(job) + (self._running() is not None) if job in waiting else None

    def add(self, folder: Path, job: Job) -> None:
        """A new job, whose files lie in `folder`. Raises OSError where that cannot be kept."""
        with self._changed:
            self.store.adopt(folder, job)
            self._jobs[job.id] = job
            self._changed.notify_all()

    def cancel(self, job: Job) -> bool:
        """Whether there was something to cancel; one that goes on ends soon."""
        with self._changed:
            if job.state == "queued":
                self._end(job, "cancelled")
            elif job.state == "running" and not job.cancelling:
                job.cancelling = True
                job.changed()
                self._worker.cancel()
            return job.state in ("cancelled", "running")

    def remove(self, job: Job) -> bool:
        """Cancel the job, and remove it with all its files; False where it does not end in time. Raises OSError."""
        end = time.monotonic() + _SECONDS_TO_REMOVE
        with self._changed:
            self.cancel(job)
            while job.state == "running":
                if not self._changed.wait(max(end - time.monotonic(), 0.0)):
                    return False
            removed = self.store.take_away(job) if job.id in self._jobs else None
            self._jobs.pop(job.id, None)
        if removed is not None:
            shutil.rmtree(removed, ignore_errors=True)
        return True

    def _waiting(self) -> list[Job]:
        """Those that were begun before, then the others in the order in which they came."""
        waiting = [job for job in self._jobs.values() if job.state == "queued"]
        return sorted(waiting, key=lambda job: (not job.attempts, job.id))

    def _running(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "running"), None)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._waiting():
                    self._changed.wait()
                if self._closed:
                    return
                job = self._waiting()[0]
                if job.attempts >= MOST_ATTEMPTS:
                    self._end(job, "failed", f"given up: the server has ended {job.attempts} times while it did this")
                    continue
                job.state, job.started, job.attempts = "running", time.time(), job.attempts + 1
                job.warnings, job.progress = [], Progress("start")
                self._save(job)
            ended = self._done(job)
            with self._changed:
                if ended["end"] == STOPPED:
                    return
                if job.cancelling and ended["end"] != "done":
                    self._end(job, "cancelled")
                elif ended["end"] == "done":
                    job.summary, job.files = dict(ended["summary"]), list(ended["files"])
                    self._end(job, "done")
                else:
                    self._end(job, "failed", str(ended.get("error", "")))

    def _done(self, job: Job) -> Mapping[str, Any]:
        """How the job ended; whatever goes wrong with it, others are to be done."""
        try:
            ended = self._worker.run(
                {"job": str(self.store.folder(job)), "settings": dict(job.settings)}, self._listener(job)
            )
            return (
                {**ended, "error": f"{ended['error']}; the server's log says more"} if ended["end"] == DIED else ended
            )
        except Exception as error:  # the process cannot be started: no memory, no room for its log
            self._report(f"a job cannot be done: {type(error).__name__}: {why(error)}")
            return {"end": "failed", "error": "the server cannot do it now: it has no memory or no room on its disk"}

    def _listener(self, job: Job) -> Callable[[Mapping[str, Any]], None]:
        def listen(message: Mapping[str, Any]) -> None:
            with self._lock:
                if "progress" in message:
                    job.progress = Progress(**message["progress"])
                elif "warning" in message and len(job.warnings) < _MOST_WARNINGS:
                    job.warnings.append(message["warning"])
                job.changed()

        return listen

    def _end(self, job: Job, state: Any, error: str | None = None) -> None:
        job.state, job.error, job.finished, job.cancelling = state, error, time.time(), False
        self._save(job)
        self._changed.notify_all()

    def _save(self, job: Job) -> None:
        """Where the disk is full the job goes on all the same: a later server does again what is not kept."""
        job.changed()
        try:
            self.store.save(job)
        except InputError as error:
            self._report(f"the state of a job cannot be kept: {error}")
