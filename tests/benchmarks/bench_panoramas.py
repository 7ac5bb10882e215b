"""Cameras and depth from 360° photos of the synthetic courtyard, beside their truth.

    python -m tests.benchmarks.bench_panoramas [--count 6] [--width 1280]

Panoramas are rendered, cut into views and handed to structure from motion. Printed are the relative rotations of all
pairs of views, as found of each view by itself and with one pose for each panorama, and the error of depth by stereo.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.choices import EstimatorOptions, InferenceOptions
from recon.estimate.choice import choose
from recon.geometry.cameras import camera_centres
from recon.geometry.equirectangular import directions
from recon.run.pipeline import reconstruct
from recon.sfm import structure_from_motion as sfm
from recon.sources.calibrated import CalibratedSource
from recon.sources.loading import load_each
from recon.sources.open_source import open_source
from recon.sources.panoramas import VIEWS
from tests.sources.panorama_pictures import rendered
from tests.synthetic.camera_paths import camera_path
from tests.synthetic.render import render_views
from tests.synthetic.scenes import make_scene


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each way of finding cameras, and one for depth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--process-res", type=int, default=392)
    settings = parser.parse_args(arguments)
    scene = make_scene("courtyard", seed=1)
    places = camera_path(scene, "hand_held", settings.count)
    views = np.tile(np.eye(4), (settings.count * VIEWS, 1, 1))
    views[:, :3] = (directions(VIEWS)[None] @ places[:, None, :3]).reshape(-1, 3, 4)  # all of a panorama together
    with TemporaryDirectory() as folder:
        for index, place in enumerate(places):
            Image.fromarray(rendered(scene, place, settings.width)).save(Path(folder) / f"{index:03d}.png")
        source = open_source(Path(folder))
        photos = load_each(source, sfm.prepare_photo).photos
        alone = sfm.structure_from_motion([_without_rig(photo) for photo in photos])
        together = sfm.structure_from_motion(photos)
        for name, found in (("views by themselves", alone), ("one pose for a panorama", together)):
            assert found.cameras.world_to_camera is not None
            angles = _relative_rotations(found.cameras.world_to_camera, views[found.registered])
            median, worst = np.median(angles), angles.max()
            seen = f"{len(found.registered)} of {len(views)} views"
            print(f"{name:24} {seen}, {median:.3f}° median, {worst:.3f}° at most")
        calibrated = CalibratedSource(source, tuple(together.registered.tolist()), together.original_cameras)
        estimator = choose(EstimatorOptions(model="mvs")).open(print)
        options = InferenceOptions(process_res=settings.process_res)
        prediction = reconstruct(estimator, calibrated, options=options).prediction
    truth = render_views(
        scene, views[together.registered], prediction.intrinsics, prediction.depth.shape[1:], samples_per_pixel=1
    )
    assert together.cameras.world_to_camera is not None
    centres = [camera_centres(one) for one in (views[together.registered], together.cameras.world_to_camera)]
    true_spread, found_spread = (np.linalg.norm(one - one.mean(axis=0)) for one in centres)
    scale = true_spread / found_spread
    known = (prediction.depth > 0) & ~truth.sky
    error = np.abs(prediction.depth * scale - truth.depth)[known] / truth.depth[known]
    share = known.sum() / (~truth.sky).sum()
    print(f"depth of {share:.0%} of the pixels, off by {error.mean():.2%}, median {np.median(error):.2%}")


def _without_rig(photo: sfm.SfmPhoto) -> sfm.SfmPhoto:
    return replace(photo, rig=None)


def _relative_rotations(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees by which the turn from one camera to another is off, of all pairs of (N, 4, 4)."""
    turns = [np.einsum("aij,bkj->abik", one[:, :3, :3], one[:, :3, :3]) for one in (found, true)]
    cosines = (np.einsum("abij,abij->ab", *turns) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))[np.triu_indices(len(found), 1)]


if __name__ == "__main__":
    main()
