"""One scene of a batch, done in this process."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from recon.choices import RunOptions
from recon.errors import InputError, why
from recon.estimate.choice import Choice
from recon.options import settings_entry
from recon.run.batch.outcome import DONE, FAILED, Ended, Outcome
from recon.run.batch.place import Place
from recon.run.batch.scene import BatchScene
from recon.run.from_settings import Shown, reconstruct_as_set
from recon.run.record import DONE as RUN_DONE
from recon.run.record import FILE_NAME, read_record, state_of, to_json, versions, write_record
from recon.run.worker import wait_for_another


def do_scene(
    scene: BatchScene,
    place: Place,
    choose: Callable[[RunOptions], Choice],
    report: Callable[[], AbstractContextManager[Shown]],
) -> Ended:
    """Make the run of a scene; whatever goes wrong is how it ended, also where its files cannot be put in place."""
    start = time.perf_counter()
    try:
        with place.results(scene.name) as folder:
            return _done_in(folder, scene, choose, report)
    except InputError as error:  # on the way to a store
        seconds = round(time.perf_counter() - start, 3)
        return Ended(Outcome(FAILED, why(error), seconds, wanted=scene.wanted), may_be_tried_again=True)


def _done_in(
    folder: Path,
    scene: BatchScene,
    choose: Callable[[RunOptions], Choice],
    report: Callable[[], AbstractContextManager[Shown]],
) -> Ended:
    """In a folder of this machine; its `run.json` says how it ended."""
    start = time.perf_counter()
    try:
        wait_for_another(folder)
        result = reconstruct_as_set(scene.settings, folder, choose, report, config=scene.config)
    except Exception as error:
        if not isinstance(error, InputError):
            traceback.print_exc()  # into the log of the process
        said = why(error) if isinstance(error, (InputError, OSError)) else f"{type(error).__name__}: {why(error)}"
        note_failure(scene, folder, said)
        outcome = _outcome(scene, folder, time.perf_counter() - start, FAILED, said)
        return Ended(outcome, not isinstance(error, InputError), _is_of_full_disk(error))
    count = len(result.prediction.depth)
    outcome = _outcome(
        scene,
        folder,
        time.perf_counter() - start,
        DONE,
        views=count,
        units=result.prediction.units,
        warnings=tuple(result.warnings),
        quality=_finite(None if result.quality is None else result.quality.entry),
        stages={name: round(seconds, 4) for name, seconds in result.seconds.items()},
    )
    del result
    _free_memory()
    return Ended(outcome)


def _outcome(
    scene: BatchScene, folder: Path, seconds: float, state: Any, error: str | None = None, **facts: Any
) -> Outcome:
    record = folder / FILE_NAME
    size = record.stat().st_size if record.is_file() else None
    return Outcome(state, error, round(seconds, 3), wanted=scene.wanted, record_bytes=size, **facts)


def _is_of_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def note_death(scene: BatchScene, place: Place, said: str) -> None:
    """Have its `run.json` say that a scene failed whose process, or machine, ended in its midst."""
    with contextlib.suppress(InputError), place.results(scene.name) as folder:
        note_failure(scene, folder, said)


def note_failure(scene: BatchScene, folder: Path, said: str) -> None:
    """Have `run.json` in the folder of a scene say that it failed, and why, where its run could not say so itself.

    That of a complete run before it, whose files are there, stays.
    """
    with contextlib.suppress(InputError, OSError):
        before = read_record(folder)
        if before is None:
            settings = settings_entry(scene.settings)
            known = {"versions": versions(), "settings": settings, "warnings": [], "seconds": {}, "exports": {}}
            write_record(folder, {"state": FAILED, "error": said, **known})
        elif state_of(before) != RUN_DONE:
            write_record(folder, {**before, "state": FAILED, "error": said})


def _finite(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """As JSON has it."""
    found: dict[str, Any] | None = None if entry is None else json.loads(to_json(entry))
    return found


def _free_memory() -> None:
    """Of the last scene, before the next one: on a GPU it would stay taken."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
