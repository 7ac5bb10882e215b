"""`batch.json`: all scenes of a batch, and how each ended.

| key | contents |
| --- | --- |
| counts | how many scenes are `done`, `failed` and `open` (not tried yet, or being done) |
| seconds | that the runs took together |
| scenes | for each, in order: name (of its folder), inputs, state (as in counts), error (why it failed, in one line), |
| | seconds, attempts, views, units, warnings, quality (the block of its `run.json`) and stages (seconds of |
| | each); null where that is not known |

It is written as a batch begins and as it ends. Several batches in one place, such as the parts of a sharded one, write
it one after the other, each with what the others have done by then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recon.run.batch.leases import Leases
from recon.run.batch.outcome import FILE_NAME as OUTCOME_NAME
from recon.run.batch.outcome import Outcome
from recon.run.batch.place import Place
from recon.run.batch.scene import BatchScene
from recon.run.record import to_json

FILE_NAME = "batch.json"
_LEASE = ".batch"
_SECONDS_TO_WAIT = 30.0
_OPEN = "open"
_KEPT = ("seconds", "attempts", "views", "units", "warnings", "quality", "stages")


def write_batch_file(
    place: Place, scenes: Sequence[BatchScene], known: Mapping[str, Outcome], leases: Leases
) -> dict[str, Any]:
    """Write it, of all `scenes`; of those whose outcome is not `known`, what is kept in the place. Returns it."""
    end = time.monotonic() + _SECONDS_TO_WAIT
    while not (held := leases.take(_LEASE)) and time.monotonic() < end:
        time.sleep(0.1)
    try:
        entries = [_entry(scene, _outcome(place, scene, known)) for scene in scenes]
        counts = Counter(str(entry["state"]) for entry in entries)
        content = {
            "counts": {name: counts[name] for name in ("done", "failed", _OPEN)},
            "seconds": round(sum(entry["seconds"] or 0.0 for entry in entries), 3),
            "scenes": entries,
        }
        place.write(FILE_NAME, to_json(content).encode())
        return content
    finally:
        if held:
            leases.give_back(_LEASE)


def _outcome(place: Place, scene: BatchScene, known: Mapping[str, Outcome]) -> Outcome | None:
    if scene.name in known:
        return known[scene.name]
    found = Outcome.of_bytes(place.read(f"{scene.name}/{OUTCOME_NAME}"))
    return found if found is not None and found.wanted == scene.wanted else None


def _entry(scene: BatchScene, outcome: Outcome | None) -> dict[str, Any]:
    return {
        "name": scene.name,
        "inputs": list(scene.settings.inputs),
        "state": _OPEN if outcome is None else outcome.state,
        "error": None if outcome is None else outcome.error,
        **{name: None if outcome is None else getattr(outcome, name) for name in _KEPT},
    }
