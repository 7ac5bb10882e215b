"""Out and in again: the cameras of a COLMAP model and of a transforms.json, read as the sources that they are."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from recon.export import export
from recon.messages import ReconWarning
from recon.sources.open_source import open_source
from tests.export.test_colmap import LENS, SIZES, photo_set, prediction_of


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("lens", [None, "pinhole", "original"])
@pytest.mark.parametrize("name", ["colmap", "nerfstudio"])
def test_cameras_come_back(name, sizes, lens, tmp_path):
    photo_set(tmp_path / "photos", sizes)
    prediction = prediction_of(tmp_path / "photos", sizes, "lower_bound_crop", None if lens is None else LENS)
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconWarning)
        export(prediction, name, out, {name: {"lens": lens or "pinhole"}})
        source = open_source(out)
    assert source.names == prediction.image_names or [n.rpartition("/")[2] for n in source.names] == list(
        prediction.image_names
    )
    given = prediction.original_cameras if lens == "original" else prediction.original_cameras.pinhole()
    np.testing.assert_allclose(source.cameras.world_to_camera, given.world_to_camera, atol=1e-5)
    np.testing.assert_allclose(source.cameras.intrinsics, given.intrinsics, rtol=1e-5)
    np.testing.assert_array_equal(source.cameras.sizes, given.sizes)
    if lens == "original":
        np.testing.assert_allclose(source.cameras.distortion, given.distortion, atol=1e-5)
    else:
        assert source.cameras.distortion is None or not source.cameras.distortion.any()
    for index, size in enumerate(sizes):
        photo = source.read(index)
        assert (photo.width, photo.height) == size
    if name == "colmap":
        assert source.points is not None
        off = np.abs(source.points.points[:, 2] - 4)
        assert off.max() < 0.02  # at the border of a photo, where there is nothing to interpolate with
        assert np.median(off) < 1e-5
        assert source.points.track_lengths.min() >= 2
        bends = np.zeros(8) if source.cameras.distortion is None else source.cameras.distortion[0]
        for view, pose in enumerate(source.cameras.world_to_camera):
            turn, k = cv2.Rodrigues(pose[:3, :3])[0], source.cameras.intrinsics[view]
            shown = cv2.projectPoints(source.points.points[source.points.observed[view]], turn, pose[:3, 3], k, bends)
            assert np.abs(shown[0][:, 0] - source.points.pixels[view]).max() < 0.1
