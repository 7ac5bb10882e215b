"""The stages of a run: each has a name, is a function of its inputs, and is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from recon.progress import stage as announce

Inputs = ParamSpec("Inputs")
Outcome = TypeVar("Outcome")


class Stages:
    """Runs the stages of a run one after the other, times them, and tells who listens of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.seconds: dict[str, float] = {}

    def run(
        self, name: str, stage: Callable[Inputs, Outcome], *inputs: Inputs.args, **more_inputs: Inputs.kwargs
    ) -> Outcome:
        """The outcome of `stage`, which is called `name`."""
        with announce(name, self.names.index(name), len(self.names)):
            start = time.perf_counter()
            outcome = stage(*inputs, **more_inputs)
            self.seconds[name] = time.perf_counter() - start
        return outcome
