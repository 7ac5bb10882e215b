"""Camera and surface metrics beside those of the reference's benchmark, and of evo."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from recon.eval.camera_metrics import area_under_curve, trajectory_error
from recon.eval.surface_metrics import surface_scores
from recon.geometry.cameras import camera_centres, invert_rigid
from tests.reference.networks import needs_reference
from tests.seeds import numpy_random

pytestmark = needs_reference


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The metrics of the reference's benchmark, which names classes of open3d and, for what is compared, uses none."""
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setitem(sys.modules, "open3d", MagicMock())
        return importlib.import_module("depth_anything_3.bench.utils")


@pytest.mark.parametrize("threshold", [3, 5, 15, 30])
def test_area_under_curve(benchmark: ModuleType, threshold: int) -> None:
    errors = numpy_random(threshold).gamma(1.5, 6, (2, 190))
    expected, _ = benchmark.calculate_auc_np(errors[0], errors[1], threshold)
    assert area_under_curve(errors.max(axis=0), threshold) == pytest.approx(expected, rel=1e-12)


def test_distances_between_surfaces(benchmark: ModuleType) -> None:
    generator = numpy_random(0)
    truth, predicted = generator.uniform(size=(400, 3)), generator.uniform(size=(300, 3))
    found = surface_scores(predicted, truth, threshold=0.08)
    clouds = (SimpleNamespace(points=points) for points in (predicted, truth))
    expected = benchmark.evaluate_3d_reconstruction(*clouds, threshold=0.08)
    assert found is not None
    names = ("accuracy", "completeness", "chamfer", "precision", "recall", "f1")
    of_the_reference = [expected[name] for name in ("acc", "comp", "overall", "precision", "recall", "fscore")]
    np.testing.assert_allclose([getattr(found, name) for name in names], of_the_reference, rtol=1e-9)


def test_trajectory_error_is_that_of_evo() -> None:
    from evo.core.metrics import APE, PoseRelation, StatisticsType
    from evo.core.trajectory import PosePath3D

    generator = numpy_random(1)
    truth = np.tile(np.eye(4), (12, 1, 1))
    truth[:, :3, 3] = generator.normal(size=(12, 3))
    predicted = truth.copy()
    predicted[:, :3, 3] = 3 * truth[:, :3, 3] + generator.normal(scale=0.1, size=(12, 3))
    paths = [PosePath3D(poses_se3=list(invert_rigid(cameras))) for cameras in (truth, predicted)]
    paths[1].align(paths[0], correct_scale=True)
    metric = APE(PoseRelation.translation_part)
    metric.process_data(tuple(paths))
    error, percent = trajectory_error(predicted, truth)
    assert error == pytest.approx(metric.get_statistic(StatisticsType.rmse), rel=1e-9)
    extent = np.linalg.norm(np.ptp(camera_centres(truth), axis=0))
    assert percent == pytest.approx(100 * error / extent)
