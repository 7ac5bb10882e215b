"""Memory that fitting splats to twelve photos of twelve megapixels takes: peak of the process, which has a limit.

    python -m tests.benchmarks.bench_splat_memory [--photos 12] [--steps 60] [--splats 200000]

Photos and depth are of the analytic room of the tests, the photos enlarged eight times with grain, and written as JPEG:
they are read as those of a user are. Steps are at all sizes, the last half of them at the full one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from recon.choices import SplatOptimisation
from recon.refine.optimise_splats import optimise_splats
from recon.sources.open_source import open_source
from recon.sources.originals import SourceOriginals
from tests.refine.depth_scene import make_prediction

LIMIT = 6.0
"""GiB."""
HEIGHT, WIDTH, ZOOM = 378, 504, 8


def write_photos(folder: Path, pixels: np.ndarray) -> None:
    """Enlarged, with grain, so that they compress about as photos do."""
    rng = np.random.default_rng(0)
    for number, photo in enumerate(pixels):
        large = cv2.resize(photo, (ZOOM * WIDTH, ZOOM * HEIGHT), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 4, (ZOOM * HEIGHT, ZOOM * WIDTH, 1)).astype(np.float32)
        cv2.imwrite(str(folder / f"{number:03}.jpg"), (large + grain).clip(0, 255).astype(np.uint8)[..., ::-1])


def measure(photos: int, steps: int, splats: int) -> None:
    """Print what the fit took; in a process of its own."""
    prediction = make_prediction(photos, HEIGHT, WIDTH)
    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name), prediction.processed_images)
        source = open_source(Path(name))
        before = _peak()
        large = replace(
            prediction,
            image_names=source.names,
            originals=SourceOriginals.by_name(source, source.names),
            original_sizes=np.tile([ZOOM * WIDTH, ZOOM * HEIGHT], (photos, 1)),
            processed_to_original=np.tile(np.diag([ZOOM, ZOOM, 1]).astype(np.float32), (photos, 1, 1)),
        )
        options = SplatOptimisation(gs_resolution="full", gs_iterations=steps, gs_splats=splats)
        began = time.perf_counter()
        found = optimise_splats(large, options, correct_cameras=True)
    print(f"{photos} photos of {ZOOM * WIDTH}×{ZOOM * HEIGHT}, {len(found.gaussians)} splats, {steps} steps:")
    print(f"  peak {_peak():.2f} GiB (before it began {before:.2f}), {time.perf_counter() - began:.0f} s")
    assert _peak() <= LIMIT, f"more than {LIMIT} GiB"


def _peak() -> float:
    """GiB of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--splats", type=int, default=200_000)
    arguments = parser.parse_args()
    process = multiprocessing.get_context("spawn").Process(
        target=measure, args=(arguments.photos, arguments.steps, arguments.splats)
    )
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
