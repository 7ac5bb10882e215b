"""Files in a ZIP archive that is made as it is sent: nothing of it is kept, in memory or on the disk."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK = 1 << 18


class _Sink(io.RawIOBase):
    """What was written, until it is taken; there is no way back in it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        part = bytes(content)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def taken(self) -> bytes:
        """All since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def packed(files: Iterable[tuple[str, Path | bytes]]) -> Iterator[bytes]:
    """The archive piece by piece: of each file its name in it, and where it is or what it holds. Stored as they are:
    most are packed already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, source in files:
            entry = zipfile.ZipInfo(name, time.localtime()[:6])
            entry.external_attr = 0o644 << 16
            with (
                archive.open(entry, "w", force_zip64=True) as target,
                io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
            ):
                while chunk := file.read(_CHUNK):
                    target.write(chunk)
                    yield sink.taken()
    yield sink.taken()
