"""Alignment and normalisation of cameras against evo's Umeyama and the reference package's RANSAC."""

from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.cameras import camera_centres, normalise_extrinsics
from recon.geometry.similarity import align_cameras
from tests.seeds import numpy_random

from ..geometry.random_cameras import cameras_at, random_extrinsics, random_rotations, random_similarity
from .stubs import import_reference_api, reference_available

pytestmark = pytest.mark.reference


def noisy_pair(seed: int, count: int, noise: float, outliers: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Target and source cameras that agree up to a similarity and noise of this share of the spread."""
    generator = numpy_random(seed)
    source = random_extrinsics(generator, count)
    similarity = random_similarity(generator)
    centres = similarity.apply(camera_centres(source))
    centres += generator.normal(size=centres.shape) * noise * centres.std()
    centres[:outliers] += generator.normal(size=(outliers, 3)) * 10 * centres.std()
    return cameras_at(centres, random_rotations(generator, count)), source


def on_a_line(cameras: np.ndarray) -> bool:
    """Whether the spread off the best line is below 5 % of that along it: there recon trusts the orientations."""
    centres = camera_centres(cameras)
    along, across, _ = np.linalg.svd(centres - centres.mean(axis=0), compute_uv=False)
    return across < 0.05 * along


def assert_same(found, rotation, translation, scale):
    assert found.scale == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(found.translation, translation, atol=1e-6 * max(1, np.abs(translation).max()))


@pytest.mark.parametrize("noise", [0, 0.01, 0.3, 3])
@pytest.mark.parametrize("count", [3, 4, 9])
def test_few_views_equal_evo(count, noise):
    geometry = pytest.importorskip("evo.core.geometry")
    for seed in range(10):
        target, source = noisy_pair(seed, count, noise)
        if on_a_line(target) or on_a_line(source):
            continue
        expected = geometry.umeyama_alignment(camera_centres(source).T, camera_centres(target).T, with_scale=True)
        assert_same(align_cameras(target, source), *expected)


@pytest.mark.parametrize(("noise", "outliers"), [(0, 0), (0.01, 0), (0.01, 2), (0.3, 0), (3, 0)])
@pytest.mark.parametrize("count", [10, 11, 25])
def test_many_views_equal_the_reference(count, noise, outliers):
    pytest.importorskip("evo")
    pose_align = pytest.importorskip("depth_anything_3.utils.pose_align")
    for seed in range(5):
        target, source = noisy_pair(seed, count, noise, outliers)
        expected = pose_align.align_poses_umeyama(target, source, ransac=True, random_state=42)
        assert_same(align_cameras(target, source), *expected)


@pytest.mark.skipif(not reference_available(), reason="depth-anything-3 is not installed")
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_normalisation_equals_the_reference(count):
    import torch

    api = import_reference_api()
    for spread in (1.0, 0.01):
        cameras = random_extrinsics(numpy_random(count), count)
        cameras[:, :3, 3] *= spread
        expected = api.DepthAnything3._normalize_extrinsics(None, torch.tensor(cameras)[None])
        np.testing.assert_allclose(normalise_extrinsics(cameras), expected[0].numpy(), atol=1e-9)
