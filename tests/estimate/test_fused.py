"""Depth joined from a made-up network and what is sure, on a small scene whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from recon import load
from recon.choices import EstimatorOptions, InferenceOptions
from recon.errors import InputError
from recon.estimate.choice import choose
from recon.estimate.fused import FusedEstimator
from recon.estimate.measured import MeasuredDepth
from recon.estimate.stereo import StereoEstimator
from recon.geometry.similarity import Similarity, align_cameras
from recon.run.pipeline import Reconstruction, reconstruct
from recon.sources.calibrated import CalibratedSource
from recon.sources.open_source import open_source
from recon.stereo.multi_view import StereoOptions
from recon.types import NOBODY
from recon.types.sparse_points import SparsePoints
from tests.made_up_network import UNIT, MadeUpNetwork
from tests.seeds import numpy_random

from ..conftest import REPOSITORY
from ..synthetic.sample_scenes import load_scene

SCENE = REPOSITORY / "scenes" / "table"
COUNT = 4
SMALL = {"process_res": 168, "limit": COUNT}


@pytest.fixture(scope="module")
def truth():
    scene = load_scene(SCENE)
    names = open_source(SCENE).names[:COUNT]
    return dict(zip(names, scene.depth, strict=False)), scene.cameras


@pytest.fixture(scope="module")
def network(truth) -> MadeUpNetwork:
    """Without cameras of its own."""
    return MadeUpNetwork(truth[0])


@pytest.fixture(scope="module")
def placing_network(truth) -> MadeUpNetwork:
    """With cameras in a world of its own, turned and moved."""
    depth, cameras = truth
    world = Similarity(1.0, np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([1.0, -3.0, 2.0]))
    moved = world.apply_to_extrinsics(cameras.world_to_camera)
    return MadeUpNetwork(depth, dict(zip(depth, moved, strict=False)), cameras.intrinsics[0, 0, 0] / 672)


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted((SCENE / "images").iterdir())[:COUNT]


def write_priors(folder: Path, truth: dict[str, np.ndarray], scale: float = 1.0, share: float = 0.3) -> Path:
    """Depth images with holes, as .npy."""
    folder.mkdir()
    generator = numpy_random(0)
    for name, depth in truth.items():
        small = cv2.resize(depth, (168, 126), interpolation=cv2.INTER_NEAREST_EXACT)
        np.save(folder / f"{Path(name).stem}.npy", np.where(generator.random(small.shape) < share, small * scale, 0))
    return folder


def errors(result: Reconstruction, truth: dict[str, np.ndarray], scale: float = 1.0) -> np.ndarray:
    found = result.prediction.depth
    true = np.stack([cv2.resize(d, found.shape[:0:-1], interpolation=cv2.INTER_NEAREST_EXACT) for d in truth.values()])
    return np.abs(found / true / scale - 1)


def test_stereo_and_a_network(tmp_path: Path, truth, network) -> None:
    estimator = FusedEstimator(network, (StereoEstimator(StereoOptions(device="cpu")),))
    options = InferenceOptions(**SMALL)
    result = reconstruct(estimator, SCENE, options=options, export_dir=tmp_path, export_format="npz-mini_npz-ply")
    alone = reconstruct(estimator.sure[0], SCENE, options=options)
    prediction, of_stereo = result.prediction, alone.prediction
    assert prediction.valid.all()
    assert prediction.units == "aligned"
    by_stereo = prediction.made_by_pixel == 1
    np.testing.assert_array_equal(prediction.depth[by_stereo], of_stereo.depth[by_stereo])
    assert by_stereo[of_stereo.valid].mean() > 0.99
    error = errors(result, truth[0])
    assert error[of_stereo.valid].mean() <= 1.1 * errors(alone, truth[0])[of_stereo.valid].mean()
    assert np.median(error[~by_stereo]) < 0.02
    assert prediction.conf[by_stereo].mean() > prediction.conf[~by_stereo].mean()
    assert prediction.conf.min() >= 1

    record = json.loads((tmp_path / "run.json").read_text())
    assert record["model"]["dense"]["name"] == "made-up"
    assert record["model"]["sure"][0]["name"] == "mvs"
    quality = record["quality"]
    assert [part["kind"] for part in quality["made_by"]["parts"]] == ["network", "stereo"]
    assert sum(quality["made_by_shares"]) == pytest.approx(1)
    again = load(tmp_path)
    assert again.made_by == prediction.made_by
    np.testing.assert_array_equal(again.made_by_pixel, prediction.made_by_pixel)


def test_the_networks_cameras_do_where_there_are_no_others(truth, placing_network, photos) -> None:
    estimator = FusedEstimator(placing_network, (StereoEstimator(StereoOptions(device="cpu")),))
    result = reconstruct(estimator, photos, options=InferenceOptions(process_res=168))
    prediction = result.prediction
    assert prediction.extrinsics_origin == "predicted"
    assert prediction.units == "relative"
    assert (prediction.made_by_pixel == 1).mean() > 0.4
    assert np.median(errors(result, truth[0], 0.37)) < 0.01


@pytest.mark.filterwarnings("ignore:depth_prior")
@pytest.mark.parametrize(("unit", "scale"), [(None, 1.0), (None, 1000.0), (0.001, 1000.0)])
def test_a_prior_in_any_unit_goes_with_given_cameras(tmp_path: Path, truth, placing_network, unit, scale) -> None:
    folder = write_priors(tmp_path / "priors", truth[0], scale)
    options = InferenceOptions(**SMALL, depth_prior=(str(folder),), depth_prior_unit=unit)
    result = reconstruct(placing_network, SCENE, options=options)
    assert result.prediction.units == "aligned"
    assert errors(result, truth[0]).mean() < 0.02
    assert any("0.001" in message for message in result.warnings) == (unit is None and scale == 1000)


@pytest.mark.filterwarnings("ignore:depth_prior")
def test_the_networks_own_scale_where_that_is_asked_for(tmp_path: Path, truth, placing_network) -> None:
    folder = write_priors(tmp_path / "priors", truth[0])
    options = InferenceOptions(**SMALL, depth_prior=(str(folder),), align_to_input_ext_scale=False)
    result = reconstruct(placing_network, SCENE, options=options)
    assert result.prediction.units == "relative"
    assert errors(result, truth[0], UNIT).mean() < 0.02
    scale = align_cameras(result.prediction.extrinsics, truth[1].world_to_camera[:COUNT]).scale
    assert scale == pytest.approx(UNIT, rel=1e-3)


def test_a_prior_said_to_be_in_another_unit_is_refused(tmp_path: Path, truth, placing_network) -> None:
    folder = write_priors(tmp_path / "priors", truth[0])
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),), depth_prior_unit=0.001)
    metric = CalibratedSource(open_source(SCENE), tuple(range(COUNT)), replace(truth[1][range(COUNT)], scale="metric"))
    with pytest.raises(InputError, match="depth_prior_unit"):
        reconstruct(placing_network, metric, options=options)


@pytest.mark.parametrize("scale", ["given", "metric"])
def test_a_given_unit_holds_whatever_the_network_says(tmp_path: Path, truth, placing_network, scale: str) -> None:
    """The network sees another scene; it is what gets fitted."""
    folder = write_priors(tmp_path / "priors", truth[0], 1000)
    others = dict(zip(truth[0], load_scene(SCENE.parent / "courtyard").depth, strict=False))
    other = replace(placing_network, depth={name: 0.4 * depth for name, depth in others.items()})
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),), depth_prior_unit=0.001)
    cameras = replace(truth[1][range(COUNT)], scale=scale)
    result = reconstruct(other, CalibratedSource(open_source(SCENE), tuple(range(COUNT)), cameras), options=options)
    assert not [message for message in result.warnings if "prior" in message]
    by_prior = result.prediction.made_by_pixel == 1
    assert (by_prior.mean(axis=(1, 2)) > 0.25).all()
    np.testing.assert_allclose(errors(result, truth[0])[by_prior], 0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:depth_prior")
def test_cameras_in_no_said_unit_tell_what_would_fit(tmp_path: Path, truth, placing_network) -> None:
    folder = write_priors(tmp_path / "priors", truth[0], 1000)
    options = InferenceOptions(**SMALL, depth_prior=(str(folder),), depth_prior_unit=0.01)
    result = reconstruct(placing_network, SCENE, options=options)
    assert any("depth_prior_unit" in message and "0.1 times the given" in message for message in result.warnings)
    assert errors(result, truth[0]).mean() < 0.02


@pytest.mark.filterwarnings("ignore:depth_prior")
def test_depth_under_other_names_is_left_out_beside_sure_depth(tmp_path: Path, truth) -> None:
    folder = write_priors(tmp_path / "priors", truth[0])
    files = sorted(folder.iterdir())
    maps = [np.load(file) for file in files]
    cameras, depths = truth[1][range(COUNT)], list(truth[0].values())
    source = CalibratedSource(open_source(SCENE), tuple(range(COUNT)), cameras, depths=depths)
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),))
    np.save(files[1], maps[2])
    result = reconstruct(MeasuredDepth(), source, options=options)
    assert any(files[1].stem in message and "left out" in message for message in result.warnings)
    assert (result.prediction.made_by_pixel == 1).any(axis=(1, 2)).tolist() == [True, False, True, True]
    for file, depth in zip(files, maps[::-1], strict=True):
        np.save(file, depth)
    with pytest.raises(InputError, match="does not go with the photos"):
        reconstruct(MeasuredDepth(), source, options=options)


def test_a_prior_gives_metres_to_predicted_cameras(tmp_path: Path, truth, placing_network, photos) -> None:
    folder = write_priors(tmp_path / "priors", truth[0], 1000)
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),), depth_prior_unit=0.001)
    prediction = (result := reconstruct(placing_network, photos, options=options)).prediction
    assert prediction.units == "metric"
    assert errors(result, truth[0]).mean() < 0.02
    centres = np.linalg.inv(prediction.cameras.world_to_camera)[:, :3, 3]
    true = np.linalg.inv(truth[1].world_to_camera[:COUNT])[:, :3, 3]
    assert np.linalg.norm(centres[0] - centres[3]) == pytest.approx(np.linalg.norm(true[0] - true[3]), rel=0.02)


def test_one_view_and_a_prior(tmp_path: Path, truth, network, photos) -> None:
    folder = write_priors(tmp_path / "priors", truth[0])
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),), depth_prior_unit=1.0)
    result = reconstruct(network, photos[:1], options=options)
    assert result.prediction.units == "metric"
    assert errors(result, dict(list(truth[0].items())[:1])).mean() < 0.02


@pytest.mark.filterwarnings("ignore:depth_prior")
def test_two_priors_of_which_the_first_counts_most(tmp_path: Path, truth, placing_network) -> None:
    first = write_priors(tmp_path / "first", truth[0], 1.01, share=0.1)
    second = write_priors(tmp_path / "second", truth[0], 1000, share=0.9)
    options = InferenceOptions(**SMALL, depth_prior=(str(first), str(second)))
    prediction = reconstruct(placing_network, SCENE, options=options).prediction
    names = [part.name for part in prediction.made_by.parts]
    assert names == ["made-up", "depth_prior 'first'", "depth_prior 'second'"]
    shares = [(prediction.made_by_pixel == index).mean() for index in range(3)]
    assert shares[1] == pytest.approx(0.1, abs=0.02)
    assert shares[2] == pytest.approx(0.81, abs=0.03)


@pytest.mark.filterwarnings("ignore:depth_prior")
def test_depth_of_another_view_is_left_out_by_name(tmp_path: Path, truth, placing_network, photos) -> None:
    folder = write_priors(tmp_path / "priors", truth[0])
    other = load_scene(SCENE.parent / "courtyard").depth
    np.save(folder / f"{photos[2].stem}.npy", other[2])
    options = InferenceOptions(**SMALL, depth_prior=(str(folder),))
    result = reconstruct(placing_network, SCENE, options=options)
    assert any(photos[2].stem in message and "left out" in message for message in result.warnings)
    assert not (result.prediction.made_by_pixel[2] == 1).any()
    assert (result.prediction.made_by_pixel[3] == 1).any()
    for path, depth in zip(sorted(folder.iterdir()), other, strict=False):
        np.save(path, depth)
    with pytest.raises(InputError, match="does not go with the photos"):
        reconstruct(placing_network, SCENE, options=options)


def test_sparse_points_alone(truth, placing_network) -> None:
    """500 a view, as the points of a COLMAP model are."""
    depth, cameras = truth
    generator = numpy_random(0)
    points, observed = [], []
    for view, true in enumerate(depth.values()):
        rows, columns = (generator.integers(0, size, 500) for size in true.shape)
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(500)]) * true[rows, columns]
        local = np.linalg.inv(cameras.intrinsics[view]) @ rays
        world = np.linalg.inv(cameras.world_to_camera[view]) @ np.vstack([local, np.ones(500)])
        observed.append(np.arange(500) + 500 * view)
        points.append(world[:3].T)
    calibrated = CalibratedSource(
        open_source(SCENE),
        tuple(range(COUNT)),
        cameras[range(COUNT)],
        SparsePoints(np.concatenate(points), tuple(observed)),
    )
    options = InferenceOptions(process_res=252, depth_prior=("points",))
    result = reconstruct(placing_network, calibrated, options=options)
    assert errors(result, depth).mean() < 0.02


@pytest.mark.parametrize("prior", ["measured", "points"])
def test_what_the_input_does_not_bring(placing_network, photos, prior: str) -> None:
    with pytest.raises(InputError, match=prior):
        reconstruct(placing_network, photos, options=InferenceOptions(process_res=168, depth_prior=(prior,)))


@pytest.mark.parametrize(
    ("model", "name", "needs_cameras", "least_views"),
    [
        ("da3-large+mvs", "da3-large+mvs", False, 2),
        ("depth-anything-v2-small+mvs", "depth-anything-v2-small+mvs", True, 2),
        ("da3-small+points", "da3-small+points", False, 1),
        ("mvs+points", "multi-view stereo+points", True, 2),
    ],
)
def test_the_names_of_joined_models(model: str, name: str, needs_cameras: bool, least_views: int) -> None:
    choice = choose(EstimatorOptions(model=model, weights="none"))
    assert choice.model == model
    assert choice.profile.name == name
    assert (choice.profile.needs.cameras, choice.profile.needs.least_views) == (needs_cameras, least_views)
    assert not choice.profile.abilities.gaussians


@pytest.mark.parametrize("model", ["da3-large+da3-small", "da3-large+mvs+mvs", "mvs+mvs", "da3-large+"])
def test_what_cannot_be_joined(model: str) -> None:
    with pytest.raises(InputError, match=r"\+mvs"):
        choose(EstimatorOptions(model=model))


def test_pixels_without_depth_were_made_by_nobody(tmp_path: Path, truth, network, photos) -> None:
    holes = replace(network, depth={name: np.where(depth > 3, np.nan, depth) for name, depth in truth[0].items()})
    folder = write_priors(tmp_path / "priors", truth[0])
    options = InferenceOptions(process_res=168, depth_prior=(str(folder),))
    prediction = reconstruct(holes, photos, options=options).prediction
    assert ((prediction.made_by_pixel == NOBODY) == ~prediction.valid).all()
    assert (prediction.made_by_pixel == NOBODY).any()
