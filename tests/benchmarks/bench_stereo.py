"""Multi-view stereo on two threads: seconds a view beside a plane sweep in eager torch, and memory by number of views.

    python -m tests.benchmarks.bench_stereo [--views 12] [--compared 2] [--without-memory] [--device cuda]
    python -m tests.benchmarks.bench_stereo --megapixels 12 [--views 6]

The scene is rendered, so that both sides are also held against its true depth. Torch scores the same planes with the
same sources at every pixel, and no more; with windows averaged in one go, and once more along one axis after the other,
which is faster. Recon sweeps at half size, refines slanted planes and keeps what other views confirm.
Memory is measured on Linux alone. With `--device cuda`, the same depth found on a GPU is held against that of the CPU,
and nothing else is measured. With `--megapixels`, only the memory that so many enlarged photos take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.stereo.compile_ahead import compile_ahead
from recon.stereo.images import to_grey
from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.stereo.stereo_options import Device
from recon.stereo.view_selection import plan_view
from recon.types.cameras import Cameras
from tests.benchmarks.torch_sweep import sweep_with_torch

from ..synthetic.camera_paths import camera_path, pinhole
from ..synthetic.render import SyntheticViews, render_views
from ..synthetic.scenes import make_scene

SIZE = (378, 504)
OPTIONS = StereoOptions(threads=2, device="cpu")


def photograph(views: int, samples_per_pixel: int = 4) -> SyntheticViews:
    scene = make_scene("courtyard")
    cameras = camera_path(scene, "orbit", views)
    return render_views(scene, cameras, pinhole(SIZE, scene.stage.field_of_view), SIZE, samples_per_pixel)


def surface_points(views: SyntheticViews, per_view: int = 400) -> SparsePoints:
    """Points of the true surface, each seen by the views that have it at its depth."""
    assert views.cameras.world_to_camera is not None
    assert views.cameras.intrinsics is not None
    generator = np.random.default_rng(0)
    points = []
    for depth, camera, matrix in zip(views.depth, views.cameras.world_to_camera, views.cameras.intrinsics, strict=True):
        rows, columns = np.nonzero(depth)
        chosen = generator.choice(len(rows), per_view, replace=False)
        rows, columns = rows[chosen], columns[chosen]
        rays = np.linalg.inv(matrix) @ np.stack([columns + 0.5, rows + 0.5, np.ones(per_view)])
        local = np.vstack([rays * depth[rows, columns], np.ones(per_view)])
        points.append((np.linalg.inv(camera) @ local)[:3].T)
    world = np.concatenate(points)
    observed = []
    for depth, camera, matrix in zip(views.depth, views.cameras.world_to_camera, views.cameras.intrinsics, strict=True):
        local = world @ camera[:3, :3].T + camera[:3, 3]
        u, v, z = (local @ matrix.T).T
        inside = (z > 0) & (u >= 0) & (v >= 0) & (u < SIZE[1] * z) & (v < SIZE[0] * z)
        there = np.zeros(len(world))
        there[inside] = depth[(v[inside] / z[inside]).astype(int), (u[inside] / z[inside]).astype(int)]
        observed.append(np.flatnonzero(inside & (np.abs(there - z) < 0.01 * z)))
    return SparsePoints(world, tuple(observed))


def report(name: str, seconds: float, depth: NDArray[np.float32], truth: NDArray[np.float32]) -> None:
    """Print seconds a view and how good the depth is where there is any."""
    both = (depth > 0) & (truth > 0)
    errors = np.abs(depth[both] / truth[both] - 1)
    print(
        f"{name:18} {seconds:7.2f} s a view   kept {both.sum() / (truth > 0).sum():6.1%}   "
        f"AbsRel {errors.mean():.4f}   median {np.median(errors):.5f}   within 1 % {(errors < 0.01).mean():6.1%}",
        flush=True,
    )


def compare(count: int, compared: int) -> None:
    """Print both sides' time a view, and their ratio; views are alike, so torch does a few of them."""
    views = photograph(count)
    sparse = surface_points(views)
    multi_view_depth(views.images[:2], _first(views.cameras, 2), sparse.select_views([0, 1]), OPTIONS)  # compiles
    start = time.perf_counter()
    found = multi_view_depth(views.images, views.cameras, sparse, OPTIONS)
    ours = (time.perf_counter() - start) / count
    report("recon", ours, found.depth, views.depth)

    torch.set_num_threads(2)
    grey = to_grey(views.images)
    extrinsics, intrinsics = views.cameras.world_to_camera, views.cameras.intrinsics
    assert extrinsics is not None
    assert intrinsics is not None
    chosen = np.linspace(0, count - 1, compared).astype(int)
    for separable in (False, True):
        depth = np.zeros((compared, *SIZE), np.float32)
        start = time.perf_counter()
        for place, view in enumerate(chosen.tolist()):
            plan = plan_view(view, views.cameras, sparse, np.array(SIZE[::-1]), OPTIONS.sources, OPTIONS.checking_views)
            assert plan is not None
            inverse_depths = np.linspace(*plan.inverse_depths, OPTIONS.planes, dtype=np.float32)
            swept, score = sweep_with_torch(grey, extrinsics, intrinsics, plan.sources, view, inverse_depths, separable)
            depth[place] = np.where(score > OPTIONS.least_score, swept, 0)
        theirs = (time.perf_counter() - start) / compared
        report("torch, separable" if separable else "torch", theirs, depth, views.depth[chosen])
        print(f"recon is {theirs / ours:.1f} times as fast")


def compare_devices(count: int, device: Device) -> None:
    """Print the time a view on all threads of the CPU and on `device`, and how much of their depth is alike."""
    views = photograph(count)
    sparse = surface_points(views)
    found = {}
    times = {}
    for name in ("cpu", device):
        options = replace(OPTIONS, threads=None, device=name)
        multi_view_depth(views.images[:3], _first(views.cameras, 3), sparse.select_views([0, 1, 2]), options)
        start = time.perf_counter()
        found[name] = multi_view_depth(views.images, views.cameras, sparse, options).depth
        times[name] = (time.perf_counter() - start) / count
        report(name, times[name], found[name], views.depth)
    both = (found["cpu"] > 0) & (found[device] > 0)
    alike = np.abs(found[device][both] / found["cpu"][both] - 1) < 0.005
    print(
        f"{device} is {times['cpu'] / times[device]:.1f} times as fast; {alike.mean():.1%} within 0.5 % of each other, "
        f"{((found['cpu'] > 0) == (found[device] > 0)).mean():.1%} kept or left out by both"
    )


def _first(cameras: Cameras, count: int) -> Cameras:
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    return Cameras(cameras.world_to_camera[:count], cameras.intrinsics[:count])


def measure_memory(file: Path) -> None:
    """In a process of its own: print by how much the memory grows over the views while their depth is found."""
    data = np.load(file)
    images, cameras = data["images"], Cameras(data["extrinsics"], data["intrinsics"])
    sparse = SparsePoints(data["points"], tuple(np.flatnonzero(row) for row in data["seen"]))
    options = replace(OPTIONS, planes=8, refinements=1)  # which take time, but no memory
    compile_ahead(options)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    found = multi_view_depth(images, cameras, sparse, options)
    result = sum(part.nbytes for part in (found.depth, found.conf, found.filled, found.sky)) / 2**20
    held = (1 + 4) * images[..., 0].nbytes / 2**20  # grey levels and inverse depth
    print(
        f"{len(images):3} views of {images.shape[2]}x{images.shape[1]}: peak {_resident('VmHWM'):4.0f} MiB, "
        f"{_resident('VmHWM') - before:4.0f} MiB over the start, of which the result "
        f"{result:.0f} MiB and every view's grey levels and inverse depth {held:.0f} MiB",
        flush=True,
    )


def _resident(which: str) -> float:
    """MiB of this process as Linux tells them: now (VmRSS) or at the peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def compare_memory(counts: Sequence[int], megapixels: float | None = None) -> None:
    """Print what so many views take, each of so many megapixels; None: as rendered."""
    views = photograph(max(counts), 1)
    sparse = surface_points(views)
    assert views.cameras.world_to_camera is not None
    assert views.cameras.intrinsics is not None
    seen = np.zeros((max(counts), len(sparse)), bool)
    for view, indices in enumerate(sparse.observed):
        seen[view, indices] = True
    images, intrinsics = views.images, views.cameras.intrinsics.copy()
    if megapixels is not None:
        scale = (megapixels * 1e6 / (SIZE[0] * SIZE[1])) ** 0.5
        size = (round(SIZE[1] * scale), round(SIZE[0] * scale))
        images = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in images])
        intrinsics[:, :2] *= np.array(size)[:, None] / np.array(SIZE[::-1])[:, None]
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            file = Path(folder) / f"{count}.npz"
            np.savez(
                file, images=images[:count], extrinsics=views.cameras.world_to_camera[:count],
                intrinsics=intrinsics[:count], points=sparse.points, seen=seen[:count],
            )  # fmt: skip
            command = [sys.executable, "-m", "tests.benchmarks.bench_stereo", "--measure", str(file)]
            subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--compared", type=int, default=2, help="views that torch does")
    parser.add_argument("--megapixels", type=float, help="of each photo: measures the memory they take, and no more")
    parser.add_argument("--without-memory", action="store_true")
    parser.add_argument("--device", default="cpu", choices=get_args(Device))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        measure_memory(arguments.measure)
        return
    if arguments.megapixels is not None:
        compare_memory((arguments.views,), arguments.megapixels)
        return
    if arguments.device != "cpu":
        compare_devices(arguments.views, arguments.device)
        return
    compare(arguments.views, arguments.compared)
    if sys.platform == "linux" and not arguments.without_memory:
        compare_memory((12, 36))


if __name__ == "__main__":
    main()
