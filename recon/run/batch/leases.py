"""Who does which scene, among batches that work in one place, on one machine or on several.

A lease is a file `.batch/leases/NAME.1`, which one batch alone succeeds in making. Whoever holds it writes it anew
every few seconds. Where it stays as it is for a minute, or its holder was a process of this machine that has ended, it
is void: whoever then succeeds in making `NAME.2` holds the next lease, and so on. No clocks are compared, and a place
need only be able to make a file that is not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from recon.errors import InputError
from recon.run.batch.place import STATE_FOLDER, Place

FOLDER = f"{STATE_FOLDER}/leases"
SECONDS_BETWEEN = 10.0
"""Of one writing of a lease and the next."""
SECONDS_TO_EXPIRE = 60.0
"""Of a lease that nobody writes."""


class Leases:
    """A context in which the leases that are held are kept up; at its end they are given back."""

    def __init__(self, place: Place, between: float = SECONDS_BETWEEN, expire: float = SECONDS_TO_EXPIRE) -> None:
        """In `place`; the seconds are for tests."""
        self._place = place
        self._between, self._expire = between, expire
        self._holder = {"token": secrets.token_hex(8), **_this_process()}
        self._beats = 0
        self._held: dict[str, int] = {}
        """The number of the lease, by name."""
        self._seen: dict[str, tuple[bytes, float]] = {}
        """What the leases of others said, and since when."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="recon-leases", daemon=True)

    def __enter__(self) -> Leases:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for name in list(self._held):
            self.give_back(name)

    def take(self, name: str) -> bool:
        """Whether this batch holds the lease of that name from now on. Raises InputError where it cannot be written."""
        numbers = self._numbers().get(name, [])
        last = max(numbers, default=0)
        if last:
            content = self._place.read(f"{FOLDER}/{name}.{last}")
            if content is None or not self._is_void(name, content):
                return False
        with self._lock:
            if not self._place.create(f"{FOLDER}/{name}.{last + 1}", self._content()):
                return False
            self._held[name] = last + 1
            self._seen.pop(name, None)
        for number in numbers:
            self._place.remove(f"{FOLDER}/{name}.{number}")
        return True

    def holds(self, name: str) -> bool:
        """Whether it is still held: nobody has found it void, as after this machine has slept."""
        number = self._held.get(name)
        if number is None or self._place.size(f"{FOLDER}/{name}.{number + 1}") is not None:
            return False
        return self._is_own(self._place.read(f"{FOLDER}/{name}.{number}"))

    def give_back(self, name: str) -> None:
        """Hold it no more."""
        with self._lock:
            number = self._held.pop(name, None)
            if number is not None:
                self._place.remove(f"{FOLDER}/{name}.{number}")

    def _numbers(self) -> Mapping[str, list[int]]:
        """Of the leases that there are, by name."""
        found: dict[str, list[int]] = {}
        for file in self._place.names(FOLDER):
            name, _, number = file.rpartition(".")
            if name and number.isdecimal():
                found.setdefault(name, []).append(int(number))
        return found

    def _is_void(self, name: str, content: bytes) -> bool:
        now = time.monotonic()
        before, since = self._seen.get(name, (b"", now))
        if before != content:
            self._seen[name] = (content, now)
            return _has_ended(content)
        return now - since > self._expire or _has_ended(content)

    def _content(self) -> bytes:
        return json.dumps({**self._holder, "beat": self._beats}).encode()

    def _keep_up(self) -> None:
        while not self._over.wait(self._between):
            with self._lock:
                self._beats += 1
                for name, number in self._held.items():
                    path = f"{FOLDER}/{name}.{number}"
                    with contextlib.suppress(InputError):  # a full disk: tried again the next time
                        if self._is_own(self._place.read(path)):
                            self._place.write(path, self._content())

    def _is_own(self, content: bytes | None) -> bool:
        return content is not None and self._holder["token"].encode() in content


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def _machine() -> str | None:
    """What tells processes of this machine, since it was started, from all others; None where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # a container has process numbers of its own
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process was started, in the machine's own count; None where it has ended, or nothing tells."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if facts[0] in "ZX" else facts[19]  # ended, though whoever started it has not asked how
    except (OSError, IndexError):
        return None


def _has_ended(content: bytes) -> bool:
    """Whether the holder of a lease was a process of this machine that is there no more."""
    try:
        holder = json.loads(content)
        machine, pid, started = holder["machine"], int(holder["pid"]), holder["started"]
    except (ValueError, TypeError, KeyError):
        return False
    return machine is not None and machine == _machine() and _started(pid) != started
