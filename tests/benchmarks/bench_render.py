"""The CPU rasterizer: milliseconds a frame by stage, one thread against two, and against eager torch, in one run.

    python -m tests.benchmarks.bench_render [--counts 300000 1500000] [--shuffled] [--repeats 5]
        [--device cuda]

The scene is what depth maps of several views give: layer upon layer of thin, nearly opaque splats of about a pixel on
a bumpy textured surface that fills the frame. With `--device cuda`, gsplat's frames on a GPU come beside those of the
CPU's threads, pictures brought back to memory included.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.splats.cpu_renderer import CpuRenderer
from recon.splats.gsplat_rasterizer import GsplatRasterizer
from recon.splats.rasterizer import RenderSettings
from recon.types import Gaussians
from tests.benchmarks.torch_tiles import render_with_torch

HEIGHT, WIDTH = 378, 504
FOCAL = 450.0
VIEWS = 4
WORLD_TO_CAMERA = np.eye(4)
INTRINSICS = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])

START = """
import time
start = time.perf_counter()
import numpy as np
from recon.splats.rendering import render
from recon.types.cameras import Cameras
from tests.benchmarks.bench_render import HEIGHT, INTRINSICS, WIDTH, WORLD_TO_CAMERA, surface_splats
splats = surface_splats(1000)
imported = time.perf_counter()
render(splats, Cameras(WORLD_TO_CAMERA[None], INTRINSICS[None]), (HEIGHT, WIDTH), rasterizer="cpu")
print(f"import {imported - start:.2f} s, first frame {time.perf_counter() - imported:.2f} s")
"""


def surface_splats(count: int, shuffled: bool = False, seed: int = 0) -> Gaussians:
    """Splats of degree 0 scattered over the frame, thin along the surface's normal.

    They come view by view and row by row, as from depth maps, or `shuffled`, which is harder on the caches.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-0.02, 1.02, (2, count)) * np.array([[WIDTH], [HEIGHT]])  # pixels
    if not shuffled:
        order = np.lexsort((x, np.floor(y), rng.integers(0, VIEWS, count)))
        x, y = x[order], y[order]
    depth = 2.5 + 0.4 * np.sin(x / 60) * np.cos(y / 50) + 0.003 * rng.normal(size=count)
    pixel = depth / FOCAL  # its footprint at that depth
    slope_x = 0.4 / 60 * np.cos(x / 60) * np.cos(y / 50) / pixel
    slope_y = -0.4 / 50 * np.sin(x / 60) * np.sin(y / 50) / pixel
    normals = np.stack([-slope_x, -slope_y, np.ones(count)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    # The shortest turn from the z axis to the normal.
    rotations = np.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(count)], axis=1)
    widths = pixel[:, None] * np.exp(rng.normal(np.log(0.6), 0.25, (count, 2)))
    texture = 0.5 + 0.4 * np.sin(np.stack([x / 7 + y / 11, x / 13 - y / 5, x / 17 + y / 19], axis=1))
    texture += 0.05 * rng.normal(size=(count, 3))
    return Gaussians(
        means=np.stack([(x - WIDTH / 2) * pixel, (y - HEIGHT / 2) * pixel, depth], axis=1).astype(np.float32),
        scales=np.concatenate([widths, 0.1 * widths[:, :1]], axis=1).astype(np.float32),
        rotations=quaternions.normalise(rotations).astype(np.float32),
        harmonics=((texture - 0.5) / 0.28209479177387814).astype(np.float32)[:, :, None],
        opacities=np.where(rng.random(count) < 0.9, rng.uniform(0.9, 0.99, count), rng.random(count)).astype(
            np.float32
        ),
    )


def best(function: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the fastest of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def stages(rasterizer: CpuRenderer, repeats: int) -> dict[str, float]:
    """Best milliseconds of each stage of a frame."""
    images = (np.empty(shape, np.float32) for shape in ((HEIGHT, WIDTH, 3), (HEIGHT, WIDTH), (HEIGHT, WIDTH)))
    color, depth, alpha = images
    times = []
    for _ in range(repeats):
        moments = [time.perf_counter()]
        splats = rasterizer.project(WORLD_TO_CAMERA, INTRINSICS)
        moments.append(time.perf_counter())
        (bins,) = rasterizer.bin(splats)
        moments.append(time.perf_counter())
        rasterizer.sort(bins)
        moments.append(time.perf_counter())
        rasterizer.blend(splats, bins, color, depth, alpha)
        moments.append(time.perf_counter())
        times.append(np.diff(moments))
    return dict(zip(("project", "bin", "sort", "blend"), np.min(times, axis=0) * 1e3, strict=True))


def measure(count: int, shuffled: bool, repeats: int) -> tuple[Gaussians, float, NDArray[np.float32]]:
    """Print the times of `count` splats; returns them, the milliseconds of a frame on two threads, and the picture."""
    gaussians = surface_splats(count, shuffled)
    frames: dict[int, float] = {}
    for threads in (1, 2):
        with contextlib.closing(
            CpuRenderer(gaussians, RenderSettings((HEIGHT, WIDTH), np.zeros(3), threads=threads))
        ) as rasterizer:
            picture = rasterizer.render(WORLD_TO_CAMERA, INTRINSICS)
            frames[threads] = best(lambda: rasterizer.render(WORLD_TO_CAMERA, INTRINSICS), repeats)
            parts = "  ".join(f"{name} {time:.1f}" for name, time in stages(rasterizer, repeats).items())
        print(f"{count:9,} splats, {threads} thread(s): {frames[threads]:7.1f} ms a frame   ({parts})", flush=True)
    print(f"{count:9,} splats, 2 threads against 1: {frames[1] / frames[2]:.2f}x")
    return gaussians, frames[2], picture.color


def compare_with_torch(gaussians: Gaussians, milliseconds: float, picture: NDArray[np.float32], repeats: int) -> None:
    """Print what eager torch takes for the same picture, and how far its picture is from ours."""
    torch.set_num_threads(2)
    exact = render_with_torch(gaussians, WORLD_TO_CAMERA, INTRINSICS, (HEIGHT, WIDTH), torch.float64).numpy()
    theirs = best(lambda: render_with_torch(gaussians, WORLD_TO_CAMERA, INTRINSICS, (HEIGHT, WIDTH)), repeats)
    print(
        f"{len(gaussians):9,} splats, eager torch on 2 threads: {theirs:.0f} ms, {theirs / milliseconds:.1f}x ours; "
        f"largest difference of its float64 picture {np.abs(exact - picture).max():.1e}"
    )


def compare_with_gsplat(gaussians: Gaussians, milliseconds: float, picture: NDArray[np.float32], repeats: int) -> None:
    """Print what a frame takes on CUDA, and how far its picture is from the CPU's."""
    settings = RenderSettings((HEIGHT, WIDTH), np.zeros(3))
    rasterizer = GsplatRasterizer()
    rasterizer.check()
    with contextlib.closing(rasterizer.open(gaussians, settings)) as renderer:
        found = renderer.render(WORLD_TO_CAMERA, INTRINSICS).color
        theirs = best(lambda: renderer.render(WORLD_TO_CAMERA, INTRINSICS), 10 * repeats)
    difference = np.abs(found - picture)
    print(
        f"{len(gaussians):9,} splats, gsplat on CUDA: {theirs:.2f} ms a frame, {milliseconds / theirs:.1f}x as fast as "
        f"2 threads; pictures differ by {difference.mean():.1e} in the mean, {difference.max():.1e} at most"
    )


def measure_start() -> None:
    """Print how long a process takes to its first frame, with an empty cache of compiled code and with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        for which in ("empty", "full"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            done = subprocess.run(
                [sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=True
            )
            print(f"process with {which} cache: {done.stdout.strip()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[300_000, 1_500_000], help="of splats")
    parser.add_argument("--shuffled", action="store_true", help="splats in no order")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--without-torch", action="store_true")
    parser.add_argument("--without-start", action="store_true")
    options = parser.parse_args()
    if not options.without_start:
        measure_start()
    for count in options.counts:
        gaussians, milliseconds, picture = measure(count, options.shuffled, options.repeats)
        if options.device == "cuda":
            compare_with_gsplat(gaussians, milliseconds, picture, options.repeats)
        if not options.without_torch:
            compare_with_torch(gaussians, milliseconds, picture, max(1, options.repeats // 3))


if __name__ == "__main__":
    main()
