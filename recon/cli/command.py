"""What a command is, and the options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class CommandOptions(Options):
    """Errors."""

    verbose: bool = option(False, help="Show the traceback of an unexpected error.")


@dataclass(frozen=True)
class Command:
    """One command of `recon`."""

    name: str
    settings: type[Options]
    """What it takes. The first line of its docstring is the command's summary."""
    carry_out: Callable[[Any], int | None]
    """Does it, and returns the exit code, None for 0. What it needs is imported when it is called: the command line is
    to answer at once."""

    @property
    def summary(self) -> str:
        """One line."""
        return (self.settings.__doc__ or "").splitlines()[0]
