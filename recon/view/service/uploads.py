"""Files that were sent before the run that they are for was asked for."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from recon.view.service.job_store import JobStore
from recon.view.service.receiving import Received

_SECONDS_KEPT = 24 * 3600.0
_MOST = 200


@dataclass
class Upload:
    """A folder that grows."""

    id: str
    received: Received
    used: float = field(default_factory=time.monotonic)
    is_busy: bool = False


class Uploads:
    """Those that no run has taken yet. They end with the server, or after a day."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}

    def new(self) -> Upload:
        """One that is in use. Raises OSError where there is no room for its folder."""
        with self._lock:
            now = time.monotonic()
            idle = [one for one in self._uploads.values() if not one.is_busy]
            idle.sort(key=lambda one: one.used)
            for place, one in enumerate(idle):
                if one.used < now - _SECONDS_KEPT or len(idle) - place > _MOST:
                    self._remove(one)
            identifier = secrets.token_hex(16)
            upload = Upload(identifier, Received(self._store.new_incoming(identifier)), is_busy=True)
            self._uploads[identifier] = upload
            return upload

    @contextlib.contextmanager
    def taken(self, identifier: str) -> Iterator[Upload | None]:
        """The upload, while nobody else uses it; None where there is none, or somebody does."""
        with self._lock:
            upload = self._uploads.get(identifier)
            if upload is not None and not upload.is_busy:
                upload.is_busy = True
            else:
                upload = None
        try:
            yield upload
        finally:
            if upload is not None:
                upload.is_busy, upload.used = False, time.monotonic()

    def forget(self, upload: Upload) -> None:
        """It is part of a job now, or nobody wants it: remove what is left of it."""
        with self._lock:
            self._remove(upload)

    def _remove(self, upload: Upload) -> None:
        self._uploads.pop(upload.id, None)
        shutil.rmtree(upload.received.folder, ignore_errors=True)
