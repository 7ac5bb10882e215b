"""The outcomes of a run's stages, kept under the run's folder, so that the same command goes on after a kill.

Each is one file, `cache/STAGE-KEY.npz`: arrays as they are, and beside them, as JSON text, everything else and the
warnings of the stage. The key is a hash of all that decides the outcome (`recon.digests`); the sources of this
package are part of every key.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from recon.digests import digest, program_digest
from recon.errors import InputError
from recon.files import atomic_write
from recon.messages import collect_warnings, warn
from recon.run.packing import pack, pack_streamed, unpack
from recon.run.record import CACHE_NAME
from recon.types.mapped import Streamed, map_npz, write_npz

Outcome = TypeVar("Outcome")

FOLDER = CACHE_NAME
"""Under the folder of a run."""
SHARED_STAGES = {"cameras": 8}
"""Stages whose outcome other models share, and how many outcomes of each stay; of other stages, the last one."""
_TREE = "tree"
"""The array that holds everything but the arrays, as JSON text."""


@dataclass(frozen=True)
class Kept(Generic[Outcome]):
    """An outcome, and whether it was found or made."""

    outcome: Outcome
    reused: bool


class Store:
    """Keeps outcomes of stages and finds them again. What cannot be read or written is made anew, with a warning."""

    def __init__(self, folder: Path, classes: Sequence[type], fresh: bool = False) -> None:
        """Of the run in `folder`; outcomes may hold dataclasses of `classes`; if `fresh`, none is found again."""
        self._folder = folder / FOLDER
        self._classes = tuple(classes)
        self._fresh = fresh
        self._can_be_written = True

    def outcome(
        self,
        stage: str,
        decided_by: Any,
        make: Callable[[], Outcome],
        usable: Callable[[Outcome], bool] = lambda outcome: True,
    ) -> Kept[Outcome]:
        """What `make` gives: found again where it was kept for the same `decided_by`, else made and kept.

        Found or made, it is the same to the bit, and the warnings of making it are given either way.

        Args:
            stage: its name.
            decided_by: all that decides the outcome beside this package; what `recon.digests.digest` takes.
            make: called without arguments.
            usable: called with an outcome that was found: whether it still holds.
        """
        path = self._path(stage, decided_by)
        found = self._found(path, usable)
        if found is not None:
            return found
        with collect_warnings() as said:
            outcome = make()
        tree, arrays = pack(outcome)
        self._write(path, {"outcome": tree, "warnings": list(said)}, arrays)
        self._remove_others(stage, path)
        # Arrays in rows, numbers as Python's, as they will be found again: sums in another order would differ.
        return Kept(unpack(tree, arrays, self._classes), reused=False)

    def on_disk(
        self,
        stage: str,
        decided_by: Any,
        make: Callable[[], Outcome],
        streams: Callable[[Outcome], Sequence[tuple[NDArray[Any], Streamed]]] = lambda outcome: (),
        reuse: bool = True,
    ) -> Kept[Outcome]:
        """As `outcome`, for what need not fit into memory: the arrays of what comes back are mapped from the file.

        Args:
            stage, decided_by, make: as of `outcome`.
            streams: of an outcome, arrays that stand for others, which are made as they are written.
            reuse: whether one that is there already will do.

        Raises:
            InputError: it cannot be written, as on a full disk. What was kept before stays.
        """
        path = self._path(stage, decided_by)
        found = self._found(path) if reuse else None
        if found is not None:
            return found
        with collect_warnings() as said:
            outcome = make()
        tree, arrays = pack_streamed(outcome, streams(outcome))
        del outcome
        content = {_TREE: np.array(json.dumps({"outcome": tree, "warnings": list(said)}))}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            write_npz(file, content | arrays)
        del arrays
        self._remove_others(stage, path)
        kept = read_outcome(path, self._classes)
        if kept is None:
            raise InputError(f"cannot read {path}, which has just been written: is the disk damaged?")
        return Kept(kept[0], reused=False)

    def reopen(self, stage: str, decided_by: Any) -> Any:
        """What `on_disk` has kept, without a word. Raises InputError where it is gone."""
        kept = read_outcome(self._path(stage, decided_by), self._classes)
        if kept is None:
            raise InputError(f"{self._path(stage, decided_by)} is gone: another program has removed it")
        return kept[0]

    @property
    def folder(self) -> Path:
        """Where outcomes are kept; it may not be there yet."""
        return self._folder

    def _path(self, stage: str, decided_by: Any) -> Path:
        return self._folder / f"{_file_name(stage)}-{digest(program_digest(), stage, decided_by)}.npz"

    def _found(self, path: Path, usable: Callable[[Any], bool] = lambda outcome: True) -> Kept[Any] | None:
        """What was kept in a file, with its warnings said; None where there is none that is usable."""
        found = None if self._fresh else read_outcome(path, self._classes)
        if found is None or not usable(found[0]):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the last used are the ones that stay
        for message in found[1]:
            warn(message)
        return Kept(found[0], reused=True)

    def keep_only(self, of: str, stages: Collection[str]) -> None:
        """Remove outcomes of stages whose names begin with `of` and a space, but of those that `stages` names."""
        wanted = {_file_name(stage) for stage in stages}
        name = re.compile(rf"({re.escape(_file_name(of + ' '))}.+)-[0-9a-f]{{32}}\.npz")
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if (found := name.fullmatch(path.name)) is not None and found[1] not in wanted:
                    path.unlink()

    def _write(self, path: Path, content: Any, arrays: dict[str, Any]) -> None:
        if not self._can_be_written:
            return
        try:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_TREE: np.array(json.dumps(content)), **arrays})
        except InputError as error:
            self._can_be_written = False
            warn(f"what the run computes is not kept for the next: {error}")

    def _remove_others(self, stage: str, used: Path) -> None:
        """Outcomes of `stage` that are no longer wanted, so that the folder does not grow with every change."""
        name = re.compile(rf"{re.escape(_file_name(stage))}-[0-9a-f]{{32}}\.npz")
        with contextlib.suppress(OSError):
            others = [path for path in self._folder.iterdir() if name.fullmatch(path.name) and path != used]
            others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            for path in others[SHARED_STAGES.get(stage, 1) - 1 :]:
                path.unlink()


def read_outcome(path: Path, classes: Sequence[type]) -> tuple[Any, list[str]] | None:
    """An outcome that a store has kept in a file, of dataclasses of `classes`, and the warnings of making it.

    The arrays of one that was kept on the disk are mapped (`recon.types.mapped`). None where the file is not there; or
    damaged, with a warning.
    """
    if not path.is_file():
        return None
    try:
        arrays = map_npz(path)
        content = json.loads(str(arrays.pop(_TREE)))
        return unpack(content["outcome"], arrays, classes), list(content["warnings"])
    except Exception as error:  # zipfile, zlib, numpy and the classes each raise their own on a damaged file
        warn(f"'{path}' is damaged ({type(error).__name__}): what it held is computed again")
        return None


def _file_name(stage: str) -> str:
    return stage.replace(" ", "-")
