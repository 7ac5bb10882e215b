"""Writing and reading a million splats, against the way through Python tuples that the reference package takes.

    python -m tests.benchmarks.bench_splat_files [--count 1000000] [--degree 2] [--repeats 3]

Needs plyfile. The other side is written here, of the same steps: one array of all properties, a tuple for every splat,
plyfile. SPZ is timed where gsply is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from recon.splats.ply import read_ply, write_ply
from recon.splats.spz import read_spz, write_spz
from recon.types import Gaussians
from tests.splats.random_gaussians import random_gaussians


def write_through_tuples(path: Path, gaussians: Gaussians) -> None:
    """All bands, with opacities that have a logit."""
    count, _, coefficients = gaussians.harmonics.shape
    opacities = gaussians.opacities[:, None].clip(1e-6, 1 - 1e-6)
    table = np.concatenate(
        [
            gaussians.means,
            np.zeros((count, 3), np.float32),
            gaussians.harmonics[:, :, 0],
            gaussians.harmonics[:, :, 1:].reshape(count, -1),
            np.log(opacities / (1 - opacities)),
            np.log(gaussians.scales),
            gaussians.rotations,
        ],
        axis=1,
    )
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(3 * coefficients - 3)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    vertices = np.empty(count, [(name, "f4") for name in names])
    vertices[:] = [tuple(row) for row in table]
    PlyData([PlyElement.describe(vertices, "vertex")]).write(path)


def best(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--degree", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    gaussians = random_gaussians(arguments.count, arguments.degree)
    print(f"{arguments.count} splats, spherical harmonics of degree {arguments.degree}")
    with tempfile.TemporaryDirectory() as folder:
        tuples, ply, spz = (Path(folder) / name for name in ("tuples.ply", "splats.ply", "splats.spz"))
        theirs = best(lambda: write_through_tuples(tuples, gaussians), 1)
        ours = best(lambda: write_ply(ply, gaussians), arguments.repeats)
        megabytes = ply.stat().st_size / 1e6
        print(f"write PLY, through tuples  {theirs:8.3f} s")
        print(f"write PLY, recon           {ours:8.3f} s   {ours / theirs:.4f} of it, {megabytes:.1f} MB")
        print(f"read PLY, recon            {best(lambda: read_ply(ply), arguments.repeats):8.3f} s")
        if importlib.util.find_spec("gsply") is not None:
            seconds = best(lambda: write_spz(spz, gaussians), arguments.repeats)
            print(f"write SPZ, recon and gsply {seconds:8.3f} s   {spz.stat().st_size / 1e6:.1f} MB")
            print(f"read SPZ, recon and gsply  {best(lambda: read_spz(spz), arguments.repeats):8.3f} s")


if __name__ == "__main__":
    main()
