"""What does the scenes of a batch."""

from __future__ import annotations

from typing import Protocol

from recon.run.batch.board import Board


class Engine(Protocol):
    """Processes of this machine, or of several."""

    def check(self) -> None:
        """Refuse at once what can be known to fail before any scene is begun. Raises InputError."""

    def do(self, board: Board) -> None:
        """Do scenes of the board until all are over, several at a time.

        Whatever ends it sooner, nothing goes on when it returns. Raises InputError where outcomes cannot be kept.
        """

    def close(self) -> None:
        """Leave nothing behind, whether or not anything was done."""
