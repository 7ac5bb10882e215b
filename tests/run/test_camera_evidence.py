"""Cameras of structure from motion and of a network joined; both are told what to find."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import recon.sfm.refine_cameras
import recon.sfm.structure_from_motion
from recon import load
from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.fused import FusedEstimator
from recon.estimate.network import profile_of
from recon.estimate.stereo import PROFILE as STEREO
from recon.estimate.stereo import StereoEstimator
from recon.geometry.similarity import Similarity, align_cameras
from recon.geometry.sparse_points import SparsePoints
from recon.models.presets import load_preset
from recon.run.pipeline import Reconstruction, reconstruct
from recon.run.plan import usual_cameras
from recon.sfm.lenses import Lenses
from recon.sfm.result import CameraChanges, SfmResult
from recon.sources.open_source import open_source
from recon.stereo.multi_view import StereoOptions
from recon.types.cameras import Cameras
from tests.made_up_network import UNIT, Errors, MadeUpNetwork, camera_noise

from ..conftest import REPOSITORY
from ..synthetic.sample_scenes import load_scene

SCENE = REPOSITORY / "scenes" / "courtyard"
OPTIONS = InferenceOptions(process_res=112)
PLACED = [0, 2, 3, 5, 6, 8, 9, 11]
SFM_WORLD = Similarity(0.3, np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]), np.array([2.0, 1.0, -5.0]))
NETWORK_WORLD = Similarity(1.0, np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([1.0, -3.0, 2.0]))
DEGREES, SHARE = 2.0, 0.03

pytestmark = pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")


@pytest.fixture(scope="module")
def scene():
    return load_scene(SCENE)


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted((SCENE / "images").iterdir())


@pytest.fixture(scope="module")
def network(scene, photos) -> MadeUpNetwork:
    """Depth nearly right, cameras 2 degrees and 3 % off, in a world of its own."""
    cameras = camera_noise(NETWORK_WORLD.apply_to_extrinsics(scene.cameras.world_to_camera), DEGREES, SHARE, seed=1)
    names = [path.name for path in photos]
    errors = Errors(field=0.02, blur=0, outliers=0, plane=0)
    return MadeUpNetwork(
        dict(zip(names, scene.depth, strict=True)),
        dict(zip(names, cameras, strict=True)),
        scene.cameras.intrinsics[0, 0, 0] / 672,
        errors,
    )


def points_of(scene, placed: list[int]) -> SparsePoints:
    """Some of the surface that the photo in the middle shows, seen by all."""
    view = placed[len(placed) // 2]
    rows, columns = (each.ravel() for each in np.mgrid[20:500:24, 20:660:24])
    depth = scene.depth[view, rows, columns]
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    local = (np.linalg.inv(scene.cameras.intrinsics[view]) @ rays * depth).T[depth > 0]
    world = (np.linalg.inv(scene.cameras.world_to_camera[view]) @ np.c_[local, np.ones(len(local))].T)[:3].T
    return SparsePoints(SFM_WORLD.apply(world), tuple(np.arange(len(world)) for _ in placed))


@pytest.fixture
def sfm_places(scene, monkeypatch: pytest.MonkeyPatch):
    """Function that makes structure from motion place the photos of these indices, in a world of its own."""

    def prepare(placed: list[int], matched: tuple[int, ...] = (), **more: Any) -> None:
        def fake(given, options, progress):
            if not placed:
                raise InputError("the photos do not overlap")
            moved = SFM_WORLD.apply_to_extrinsics(scene.cameras.world_to_camera)[placed]
            intrinsics = scene.cameras.intrinsics[placed]
            count = len(placed)
            return SfmResult(
                image_names=tuple(photo.name for photo in given),
                registered=np.array(placed),
                cameras=Cameras(moved, intrinsics),
                lenses=Lenses(intrinsics, np.zeros((count, 8)), np.tile([672, 504], (count, 1))),
                sparse=points_of(scene, placed),
                reprojection_errors=np.full(count, 0.5),
                **more,
            )

        def adjust(given, poses, options, progress, scale):
            """Finds matches of the photos `matched` with others, and the whole turned and moved a little."""
            if not matched:
                raise InputError("they explain too little")
            moved = np.where(np.isin(np.arange(len(poses)), matched)[:, None, None], true_cameras, poses)
            little = Similarity(1.01, cv2.Rodrigues(np.array([0.0, 0.01, 0.01]))[0], np.array([0.1, 0, 0]))
            kept = tuple(photo.name for index, photo in enumerate(given) if index not in [*placed, *matched])
            count = len(given)
            return SfmResult(
                image_names=tuple(photo.name for photo in given),
                registered=np.arange(count),
                cameras=Cameras(little.apply_to_extrinsics(moved), scene.cameras.intrinsics),
                lenses=Lenses(scene.cameras.intrinsics, np.zeros((count, 8)), np.tile([672, 504], (count, 1))),
                sparse=points_of(scene, list(range(count))),
                reprojection_errors=np.full(count, 0.5),
                changes=CameraChanges(np.zeros(count), np.zeros(count), kept),
            )

        true_cameras = SFM_WORLD.apply_to_extrinsics(scene.cameras.world_to_camera)
        monkeypatch.setattr(recon.sfm.structure_from_motion, "structure_from_motion", fake)
        monkeypatch.setattr(recon.sfm.refine_cameras, "refine_cameras", adjust)

    return prepare


def degrees_off(extrinsics: np.ndarray, true: np.ndarray) -> np.ndarray:
    turn = extrinsics[:, :3, :3] @ true[:, :3, :3].swapaxes(1, 2)
    return np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))


def centres(extrinsics: np.ndarray) -> np.ndarray:
    return -np.einsum("nji,nj->ni", extrinsics[:, :3, :3], extrinsics[:, :3, 3])


def test_twelve_photos_of_which_eight_are_found(sfm_places, scene, network, photos, tmp_path: Path) -> None:
    sfm_places(PLACED)
    result = reconstruct(
        network, photos, cameras="auto", options=OPTIONS, export_dir=tmp_path, export_format="npz-mini_npz"
    )
    prediction = result.prediction
    assert len(prediction.depth) == 12
    true = SFM_WORLD.apply_to_extrinsics(scene.cameras.world_to_camera)
    off = degrees_off(prediction.extrinsics, true)
    moved = np.linalg.norm(centres(prediction.extrinsics) - centres(true), axis=1)
    spread = np.linalg.norm(centres(true) - centres(true).mean(axis=0), axis=1).mean()
    others = [index for index in range(12) if index not in PLACED]
    np.testing.assert_allclose(prediction.extrinsics[PLACED], true[PLACED, :3], atol=1e-5)
    assert off[others].max() < 1.25 * DEGREES
    assert moved[others].max() < 1.5 * SHARE * spread
    # Depth of all in the one frame: that of structure from motion.
    small = np.stack(
        [cv2.resize(depth, prediction.depth.shape[:0:-1], interpolation=cv2.INTER_NEAREST) for depth in scene.depth]
    )
    ratio = np.array([np.median(found[t > 0] / t[t > 0]) for found, t in zip(prediction.depth, small, strict=True)])
    np.testing.assert_allclose(ratio, SFM_WORLD.scale, rtol=0.05)

    origins = tuple("sfm" if index in PLACED else "predicted" for index in range(12))
    assert prediction.extrinsics_origins == origins
    images = json.loads((tmp_path / "run.json").read_text())["images"]
    assert tuple(image["camera"]["origin"] for image in images) == origins
    assert load(tmp_path).extrinsics_origins == origins
    (line,) = [message for message in result.warnings if "cannot place" in message]
    assert all(photos[index].name in line for index in others)
    assert "8 photos" in line
    assert prediction.measured_views == list(PLACED)


def test_splats_are_fitted_to_the_photos_that_structure_from_motion_placed(
    sfm_places, network, photos, tmp_path: Path
) -> None:
    sfm_places(PLACED)
    options = replace(OPTIONS, gs_iterations=None, gs_seconds=1.0, gs_splats=500)
    result = reconstruct(network, photos, cameras="auto", options=options, export_dir=tmp_path, export_format="gs_ply")
    assert result.not_optimised is None
    assert result.optimised is not None
    (line,) = [message for message in result.warnings if "fitted without" in message]
    assert all(photos[index].name in line for index in range(12) if index not in PLACED)


def test_predicted_cameras_with_matches_are_adjusted_to_them(sfm_places, scene, network, photos) -> None:
    sfm_places(PLACED, matched=(4, 10))
    result = reconstruct(network, photos, cameras="auto", options=OPTIONS)
    true = SFM_WORLD.apply_to_extrinsics(scene.cameras.world_to_camera)
    off = degrees_off(result.prediction.extrinsics, true)
    assert off[[4, 10]].max() < 0.03
    np.testing.assert_allclose(result.prediction.extrinsics[PLACED], true[PLACED, :3], atol=1e-5)
    assert off[[1, 7]].min() > 0.5
    assert result.prediction.extrinsics_origins == tuple("predicted" if i in (1, 7) else "sfm" for i in range(12))
    (line,) = [message for message in result.warnings if "adjusted" in message]
    assert photos[4].name in line
    assert photos[10].name in line


def test_all_found_are_as_with_sfm(sfm_places, network, photos) -> None:
    sfm_places(list(range(12)))
    by_evidence, by_sfm = (
        reconstruct(network, photos, cameras=cameras, options=OPTIONS).prediction for cameras in ("auto", "sfm")
    )
    np.testing.assert_array_equal(by_evidence.extrinsics, by_sfm.extrinsics)
    assert by_evidence.extrinsics_origin == "sfm"
    assert by_evidence.extrinsics_origins == ()


def of_network(result: Reconstruction, network: MadeUpNetwork) -> bool:
    """Whether the cameras are those that the network predicts, in its world."""
    predicted = np.stack([network.world_to_camera[name] for name in result.prediction.image_names])[:, :3]
    predicted[:, :, 3] *= UNIT
    return result.prediction.extrinsics_origin == "predicted" and np.allclose(
        result.prediction.extrinsics, predicted, atol=1e-5
    )


@pytest.mark.parametrize(("placed", "doubtful", "why"), [([], False, "do not overlap"), (PLACED, True, "doubtful")])
def test_without_cameras_to_be_trusted_there_are_those_of_the_network(
    sfm_places, network, photos, placed: list[int], doubtful: bool, why: str
) -> None:
    sfm_places(placed, doubtful=doubtful)
    result = reconstruct(network, photos, cameras="auto", options=OPTIONS)
    assert of_network(result, network)
    assert any(why in message and "made-up" in message for message in result.warnings)
    with pytest.raises(InputError) if not placed else pytest.MonkeyPatch.context():
        reconstruct(network, photos, cameras="sfm", options=OPTIONS)


def test_the_networks_alone_where_they_are_asked_for(sfm_places, network, photos) -> None:
    sfm_places(PLACED)
    assert of_network(reconstruct(network, photos[:4], cameras="predicted", options=OPTIONS), network)


def test_a_network_that_contradicts_is_not_followed(sfm_places, scene, network, photos) -> None:
    sfm_places(PLACED)
    wrong = camera_noise(scene.cameras.world_to_camera, 70, 1.0, seed=3)
    lost = MadeUpNetwork(network.depth, dict(zip(network.depth, wrong, strict=True)), network.focal, network.errors)
    result = reconstruct(lost, photos, cameras="auto", options=OPTIONS)
    assert len(result.prediction.depth) == 8
    assert any("apart" in message for message in result.warnings)
    assert sum("left out" in message for message in result.warnings) == 4


def test_the_kept_cameras_are_taken_over(sfm_places, network, photos, tmp_path: Path) -> None:
    sfm_places(PLACED)
    given = {"cameras": "auto", "options": OPTIONS, "export_dir": tmp_path, "reuse": True}
    first = reconstruct(network, photos, **given)
    again = reconstruct(network, photos, **given)
    assert again.reused[:5] == ("cameras", "join", "load", "predict", "align")
    np.testing.assert_array_equal(first.prediction.extrinsics, again.prediction.extrinsics)
    assert again.prediction.extrinsics_origins == first.prediction.extrinsics_origins


def test_stereo_sees_with_the_joined_cameras(sfm_places, scene, network, photos) -> None:
    sfm_places([0, 1, 2])
    fused = FusedEstimator(network, (StereoEstimator(StereoOptions(device="cpu")),))
    prediction = reconstruct(fused, photos[:4], cameras="auto", options=OPTIONS).prediction
    assert prediction.extrinsics_origins == ("sfm", "sfm", "sfm", "predicted")
    assert (prediction.made_by_pixel[:3] == 1).mean() > 0.2
    scale = align_cameras(prediction.extrinsics[:3], scene.cameras.world_to_camera[:3]).scale
    assert scale == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize(("cameras", "places"), [("auto", True), ("sfm", True), ("sfm", False)])
def test_metres_of_a_network_count_where_nobody_chose_a_unit(
    sfm_places, scene, network, photos, cameras: str, places: bool
) -> None:
    sfm_places([0, 1, 2, 3])
    metric = replace(network, metric=True, world_to_camera=network.world_to_camera if places else None)
    fused = FusedEstimator(metric, (StereoEstimator(StereoOptions(device="cpu")),))
    prediction = reconstruct(fused, photos[:4], cameras=cameras, options=OPTIONS).prediction
    assert prediction.units == "metric"
    small = np.stack(
        [cv2.resize(depth, prediction.depth.shape[:0:-1], interpolation=cv2.INTER_NEAREST) for depth in scene.depth[:4]]
    )
    ratio = float(np.median(prediction.depth[small > 0] / small[small > 0]))
    assert ratio == pytest.approx(UNIT, rel=0.03)
    scale = align_cameras(prediction.extrinsics, scene.cameras.world_to_camera[:4]).scale
    assert scale == pytest.approx(ratio, rel=5e-3)
    assert prediction.sparse is not None
    extent = [
        np.linalg.norm(sparse.points.std(axis=0)) for sparse in (prediction.sparse, points_of(scene, [0, 1, 2, 3]))
    ]
    assert extent[0] / extent[1] == pytest.approx(scale / SFM_WORLD.scale, rel=1e-4)


def test_what_a_command_takes_when_nothing_is_said(photos) -> None:
    network, mono = (profile_of(load_preset(name)) for name in ("da3-large", "da3mono-large"))
    several, one = open_source(photos[:3]), open_source(photos[:1])
    assert usual_cameras(network, several) == "auto"
    assert usual_cameras(network, one) is None
    assert usual_cameras(network, open_source(SCENE)) is None
    assert usual_cameras(mono, several) == "exif"
    assert usual_cameras(STEREO, several) == "sfm"


def test_what_predicts_no_cameras_cannot_weigh_them(photos) -> None:
    for cameras in ("auto", "predicted"):
        with pytest.raises(InputError, match="predicts none"):
            reconstruct(StereoEstimator(StereoOptions()), photos[:2], cameras=cameras)
