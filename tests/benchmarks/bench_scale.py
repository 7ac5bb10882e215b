"""What a million photos and a hundred thousand scenes cost, from what a batch of a few scenes took.

    python -m tests.benchmarks.bench_scale [--of RESULTS] [--cores 2] [--core-price 0.04] [--gpu-price 0]
                                           [--photos 1000000] [--scenes 100000] [--days 1] [--keep-store]
    python -m tests.benchmarks.bench_scale --model da3-small --process-res 252 …

`--of` is the folder of a batch that is done (`recon batch … --out RESULTS`): best of photos as they will be, by the
model and the options, and on a machine, that are planned for, one scene at a time on `--cores` cores. Without it the
sample scenes go through `recon batch`, with the options that follow. It prints for each stage the seconds of a scene
and of a view, and from these what so many photos in so many scenes take: hours of cores, machines for it to be done
within `--days`, their price at `--core-price` for a core and hour (and `--gpu-price` for the GPU of each machine), and
the disk that results take.

Most stages take a time that goes with the views; structure from motion grows faster with the views of a scene, so the
few scenes should be as large as those that are planned for: a warning says where they are not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.cores import usable_cores
from recon.files import scenes_folder
from recon.run.record import CACHE_NAME

_HOUR, _DAY = 3600.0, 24.0


@dataclass(frozen=True)
class Measured:
    """A batch of a few scenes."""

    scenes: int
    views: int
    seconds: float
    """Of all runs together, beyond their stages as well."""
    stages: dict[str, float]
    """Seconds of each stage, of all scenes together."""
    gigabytes: float
    """Of all files of the results."""
    kept: float
    """Of these, of what runs keep to go on from."""


def measured(out: Path) -> Measured:
    """What a batch took."""
    content: dict[str, Any] = json.loads((out / "batch.json").read_text(encoding="utf-8"))
    done = [one for one in content["scenes"] if one["state"] == "done"]
    if not done:
        raise SystemExit(f"{out}: no scene is done")
    stages: dict[str, float] = defaultdict(float)
    for one in done:
        for name, seconds in one["stages"].items():
            stages[name] += seconds
    files = [path for one in done for path in (out / one["name"]).rglob("*") if path.is_file()]
    kept = [path for path in files if CACHE_NAME in path.relative_to(out).parts]
    return Measured(
        len(done),
        sum(one["views"] for one in done),
        sum(one["seconds"] for one in done),
        dict(stages),
        sum(path.stat().st_size for path in files) / 1e9,
        sum(path.stat().st_size for path in kept) / 1e9,
    )


def print_stages(found: Measured) -> None:
    """Seconds of a scene and of a view."""
    print(f"{found.scenes} scenes of {found.views / found.scenes:.1f} views")
    print(f"{'stage':28}{'a scene':>10}{'a view':>10}{'share':>8}")
    rest = found.seconds - sum(found.stages.values())
    for name, seconds in [*found.stages.items(), ("opening, checks, records", rest), ("all", found.seconds)]:
        print(f"{name:28}{seconds / found.scenes:8.2f} s{seconds / found.views:8.3f} s{seconds / found.seconds:8.0%}")


def print_plan(found: Measured, settings: argparse.Namespace) -> None:
    """What the photos and scenes that are planned for cost."""
    if settings.photos / settings.scenes > 1.5 * found.views / found.scenes:
        print(
            f"warning: scenes of {settings.photos / settings.scenes:.0f} photos are planned, and smaller ones were "
            "measured; structure from motion takes longer for each view of larger ones"
        )
    hours = found.seconds / found.views * settings.photos / _HOUR
    machines = hours / (settings.days * _DAY)
    price = hours * (settings.cores * settings.core_price + settings.gpu_price)
    size = found.gigabytes - (0.0 if settings.keep_store else found.kept)
    print(f"\n{settings.photos:,} photos in {settings.scenes:,} scenes, on machines of {settings.cores} cores:")
    print(f"{'hours of a machine':40}{hours:12,.0f}")
    print(f"{'hours of a core':40}{hours * settings.cores:12,.0f}")
    print(f"{f'machines for it to take {settings.days:g} days':40}{machines:12,.0f}")
    print(f"{'their price':40}{price:12,.0f}")
    print(f"{'gigabytes of results':40}{size / found.views * settings.photos:12,.0f}")
    print(f"{'scenes an hour, on all of them':40}{settings.scenes / (settings.days * _DAY):12,.0f}")


def main() -> None:
    """Measure where nothing was measured, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", type=Path, help="folder of a batch that is done")
    parser.add_argument("--cores", type=int, default=usable_cores(), help="of a scene, as it was measured")
    parser.add_argument("--core-price", type=float, default=0.04, help="of a core for an hour")
    parser.add_argument("--gpu-price", type=float, default=0.0, help="of the GPU of a machine for an hour")
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--scenes", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--keep-store", action="store_true", help="count what runs keep to go on from, too")
    settings, options = parser.parse_known_args()
    if settings.of is not None:
        found = measured(settings.of)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary) / "out"
            places = [str(one) for one in sorted(scenes_folder().iterdir()) if (one / "images").is_dir()]
            command = [sys.executable, "-m", "recon", "batch", *places, "--out", str(out), "--workers", "1", *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = measured(out)
    print_stages(found)
    print_plan(found, settings)


if __name__ == "__main__":
    main()
