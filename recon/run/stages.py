"""The stages of a run: each has a name, is a function of its inputs, and is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeAlias, TypeVar

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage as it begins, and with what it is doing now and then during a long one; how many
stages came before it; and how many there are."""


class Stages:
    """Runs the stages of a run one after the other, times them, and tells `progress` of them."""

    def __init__(self, names: Sequence[str], progress: Progress | None) -> None:
        self.names = tuple(names)
        self.progress = progress
        self.seconds: dict[str, float] = {}

    def run(
        self, name: str, stage: Callable[Inputs, Outcome], *inputs: Inputs.args, **more_inputs: Inputs.kwargs
    ) -> Outcome:
        """The outcome of `stage`, which is called `name`."""
        self._current = name
        self._tell(name)
        start = time.perf_counter()
        outcome = stage(*inputs, **more_inputs)
        self.seconds[name] = time.perf_counter() - start
        return outcome

    def part(self, name: str, done: int, total: int) -> None:
        """The current stage has done so many of its `total` photos, pairs or frames in its part `name`."""
        self._tell(f"{self._current}: {name} {done}/{total}")

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what, self.names.index(self._current), len(self.names))
