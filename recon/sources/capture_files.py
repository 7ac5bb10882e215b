"""The files of a capture app's export, in a folder or in a ZIP archive, by their names within it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, why
from recon.sources.capture_marks import top_folder
from recon.sources.file_content import FileContent
from recon.sources.zip_archive import ZipArchive
from recon.sources.zip_photos import PackedPhoto


class CaptureFiles(Protocol):
    """Files by names with `/`, seen from the capture's own top folder."""

    names: frozenset[str]

    def label(self, name: str) -> str:
        """What messages call a file."""

    def read(self, name: str) -> bytes:
        """Its content. Raises InputError where it cannot be read."""

    def photo(self, name: str) -> Path | PackedPhoto:
        """It as an image that `recon.sources.images.ImageSource` takes."""


class _FolderFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            found = [path for path in folder.rglob("*") if path.is_file()]
        except OSError as error:
            raise InputError(f"the folder '{folder}' cannot be listed: {why(error)}") from error
        self.names = frozenset(path.relative_to(folder).as_posix() for path in found)

    def label(self, name: str) -> str:
        return str(self._folder / name)

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise InputError(f"'{self.label(name)}' cannot be read: {why(error)}") from error

    def photo(self, name: str) -> Path | PackedPhoto:
        return self._folder / name


class _ArchiveFiles:
    def __init__(self, path: Path, top: str) -> None:
        self._archive, self._top = ZipArchive(path), top
        self.names = frozenset(name.removeprefix(top) for name in self._archive.names if name.startswith(top))

    def label(self, name: str) -> str:
        return self._archive.label(self._top + name)

    def read(self, name: str) -> bytes:
        return self._file(name).content

    def photo(self, name: str) -> Path | PackedPhoto:
        return PackedPhoto(self._archive, self._top + name, name.rpartition("/")[2])

    def _file(self, name: str) -> FileContent:
        return self._archive.read(self._top + name)


def open_capture(path: Path, marks: Sequence[str]) -> CaptureFiles:
    """The files of a folder or an archive.

    Args:
        path: of either.
        marks: files and folders (with `/` at the end) that the top folder of such a capture has; in an archive it may
            lie deeper.

    Raises:
        InputError: an archive that cannot be read.
    """
    if path.is_dir():
        return _FolderFiles(path)
    return _ArchiveFiles(path, top_folder(ZipArchive(path).names, marks) or "")


def read_json(files: CaptureFiles, name: str) -> Any:
    """A JSON file of a capture. Raises InputError naming it where it is missing or damaged."""
    if name not in files.names:
        raise InputError(f"'{files.label(name)}' is missing: export the capture again, with all of its raw data")
    try:
        return json.loads(files.read(name).decode("utf-8-sig"))
    except ValueError as error:
        raise InputError(f"'{files.label(name)}' cannot be read as JSON: {error}") from error


def read_grey(files: CaptureFiles, name: str) -> NDArray[np.generic]:
    """(H, W) values of a PNG of one channel, of 8 or 16 bits. Raises InputError naming it."""
    try:
        found = cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # of an empty file
        found = None
    if found is None or found.ndim != 2:
        raise InputError(f"'{files.label(name)}' is no picture of one channel, or is damaged")
    return np.asarray(found)
