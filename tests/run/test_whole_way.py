"""Sample scenes from their photos alone: cameras, then depth, beside the truth that the scene was rendered from."""

from __future__ import annotations

import numpy as np
import pytest

from recon.eval.camera_metrics import camera_scores
from recon.files import scenes_folder
from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import umeyama
from recon.sfm.structure_from_motion import prepare_photo, structure_from_motion
from recon.sources.fitting import map_intrinsics, preprocess
from recon.sources.photo import Photo
from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.types.cameras import Cameras

from ..synthetic.sample_scenes import load_scene

pytestmark = pytest.mark.slow
VIEWS = 8


@pytest.mark.parametrize("name", ["courtyard", "table"])
def test_cameras_and_depth_of_a_sample_scene(name: str) -> None:
    truth = load_scene(scenes_folder() / name)
    photos = [Photo(str(index), pixels) for index, pixels in enumerate(truth.images[:VIEWS])]
    found = structure_from_motion([prepare_photo(photo) for photo in photos])
    assert found.registered.tolist() == list(range(VIEWS))
    exact = truth.cameras.world_to_camera[:VIEWS]
    scores = camera_scores(found.cameras.world_to_camera, exact)
    assert scores.rotation_auc[3] > 0.95

    pinhole = [Photo(photo.name, found.undistort(index, photo.pixels)) for index, photo in enumerate(photos)]
    views = preprocess(pinhole, 336)
    intrinsics = map_intrinsics(found.cameras.intrinsics, views.processed_to_original)
    cameras = Cameras(found.cameras.world_to_camera, intrinsics)
    depth = multi_view_depth(views.pixels, cameras, found.sparse, StereoOptions()).depth

    scale = umeyama(camera_centres(exact), camera_centres(found.cameras.world_to_camera)).scale
    rows, columns = ((np.arange(size) + 0.5) * 2 for size in depth.shape[1:])  # the processed pixels' centres
    true_depth = truth.depth[:VIEWS][:, rows.astype(int)][:, :, columns.astype(int)]
    kept = (depth > 0) & (true_depth > 0)
    error = np.abs(scale * depth[kept] / true_depth[kept] - 1)
    assert np.median(error) < 0.004
    assert error.mean() < 0.008
    assert (error < 0.05).mean() > 0.98
    assert kept.sum() / (true_depth > 0).sum() > 0.7
    sky = true_depth == 0
    assert (depth > 0)[sky].sum() <= 0.02 * sky.sum()
