"""Pictures of a run's splats where they were not fitted: the photo held out, splats from depth, and optimised ones.

    python -m tests.benchmarks.splat_pictures outputs/NAME [--view 4]… [--to splats.jpg]

The run has to have exported `npz`. Without `--view` the photos that it held out are shown. Each row is one photo.
`scenes/courtyard/splats.jpg` is `gs_video/0000_extend.jpg` of `recon demo`; `scenes/courtyard/splats_held_out.jpg` is
made by

    recon run scenes/courtyard/images --model mvs --export npz-gs_ply --out outputs/courtyard
    python -m tests.benchmarks.splat_pictures outputs/courtyard --to scenes/courtyard/splats_held_out.jpg
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from recon.export.npz import NPZ_PATH, read_npz
from recon.refine import DepthSplatOptions, from_depth
from recon.refine.optimisation.start import of_views
from recon.splats import render
from recon.splats.view_metrics import psnr

_QUALITY = 80
"""Of the JPEG: the picture is for the README."""


def main() -> int:
    """Render, say the PSNR of each, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--view", type=int, action="append", default=[], help="index among the photos of the run")
    parser.add_argument("--to", type=Path, default=Path("splats.jpg"))
    settings = parser.parse_args()
    prediction = read_npz(settings.result / NPZ_PATH)
    optimised = json.loads((settings.result / "run.json").read_text(encoding="utf-8"))["optimised"]
    if prediction.gaussians is None or optimised is None:
        print(f"{settings.result} has no splats that were fitted to photos")
        return 2
    held_out = optimised["held_out"]
    views = settings.view or held_out
    count, height, width = prediction.depth.shape
    fitted = of_views(prediction, [view for view in range(count) if view not in held_out])
    start = from_depth(fitted, DepthSplatOptions(budget=height * width))
    cameras = prediction.cameras[np.array(views, np.intp)]
    rows = []
    pictures = [render(splats, cameras, (height, width)).color.clip(0, 1) for splats in (start, prediction.gaussians)]
    for row, view in enumerate(views):
        photo = prediction.processed_images[view]
        scores = [psnr(picture[row], photo / 255) for picture in pictures]
        print(f"{prediction.image_names[view]}: {scores[0]:.2f} dB from depth, {scores[1]:.2f} dB optimised")
        rows.append(np.hstack([photo, *(np.rint(picture[row] * 255).astype(np.uint8) for picture in pictures)]))
    Image.fromarray(np.vstack(rows)).save(settings.to, quality=_QUALITY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
