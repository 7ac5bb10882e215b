"""From the start of the process to the first depth on disk, for one photo and an ONNX file of ViT-S.

    python -m tests.benchmarks.bench_mono_start [--onnx FILE] [--photo FILE] [--repeats 5]

Without a file, one of random weights is exported first (needs the extra `onnx-export`). The process is that of the
command `recon mono PHOTO --onnx FILE`, which imports, reads the photo, runs the network, and writes depth.npy and
depth.png.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = """
import json, sys
from recon.cli.main import main
photo, onnx, out = sys.argv[1:]
code = main(["mono", photo, "--onnx", onnx, "--out", out, "--export", "", "--focal", "1000"])
print(json.load(open(out + "/run.json"))["seconds"])
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        onnx = arguments.onnx or export(Path(folder) / "depth-anything-v2-small.onnx")
        photo = arguments.photo or draw(Path(folder) / "photo.jpg")
        for _ in range(arguments.repeats):
            measure(photo, onnx, Path(folder) / "out")


def measure(photo: Path, onnx: Path, out: Path) -> None:
    """Run once, and print how long until the last depth file was complete, and what the processors worked for that."""
    before, began, wall = os.times(), time.time(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, photo, onnx, out], check=True, capture_output=True, text=True
    )
    wall = time.perf_counter() - wall
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    written = [path.stat().st_mtime - began for path in out.rglob("depth.*")]
    stages = done.stdout.splitlines()[-1]
    print(f"first depth after {min(written):.2f} s, both files {max(written):.2f} s; process {wall:.2f} s, "
          f"CPU time {cpu:.2f} s on {os.cpu_count()} cores; {stages}")  # fmt: skip


def export(path: Path) -> Path:
    """Depth Anything 2 small at 504×504 with random weights."""
    from recon.models.onnx.export import export_onnx
    from recon.models.onnx.options import OnnxOptions
    from recon.models.ready import ready_model

    model = ready_model("depth-anything-v2-small", weights=None)
    return export_onnx(model, path, OnnxOptions(size=(504, 504))).path


def draw(path: Path) -> Path:
    """A photo of 1200×800 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 15, 3), np.uint8)
    Image.fromarray(pixels).resize((1200, 800), Image.Resampling.BICUBIC).save(path)
    return path


if __name__ == "__main__":
    main()
