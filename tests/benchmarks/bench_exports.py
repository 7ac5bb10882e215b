"""Exports of recon against those of the reference package, on the same arrays in the same run.

    python -m tests.benchmarks.bench_exports [--repeats 5] [--colmap]

Needs an installed depth-anything-3. The reference writes npz files in a thread that nobody joins; the benchmark calls
the function inside, so that both sides are timed until their file is complete.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from recon.export import export
from recon.types import Prediction
from tests.reference.stubs import import_reference_api

HEIGHT, WIDTH = 378, 504
Write = Callable[[Path], object]


def synthetic_prediction(views: int) -> Prediction:
    """Smooth depth and confidence with fine grain, and textured images, so that they compress about as real ones do."""
    import cv2

    rng = np.random.default_rng(0)

    def smooth(channels: int) -> np.ndarray:
        coarse = rng.random((views, HEIGHT // 14, WIDTH // 14, channels)).astype(np.float32)
        return np.stack([cv2.resize(c, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for c in coarse])

    shape = (views, HEIGHT, WIDTH)
    depth = smooth(1).reshape(shape) + 1.5 + rng.normal(0, 1e-3, shape)
    conf = 1 + np.exp(2 * smooth(1).reshape(shape)) + rng.normal(0, 1e-2, shape)
    images = smooth(3) * 200 + 20 + rng.normal(0, 4, (*shape, 3))
    extrinsics = np.tile(np.eye(3, 4, dtype=np.float32), (views, 1, 1))
    extrinsics[:, 0, 3] = -0.2 * np.arange(views)
    intrinsics = np.array([[450, 0, WIDTH / 2], [0, 450, HEIGHT / 2], [0, 0, 1]], np.float32)
    return Prediction(
        depth=depth.astype(np.float32),
        processed_images=images.clip(0, 255).astype(np.uint8),
        conf=conf.astype(np.float32),
        sky=np.zeros(shape, bool),
        extrinsics=extrinsics,
        intrinsics=np.tile(intrinsics, (views, 1, 1)),
    )


def reference_prediction(prediction: Prediction) -> SimpleNamespace:
    """The same arrays under the reference's names, copied: its exporters write into them."""
    names = ("depth", "processed_images", "conf", "extrinsics", "intrinsics")
    return SimpleNamespace(**{name: getattr(prediction, name).copy() for name in names})


def undecorated(function: Any) -> Callable[..., object]:
    """The function that the reference's `async_call` would start in a thread."""
    return function.__closure__[0].cell_contents


def compare(name: str, theirs: Write, ours: Write, repeats: int) -> None:
    """Run both sides alternately and print the best times, their ratio, and the bytes each side wrote."""
    seconds: tuple[list[float], list[float]] = ([], [])
    sizes = [0, 0]
    for _ in range(repeats):
        for side, write in enumerate((theirs, ours)):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                write(Path(folder))
                seconds[side].append(time.perf_counter() - start)
                sizes[side] = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    reference, recon = (min(times) for times in seconds)
    megabytes = " ".join(f"{size / 1e6:9.1f}" for size in sizes)
    print(f"{name:44} {reference:10.3f} {recon:10.3f} {recon / reference:8.2f}   {megabytes}", flush=True)


def wall(views: int) -> Prediction:
    """Views along a wavy wall that overlap and agree, as those of a capture do, with the grain of a network's depth."""
    flat = synthetic_prediction(views)
    assert flat.intrinsics is not None
    assert flat.extrinsics is not None
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / 450
    depth = np.empty((views, HEIGHT, WIDTH))
    for view in range(views):
        centre = -float(flat.extrinsics[view, 0, 3])
        z = np.full(WIDTH, 4.0)
        for _ in range(20):  # where each column's ray meets z = 4 + 0.2 sin(2 x)
            z = 4 + 0.2 * np.sin(2 * (centre + x * z))
        depth[view] = z
    grain = np.random.default_rng(1).normal(1, 2e-3, depth.shape)
    return replace(flat, depth=(depth * grain).astype(np.float32), sky=None)


def compare_colmap(repeats: int) -> None:
    """A COLMAP model of 24 views, the photos at the processed size: all that the reference keeps against tracks.

    The reference adds one point at a time in Python, 4.6 million in all, which is timed once, and on fewer views: its
    time grows with the square of their number, for it goes through all points for each view.
    """
    try:
        import depth_anything_3.utils.export.colmap as reference
        import pycolmap
        from PIL import Image
    except ImportError as error:
        print(f"colmap: {error.name} is not installed")
        return
    reference.pycolmap = pycolmap  # in place of a stand-in
    for views, times in ((24, repeats), (4, 1)):
        mine = wall(views)
        with tempfile.TemporaryDirectory() as name:
            paths = [Path(name) / f"{view:04d}.png" for view in range(views)]
            for path, pixels in zip(paths, mine.processed_images, strict=True):
                Image.fromarray(pixels).save(path, compress_level=1)
            seconds = []
            for _ in range(times):
                with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the photos are not at hand
                    start = time.perf_counter()
                    details = export(mine, "colmap", folder)["colmap"].details
                    seconds.append(time.perf_counter() - start)
            print(
                f"colmap, {views} views: recon {min(seconds):.2f} s for {details['points']} points, "
                f"{details['mean_track_length']:.1f} views each",
                flush=True,
            )
            if views == 4:
                other = reference_prediction(mine)
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    reference.export_to_colmap(other, folder, [str(path) for path in paths])
                    print(f"colmap, {views} views: reference {time.perf_counter() - start:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--colmap", action="store_true", help="COLMAP models only; takes minutes")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    import_reference_api()
    if arguments.colmap:
        compare_colmap(repeats)
        return
    from depth_anything_3.utils.export import depth_vis, glb, npz

    print(f"{'':44} {'reference':>10} {'recon':>10} {'ratio':>8}   {'reference':>9} {'recon':>9}")
    print(f"{'':44} {'s':>10} {'s':>10} {'':8}   {'MB':>9} {'MB':>9}")
    for views in (4, 12):
        mine = synthetic_prediction(views)
        other = reference_prediction(mine)
        for name, function in (("npz", npz.export_to_npz), ("mini_npz", npz.export_to_mini_npz)):
            write = undecorated(function)
            compare(
                f"{name}, {views} views",
                lambda folder, write=write, other=other: write(other, str(folder)),
                lambda folder, name=name, mine=mine: export(mine, name, folder),
                repeats,
            )
    compare(
        "glb of 1 M points; reference without pictures",
        lambda folder: glb.export_to_glb(other, str(folder), export_depth_vis=False),
        lambda folder: export(mine, "glb", folder),
        repeats,
    )
    compare(
        "glb of 1 M points; reference's defaults",
        lambda folder: glb.export_to_glb(other, str(folder)),
        lambda folder: export(mine, "glb", folder),
        repeats,
    )
    compare(
        "glb and depth_vis; reference's defaults",
        lambda folder: glb.export_to_glb(other, str(folder)),
        lambda folder: export(mine, "glb-depth_vis", folder),
        repeats,
    )
    compare(
        "depth_vis, 12 views; recon with 16-bit PNG",
        lambda folder: depth_vis.export_to_depth_vis(other, str(folder)),
        lambda folder: export(mine, "depth_vis", folder),
        repeats,
    )


if __name__ == "__main__":
    main()
