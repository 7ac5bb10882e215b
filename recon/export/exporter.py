"""What an exporter is: options, a check that writes nothing, and a function that writes the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import numpy as np

from recon.errors import InputError
from recon.types import Prediction

Options = TypeVar("Options")


@dataclass(frozen=True)
class NoOptions:
    """For formats without a choice."""


@dataclass(frozen=True)
class Exported:
    """What one exporter wrote."""

    files: tuple[Path, ...]
    """Every file, in the order written."""
    details: dict[str, Any] = field(default_factory=dict)
    """What a reader of the files needs beside them, for `run.json`; JSON values only."""
    seconds: float = 0.0
    """Time from the call until the last file was complete."""


@dataclass(frozen=True)
class Exporter(Generic[Options]):
    """One format. `write` leaves the prediction as it is and does not depend on which other exporters ran."""

    options: type[Options]
    """Frozen dataclass of the format's choices, each with a default."""
    check: Callable[[Prediction, Options], None]
    """Raise InputError where this prediction cannot be written in this format; write nothing."""
    write: Callable[[Prediction, Path, Options], Exported]
    """Write the files under the given folder."""


def build_options(name: str, options: type[Options], values: Mapping[str, Any]) -> Options:
    """The options of format `name` with `values` in place of the defaults.

    Raises InputError for an unknown option, a value of the wrong type, or one its dataclass refuses.
    """
    types = get_type_hints(options)
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            known = ", ".join(types) or "none"
            raise InputError(f"unknown option {key!r} for export format {name!r}; known: {known}")
        expected = get_args(types[key]) or (types[key],)  # a union's members, or the one type
        plain[key] = _plain(value)
        if Any not in expected and not _is_one_of(plain[key], expected):
            wanted = " or ".join("None" if kind is NoneType else kind.__name__ for kind in expected)
            raise InputError(f"option {key!r} of export format {name!r} must be {wanted}, got {value!r}")
    return options(**plain)


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python, everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _is_one_of(value: Any, types: tuple[type, ...]) -> bool:
    """Whether `value` is of one of the types; a whole number is a float too, True and False are no numbers."""
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, (*types, int) if float in types else types)
