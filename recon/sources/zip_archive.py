"""ZIP archives read in place: checked as they are opened, one member at a time in memory, nothing unpacked to disk."""

from __future__ import annotations

import re
import threading
import zipfile
import zlib
from functools import cached_property
from pathlib import Path

from recon.digests import digest
from recon.errors import InputError, why
from recon.files import file_digest
from recon.sources.file_content import FileContent

MOST_MEMBERS = 200_000
"""In one archive."""
LARGEST_MEMBER = 4_000_000_000
"""Bytes of one file, unpacked."""
HARMLESS, MOST_EXPANSION = 200_000_000, 100
"""Bytes, unpacked, that are accepted whatever they were packed to; beyond, at most so many times the packed ones."""

_ENCRYPTED = 0x1
"""Bit of a member's flags (APPNOTE.TXT, 4.4.4)."""
_DRIVE = re.compile(r"[A-Za-z]:")
_PASSED_OVER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


class ZipArchive:
    """The files in a ZIP archive by their names, with `/`; several may be read at once, in threads."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where it is damaged or encrypted, holds names that lead out of it, or would unpack to far
        more than it is."""
        self.path = path
        try:
            self._file = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise InputError(f"'{path}' does not exist") from error
        except zipfile.BadZipFile as error:
            raise InputError(
                f"'{path}': a damaged or incomplete archive (ZIP): copy or download it again ({error})"
            ) from error
        except OSError as error:
            raise InputError(f"'{path}' cannot be read: {why(error)}") from error
        members = [member for member in self._file.infolist() if not member.is_dir()]
        if len(members) > MOST_MEMBERS:
            raise InputError(f"'{path}' lists {len(members)} files; at most {MOST_MEMBERS} are read")
        self._members = {_checked_name(member.filename, path): member for member in members}
        self._check_expansion()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files in it, in the order of the archive; what operating systems add of their own is left out."""
        return tuple(name for name in self._members if not _PASSED_OVER & set(name.split("/")))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def label(self, name: str) -> str:
        """What messages call a file in it."""
        return f"{self.path.as_posix()}/{name}"

    def read(self, name: str) -> FileContent:
        """A file in it. Raises InputError where it cannot be unpacked."""
        member = self._members[name]
        if member.flag_bits & _ENCRYPTED:
            raise InputError(
                f"'{self.label(name)}' is encrypted; unpack the archive with its password and give the folder"
            )
        try:
            return FileContent(self.label(name), self._file.read(member))
        except NotImplementedError as error:
            raise InputError(
                f"'{self.label(name)}' is packed in a way that is not read ({error}); unpack it and give the folder"
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise InputError(f"'{self.label(name)}' cannot be unpacked, the archive is damaged: {error}") from error

    def content(self, name: str) -> str:
        """Hash of what decides the bytes of a file in it: of the whole archive, taken once, and its name."""
        with self._lock:
            return digest(self._digest, name)

    @cached_property
    def _digest(self) -> str:
        try:
            return file_digest(self.path)
        except OSError as error:
            return f"unreadable: {why(error)}"

    def _check_expansion(self) -> None:
        """Refuse what is made to fill memory: sizes are what the archive says, and never more is unpacked than that."""
        for name, member in self._members.items():
            if member.file_size > LARGEST_MEMBER or _expands(member.file_size, member.compress_size):
                raise InputError(
                    f"'{self.label(name)}' would unpack from {member.compress_size} to {member.file_size} bytes, which "
                    "no photo does; the archive is refused"
                )
        packed = self.path.stat().st_size
        unpacked = sum(member.file_size for member in self._members.values())
        if _expands(unpacked, packed):
            raise InputError(
                f"'{self.path}' would unpack from {packed} to {unpacked} bytes, which photos do not; it is refused"
            )


def _expands(unpacked: int, packed: int) -> bool:
    return unpacked > HARMLESS and unpacked > MOST_EXPANSION * max(packed, 1)


def _checked_name(name: str, path: Path) -> str:
    """With `/`, as old programs for Windows do not write it. Raises InputError where it leads out of the archive."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain) or ".." in plain.split("/"):
        raise InputError(
            f"'{path}' holds a file named '{name}', which leads out of the archive; it is refused: pack the photos anew"
        )
    return "/".join(part for part in plain.split("/") if part not in ("", "."))
