"""Depth of a made-up network and of stereo, alone and joined, beside the true depth of the sample scenes.

    python -m tests.benchmarks.bench_fused [--scenes courtyard table] [--seeds 1] [--points 500]

The network is that of `tests.made_up_network`: true depth times a smooth field of up to 15 %, edges blurred, 2 % of the
pixels off by 20 to 60 %, and a plane that is not there in 5 % of each view. Stereo has the true cameras. Over all
pixels that are not sky: how many have depth, the mean relative error of those, the same where stereo has depth, and of
the pixels next to a step of more than 5 % the share that is within 5 and within 25 %. The last line is the network with
nothing but the true depth of some random pixels.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.estimate.estimator import Fit
from recon.estimate.fused import FusedEstimator
from recon.estimate.prior import PriorDepth
from recon.estimate.stereo import StereoEstimator
from recon.sources.fitting import DepthPrior
from recon.sources.open_source import open_source
from recon.sources.views import read_views
from recon.stereo.multi_view import StereoOptions
from recon.types import Prediction

from ..made_up_network import MadeUpNetwork
from ..synthetic.sample_scenes import load_scene

SCENES = Path(__file__).parents[2] / "scenes"
STEP = 0.05


@dataclass(frozen=True)
class Known:
    """An estimator whose answer is there already."""

    prediction: Prediction
    estimator: StereoEstimator

    @property
    def profile(self):
        return self.estimator.profile

    warnings = ()

    def prepare(self) -> None: ...

    def describe(self):
        return self.estimator.describe()

    def estimate(self, views, wishes=None, progress=None) -> Prediction:
        return self.prediction


def edges(truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, H, W) pixels on either side of a step of the true depth, the sky's border among them."""
    log_depth = np.log(np.where(truth > 0, truth, np.float32(1e4)))
    found = np.zeros(truth.shape, np.bool_)
    across = np.abs(np.diff(log_depth, axis=2)) > STEP
    down = np.abs(np.diff(log_depth, axis=1)) > STEP
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    found[:, 1:] |= down
    found[:, :-1] |= down
    return found


def report(name: str, depth: NDArray[np.float32], truth: NDArray[np.float32], by_stereo: NDArray[np.bool_]) -> None:
    """Print one line of the table."""
    seen = truth > 0
    error = np.where(seen & (depth > 0), np.abs(depth / np.where(seen, truth, 1) - 1), np.inf)
    there = seen & np.isfinite(error)
    at_edges = error[edges(truth) & seen]
    both = there & by_stereo
    print(
        f"{name:22} {there.sum() / seen.sum():7.1%} {error[there].mean():9.3%} {error[both].mean():11.3%} "
        f"{(at_edges < 0.05).mean():8.1%} {(at_edges < 0.2).mean():8.1%}",
        flush=True,
    )


def compare(scene: str, seed: int, points: int) -> None:
    """Print the table of one scene."""
    truth = load_scene(SCENES / scene)
    views = read_views(open_source(SCENES / scene), lambda photo: Fit().photo(photo)).views
    depth = dict(zip(views.names, truth.depth, strict=True))
    size = (views.pixels.shape[2], views.pixels.shape[1])
    true_depth = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_NEAREST_EXACT) for one in truth.depth])
    network = MadeUpNetwork(depth, seed=1000 * seed)
    stereo = StereoEstimator(StereoOptions(device="cpu"))
    of_stereo = stereo.estimate(views)
    fused = FusedEstimator(network, (Known(of_stereo, stereo),))
    fused.estimate(views)  # compiles
    start = time.process_time()
    of_network = network.estimate(views)
    alone = time.process_time() - start
    start = time.process_time()
    joined = fused.estimate(views)
    seconds = (time.process_time() - start - alone) / len(views)

    print(f"\n{scene}, seed {seed}: {len(views)} views of {size[0]}×{size[1]}; joined in {seconds:.3f} s of CPU a view")
    print(f"{'':22} {'kept':>7} {'AbsRel':>9} {'at stereo':>11} {'δ1.05 edge':>8} {'δ1.25':>6}")
    by_stereo = of_stereo.valid
    scale = np.median(of_network.depth[true_depth > 0] / true_depth[true_depth > 0])
    report("network, scaled", (of_network.depth / scale).astype(np.float32), true_depth, by_stereo)
    report("stereo", np.where(by_stereo, of_stereo.depth, 0), true_depth, by_stereo)
    report("network+mvs", joined.depth, true_depth, by_stereo)
    chosen = np.random.default_rng(seed).random(true_depth.shape).argsort(axis=None)
    order = chosen.reshape(-1)
    sparse = np.full(true_depth.size, np.nan, np.float32)
    for view in range(len(views)):
        pixels = order[(order // true_depth[0].size == view) & (true_depth.reshape(-1)[order] > 0)][:points]
        sparse[pixels] = true_depth.reshape(-1)[pixels]
    prior = DepthPrior(sparse.reshape(true_depth.shape), True)
    by_points = FusedEstimator(network, (PriorDepth(0, "points"),)).estimate(replace(views, priors=(prior,)))
    report(f"network+{points} points", by_points.depth, true_depth, by_stereo)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", nargs="+", default=["courtyard", "table"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=500)
    given = parser.parse_args()
    for each in given.scenes:
        for number in range(given.seeds):
            compare(each, number, given.points)
