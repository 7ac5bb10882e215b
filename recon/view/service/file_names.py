"""Names of files as strangers send them, to names that are safe on any disk and in any page."""

from __future__ import annotations

import re
import unicodedata

from recon.errors import InputError

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f<>:\"|?*\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that lead elsewhere on some disk, mean something in a page, or show a name as another one."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST, _DEEPEST = 150, 8
"""Bytes of one part of a name, and parts."""


def safe_name(name: str) -> str:
    """A relative path with `/` that stays within its folder and hides nothing; what is unsafe becomes `_`.

    Raises InputError for a name that leads out of its folder, or has too many parts.
    """
    parts = [part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InputError(f"a file is called {name!r}, which leads out of its folder")
    if not parts or len(parts) > _DEEPEST:
        raise InputError(f"a file is called {name!r}: it needs a name, of at most {_DEEPEST} parts")
    return "/".join(_safe_part(part) for part in parts)


def _safe_part(part: str) -> str:
    part = _UNSAFE.sub("_", part).strip(" ").rstrip(".")
    if part.startswith(".") or not part or _RESERVED.fullmatch(part):
        part = f"_{part}"
    while len(part.encode()) > _LONGEST:
        stem, dot, suffix = part.rpartition(".")
        part = f"{stem[:-1]}{dot}{suffix}" if stem and len(suffix) < 12 else part[:-1]
    return part


def free_name(name: str, taken: set[str]) -> str:
    """`name`, or with a number where a file of that name is there, in whatever case."""
    stem, dot, suffix = name.rpartition(".")
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{stem}-{number}.{suffix}" if dot and stem and "/" not in suffix else f"{name}-{number}"
    return found
