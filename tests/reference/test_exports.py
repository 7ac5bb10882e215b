"""Point selection, frusta, files and feature colours against those of the reference package.

The reference puts pixel (0, 0) at coordinate 0, recon at 0.5: where unprojection is compared, the reference is given a
principal point half a pixel to the upper left, with which its rays pass through the pixel centres too.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from recon.export import export, read_npz
from recon.export.feat_vis import features_to_rgb
from recon.export.glb import GlbOptions, frustum_lines, place_in_gltf, sequence_colors
from recon.export.points import PointOptions, confidence_threshold, select_points
from recon.messages import ReconWarning
from recon.types import Prediction
from tests.reference.stubs import import_reference_api, reference_available
from tests.seeds import numpy_random

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not reference_available(), reason="depth-anything-3 is not installed"),
]
HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def reference_glb():
    import_reference_api()
    from depth_anything_3.utils.export import glb

    return glb


@pytest.fixture
def prediction() -> Prediction:
    rng = numpy_random(3)
    shape = (3, 28, 42)
    angles = np.array([0.1, 0.3, -0.2])
    extrinsics = np.zeros((3, 3, 4), np.float32)
    extrinsics[:, 0, 0] = extrinsics[:, 2, 2] = np.cos(angles)
    extrinsics[:, 0, 2], extrinsics[:, 2, 0] = np.sin(angles), -np.sin(angles)
    extrinsics[:, 1, 1] = 1
    extrinsics[:, :, 3] = rng.normal(size=(3, 3))
    depth = (2 + rng.random(shape)).astype(np.float32)
    depth[0, 0, :3] = [0, -1, np.nan]
    return Prediction(
        depth=depth,
        processed_images=rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        conf=(1 + rng.gamma(2, 1, shape)).astype(np.float32),
        extrinsics=extrinsics,
        intrinsics=np.tile(np.array([[40, 0, 20], [0, 41, 15], [0, 0, 1]], np.float32), (3, 1, 1)),
    )


def as_reference(prediction: Prediction) -> SimpleNamespace:
    names = ("depth", "processed_images", "conf", "extrinsics")
    arrays = {name: getattr(prediction, name).copy() for name in names}
    return SimpleNamespace(**arrays, intrinsics=prediction.intrinsics - HALF_PIXEL)


@pytest.mark.parametrize(("base", "lower"), [(1.05, 40.0), (1.05, 0.0), (2.5, 10.0), (50.0, 40.0)])
def test_confidence_threshold(base, lower, prediction, reference_glb):
    expected = reference_glb.get_conf_thresh(prediction, None, base, lower, 90.0)
    ours = confidence_threshold(prediction.conf.ravel(), PointOptions(conf_thresh=base, conf_thresh_percentile=lower))
    assert ours == pytest.approx(expected, rel=1e-6)
    sky = np.zeros(prediction.depth.shape, bool)
    sky[:, :10] = True
    expected = reference_glb.get_conf_thresh(prediction, sky, base, lower, 90.0)
    options = PointOptions(conf_thresh=base, conf_thresh_percentile=lower)
    depth = np.nan_to_num(prediction.depth, nan=1).clip(0.5)
    cloud = select_points(dataclasses.replace(prediction, depth=depth, sky=sky), options)
    assert cloud.conf_threshold == pytest.approx(expected, rel=1e-6)


def test_points_colours_and_placement(prediction, reference_glb):
    options = GlbOptions(conf_thresh_percentile=0.0)
    cloud = select_points(prediction, options)
    theirs = as_reference(prediction)
    points, colors = reference_glb._depths_to_world_points_with_colors(
        theirs.depth, theirs.intrinsics, theirs.extrinsics, theirs.processed_images, theirs.conf, cloud.conf_threshold
    )
    np.testing.assert_array_equal(cloud.colors, colors)
    np.testing.assert_allclose(cloud.points, points, atol=1e-5)

    positions, world_to_gltf, diagonal = place_in_gltf(cloud.points, prediction.extrinsics[0])
    align = reference_glb._compute_alignment_transform_first_cam_glTF_center_by_points
    np.testing.assert_allclose(world_to_gltf, align(theirs.extrinsics[0], points), atol=1e-5)
    assert diagonal == pytest.approx(reference_glb._estimate_scene_scale(positions), rel=1e-5)


def test_whole_scene(prediction, reference_glb, tmp_path):
    depth = np.nan_to_num(prediction.depth, nan=1).clip(0.5)
    prediction = dataclasses.replace(prediction, depth=depth)
    reference_glb.export_to_glb(as_reference(prediction), str(tmp_path / "theirs"), export_depth_vis=False)
    export(prediction, "glb", tmp_path / "ours")
    theirs, ours = (trimesh.load(tmp_path / side / "scene.glb") for side in ("theirs", "ours"))
    cloud = next(g for g in theirs.geometry.values() if isinstance(g, trimesh.PointCloud))
    np.testing.assert_allclose(ours.geometry["points"].vertices, cloud.vertices, atol=1e-5)
    np.testing.assert_array_equal(ours.geometry["points"].colors, cloud.colors)


def test_frusta(prediction, reference_glb):
    lines = frustum_lines(
        prediction.intrinsics, prediction.extrinsics, np.tile([0, 0, 41, 27], (len(prediction.depth), 1)), 0.2
    )
    for view in range(3):
        expected = reference_glb._camera_frustum_lines(
            prediction.intrinsics[view].astype(float), prediction.extrinsics[view].astype(float), 42, 28, 0.2
        )
        np.testing.assert_allclose(lines[view], expected, atol=1e-6)
    for count in (1, 3, 50):
        expected = [reference_glb._index_color_rgb(i, count) for i in range(count)]
        np.testing.assert_allclose(sequence_colors(count).astype(int), expected, atol=1)


def test_npz_of_the_reference_is_read(prediction, tmp_path):
    import_reference_api()
    from depth_anything_3.utils.export import npz

    npz.export_to_npz.__closure__[0].cell_contents(as_reference(prediction), str(tmp_path))
    with pytest.warns(ReconWarning, match="names no units"):
        theirs = read_npz(tmp_path / "exports/npz/results.npz")
    np.testing.assert_allclose(theirs.depth, prediction.depth, atol=1e-6)
    np.testing.assert_allclose(theirs.conf, prediction.conf, atol=0.006)
    np.testing.assert_array_equal(theirs.extrinsics, prediction.extrinsics)
    np.testing.assert_array_equal(theirs.processed_images, prediction.processed_images)


def test_feature_colours():
    import_reference_api()
    from depth_anything_3.utils.pca_utils import PCARGBVisualizer

    features = numpy_random(0).normal(size=(2, 12, 16, 32)) * np.geomspace(8, 0.2, 32)
    features = features.astype(np.float32)
    reference = PCARGBVisualizer(device="cpu", basis_mode="fixed", percentile_mode="global", clip_percent=10.0)
    reference.fit_reference(features)
    theirs = reference.transform_video(features) * 255
    ours = features_to_rgb(features).astype(float)
    for channel in range(3):  # the sign of a principal component is free
        same = np.abs(ours[..., channel] - theirs[..., channel]).mean()
        opposite = np.abs(255 - ours[..., channel] - theirs[..., channel]).mean()
        assert min(same, opposite) < 3
