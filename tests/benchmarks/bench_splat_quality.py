"""How photo-like optimised splats are at views that were held out, for as many CPU seconds as are asked for.

    python -m tests.benchmarks.bench_splat_quality SCENE... [--cameras given sfm] [--seconds 60 120] [--stops 1.5]

A scene is a folder of photos with their cameras: `images/` and `cameras.json`, or whatever `recon run` takes. Photos in
`held_out/` with cameras of their own are compared with, as `recon eval` does, at the true cameras (brought in by one
similarity where cameras were found), and after each of these has been fitted to its photo. Without such photos every
sixth one of the run, from the fourth on, is kept from the optimisation, after depth has been found with all of them; no
camera is fitted, and "covered" are the pixels where stereo found depth. One optimisation is made for each number of
seconds, with as many iterations as fit into them by what a few have cost before; 0 stands for 65 looks at each photo.
Seconds are those of all cores together, of the process: the start and the scores are not counted. The run of a scene is
made where the folder of runs does not hold it. With `--stops`, photos are then made brighter or darker by up to as
many, each channel by up to a tenth of that more or less, as a camera would: in linear light, cut off at white.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.choices import SplatOptimisation
from recon.eval.eval_options import EvalOptions
from recon.eval.evaluate import evaluate
from recon.eval.ground_truth import read_ground_truth
from recon.eval.results import read_result
from recon.export.npz import read_npz
from recon.geometry.cameras import to_4x4
from recon.refine.depth_splats import DepthSplatOptions, from_depth
from recon.refine.optimise_splats import optimise_splats
from recon.splats.rendering import render
from recon.splats.view_metrics import psnr, ssim
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.refine.test_relative_exposures import exposed

HELD_OUT_EVERY, FIRST_HELD_OUT = 6, 3
PROBE = 24
"""Iterations that tell what one costs."""
COLUMNS = ("PSNR", "SSIM", "one gain PSNR", "covered PSNR", "covered SSIM", "camera fitted PSNR", "camera fitted SSIM")


@dataclass(frozen=True)
class Scene:
    """Photos to fit to, and what to compare with."""

    prediction: Prediction
    """Without the photos that are held out."""
    run: Path
    truth: Path | None
    """Folder with held-out photos; None: those below are held out."""
    held_out: Prediction | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, metavar="SCENE")
    parser.add_argument("--cameras", nargs="+", choices=("given", "sfm"), default=["given"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[60, 120])
    parser.add_argument("--runs", type=Path, default=Path("outputs/benchmarks/splat_quality"))
    parser.add_argument("--splats", type=int, default=None)
    parser.add_argument("--stops", type=float, default=0.0)
    arguments = parser.parse_args()
    print(f"{'':38}" + "".join(f"{name:>20}" for name in COLUMNS))
    for folder in arguments.scenes:
        for cameras in arguments.cameras:
            scene = read_scene(folder, cameras, arguments.runs)
            if arguments.stops:
                scene = replace(scene, prediction=unevenly_exposed(scene.prediction, arguments.stops))
            measure(f"{folder.name}, {cameras}", scene, arguments.seconds, arguments.splats)


def read_scene(folder: Path, cameras: str, runs: Path) -> Scene:
    """The scene, from its run."""
    run = runs / f"{folder.name}_{cameras}"
    file = run / "exports/npz/results.npz"
    if not file.is_file():
        known: list[str] = []
        source = folder
        if cameras == "sfm" or (folder / "cameras.json").is_file():
            source = folder / "images"
            known = [] if cameras == "sfm" else ["--cameras", str(folder / "cameras.json")]
        command = [sys.executable, "-m", "recon", "run", str(source), "--model", "mvs", *known]
        subprocess.run(
            [*command, "--gs-iterations", "0", "--export", "npz", "--out", str(run)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    prediction = read_npz(file)
    if (folder / "held_out").is_dir():
        return Scene(prediction, run, folder, None)
    held_out = np.arange(len(prediction.depth)) % HELD_OUT_EVERY == FIRST_HELD_OUT
    return Scene(views_of(prediction, ~held_out), run, None, views_of(prediction, held_out))


def unevenly_exposed(prediction: Prediction, stops: float) -> Prediction:
    """The same with photos exposed and balanced at random."""
    rng = np.random.default_rng(0)
    photos = prediction.processed_images.copy()
    for photo in photos:
        factors = 2.0 ** (rng.uniform(-stops, stops) + rng.uniform(-stops / 10, stops / 10, 3))
        photo[:] = exposed(photo, factors)
    return replace(prediction, processed_images=photos)


def views_of(prediction: Prediction, chosen: NDArray[np.bool_]) -> Prediction:
    """Some of the views of a prediction."""
    names = ("depth", "processed_images", "conf", "sky", "mask", "filled", "extrinsics", "intrinsics")
    parts = {name: getattr(prediction, name) for name in names}
    return Prediction(
        **{name: None if values is None else values[chosen] for name, values in parts.items()},
        units=prediction.units,
        made_by=prediction.made_by,
        extrinsics_origin=prediction.extrinsics_origin,
    )


def measure(name: str, scene: Scene, seconds: Sequence[float], splats: int | None) -> None:
    """Print a row for the start, and one for each number of seconds."""
    _, height, width = scene.prediction.depth.shape
    start = from_depth(scene.prediction, DepthSplatOptions(budget=splats or height * width))
    report(f"{name}: {len(start)} splats, start", scene, start)
    options = SplatOptimisation(gs_holdout=0, gs_splats=splats)
    costs = []
    for iterations in (1, 1 + PROBE):  # the first also compiles
        began = time.process_time()
        optimise_splats(scene.prediction, replace(options, gs_iterations=iterations))
        costs.append(time.process_time() - began)
    began = time.process_time()
    optimise_splats(scene.prediction, replace(options, gs_iterations=1))
    apart = time.process_time() - began
    each = (costs[1] - apart) / PROBE
    for budget in seconds:
        iterations = None if budget == 0 else max(1, round(budget / each))
        began = time.process_time()
        found = optimise_splats(scene.prediction, replace(options, gs_iterations=iterations))
        spent = time.process_time() - began - apart
        report(f"{name}: {found.iterations} steps, {spent:.0f} CPU s", scene, found.gaussians)


def report(name: str, scene: Scene, gaussians: Gaussians) -> None:
    """One row of the table."""
    scores = with_truth(scene, gaussians) if scene.truth is not None else held_out_scores(scene, gaussians)
    texts = [
        "" if score is None else f"{score:.{4 if 'SSIM' in column else 2}f}"
        for column, score in zip(COLUMNS, scores, strict=True)
    ]
    print(f"{name:38}" + "".join(f"{text:>20}" for text in texts), flush=True)


def with_truth(scene: Scene, gaussians: Gaussians) -> Sequence[float | None]:
    """As `recon eval` has them; covered is what splats cover."""
    assert scene.truth is not None
    result = replace(read_result(scene.run), gaussians=gaussians)
    scores = evaluate(result, read_ground_truth(scene.truth), EvalOptions(surface="none")).novel_views
    assert scores is not None
    fitted = scores.psnr_fitted, scores.ssim_fitted
    return scores.psnr, scores.ssim, scores.psnr_gained, scores.psnr_covered, None, *fitted


def held_out_scores(scene: Scene, gaussians: Gaussians) -> Sequence[float | None]:
    """Means over the views held out; covered are pixels with depth, after one gain per channel."""
    views = scene.held_out
    assert views is not None
    assert views.extrinsics is not None
    assert views.intrinsics is not None
    cameras = Cameras(to_4x4(views.extrinsics.astype(np.float64)), views.intrinsics.astype(np.float64))
    pictures = np.clip(render(gaussians, cameras, views.depth.shape[1:]).color, 0, 1)
    rows = []
    for picture, pixels, valid in zip(pictures, views.processed_images, views.valid, strict=True):
        photo = pixels / 255
        gain = (picture * photo)[valid].sum(axis=0) / (picture * picture)[valid].sum(axis=0)
        covered = np.clip(picture * gain, 0, 1)
        rows.append(
            [psnr(picture, photo), ssim(picture, photo), psnr(covered, photo, valid), ssim(covered, photo, valid)]
        )
    whole, alike, covered, covered_alike = np.mean(rows, axis=0)
    return whole, alike, None, covered, covered_alike, None, None


if __name__ == "__main__":
    main()
