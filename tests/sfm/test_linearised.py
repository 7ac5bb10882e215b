"""The linearised model against COLMAP's covariance, and against adjusting again without a photo."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import align_cameras
from recon.sfm.bundle import adjust
from recon.sfm.lens_models import free_parameters
from recon.sfm.linearised import POSE, Linearised

from .synthetic_models import around, poses_of, synthetic_model

SCALE = 0.35


@pytest.fixture(scope="module")
def adjusted() -> pycolmap.Reconstruction:
    model = synthetic_model(around(6), ("SIMPLE_RADIAL", (700.0, 404.0, 297.0, 0.01)), points=300)
    adjust(model, centre=True, loss_scale=SCALE, iterations=200, tolerance=1e-12)
    return model


def linearised(model: pycolmap.Reconstruction, scale: float = SCALE) -> Linearised:
    return Linearised.of(model, scale, free_parameters(model, model.cameras))


def test_covariance_of_the_lens_is_that_of_colmap(adjusted: pycolmap.Reconstruction):
    """That of the lens does not depend on which cameras are held; with squared errors both are the same."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False, refine_principal_point=True)
    options.ceres.solver_options.max_num_iterations = 0
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in adjusted.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    model = pycolmap.Reconstruction(adjusted)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
    adjuster.solve()
    wanted = pycolmap.BACovarianceOptions(params=pycolmap.BACovarianceOptionsParams.ALL)
    theirs = pycolmap.estimate_ba_covariance(wanted, model, adjuster).get_other_params_cov(model.cameras[1].params)
    own = linearised(adjusted, 1e9)
    ours = own.covariance()[-4:, -4:] / own.variance
    deviations = np.sqrt(np.diag(theirs))
    np.testing.assert_allclose(
        ours / np.outer(deviations, deviations), theirs / np.outer(deviations, deviations), atol=1e-3
    )


def test_variance_is_that_of_the_noise():
    model = synthetic_model(around(6), noise=0.3)
    adjust(model, loss_scale=1e6, iterations=50)
    assert linearised(model, 1e6).variance == pytest.approx(0.3**2 * (0.98 + 0.02 * 8**2), rel=0.15)


def test_covariance_is_the_size_of_the_errors():
    """Turns and centres of many noisy models against the truth, in units of their standard deviations."""
    truth, turns, steps = around(5), [], []
    for seed in range(6):
        model = synthetic_model(truth, noise=0.3, points=150, seed=seed)
        adjust(model, loss_scale=SCALE, iterations=50)
        own = linearised(model)
        deviations = np.sqrt(np.diag(own.covariance())[: POSE * 5].reshape(5, POSE))
        found = poses_of(model)
        similarity = align_cameras(truth, found)
        assert similarity is not None
        found = similarity.apply_to_extrinsics(found)
        difference = found[:, :3, :3] @ truth[:, :3, :3].swapaxes(1, 2)
        turn = np.stack([difference[:, i, j] - difference[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=1) / 2
        turns.append(turn / deviations[:, :3])
        steps.append((camera_centres(found) - camera_centres(truth)) / (deviations[:, 3:] * own.spread))
    assert 0.5 < np.sqrt(np.mean(np.square(turns))) < 1.5
    assert 0.5 < np.sqrt(np.mean(np.square(steps))) < 1.5


def test_a_photo_left_out_is_as_if_it_had_not_been_there(adjusted: pycolmap.Reconstruction):
    held_out = linearised(adjusted).without([[2]])
    model = pycolmap.Reconstruction(adjusted)
    model.deregister_frame(model.images[3].frame_id)
    adjust(model, centre=True, loss_scale=SCALE, iterations=200, tolerance=1e-12)
    change = np.array(model.cameras[1].params) - adjusted.cameras[1].params
    assert (np.abs(held_out.lens[0] - change) < 0.4 * np.abs(change) + (0.15, 0.15, 0.15, 1e-3)).all()
    assert np.abs(change).max() > 0.3
    assert held_out.count[2] > 100
    assert not held_out.count[[0, 1, 3, 4, 5]].any()
