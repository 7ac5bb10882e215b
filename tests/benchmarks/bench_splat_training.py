"""Fitting splats to photos: a step beside a frame, one thread against two, eager torch and OpenSplat, in one run.

    python -m tests.benchmarks.bench_splat_training [--count 200000] [--opensplat BINARY] [--device cuda]

The scene is that of `bench_render`, splats of degree 1, seen by four cameras at 504 × 378. OpenSplat's CPU build is
given the same photos, cameras and as many points, as a COLMAP model, and the time of two runs of different length tells
that of its steps; where it is, has to be said. Times are of the machine alone. With `--device cuda`, steps on a GPU
(gsplat) come beside those of the CPU, and nothing else is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recon.choices import RasterizerName, SplatOptimisation
from recon.refine.optimise_splats import optimise_splats
from recon.refine.optimised_splats import OptimisedSplats
from recon.splats.cpu_renderer import CpuRenderer
from recon.splats.rasterizer import RenderSettings
from recon.types import Gaussians, Prediction
from tests.benchmarks.bench_render import HEIGHT, INTRINSICS, VIEWS, WIDTH, surface_splats
from tests.benchmarks.torch_training import TorchTraining

COMPILE = """
import time
start = time.perf_counter(), time.process_time()
from recon.choices import RasterizerName, SplatOptimisation
from recon.refine.optimise_splats import optimise_splats
from tests.benchmarks.bench_splat_training import scene
start_splats, prediction = scene(1000)
optimise_splats(prediction, SplatOptimisation(gs_iterations=2))
print(f"{time.perf_counter() - start[0]:.1f} s, {time.process_time() - start[1]:.1f} core-seconds")
"""


@dataclass(frozen=True)
class Cost:
    """Of one step or frame."""

    wall: float
    """Milliseconds."""
    cores: float
    """Milliseconds of all cores together."""

    def __str__(self) -> str:
        return f"{self.wall:.1f} ms, {self.cores:.1f} core-ms"


def per_step(run: Callable[[int], object], short: int, long: int, repeats: int = 3) -> Cost:
    """What a step costs, from the fastest of several runs of `short` and of `long` steps: starts cancel out."""
    costs = {}
    for count in (short, long):
        found = []
        for _ in range(repeats):
            wall, cores = time.perf_counter(), _core_seconds()
            run(count)
            found.append((time.perf_counter() - wall, _core_seconds() - cores))
        costs[count] = np.min(found, axis=0)
    wall, cores = 1e3 * (costs[long] - costs[short]) / (long - short)
    return Cost(float(wall), float(cores))


def _core_seconds() -> float:
    """Of this process and the children it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def scene(count: int) -> tuple[Gaussians, Prediction]:
    """Splats of degree 1, and the photos and depth of other splats of the same surface from four cameras."""
    truth = surface_splats(count, seed=1)
    world_to_camera = np.tile(np.eye(4), (VIEWS, 1, 1))
    world_to_camera[:, 0, 3] = np.linspace(-0.1, 0.1, VIEWS)
    settings = RenderSettings((HEIGHT, WIDTH), np.zeros(3), "RGB+ED")
    with contextlib.closing(CpuRenderer(truth, settings)) as renderer:
        views = [renderer.render(one, INTRINSICS) for one in world_to_camera]
    depth = np.stack([view.depth for view in views if view.depth is not None])
    photos = np.stack([np.rint(255 * view.color.clip(0, 1)).astype(np.uint8) for view in views])
    start = surface_splats(count)
    harmonics = np.zeros((count, 3, 4), np.float32)
    harmonics[:, :, :1] = start.harmonics
    prediction = Prediction(
        depth=depth.astype(np.float32),
        processed_images=photos,
        extrinsics=world_to_camera[:, :3].astype(np.float32),
        intrinsics=np.tile(INTRINSICS, (VIEWS, 1, 1)).astype(np.float32),
        units="aligned",
        extrinsics_origin="given",
    )
    return Gaussians(start.means, start.scales, start.rotations, harmonics, start.opacities), prediction


def measure_steps(start: Gaussians, prediction: Prediction) -> Cost:
    """Print what steps and frames cost on one thread and two; returns a step on two."""
    assert prediction.extrinsics is not None
    steps: dict[int, Cost] = {}
    for threads in (1, 2):

        def fit(count: int, threads: int = threads) -> None:
            options = SplatOptimisation(gs_iterations=count)
            optimise_splats(prediction, options, start=start, correct_cameras=False, threads=threads)

        settings = RenderSettings((HEIGHT, WIDTH), np.zeros(3), "RGB+D", threads=threads)
        camera = np.concatenate([prediction.extrinsics[0], [[0, 0, 0, 1]]]).astype(np.float64)
        with contextlib.closing(CpuRenderer(start, settings)) as renderer:

            def draw(count: int, renderer: CpuRenderer = renderer, camera: NDArray[np.float64] = camera) -> None:
                for _ in range(count):
                    renderer.render(camera, INTRINSICS)

            draw(2)
            frame = per_step(draw, 5, 45)
        fit(2)
        steps[threads] = per_step(fit, 5, 45)
        print(
            f"{len(start):,} splats, {threads} thread(s): a step {steps[threads]}; a frame {frame}; "
            f"{steps[threads].cores / frame.cores:.2f} frames in core-seconds, "
            f"{steps[threads].wall / frame.wall:.2f} in time",
            flush=True,
        )
    print(f"2 threads against 1: {steps[1].wall / steps[2].wall:.2f}x")
    return steps[2]


def compare_with_cuda(start: Gaussians, prediction: Prediction) -> None:
    """Print what a step costs on CUDA and on all threads of the CPU, and what both come to in as many steps."""
    count = 200
    times = {}
    for name in ("cpu", "gsplat"):

        def fit(count: int, name: RasterizerName = name) -> OptimisedSplats:
            options = SplatOptimisation(gs_iterations=count)
            return optimise_splats(prediction, options, start=start, correct_cameras=False, rasterizer=name)

        fit(2)
        times[name] = per_step(fit, 5, 105, repeats=2)
        after = fit(count).after
        assert after is not None
        print(f"{name}: a step {times[name]}; {after.psnr:.2f} dB after {count} steps", flush=True)
    print(f"a step on CUDA is {times['cpu'].wall / times['gsplat'].wall:.1f}x as fast")


def compare_with_torch(start: Gaussians, prediction: Prediction, ours: Cost) -> None:
    """Print what a step costs in eager torch."""
    torch.set_num_threads(2)
    assert prediction.extrinsics is not None
    training = TorchTraining(start)
    cameras = np.tile(np.eye(4), (VIEWS, 1, 1))
    cameras[:, :3] = prediction.extrinsics
    losses = []

    def train(count: int) -> None:
        for index in range(count):
            view = index % VIEWS
            losses.append(training.step(prediction.processed_images[view], cameras[view], INTRINSICS))

    train(1)
    theirs = per_step(train, 2, 6, repeats=1)
    print(f"eager torch on 2 threads: a step {theirs}; {theirs.cores / ours.cores:.0f}x ours in core-seconds, ", end="")
    print(f"{theirs.wall / ours.wall:.0f}x in time; its loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)


def compare_with_opensplat(binary: Path, start: Gaussians, prediction: Prediction, ours: Cost) -> None:
    """Print what a step costs OpenSplat's CPU build with as many splats and photos."""
    with tempfile.TemporaryDirectory() as folder:
        write_colmap(Path(folder), start, prediction)

        def train(count: int) -> None:
            command = [binary, folder, "--cpu", "-n", str(count), "-o", f"{folder}/splats.ply"]
            command += [
                "--sh-degree",
                "1",
                "--num-downscales",
                "0",
                "--sh-degree-interval",
                "1",
                "--warmup-length",
                "100000",
            ]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)

        theirs = per_step(train, 2, 14, repeats=1)
    print(f"OpenSplat: a step {theirs}; {theirs.cores / ours.cores:.1f}x ours in core-seconds, ", end="")
    print(f"{theirs.wall / ours.wall:.1f}x in time", flush=True)


def write_colmap(folder: Path, start: Gaussians, prediction: Prediction) -> None:
    """Photos, cameras and a point for each splat as a COLMAP model."""
    import pycolmap

    assert prediction.extrinsics is not None
    model = pycolmap.Reconstruction()
    focal, cx, cy = INTRINSICS[0, 0], INTRINSICS[0, 2], INTRINSICS[1, 2]
    camera = pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=[focal, focal, cx, cy], camera_id=1)
    model.add_camera_with_trivial_rig(camera)
    (folder / "images").mkdir()
    for index, photo in enumerate(prediction.processed_images):
        name = f"{index}.png"
        Image.fromarray(photo).save(folder / "images" / name)
        image = pycolmap.Image(name=name, camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(prediction.extrinsics[index].astype(np.float64)))
    colors = np.rint(255 * (0.28209479177387814 * start.harmonics[:, :, 0] + 0.5).clip(0, 1)).astype(np.uint8)
    for mean, color in zip(start.means.astype(np.float64), colors, strict=True):
        model.add_point3D(mean, pycolmap.Track(), color)
    model.write(folder)


def measure_compilation() -> None:
    """Print how long all kernels of a fit take to compile in a process of their own, with no cache to begin with."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        result = subprocess.run(
            [sys.executable, "-c", COMPILE], check=True, env=environment, capture_output=True, text=True
        )
    print(f"compiling all kernels: {result.stdout.strip()}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000, help="splats")
    parser.add_argument("--opensplat", type=Path, help="the program built for the CPU")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    start, prediction = scene(arguments.count)
    if arguments.device == "cuda":
        compare_with_cuda(start, prediction)
        return
    ours = measure_steps(start, prediction)
    compare_with_torch(start, prediction, ours)
    if arguments.opensplat is None:
        print("OpenSplat: not measured, --opensplat says where it is")
    else:
        compare_with_opensplat(arguments.opensplat, start, prediction, ours)
    measure_compilation()


if __name__ == "__main__":
    main()
