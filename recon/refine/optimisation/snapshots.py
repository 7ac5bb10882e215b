"""Where the state of an optimisation is kept, so that the same one goes on after a kill."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Snapshots:
    """Where the state of one optimisation is kept, and how often."""

    path: Path
    """Of the file, which ends in `.npz`; missing folders are made."""
    seconds: float = 20.0
    """Between two of them, at least."""

    def remove(self) -> None:
        """Once what came out is kept elsewhere."""
        with contextlib.suppress(OSError):
            self.path.unlink()
