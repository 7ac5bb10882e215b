"""What a headless Chromium draws of splats beside the CPU rasterizer: a table, and how long the page sorts.

    python -m tests.export.page_pictures [--views 4]

The sample scenes are splats of their true depth, at 504 × 378 pixels; the twenty random scenes of the rasterizer's
tests have sizes of their own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from recon.export.html import HtmlOptions, write
from tests.export.browser import browse, find_browser
from tests.export.page_scenes import compared, give_splats, random_scenes, sample_scenes
from tests.export.true_scene import true_prediction
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians

SORTED = ((300_000, 0), (300_000, 1), (300_000, 3), (500_000, 1))
"""Counts of splats, and degrees of their spherical harmonics."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=4, help="of the sample scenes that splats are made of")
    arguments = parser.parse_args()
    if find_browser() is None:
        raise SystemExit("no chromium to open the page with")
    with tempfile.TemporaryDirectory() as folder:
        path = write(true_prediction([0], 126), Path(folder), HtmlOptions()).files[0]
        with browse(path.as_uri(), Path(folder) / "profile", (640, 480)) as page:
            page.run("recon.complete")
            print(f"{'scene':26} {'splats':>9} {'size':>11} {'PSNR':>8}")
            for name, scene in (sample_scenes(views=arguments.views) | random_scenes()).items():
                found = compared(page, scene)
                height, width = scene.size
                print(f"{name:26} {len(scene.gaussians):9,} {f'{width} × {height}':>11} {found:5.1f} dB")
            page.run("recon.setSize(320, 240)")
            for count, degree in SORTED:
                give_splats(page, random_gaussians(numpy_random(1), count, degree, sharpness=200))
                times = []
                for step in range(5):  # each from another place: another order, and other colours
                    away = 0.1 * step
                    rows = [1, 0, 0, away, 0, 1, 0, 0, 0, 0, 1, 3 + away]
                    page.run(f"recon.setCamera({rows}, [300, 300, 160, 120], [320, 240])")
                    times.append(page.run("recon.sort()"))
                sort, all_ = (sorted(time[part] for time in times)[2] for part in ("sort", "all"))
                print(f"{count:,} splats of degree {degree}: sorted in {sort:.0f} ms, coloured as well {all_:.0f} ms")
            for error in page.errors:
                print(error)


if __name__ == "__main__":
    main()
