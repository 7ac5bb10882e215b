"""Long inputs in windows: frames a second and peak memory as the input gets longer, and beside one window alone.

    python -m tests.benchmarks.bench_long [--frames 100 500 2000] [--window 60] [--size 84 112] [--network]

Each length is a process of its own, so that its peak is its own. By default an estimator that knows the truth, so that
what is measured is the road: reading, joining, keeping, cleaning and writing. With `--network` da3-small with random
weights instead, and the same window without any other before it: how much the windows cost. Memory is what the process
holds by itself (anonymous) and in all; ratios are to the first length.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from recon.choices import InferenceOptions
from recon.estimate.estimator import Estimator
from recon.run.pipeline import reconstruct
from tests.drifting_network import DriftingNetwork
from tests.synthetic.walk import Walk

_EVERY = 0.05
"""Seconds between two looks at the memory."""
FORMATS = "mini_npz-glb-ply"


@contextlib.contextmanager
def watched_memory() -> Iterator[list[tuple[float, float, float]]]:
    """Seconds, and megabytes that this process holds by itself and in all, as they go on (Linux)."""
    found: list[tuple[float, float, float]] = []
    over = threading.Event()
    start = time.monotonic()

    def look() -> None:
        while not over.wait(_EVERY):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            values = {name: line.split()[0] for name, _, line in (one.partition(":") for one in lines) if line.split()}
            found.append((time.monotonic() - start, int(values["RssAnon"]) / 1e3, int(values["VmRSS"]) / 1e3))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def measure(count: int, window: int, size: tuple[int, int], network: bool) -> dict[str, Any]:
    """One run in this process."""
    walk = Walk(count, size=size, shaded=False, laps=max(1.0, count / 600))
    estimator: Estimator = DriftingNetwork(walk)
    if network:
        from recon.estimate.network import NetworkEstimator
        from recon.models.ready import ready_model

        estimator = NetworkEstimator(ready_model("da3-small", weights=None))
    options = InferenceOptions(process_res=max(size), window=window, keyframes=0.0)
    with tempfile.TemporaryDirectory() as folder, watched_memory() as memory:
        start, cpu = time.monotonic(), time.process_time()
        result = reconstruct(
            estimator, walk.source(), options=options, export_dir=folder, export_format=FORMATS, reuse=True
        )
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return {
        "frames": count,
        "windows": 1 if result.windows is None else result.windows.count,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "stages": dict(result.seconds),
        "anonymous_mb": max(own for _, own, _ in memory),
        "peak_mb": max(whole for _, _, whole in memory),
        "memory": memory[:: max(len(memory) // 400, 1)],
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Memory in all over the share of the time that is over, a line for each length, darker for longer ones."""
    width, height, margin = 900, 400, 50
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    top = 1.1 * max(row["peak_mb"] for row in rows)
    for step in range(0, int(top), 100):
        y = height - margin - (height - 2 * margin) * step / top
        pen.line([(margin, y), (width - margin, y)], "#dddddd")
        pen.text((5, y - 6), f"{step} MB", "black")
    for number, row in enumerate(rows):
        shade = round(200 * (1 - (number + 1) / len(rows)))
        end = row["memory"][-1][0]
        line = [
            (margin + (width - 2 * margin) * t / end, height - margin - (height - 2 * margin) * whole / top)
            for t, _, whole in row["memory"]
        ]
        pen.line(line, (shade, shade, 255), 2)
        pen.text((width - 3 * margin, 10 + 14 * number), f"{row['frames']} frames", (shade, shade, 255))
    pen.text((width // 2 - 60, height - 20), "share of the run", "black")
    picture.save(path)


def in_a_process(count: int, settings: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own."""
    arguments = ["--one", str(count), "--window", str(settings.window), "--size", *map(str, settings.size)]
    command = [sys.executable, "-m", __spec__.name, *arguments, *(["--network"] if settings.network else [])]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ})
    measured: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Print a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=[84, 112])
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--one", type=int)
    parser.add_argument("--keep", type=Path, help="file for what was measured, memory over time included")
    parser.add_argument("--picture", type=Path, help="PNG of the memory over time")
    settings = parser.parse_args()
    if settings.one is not None:
        print(json.dumps(measure(settings.one, settings.window, tuple(settings.size), settings.network)))
        return
    lengths = [*([settings.window] if settings.network else []), *settings.frames]
    rows = []
    for count in lengths:
        rows.append(in_a_process(count, settings))
        row, first = rows[-1], rows[0]
        rate, first_rate = (one["frames"] / one["cpu_seconds"] for one in (row, first))
        predicted = row["stages"].get("predict", 0.0) + row["stages"].get("load", 0.0)
        print(
            f"{row['frames']:6d} frames, {row['windows']:3d} windows: {rate:6.2f} frames a CPU second "
            f"({rate / first_rate:.2f}×), {predicted / row['frames']:.3f} s a frame to depth; memory "
            f"{row['anonymous_mb']:.0f} MB by itself ({row['anonymous_mb'] / first['anonymous_mb']:.2f}×), "
            f"{row['peak_mb']:.0f} MB in all ({row['peak_mb'] / first['peak_mb']:.2f}×)",
            flush=True,
        )
    if settings.picture is not None:
        draw(rows, settings.picture)
    if settings.keep is not None:
        settings.keep.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
