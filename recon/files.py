"""Where the package's own files are; writing files whole or not at all, and what a killed process leaves behind."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recon.errors import InputError, why

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{12}(\.[^.]*)?")
"""`.stem.hex.suffix`, the name of a file that is being written."""
_LOCK = ".in-use"
"""In a temporary folder: held open and locked by the process that works there."""
_ABANDONED_SECONDS = 24 * 3600.0
"""Where files cannot be locked, one that has not been written to for so long is taken for abandoned."""
_swept: set[Path] = set()
"""Folders in which this process has looked for abandoned files."""
_noted: list[tuple[Path, int]] = []
"""Folders whose new files are noted, and where."""


def check_readable(path: Path) -> None:
    """Raise InputError naming `path` and the reason unless it is a file that can be read."""
    try:
        with path.open("rb"):
            return
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}") from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block ends without an exception.

    The temporary name starts with a dot and keeps the suffix, from which many writers choose the format. Missing
    folders are made. Whatever ends the block, Ctrl-C included, no temporary file is left; one of a process that was
    killed is removed by the next that writes into its folder. Raises InputError naming `path` where the machine
    refuses: a read-only folder, a full disk, a file in place of a folder.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _swept:
            _swept.add(path.parent)
            remove_abandoned(path.parent)
        with _in_use(temporary):
            yield temporary
            _note(path, temporary)
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that is being written, or was when its process was killed."""
    return _TEMPORARY.fullmatch(name) is not None


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make `folder`, and let no other process write results into it at the same time, as far as this system can tell.

    Raises InputError where another is at it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        if descriptor is not None and _lock(descriptor) is False:
            raise InputError(f"another run is writing to {folder}: wait until it is done, or choose another folder")
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def note_files(folder: Path, journal: Path) -> Iterator[None]:
    """Within, add a line of JSON (path below `folder`, bytes) to `journal` before each file that appears in `folder`.

    In any thread, so that whatever ends the process, what it has written can be told.
    """
    try:
        descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise InputError(f"cannot write {journal}: {why(error)}") from error
    noted = (Path(os.path.abspath(folder)), descriptor)
    _noted.append(noted)
    try:
        yield
    finally:
        _noted.remove(noted)
        os.close(descriptor)


def _note(path: Path, temporary: Path) -> None:
    place = Path(os.path.abspath(path))
    for folder, descriptor in _noted:
        if place.is_relative_to(folder):
            entry = {"path": place.relative_to(folder).as_posix(), "bytes": temporary.stat().st_size}
            os.write(descriptor, (json.dumps(entry) + "\n").encode())


def remove_abandoned(folder: Path, deep: bool = False) -> None:
    """Remove the temporary files that killed processes left in `folder`, and in all folders below it if `deep`.

    Those that a living process is writing stay.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if deep and not entry.name.startswith("."):
                remove_abandoned(Path(entry.path), deep=True)
        elif is_temporary(entry.name) and not _is_in_use(Path(entry.path)):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """An empty folder for scratch files, removed with all in it when the block ends, whatever ends it.

    Those of the same prefix that killed processes left are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if left.is_dir() and not left.is_symlink() and not _is_in_use(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        with _in_use(folder / _LOCK):
            yield folder


@contextlib.contextmanager
def _in_use(path: Path) -> Iterator[None]:
    """Make `path` an empty file and hold a lock on it, which ends with the process at the latest; nothing where this
    system has no such locks."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is_in_use(path: Path) -> bool:
    """Whether a living process holds the lock of the file at `path`, or may hold it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # gone, or another user's; without a lock file its age tells
        return _is_recent(path if path.exists() else path.parent)
    try:
        free = _lock(descriptor)
        return _is_recent(path) if free is None else not free
    finally:
        os.close(descriptor)


def _is_recent(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _ABANDONED_SECONDS
    except OSError:
        return True


def _lock(descriptor: int) -> bool | None:
    """Whether the lock could be had; None where this system, or the disk, has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, or of a UTF-16 file with its byte-order mark, as Windows programs write either.

    A byte-order mark is no part of the text. Raises OSError and UnicodeDecodeError.
    """
    with path.open("rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return path.read_text(encoding="utf-16" if is_utf16 else "utf-8-sig")


def read_json(path: Path) -> Any:
    """What a JSON file says, with or without a byte-order mark. Raises OSError, and ValueError for what is no JSON."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def configs_folder() -> Path:
    """Folder with `models/*.yaml` and `run/*.yaml`."""
    return _data_folder("configs")


def scenes_folder() -> Path:
    """Folder with the sample scenes."""
    return _data_folder("scenes")


def _data_folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name
