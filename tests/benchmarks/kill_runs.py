"""Kill `recon run` at random moments, give the same command again, and compare with an undisturbed run.

    python -m tests.benchmarks.kill_runs [--scene table] [--kills 30] [--seed 0] [options of recon run]

Each line of the table is one kill (SIGKILL): when, which stages were done by then, which the next run took over, and
whether the files are those of the undisturbed run: all bytes, `run.json` but for times and what was reused. A file that
was half written, or left behind by a killed process, counts as a difference. The exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.paths import scenes_folder

OUT = "out"
"""Folder of the run, in the folder it is started in."""
FORMATS = "npz-glb-gs_ply-depth_vis"
_TIMES = ("seconds", "reused", "earlier_files")


@dataclass(frozen=True)
class Killed:
    """What one kill came to."""

    after: float
    """Seconds from the start of the process."""
    done: tuple[str, ...]
    """Stages done by then."""
    reused: tuple[str, ...]
    """Stages that the next run took over."""
    differences: tuple[str, ...]
    """Files that are not as they should be, right after the kill or at the end."""


def undisturbed(arguments: Sequence[str], place: Path) -> float:
    """Run to the end in `place`; returns how many seconds it took."""
    start = time.perf_counter()
    _finish(_start(arguments, place))
    return time.perf_counter() - start


def kill_once(arguments: Sequence[str], place: Path, after: float, whole: Path) -> Killed | None:
    """Kill a run in the new folder `place` after so many seconds, and run the same command again.

    `whole` is where the undisturbed run was. None where the run had ended before.
    """
    process = _start(arguments, place)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    else:
        process.communicate()
        return None
    record = _record(place / OUT)
    differences = half_written(place / OUT, whole / OUT)
    if record is not None and record["state"] not in ("running", "done"):
        differences.append(f"run.json says {record['state']} of a killed run")
    _finish(_start(arguments, place))
    differences += unequal(place / OUT, whole / OUT)
    differences += [f"left behind: {path}" for path in sorted((place / "tmp").rglob("*"))]
    again = _record(place / OUT)
    assert again is not None
    return Killed(after, tuple(record["seconds"]) if record else (), tuple(again["reused"]), tuple(differences))


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


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with {process.returncode}: {errors.splitlines()[-1:]}")


def _files(folder: Path) -> dict[str, str]:
    """Hash of each file by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


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
    parser.add_argument("--keep", type=Path, help="folder for the runs, instead of a temporary one")
    settings, further = parser.parse_known_args()
    photos = scenes_folder() / settings.scene / "images"
    arguments = [str(photos), "--model", "mvs", "--export", FORMATS, *further]
    with tempfile.TemporaryDirectory() as temporary:
        base = settings.keep or Path(temporary)
        seconds = undisturbed(arguments, base / "whole")
        print(f"undisturbed: {seconds:.1f} s; random moments of --seed {settings.seed}", flush=True)
        moments = random.Random(settings.seed)
        bad = count = 0
        while count < settings.kills:
            after = moments.uniform(0, seconds)
            killed = kill_once(arguments, base / f"killed-{count}", after, base / "whole")
            if killed is None:
                print(f"     {after:6.1f} s  the run had ended before; drawn anew", flush=True)
                subprocess.run(["rm", "-r", str(base / f"killed-{count}")], check=True)
                continue
            count += 1
            bad += bool(killed.differences)
            verdict = "; ".join(killed.differences) or "equal"
            done, reused = (", ".join(stages) or "nothing" for stages in (killed.done, killed.reused))
            print(f"{count:3d}  {killed.after:6.1f} s  done: {done}  reused: {reused}  {verdict}", flush=True)
            if not killed.differences and settings.keep is None:
                subprocess.run(["rm", "-r", str(base / f"killed-{count - 1}")], check=True)
    print(f"{count - bad} of {count} equal")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
