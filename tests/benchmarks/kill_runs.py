"""Kill `recon run` at random moments, give the same command again, and compare with an undisturbed run.

    python -m tests.benchmarks.kill_runs [--scene table] [--kills 30] [--in-a-row 1] [--in-stages] [--seed 0] [option…]

Further options are those of `recon run`.

Each line of the table is one kill (SIGKILL): when, which stages were done by then, and which the next run took over;
then whether the files of the run that was left to end are those of the undisturbed run: all bytes, and `run.json` but
for times and what was reused. A file that was half written, or left behind by a killed process, counts as a difference.
The exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.files import scenes_folder

OUT = "out"
"""Folder of the run, in the folder it is started in."""
FORMATS = "npz-glb-gs_ply-depth_vis"
_TIMES = ("seconds", "reused", "earlier_files")
"""Keys of `run.json` and of the store that differ from run to run."""


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    seconds: float
    stage: int = 0
    """From the start of this stage, the first is 1; 0: from the start of the process."""

    def __str__(self) -> str:
        return f"{self.seconds:6.2f} s" + (f" into stage {self.stage}" if self.stage else "")


@dataclass(frozen=True)
class Killed:
    """What one kill came to."""

    moment: Moment
    done: tuple[str, ...]
    """Stages done by then, those taken over included."""
    reused: tuple[str, ...]
    """Stages that the next run has taken over."""


@dataclass(frozen=True)
class Row:
    """Kills of one folder's runs, one after the other, and the run that was left to end."""

    kills: tuple[Killed, ...]
    differences: tuple[str, ...]
    """Files that are not as they should be, right after a kill or at the end."""


def undisturbed(arguments: Sequence[str], place: Path) -> float:
    """Run to the end in `place`; returns how many seconds it took."""
    start = time.perf_counter()
    _finish(_start(arguments, place))
    return time.perf_counter() - start


def kill_in_a_row(arguments: Sequence[str], place: Path, moments: Sequence[Moment], whole: Path) -> Row:
    """Kill a run in the new folder `place`, and the same command after it, each at its moment; then let it end.

    `whole` is where the undisturbed run was. A run that ends before its moment is not killed, and ends the row.
    """
    killed: list[tuple[Moment, dict[str, Any]]] = []
    reused: list[tuple[str, ...]] = []
    differences: list[str] = []
    for moment in moments:
        process = _start(arguments, place)
        _wait_for_stage(process, moment.stage)
        try:
            _finish(process, moment.seconds)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        record = _record(place / OUT) or {"state": "running", "seconds": {}, "reused": []}
        killed.append((moment, record))
        reused.append(tuple(record["reused"]))
        differences += half_written(place / OUT, whole / OUT)
        if record["state"] not in ("running", "done"):
            differences.append(f"run.json says {record['state']} of a killed run")
    else:
        _finish(_start(arguments, place))
    last = _record(place / OUT)
    assert last is not None
    reused.append(tuple(last["reused"]))
    differences += unequal(place / OUT, whole / OUT)
    differences += [f"left behind: {path}" for path in sorted((place / "tmp").rglob("*"))]
    kills = [
        Killed(moment, tuple(record["seconds"]), taken)
        for (moment, record), taken in zip(killed, reused[1:], strict=True)
    ]
    return Row(tuple(kills), tuple(differences))


def half_written(folder: Path, whole: Path) -> list[str]:
    """Files in sight, but for the store's and `run.json`, that are not as in the undisturbed run `whole`."""
    return [
        f"half written: {name}"
        for name, content in _files(folder).items()
        if not name.startswith("cache/") and name != "run.json" and not Path(name).name.startswith(".")
        if content != _files(whole).get(name)
    ]


def unequal(folder: Path, whole: Path) -> list[str]:
    """Names of files that are not the same in both, hidden ones included."""
    ours, theirs = _files(folder), _files(whole)
    names = sorted(name for name in {*ours, *theirs} - {"run.json"} if ours.get(name) != theirs.get(name))
    return names if _timeless(_record(folder)) == _timeless(_record(whole)) else [*names, "run.json"]


def _start(arguments: Sequence[str], place: Path) -> subprocess.Popen[str]:
    temporary = place / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "recon", "run", *arguments, "--out", OUT],
        cwd=place,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_for_stage(process: subprocess.Popen[str], stage: int) -> None:
    """Until the process says that it begins stage number `stage`, or ends."""
    assert process.stderr is not None
    while stage and (line := process.stderr.readline()):
        if line.startswith(f"recon: [{stage}/"):
            return


def _finish(process: subprocess.Popen[str], timeout: float | None = None) -> None:
    _, errors = process.communicate(timeout=timeout)
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with {process.returncode}: {errors.splitlines()[-1:]}")


def _files(folder: Path) -> dict[str, str]:
    """Hash of each file by its path; of what the store keeps, but for times."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(_content(path)).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _content(path: Path) -> bytes:
    """Of a file of the store: its arrays, and its JSON text without times."""
    content = path.read_bytes()
    if path.parent.name != "cache" or path.suffix != ".npz":
        return content
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    text = {name: _timeless(json.loads(str(array))) for name, array in arrays.items() if array.dtype.kind == "U"}
    others = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    return repr(sorted((others | text).items())).encode()


def _record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _timeless(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: _timeless(value) for name, value in entry.items() if name not in _TIMES}
    return [_timeless(value) for value in entry] if isinstance(entry, list) else entry


def main() -> int:
    """Kill, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", default="table")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-a-row", type=int, default=1, help="kills of one run before it may end")
    parser.add_argument("--in-stages", action="store_true", help="as often in a short stage as in a long one")
    parser.add_argument("--keep", type=Path, help="folder for the runs, instead of a temporary one")
    settings, further = parser.parse_known_args()
    photos = scenes_folder() / settings.scene / "images"
    arguments = [str(photos), "--model", "mvs", "--export", FORMATS, *further]
    with tempfile.TemporaryDirectory() as temporary:
        base = settings.keep or Path(temporary)
        undisturbed(arguments, base / "whole")  # compiles what is not compiled yet
        seconds = undisturbed(arguments, base / "again")
        if differences := unequal(base / "again" / OUT, base / "whole" / OUT):
            print(f"two undisturbed runs differ: {', '.join(differences)}")
            return 1
        print(f"undisturbed: {seconds:.1f} s; random moments of --seed {settings.seed}", flush=True)
        lengths = list((_record(base / "again" / OUT) or {})["seconds"].values())
        chance = random.Random(settings.seed)
        bad = count = rows = tried = 0
        while count < settings.kills:
            kills = range(min(settings.in_a_row, settings.kills - count))
            moments = [Moment(chance.uniform(0, seconds / (2 if kill else 1))) for kill in kills]  # later: less to do
            if settings.in_stages:
                stages = sorted(chance.randrange(len(lengths)) for _ in kills)
                moments = [Moment(chance.uniform(0, lengths[stage]), stage + 1) for stage in stages]
            place = base / f"killed-{tried}"
            row = kill_in_a_row(arguments, place, moments, base / "whole")
            rows += bool(row.kills)
            tried += 1
            for killed in row.kills:
                count += 1
                done, reused = (", ".join(stages) or "nothing" for stages in (killed.done, killed.reused))
                print(f"{count:3d}  {killed.moment}  done: {done}  then reused: {reused}", flush=True)
            if row.kills:
                print("     " + ("; ".join(row.differences) or "equal to the undisturbed run"), flush=True)
            bad += bool(row.differences)
            if not row.differences and settings.keep is None:
                shutil.rmtree(place)
    print(f"{count} kills; {rows - bad} of {rows} runs equal")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
