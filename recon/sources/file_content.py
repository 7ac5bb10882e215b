"""A file that is in memory, such as one out of an archive, where readers of image files expect a path."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias


@dataclass(frozen=True)
class FileContent:
    """The bytes of a file, and what messages call it."""

    label: str
    """Its place, with `/`: `scan.zip/photos/1.jpg`."""
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """The last part of its place."""
        return PurePosixPath(self.label).name

    @property
    def suffix(self) -> str:
        """As of `Path`."""
        return PurePosixPath(self.label).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """To read its bytes."""
        return io.BytesIO(self.content)

    def read_bytes(self) -> bytes:
        """All of them."""
        return self.content


ImageFile: TypeAlias = Path | FileContent
"""What images are decoded from."""


def opened(file: ImageFile) -> Path | BinaryIO:
    """What a decoder takes: the path, which some map into memory, else the bytes."""
    return file if isinstance(file, Path) else file.open()
