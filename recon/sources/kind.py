"""What a kind of source is: by what it is recognised, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recon.choices import SourceOptions
from recon.sources.source import Source


@dataclass(frozen=True)
class SourceKind:
    """One kind of what users bring, such as a folder of photos or a COLMAP model."""

    name: str
    """As `input_kind` takes it: lower case, without spaces."""
    what: str
    """In messages, with its article: "a COLMAP model"."""
    recognises: Callable[[Path], bool]
    """Whether a path that exists is of this kind, by its content: quick, nothing decoded, and never raising. Names and
    suffixes may only spare a look."""
    open: Callable[[Path, SourceOptions], Source]
    """The source at a path, no photo decoded yet. Also called for a path that `recognises` says no to, where the user
    forces the kind. Raises InputError: a path that is not of this kind, or is damaged."""
    heeds: frozenset[str] = frozenset()
    """Names of the options that `open` heeds, of those that not every kind does; what it leaves of `every`, `limit` and
    `ordered` is done for it."""
