"""What a kind of thing that can be looked at is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.export.page_content import PageContent
from recon.version import __version__


@dataclass(frozen=True)
class Viewable:
    """One kind."""

    what: str
    """In words, with its article: `the folder of a run`."""
    recognises: Callable[[Path], bool]
    """Whether what is at a path, which exists, is of this kind. Reads as little as will do, and raises nothing."""
    open: Callable[[Path], PageContent]
    """Read it. Raises InputError naming the path."""


def starts_with(path: Path, start: bytes) -> bool:
    """Whether a file begins so."""
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def file_facts(path: Path, **counts: int) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """What is known of a file that holds nothing but numbers: for programs, and in words."""
    size = path.stat().st_size
    facts = {"file": path.name, "bytes": size, **counts, "version": __version__}
    words = [("File", path.name), ("Size", f"{size / 1e6:,.1f} MB")]
    words += [(name.capitalize(), f"{count:,}") for name, count in counts.items()]
    return facts, (*words, ("Shown with", f"recon {__version__}"))
