"""A client of `recon serve`, by the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from recon.errors import InputError, why
from recon.files import atomic_write

_SECONDS = 60.0
"""Without a byte. Events come every 15 seconds at least."""
_SECONDS_AWAY = 120.0
"""How long a server may be away, as when it is started again, until a run that goes on there is given up."""
_BATCH_FILES, _BATCH_BYTES = 100, 50_000_000
"""Sent in one request."""
_CHUNK = 1 << 18


@dataclass(frozen=True)
class SentFile:
    """A file to be sent."""

    part: str
    """`files`, or the name of an option."""
    name: str
    """With `/`."""
    path: Path

    @property
    def head(self) -> bytes:
        """What comes before it in a form."""
        name = self.name.replace("\\", "/").replace('"', "%22").replace("\r", "_").replace("\n", "_")
        return f'Content-Disposition: form-data; name="{self.part}"; filename="{name}"\r\n\r\n'.encode()


class RemoteService:
    """A service at an address. Every method raises InputError with what the service says, or why it does not."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """`address` as a browser takes it; a token in it counts, too."""
        place = urlsplit(address if "://" in address else f"http://{address}")
        try:
            port = place.port
        except ValueError as error:
            raise InputError(f"server {address}: {error}") from error
        if place.scheme not in ("http", "https") or not place.hostname:
            raise InputError(f"server {address}: an address such as http://127.0.0.1:8080 is wanted")
        self._label = f"{place.scheme}://{place.netloc}"
        self._is_secure, self._host, self._port = place.scheme == "https", place.hostname, port
        self._base = place.path.rstrip("/")
        named = parse_qs(place.query).get("token", [])
        known = named[0] if named else token
        self._headers = {} if not known else {"Authorization": f"Bearer {known}"}

    def about(self) -> dict[str, Any]:
        """Version, limits, and what there is to choose from."""
        return self._json("GET", "/v1/about")

    def upload(self, files: Sequence[SentFile], tell: Callable[[int, int], None]) -> str:
        """Send files, telling how many bytes of how many are sent; returns what to name when a run is asked for."""
        sizes = {one: _size(one.path) for one in files}
        total, sent, address = sum(sizes.values()), 0, "/v1/uploads"
        tell(0, total)
        for batch in _batches(files, sizes):
            boundary = secrets.token_hex(16)
            length = sum(sizes[one] + len(one.head) + len(boundary) + 6 for one in batch) + len(boundary) + 6

            def body(batch: Sequence[SentFile] = batch, boundary: str = boundary) -> Iterator[bytes]:
                nonlocal sent
                for one in batch:
                    yield f"--{boundary}\r\n".encode() + one.head
                    for chunk in _chunks(one.path, sizes[one]):
                        yield chunk
                        sent += len(chunk)
                        tell(sent, total)
                    yield b"\r\n"
                yield f"--{boundary}--\r\n".encode()

            kind = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
            said = self._json("POST", address, body(), kind)
            address = f"/v1/uploads/{quote(str(said['id']))}"
        return address.rpartition("/")[2]

    def start(self, upload: str, settings: Mapping[str, Any], preset: str | None, name: str) -> dict[str, Any]:
        """Ask for a run of what was uploaded."""
        asked = {"upload": upload, "settings": dict(settings), "name": name}
        body = json.dumps(asked if preset is None else {**asked, "preset": preset}).encode()
        return self._json("POST", "/v1/runs", body, {"Content-Type": "application/json"})

    def run(self, identifier: str) -> dict[str, Any]:
        """All that is known of a run."""
        return self._json("GET", f"/v1/runs/{quote(identifier)}")

    def cancel(self, identifier: str) -> None:
        """Cancel a run, if it goes on."""
        with contextlib.suppress(InputError):
            self._json("POST", f"/v1/runs/{quote(identifier)}/cancel", b"")

    def follow(self, identifier: str) -> Iterator[dict[str, Any]]:
        """The run as it is now, and at each change, until it is over; also over restarts of the server."""
        away_since = None
        while True:
            try:
                for event in self._events(identifier):
                    away_since = None
                    yield event
                    if event["state"] not in ("queued", "running"):
                        return
            except _Away as error:
                now = time.monotonic()
                away_since = away_since or now
                if now > away_since + _SECONDS_AWAY:
                    raise InputError(str(error)) from error
            time.sleep(0.5)

    def fetch(self, address: str, path: Path) -> None:
        """A file of a run, to `path`."""
        with self._answer("GET", address) as answer, atomic_write(path) as temporary:
            with temporary.open("wb") as file:
                shutil.copyfileobj(answer, file, _CHUNK)
            length = answer.getheader("Content-Length")
            if length is not None and temporary.stat().st_size != int(length):
                raise InputError(f"server {self._label}: the connection was lost in the middle of {path.name}")

    def _events(self, identifier: str) -> Iterator[dict[str, Any]]:
        with self._answer("GET", f"/v1/runs/{quote(identifier)}/events", away=_Away) as answer:
            while True:
                try:
                    line = answer.readline()
                except (OSError, http.client.HTTPException) as error:
                    raise _Away(f"server {self._label}: {why(error)}") from error
                if not line:
                    return
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def _json(self, method: str, address: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        with self._answer(method, address, body, headers) as answer:
            try:
                return json.loads(answer.read())
            except (ValueError, http.client.HTTPException) as error:
                raise InputError(f"server {self._label}: it answers, but not as `recon serve` does") from error

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        address: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        away: type[InputError] = InputError,
    ) -> Iterator[http.client.HTTPResponse]:
        """What the server answers, where it is no refusal."""
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_SECONDS)
        try:
            try:
                # One that refuses may close the connection before it has everything: its answer is there all the same.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, self._base + address, body, {**self._headers, **(headers or {})})
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise away(
                    f"server {self._label}: it does not answer ({why(error)}); is `recon serve` running there?"
                ) from error
            if answer.status >= 400:
                said = _error_of(answer)
                hint = "; set RECON_TOKEN to its token" if answer.status == 401 else ""
                raise InputError(f"server {self._label}: {said}{hint}")
            yield answer
        finally:
            connection.close()


class _Away(InputError):
    """The server cannot be reached now."""


def _error_of(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(answer.read(100_000))["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"{answer.status} {answer.reason}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}") from error


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    """`size` bytes of a file. Raises InputError where it has changed meanwhile."""
    left = size
    try:
        with path.open("rb") as file:
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}") from error
    if left:
        raise InputError(f"{path} has become shorter while it was sent")


def _batches(files: Sequence[SentFile], sizes: Mapping[SentFile, int]) -> Iterator[Sequence[SentFile]]:
    batch: list[SentFile] = []
    for one in files:
        if batch and (len(batch) == _BATCH_FILES or sum(sizes[two] for two in batch) + sizes[one] > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(one)
    yield batch
