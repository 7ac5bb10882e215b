"""What a batch gains by several workers, and what Ray adds to a scene.

    python -m tests.benchmarks.bench_batch [--scenes 50] [--photos 5] [--workers 2] [--engines local,ray]
                                           [--model mvs --process-res 252 …]

Small scenes (photos of a sample scene, with their cameras) go through multi-view stereo, or as options of `recon run`
say, in a batch of one worker, then
in one of `--workers`: seconds by the clock, start included, and their ratio. Then through Ray, one scene at a time on
as many cores: what is beyond the seconds of the runs themselves, for each scene, and as a share of a scene of a
minute, beside the same of the local batch; the start of cluster and workers is told apart. Bars: a ratio of 1.7 for two
workers, 5 % of a minute for Ray.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from recon.cores import usable_cores
from recon.files import scenes_folder

_SCENE = "table"
_MINUTE = 60.0


@dataclass(frozen=True)
class Timed:
    """A batch."""

    seconds: float
    """By the clock, from its start to its end."""
    between: float
    """From the begin of the first scene's run to the end of the last."""
    runs: float
    """Of all runs together."""


def make_scenes(folder: Path, count: int, photos: int) -> Path:
    """Photos of a sample scene that follow each other, from another one on in each."""
    original = scenes_folder() / _SCENE
    frames = json.loads((original / "cameras.json").read_text(encoding="utf-8"))["frames"]
    for index in range(count):
        place = folder / f"scene-{index:03d}"
        (place / "images").mkdir(parents=True)
        chosen = [frames[(index + one) % len(frames)] for one in range(photos)]
        for frame in chosen:
            shutil.copy(original / "images" / frame["image"], place / "images")
        (place / "cameras.json").write_text(json.dumps({"frames": chosen}), encoding="utf-8")
    return folder


def batch(scenes: Path, out: Path, *options: str) -> Timed:
    """Do all scenes, none of which may fail."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "recon", "batch", str(scenes), "--out", str(out), *options]
    done = subprocess.run([*command, "--export", "mini_npz"], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr + done.stdout)
    seconds = time.perf_counter() - start
    outcomes = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/.batch.json")]
    first = min(one["ended"] - one["seconds"] for one in outcomes)
    last = max(one["ended"] for one in outcomes)
    return Timed(seconds, last - first, sum(one["seconds"] for one in outcomes))


def main() -> None:
    """Print a line for each batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--photos", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engines", default="local,ray")
    settings, further = parser.parse_known_args()
    how = further or ["--model", "mvs", "--process-res", "252"]
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        scenes = make_scenes(base / "in", settings.scenes, settings.photos)
        batch(make_scenes(base / "first", 1, settings.photos), base / "compiled", *how)  # compiles what is not yet
        print(f"{settings.scenes} scenes of {settings.photos} photos, {' '.join(how)}")
        print(f"{'batch':24}{'seconds':>9}{'of runs':>9}{'start, end':>12}{'between, a scene':>24}{'of a minute':>13}")

        def measured(name: str, *options: str) -> Timed:
            return batch(scenes, base / name.replace(" ", "-"), *how, *options)

        one = measured("local 1 worker", "--workers", "1")
        _print("local, 1 worker", one, settings.scenes)
        if "local" in settings.engines:
            several = measured("local several", "--workers", str(settings.workers))
            _print(f"local, {settings.workers} workers", several, settings.scenes, settings.workers)
            print(f"{settings.workers} workers are {one.seconds / several.seconds:.2f} times as fast as one")
        if "ray" in settings.engines:
            cores = ("--cpus", str(usable_cores()), "--memory", "1")
            by_ray = measured("ray", "--engine", "ray", "--workers", "1", *cores)
            _print("Ray, 1 actor", by_ray, settings.scenes)


def _print(name: str, timed: Timed, scenes: int, workers: int = 1) -> None:
    between = (timed.between - timed.runs / workers) / scenes
    print(
        f"{name:24}{timed.seconds:9.1f}{timed.runs:9.1f}{timed.seconds - timed.between:10.1f} s"
        f"{1000 * between:21.0f} ms{between / _MINUTE:13.2%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
