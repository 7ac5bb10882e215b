"""What an exporter is: options, a check that writes nothing, and a function that writes the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

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
    defaults = {f.name: f.default for f in fields(options)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise InputError(f"unknown option {key!r} for export format {name!r}; known: {known}")
        expected = type(defaults[key])
        accepted = (int, float) if expected is float else expected
        if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
            raise InputError(f"option {key!r} of export format {name!r} must be {expected.__name__}, got {value!r}")
    return options(**values)
