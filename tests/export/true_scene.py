"""Predictions of a sample scene that are true: its own cameras, and its own depth at the pixels of resized photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from recon.sources.fitting import fit_photo
from recon.sources.open_source import open_source
from recon.sources.originals import SourceOriginals
from recon.sources.views import read_views
from recon.types import MadeBy, Prediction
from recon.types.cameras import Cameras

COURTYARD = Path(__file__).resolve().parents[2] / "scenes" / "courtyard"


def true_prediction(
    views: Sequence[int] = range(12),
    process_res: int = 252,
    method: str = "upper_bound_resize",
    scene: Path = COURTYARD,
) -> Prediction:
    """Of these photos of a sample scene; in metres, with the photos at hand."""
    from recon.eval.layouts.sample import read

    truth = read(scene)
    source = open_source([truth.image_paths[view] for view in views])
    cameras = Cameras(
        truth.extrinsics[list(views)], truth.intrinsics[list(views)], truth.image_sizes[list(views)], scale="metric"
    )
    loaded = read_views(source, lambda photo: fit_photo(photo, process_res, method)).views.with_cameras(cameras)
    depths = [np.asarray(Image.open(scene / "depth" / f"{view:04d}.png")) * 0.001 for view in views]
    count, height, width = loaded.pixels.shape[:3]
    depth = np.empty((count, height, width), np.float32)
    for view, affine in enumerate(loaded.processed_to_original):
        columns = ((np.arange(width) + 0.5) * affine[0, 0] + affine[0, 2]).astype(int)
        rows = ((np.arange(height) + 0.5) * affine[1, 1] + affine[1, 2]).astype(int)
        depth[view] = depths[view][rows[:, None], columns]
    assert loaded.cameras.intrinsics is not None
    return Prediction(
        depth=depth,
        processed_images=loaded.pixels,
        sky=depth == 0,
        made_by=MadeBy("stereo", "truth"),
        extrinsics=cameras.world_to_camera[:, :3].astype(np.float32),
        intrinsics=loaded.cameras.intrinsics.astype(np.float32),
        units="metric",
        image_names=loaded.names,
        original_sizes=loaded.original_sizes,
        processed_to_original=loaded.processed_to_original,
        lenses=replace(loaded.original_cameras, world_to_camera=None),
        extrinsics_origin="given",
        originals=SourceOriginals.by_name(source, loaded.names),
    )
