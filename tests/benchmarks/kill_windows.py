"""Kill `recon run --window` at random moments, give the same command again, and compare with an undisturbed run.

    python -m tests.benchmarks.kill_windows [--kills 30] [--in-a-row 3] [--frames 48] [--window 8] [--seed 0]

As `kill_runs`, of a quick walk through da3-small with random weights: each row is one folder whose runs are killed one
after the other, at any moment from the start of the process on, before it may end.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.kill_runs import Moment, kill_in_a_row, undisturbed
from tests.synthetic.walk import Walk

SIZE = (42, 56)


def windowed_run(folder: Path, frames: int, window: int) -> list[str]:
    """Arguments of a run in windows of frames written into `folder`."""
    Walk(frames, size=SIZE, shaded=False).write(folder)
    model = ["--model", "da3-small", "--weights", "none", "--process-res", str(max(SIZE))]
    return [str(folder), "--ordered", *model, "--window", str(window), "--export", "npz-glb-ply"]


def main() -> int:
    """Kill, compare, print a line for each kill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--in-a-row", type=int, default=3)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        arguments = windowed_run(base / "frames", settings.frames, settings.window)
        seconds = undisturbed(arguments, base / "whole")
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        chance = random.Random(settings.seed)
        count = bad = rows = 0
        while count < settings.kills:
            moments = [
                Moment(chance.uniform(0, seconds)) for _ in range(min(settings.in_a_row, settings.kills - count))
            ]
            place = base / f"killed-{rows}"
            row = kill_in_a_row(arguments, place, moments, base / "whole")
            rows += 1
            for killed in row.kills:
                count += 1
                done, reused = (", ".join(stages) or "nothing" for stages in (killed.done, killed.reused))
                print(f"{count:3d}  {killed.moment}  done: {done}  then reused: {reused}", flush=True)
            print("     " + ("; ".join(row.differences) or "equal to the undisturbed run"), flush=True)
            bad += bool(row.differences)
            shutil.rmtree(place)
    print(f"{count} kills; {rows - bad} of {rows} runs equal")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
