"""Splats from depth maps against a textbook version of the same work, on the same arrays in the same run.

    python -m tests.benchmarks.bench_splats_from_depth [--views 12] [--repeats 3]

The textbook version takes normals from cross products, axes and extents from a singular value decomposition per pixel,
and thins by nearest neighbours in a k-d tree: views one after another, points nearer than a pixel's width to an earlier
view's are dropped.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from recon.geometry.unprojection import unproject_depth
from recon.refine.depth_splats import DepthSplatOptions, splats_from_depth
from recon.types import Prediction
from tests.refine.depth_scene import make_prediction

HEIGHT, WIDTH = 378, 504


def textbook(prediction: Prediction, thin: bool) -> int:
    """Number of splats of the version to compare with; their parameters are computed and dropped."""
    focal = float(prediction.intrinsics[0, 0, 0])
    trees: list[cKDTree] = []
    count = 0
    for view, depth in enumerate(prediction.depth):
        this = slice(view, view + 1)
        points = unproject_depth(depth[None], prediction.intrinsics[this], prediction.extrinsics[this])[0]
        kept = np.ones(depth.shape, bool)
        if thin and trees:
            near = np.stack([tree.query(points.reshape(-1, 3), workers=-1)[0] for tree in trees]).min(axis=0)
            kept = near.reshape(depth.shape) > depth / focal
        along_y, along_x = np.gradient(points, axis=(0, 1))  # (H, W, 3)
        steps = np.stack([along_x, along_y], axis=-1)[kept]  # (P, 3, 2)
        axes, extents, _ = np.linalg.svd(steps, full_matrices=True)
        axes *= np.sign(np.linalg.det(axes))[:, None, None]
        Rotation.from_matrix(axes).as_quat()
        count += len(extents)
        trees.append(cKDTree(points[kept]))
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    prediction = make_prediction(arguments.views, HEIGHT, WIDTH)
    noise = 1 + 0.002 * np.random.default_rng(0).normal(size=prediction.depth.shape)
    noisy = Prediction(
        depth=(prediction.depth * noise).astype(np.float32),
        processed_images=prediction.processed_images,
        extrinsics=prediction.extrinsics,
        intrinsics=prediction.intrinsics,
    )

    def seconds(given: Prediction, options: DepthSplatOptions) -> tuple[float, int]:
        best = float("inf")
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            splats = splats_from_depth(given, options)
            best = min(best, time.perf_counter() - start)
        return best, len(splats.gaussians)

    print(f"{arguments.views} views of {WIDTH} × {HEIGHT}")
    print(f"{'':24} {'textbook':>10} {'recon':>10} {'ratio':>8}   {'splats':>20}")
    for name, thin in (("all pixels", False), ("thinned", True)):
        start = time.perf_counter()
        count = textbook(prediction, thin)
        theirs = time.perf_counter() - start
        ours, own_count = seconds(prediction, DepthSplatOptions(thin=thin))
        print(f"{name:24} {theirs:9.2f}s {ours:9.2f}s {theirs / ours:8.1f}   {count:10d} {own_count:9d}", flush=True)
    for name, given, options in (
        ("thinned, noisy depth", noisy, DepthSplatOptions()),
        ("thinned, 100,000", prediction, DepthSplatOptions(budget=100_000)),
    ):
        ours, own_count = seconds(given, options)
        print(f"{name:24} {'':10} {ours:9.2f}s {'':8}   {'':10} {own_count:9d}")
    tracemalloc.start()
    splats_from_depth(prediction)
    print(f"peak memory beyond the prediction: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
