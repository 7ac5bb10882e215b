"""Where the results of a batch go, as far as a batch itself reads and writes there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from recon.errors import InputError, why
from recon.files import atomic_write

STATE_FOLDER = ".batch"
"""Within the folder of a batch: what it needs while it goes on."""


class Place(Protocol):
    """A folder, or something like one. Paths are relative, with `/`. Errors of the machine are InputErrors."""

    address: str
    """As the user wrote it."""

    def check(self) -> None:
        """Refuse what cannot be written to."""

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where there is none."""

    def size(self, path: str) -> int | None:
        """Its length in bytes, None where there is none."""

    def write(self, path: str, content: bytes) -> None:
        """A whole file or none, over what was there."""

    def create(self, path: str, content: bytes) -> bool:
        """The same where there was none; False, and nothing done, where there was. Of several at once one succeeds."""

    def remove(self, path: str) -> None:
        """A file, if it is there."""

    def names(self, folder: str) -> Sequence[str]:
        """Of the files in a folder; none where it is not there."""

    def results(self, name: str) -> AbstractContextManager[Path]:
        """A folder of this machine for a run's files, which are in the place, below `name`, when the block ends."""


class LocalPlace:
    """A folder of this machine, or one that several machines share."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self.folder = folder.absolute()

    def check(self) -> None:
        """Make it."""
        probe = f"{STATE_FOLDER}/probe-{secrets.token_hex(6)}"
        self.write(probe, b"")
        self.remove(probe)

    def read(self, path: str) -> bytes | None:
        """See `Place`."""
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{self.folder / path} cannot be read: {why(error)}") from error

    def size(self, path: str) -> int | None:
        """See `Place`."""
        try:
            return (self.folder / path).stat().st_size
        except OSError:
            return None

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        with atomic_write(self.folder / path) as temporary:
            temporary.write_bytes(content)

    def create(self, path: str, content: bytes) -> bool:
        """By a link to a whole file, which network disks do for one of several at a time, too."""
        place = self.folder / path
        temporary = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            try:
                os.link(temporary, place)
            except FileExistsError:
                return False
            except OSError:  # a disk without links
                return _created(place, content)
            return True
        except OSError as error:
            raise InputError(f"cannot write {place}: {why(error)}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def remove(self, path: str) -> None:
        """See `Place`."""
        with contextlib.suppress(OSError):
            (self.folder / path).unlink()

    def names(self, folder: str) -> Sequence[str]:
        """See `Place`."""
        try:
            return sorted(entry.name for entry in os.scandir(self.folder / folder) if entry.is_file())
        except OSError:
            return ()

    def results(self, name: str) -> AbstractContextManager[Path]:
        """The folder itself."""
        return contextlib.nullcontext(self.folder / name)


def _created(place: Path, content: bytes) -> bool:
    try:
        with place.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True
