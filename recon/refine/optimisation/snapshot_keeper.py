"""The state of an optimisation in a file, written now and then, so that the same one goes on after a kill.

What comes out is the same to the bit as without the kill: the file holds all that decides how it goes on, moments and
random numbers included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.digests import digest, program_digest
from recon.errors import InputError
from recon.files import atomic_write
from recon.messages import warn
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.optimisation.state import AdamSplats, Best, FitState
from recon.types import Gaussians

_LARGEST_SHARE = 0.02
"""Of the time may go into writing."""
_HEAD = "head"
"""The array with everything that is no array, as JSON text."""


class SnapshotKeeper:
    """Writes and reads the file of one optimisation."""

    def __init__(self, snapshots: Snapshots | None, *decided_by: Any) -> None:
        """None keeps nothing. A file of a fit with another `decided_by` (see `recon.digests.digest`) is not read."""
        self._snapshots = snapshots
        self._identity = "" if snapshots is None else digest(program_digest(), *decided_by)
        self._next = time.perf_counter() + (0 if snapshots is None else snapshots.seconds)

    @property
    def is_due(self) -> bool:
        """Whether it is time to `save`."""
        return self._snapshots is not None and time.perf_counter() >= self._next

    def save(self, state: FitState) -> None:
        """Write the file, whole or not at all; where that is not possible, warn once and keep nothing."""
        if self._snapshots is None:
            return
        began = time.perf_counter()
        head = {"identity": self._identity, **_head(state)}
        try:
            with atomic_write(self._snapshots.path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_HEAD: np.array(json.dumps(head))}, **_arrays(state))
        except InputError as error:
            warn(f"the optimisation of splats cannot go on after a kill: {error}")
            self._snapshots = None
            return
        now = time.perf_counter()
        self._next = now + max(self._snapshots.seconds, (now - began) / _LARGEST_SHARE)

    def restore(self, state: FitState) -> bool:
        """Bring `state`, as it was to begin with, to where the file says. Returns whether there was one of this fit."""
        if self._snapshots is None or not self._snapshots.path.is_file():
            return False
        try:
            with np.load(self._snapshots.path, allow_pickle=False) as archive:
                head = json.loads(str(archive[_HEAD]))
                if head["identity"] != self._identity:
                    return False
                arrays = {name: archive[name] for name in archive.files if name != _HEAD}
            _restore(state, head, arrays)
        except Exception as error:  # zipfile, zlib, numpy and json each raise their own on a damaged file
            warn(f"'{self._snapshots.path}' is damaged ({type(error).__name__}): splats are optimised from the start")
            return False
        return True


def _head(state: FitState) -> dict[str, Any]:
    return {
        "rng": state.rng.bit_generator.state,
        "done": state.done,
        "seconds": state.seconds,
        "order": list(state.order),
        "worse": state.worse,
        "rounds": state.rounds,
        "best": None if state.best is None else state.best.score,
    }


def _arrays(state: FitState) -> dict[str, NDArray[Any]]:
    best = {} if state.best is None else _named("best", state.best.arrays)
    return {**_named("splats", state.splats.arrays), **_named("beside", state.beside), **best}


def _restore(state: FitState, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """All of it, or nothing where a part is missing or of another shape."""
    beside = _of("beside", arrays)
    for name, array in state.beside.items():
        if beside[name].shape != array.shape:
            raise ValueError(f"{name} has another shape")
    splats = AdamSplats.from_arrays(_of("splats", arrays))
    best = None if head["best"] is None else Best(head["best"], **_best_parts(_of("best", arrays)))
    state.rng.bit_generator.state = head["rng"]
    for name, array in state.beside.items():
        array[...] = beside[name]
    state.splats, state.best = splats, best
    state.done, state.seconds, state.worse = int(head["done"]), float(head["seconds"]), int(head["worse"])
    state.rounds = int(head["rounds"])
    state.order = tuple(int(view) for view in head["order"])


def _best_parts(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    names = tuple(Gaussians.__dataclass_fields__)
    others = {name: array for name, array in arrays.items() if name not in names}
    return {"gaussians": Gaussians(**{name: arrays[name] for name in names}), **others}


def _named(group: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{group}.{name}": array for name, array in arrays.items()}


def _of(group: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(f"{group}."): array for name, array in arrays.items() if name.startswith(f"{group}.")}
