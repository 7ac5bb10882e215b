"""A service whose jobs are done by the test, at a real address."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from recon.view.server import Address, Server
from recon.view.service.endpoints import service_app
from recon.view.service.handlers import Handlers
from recon.view.service.job_queue import JobQueue
from recon.view.service.job_store import PICTURE, RESULT, JobStore
from recon.view.service.receiving import Limits
from recon.view.service.uploads import Uploads
from tests.view.service.client import Client

_SUMMARY = {"views": 1, "width": 56, "height": 42, "units": "relative", "seconds": 1.5, "text": ["nothing removed"]}
DONE: dict[str, Any] = {"end": "done", "summary": _SUMMARY, "files": [{"path": "a.txt", "bytes": 5}]}


class FakeWorker:
    """Takes as long as a test likes: each job ends with the next of what the test puts into `ends`."""

    def __init__(self) -> None:
        self.ends: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self.begun: queue.Queue[Path] = queue.Queue()
        self.settings: dict[str, Any] = {}
        self.tell: Callable[[Mapping[str, Any]], None] = lambda message: None
        self.cancelled = threading.Event()

    def run(self, job: Mapping[str, Any], tell: Callable[..., None]) -> Mapping[str, Any]:
        folder = Path(job["job"])
        (folder / RESULT).mkdir(exist_ok=True)
        self.settings, self.tell = dict(job["settings"]), tell
        self.begun.put(folder)
        end = self.ends.get()
        if end["end"] == "raise":
            raise OSError(12, "Cannot allocate memory", "/secret/place")
        if end["end"] == "done":
            (folder / RESULT / "a.txt").write_text("a\nb\nc")
            (folder / RESULT / "view.html").write_text("<!doctype html>")
            (folder / PICTURE).write_bytes(b"jpeg")
        return end

    def cancel(self) -> None:
        self.cancelled.set()
        self.ends.put({"end": "cancelled"})

    def close(self) -> None:
        self.ends.put({"end": "stopped"})


class Service(Client):
    """A client that also sees what lies behind."""

    worker: FakeWorker
    queue: JobQueue
    root: Path


@contextlib.contextmanager
def serving(
    root: Path, limits: Limits | None = None, token: str | None = None, said: list[str] | None = None
) -> Iterator[Service]:
    worker, store = FakeWorker(), JobStore(root)
    report = (said if said is not None else []).append
    with Address(18100) as address, JobQueue(store, worker, report) as jobs:  # type: ignore[arg-type]
        handlers = Handlers(jobs, limits or Limits(1_000_000, 20), Uploads(store))
        with Server(service_app(handlers, address.hosts, token), address):
            service = Service(address.port)
            for name, value in {"worker": worker, "queue": jobs, "root": root}.items():
                object.__setattr__(service, name, value)
            yield service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "runs") as service:
        yield service
