"""A batch from its scenes to `batch.json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recon.run.batch.batch_file import write_batch_file
from recon.run.batch.board import Board, Told
from recon.run.batch.engine import Engine
from recon.run.batch.leases import Leases
from recon.run.batch.place import Place
from recon.run.batch.scene import BatchScene


@dataclass(frozen=True)
class BatchResult:
    """What a batch came to."""

    content: dict[str, Any]
    """Of `batch.json`."""
    own: tuple[str, ...]
    """Names of the scenes that this batch, or this part of it, was to see to."""


def run_batch(
    scenes: Sequence[BatchScene],
    own: Sequence[BatchScene],
    place: Place,
    engine: Engine,
    *,
    retries: int,
    force: bool,
    tell: Callable[[Told], None],
) -> BatchResult:
    """Do those of the scenes `own` that are not done, and note in `batch.json` how all of `scenes` are.

    Args:
        scenes: all of the batch.
        own: those that are to be done here.
        place: for the results.
        engine: does them.
        retries: how often a scene is tried again that was not refused for what it is.
        force: do also those again that are done.
        tell: called with what happens.

    Raises:
        InputError: a place that cannot be written to, or what the engine refuses.
    """
    place.check()
    try:
        engine.check()
        with Leases(place) as leases:
            board = Board(place, own, leases, retries=retries, force=force, tell=tell)
            write_batch_file(place, scenes, board.outcomes, leases)
            try:
                engine.do(board)
            finally:
                content = write_batch_file(place, scenes, board.outcomes, leases)
    finally:
        engine.close()
    return BatchResult(content, tuple(scene.name for scene in own))
