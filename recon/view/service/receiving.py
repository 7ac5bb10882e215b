"""Files as they are sent, straight into a folder, within what this server takes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from recon.errors import InputError
from recon.run.record import FileEntry
from recon.sources.zip_archive import ZipArchive
from recon.view.service.file_names import free_name, safe_name
from recon.view.service.job_store import GIVEN, INPUT
from recon.view.service.multipart import Part, multipart_parser

FILES = "files"
"""Name of the parts of a form that are photos, a video or an archive; files of options go by the option's name."""
_MOST_FIELDS, _LARGEST_FIELD = 300, 100_000
_CLOSE = {"Connection": "close"}
"""Sent where the rest of a request is not read."""
_SECONDS_TO_DRAIN, _SECONDS_OF_SILENCE, _MOST_TO_DRAIN = 2.0, 0.2, 8_000_000
"""What is read of a request that is refused: for so long, until nothing comes for so long, at most so many bytes."""
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"<SmoothStreamingMedia")
"""What files begin with that a video decoder would follow to other files."""


@dataclass(frozen=True)
class Limits:
    """Of what is sent."""

    most_bytes: int
    """Of a request, and of all files of a run."""
    most_files: int
    idle_seconds: float = 30.0
    """Without a byte."""
    least_bytes_per_second: float = 1000.0
    """On the average, after the first `idle_seconds`."""


@dataclass
class Received:
    """What a folder holds of it, and the fields that came with the files."""

    folder: Path
    files: list[FileEntry] = field(default_factory=list)
    """By their path within the folder."""
    fields: dict[str, list[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Of files and folders, folded to one case."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(one["bytes"] for one in self.files)

    @property
    def inputs(self) -> list[FileEntry]:
        """What is to be reconstructed, by names as they were sent."""
        start = f"{INPUT}/"
        return [
            {"path": one["path"].removeprefix(start), "bytes": one["bytes"]}
            for one in self.files
            if one["path"].startswith(start)
        ]

    @property
    def given(self) -> dict[str, str]:
        """For each option that files were sent for: the file, or the folder of several or of one in a folder."""
        found: dict[str, str] = {}
        for one in self.files:
            place, option, *rest = one["path"].split("/")
            if place == GIVEN:
                alone = len(rest) == 1 and option not in found
                found[option] = one["path"] if alone else f"{GIVEN}/{option}"
        return found

    def forget_from(self, count: int) -> None:
        """Remove what came after the first `count` files, and all fields."""
        for one in self.files[count:]:
            (self.folder / one["path"]).unlink(missing_ok=True)
            self.names.discard(one["path"].casefold())
        del self.files[count:]
        self.fields.clear()

    def place(self, part: str, name: str) -> Path:
        """Where a file of that name is to be written; its folder is made. Raises InputError for an unusable name."""
        start = INPUT if part == FILES else f"{GIVEN}/{part}"
        path = free_name(f"{start}/{safe_name(name)}", self.names)
        above = path.split("/")[:-1]
        folders = {"/".join(above[: end + 1]) for end in range(len(above))}
        files = {one["path"].casefold() for one in self.files}
        if files & {folder.casefold() for folder in folders}:
            raise InputError(f"{name!r}: there is a file where its folder would be")
        self.names |= {one.casefold() for one in (path, *folders)}
        self.files.append({"path": path, "bytes": 0})
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class _Writer:
    """Parts of a form, to files and fields."""

    def __init__(self, received: Received, limits: Limits) -> None:
        self._received, self._limits = received, limits
        self._file: BinaryIO | None = None
        self._text = bytearray()
        self._part: Part | None = None
        self._fields = 0

    def begin(self, part: Part) -> None:
        self._part = part
        if part.file_name is None:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise InputError(f"more than {_MOST_FIELDS} fields were sent")
            self._text.clear()
            return
        if len(self._received.files) >= self._limits.most_files:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {self._limits.most_files} files are taken", _CLOSE
            )
        if part.name != FILES and not part.name.isidentifier():
            raise InputError(f"files are sent as {FILES!r}, or by the name of an option; got {part.name!r}")
        if part.file_name:  # a browser sends a nameless one where none was chosen
            self._file = self._received.place(part.name, part.file_name).open("wb")

    def data(self, content: bytes) -> None:
        assert self._part is not None
        if self._file is not None:
            self._file.write(content)
            self._received.files[-1]["bytes"] += len(content)
        elif self._part.file_name is None:
            self._text += content
            if len(self._text) > _LARGEST_FIELD:
                raise InputError(f"field {self._part.name!r} is longer than {_LARGEST_FIELD} bytes")

    def end(self) -> None:
        assert self._part is not None
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._part.file_name is None:
            text = bytes(self._text).decode("utf-8", "replace")
            self._received.fields.setdefault(self._part.name, []).append(text)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


async def receive_form(request: Request, received: Received, limits: Limits) -> None:
    """The form of a request into `received`.

    Raises HTTPException: too large, as soon as that is known; too slow; no form; or the disk is full.
    """
    writer, before = _Writer(received, limits), len(received.files)
    try:
        parser = multipart_parser(request.headers.get("content-type", ""), writer.begin, writer.data, writer.end)
        async for chunk in body(request, limits, limits.most_bytes - received.bytes):
            parser.write(chunk)
        parser.finalize()
        if len(received.files) == before:
            raise InputError(f"no photos, video or archive: send files as {FILES!r}")
        for one in received.files:
            _check_file(received.folder / one["path"])
    except HTTPException:
        await _drain(request)
        raise
    except InputError as error:
        await _drain(request)
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error), _CLOSE) from error
    except OSError as error:
        await _drain(request)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        status = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.INTERNAL_SERVER_ERROR
        raise HTTPException(status, "the disk of the server is full" if full else status.phrase, _CLOSE) from error
    finally:
        with contextlib.suppress(OSError):
            writer.close()


async def body(request: Request, limits: Limits, most_bytes: int) -> AsyncIterator[bytes]:
    """The body of a request, piece by piece. Raises HTTPException where it is too large or too slow."""
    too_large = HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {limits.most_bytes / 1e6:g} MB are taken", _CLOSE
    )
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most_bytes:
        raise too_large
    begun, count = time.monotonic(), 0
    stream = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(stream.__anext__(), limits.idle_seconds)
        except StopAsyncIteration:
            return
        except ClientDisconnect as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the connection was dropped") from error
        except TimeoutError as error:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "nothing came for too long", _CLOSE) from error
        count += len(chunk)
        if count > most_bytes:
            raise too_large
        elapsed = time.monotonic() - begun
        if elapsed > limits.idle_seconds and count < elapsed * limits.least_bytes_per_second:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "it comes too slowly", _CLOSE)
        yield chunk


async def _drain(request: Request) -> None:
    """Read what is on its way: a client that is still sending when the connection is closed does not see the answer."""
    end, count = time.monotonic() + _SECONDS_TO_DRAIN, 0
    stream = request.stream().__aiter__()
    with contextlib.suppress(StopAsyncIteration, ClientDisconnect, TimeoutError, RuntimeError):
        while time.monotonic() < end and count < _MOST_TO_DRAIN:
            count += len(await asyncio.wait_for(stream.__anext__(), _SECONDS_OF_SILENCE))


def _check_file(path: Path) -> None:
    """Raise InputError for an archive that would unpack to far more than it is, and for lists of files to play."""
    with path.open("rb") as file:
        start = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        if start.startswith(b"PK\x03\x04"):
            ZipArchive(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name).replace(path.as_posix(), path.name)) from error
    if any(mark in start for mark in _PLAYLISTS):
        raise InputError(f"'{path.name}' is a list of other files to play: send the video itself")
