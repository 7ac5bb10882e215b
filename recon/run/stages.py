"""The stages of a run: each has a name, is a function of its inputs, is timed, and may be kept for the next run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from numpy.typing import NDArray

from recon.progress import stage as announce
from recon.run.run_record import RunRecord
from recon.run.store import Store
from recon.types.mapped import Streamed

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")


class Stages:
    """Runs the stages of a run one after the other, times them, tells who listens of them, and notes them."""

    def __init__(self, names: Sequence[str], store: Store | None = None, record: RunRecord | None = None) -> None:
        self.names = tuple(names)
        self.seconds: dict[str, float] = {}
        """Of each stage done; of one whose outcome was there already, how long it took to find it."""
        self.reused: list[str] = []
        """The stages whose outcome was there already."""
        self.notes: list[str] = []
        """Plain facts of how the run went, for its summary."""
        self._store = store
        self._record = record

    def run(
        self, name: str, stage: Callable[Inputs, Outcome], *inputs: Inputs.args, **more_inputs: Inputs.kwargs
    ) -> Outcome:
        """The outcome of `stage`, which is called `name`."""
        with announce(name, self.names.index(name), len(self.names)):
            start = time.perf_counter()
            outcome = stage(*inputs, **more_inputs)
            self._done({name: time.perf_counter() - start})
        return outcome

    def kept(
        self,
        names: Sequence[str],
        decided_by: Any,
        make: Callable[[], Outcome],
        usable: Callable[[Outcome], bool] = lambda outcome: True,
    ) -> Outcome:
        """The outcome of the last of the stages `names`, which `make` runs: as it was kept, else made and kept.

        Args:
            names: the stages that are skipped where the outcome is there.
            decided_by: as of `Store.outcome`; None where that is not known, and nothing can be kept.
            make: runs the stages.
            usable: whether an outcome that was kept still holds.
        """
        if self._store is None or decided_by is None:
            return make()
        start = time.perf_counter()
        kept = self._store.outcome(names[-1], decided_by, make, usable)
        if kept.reused:
            self._taken_over(names, start)
        return kept.outcome

    def kept_on_disk(
        self,
        names: Sequence[str],
        decided_by: Any,
        make: Callable[[], Outcome],
        streams: Callable[[Outcome], Sequence[tuple[NDArray[Any], Streamed]]],
        reuse: bool = True,
    ) -> Outcome:
        """As `kept`, with arrays that are mapped from the disk; `streams` and `reuse` as of `Store.on_disk`."""
        assert self._store is not None
        start = time.perf_counter()
        kept = self._store.on_disk(names[-1], decided_by, make, streams, reuse)
        if kept.reused:
            self._taken_over(names, start)
        return kept.outcome

    def keep_only(self, of: str, names: Sequence[str]) -> None:
        """Remove what is kept of stages whose names begin with `of` and a space, but of those in `names`."""
        if self._store is not None:
            self._store.keep_only(of, names)

    def _taken_over(self, names: Sequence[str], start: float) -> None:
        for name in names:
            with announce(name, self.names.index(name), len(self.names)):
                pass
        self.reused += names
        self._done({**dict.fromkeys(names, 0.0), names[-1]: time.perf_counter() - start})

    def _done(self, seconds: dict[str, float]) -> None:
        self.seconds |= seconds
        if self._record is not None:
            self._record.stage_done(self.seconds, self.reused)
