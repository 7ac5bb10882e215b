"""Kill `recon batch` and its processes at random moments, and compare what comes of it with an undisturbed batch.

    python -m tests.benchmarks.kill_batches [--scenes 12] [--kills 30] [--in-a-row 5] [--seed 0] [--keep FOLDER]

Each line is a batch of its own folder: what was killed (SIGKILL) and when; the batch itself, whereupon the same command
is given again, or one of the processes that do scenes, whereupon it goes on. Once `--in-a-row` kills are done it may
end. All files have to be those of the undisturbed batch, but for times and how often scenes were tried; one that was
half written, or left behind, is a difference. The exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.kill_runs import unequal
from tests.run.batch.small_scenes import OPTIONS, make_bad_scenes, make_scenes

OUT = "out"
_OF_TIMES = (".batch.json",)
_TIMES = ("seconds", "attempts", "stages")


def undisturbed(scenes: Path, place: Path) -> float:
    """A batch to its end; returns its seconds."""
    start = time.perf_counter()
    _start(scenes, place).wait()
    return time.perf_counter() - start


def kill_in_a_row(scenes: Path, place: Path, moments: Sequence[float], chance: np.random.Generator) -> list[str]:
    """Kill at each of the moments, in seconds from the last kill, what chance says, then let it end; says what."""
    said = []
    process = _start(scenes, place)
    for moment in moments:
        try:
            process.wait(timeout=moment)
            break  # it was over sooner
        except subprocess.TimeoutExpired:
            pass
        workers = _children(process.pid)
        if workers and chance.random() < 0.5:
            os.kill(int(chance.choice(workers)), signal.SIGKILL)
            said.append(f"a worker after {moment:.2f} s")
            continue
        process.kill()
        process.wait()
        said.append(f"the batch after {moment:.2f} s")
        process = _start(scenes, place)
    process.wait()
    return said


def differences(folder: Path, whole: Path) -> list[str]:
    """What is not in the results as it is in those of the undisturbed batch."""
    found = []
    names = sorted({path.name for place in (folder, whole) for path in place.iterdir() if path.is_dir()})
    for name in names:
        if name.startswith("."):
            continue
        found += [f"{name}/{file}" for file in unequal(folder / name, whole / name) if file not in _OF_TIMES]
    if _timeless(folder) != _timeless(whole):
        found.append("batch.json")
    left = [path for path in (folder / ".batch").rglob("*") if path.is_file()]
    return [*found, *(f"left behind: {path.name}" for path in left)]


def _start(scenes: Path, place: Path) -> subprocess.Popen[bytes]:
    place.mkdir(parents=True, exist_ok=True)
    options = [*OPTIONS, "--workers", "2", "--retries", "20"]
    return subprocess.Popen(
        [sys.executable, "-m", "recon", "batch", str(scenes), "--out", OUT, *options],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _children(pid: int) -> list[int]:
    """Processes that a process has started, in any of its threads."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(one) for one in file.read_text().split()]
        except OSError:
            continue
    return found


def _timeless(folder: Path) -> Any:
    content = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
    entries = [{name: value for name, value in one.items() if name not in _TIMES} for one in content["scenes"]]
    return content["counts"], entries


def main() -> int:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--in-a-row", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the batches, instead of a temporary one")
    settings = parser.parse_args()
    chance = np.random.default_rng(settings.seed)
    with tempfile.TemporaryDirectory() as temporary:
        base = settings.keep or Path(temporary)
        scenes = make_bad_scenes(make_scenes(base / "in", settings.scenes))
        seconds = undisturbed(scenes, base / "whole")
        print(f"undisturbed: {seconds:.1f} s; random moments of --seed {settings.seed}", flush=True)
        kills = bad = rows = 0
        while kills < settings.kills:
            count = min(settings.in_a_row, settings.kills - kills)
            place = base / f"killed-{rows}"
            said = kill_in_a_row(scenes, place, [chance.uniform(0, seconds / 2) for _ in range(count)], chance)
            found = differences(place / OUT, base / "whole" / OUT)
            kills, rows, bad = kills + len(said), rows + 1, bad + bool(found)
            print(f"{', '.join(said)}: {'; '.join(found) or 'equal to the undisturbed batch'}", flush=True)
            if not found and settings.keep is None:
                shutil.rmtree(place)
    print(f"{kills} kills; {rows - bad} of {rows} batches equal")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
