"""The run that finds its cameras in the photos; structure from motion itself is told what to find."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recon.sfm.refine_cameras
import recon.sfm.structure_from_motion
import recon.stereo.multi_view
from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.stereo import StereoEstimator
from recon.geometry.cameras import camera_centres, invert_rigid, to_4x4
from recon.geometry.geodesy import GeoPosition
from recon.geometry.similarity import Similarity
from recon.geometry.sparse_points import SparsePoints
from recon.messages import ReconWarning
from recon.run.find_cameras import known_lenses
from recon.run.given_cameras import GivenCameras
from recon.run.known_distance import marked_place
from recon.run.pipeline import reconstruct
from recon.run.plan import usual_cameras
from recon.sfm.lenses import Lenses
from recon.sfm.result import CameraChanges, SfmResult
from recon.sources.calibrated import CalibratedSource
from recon.sources.open_source import open_source
from recon.sources.photo import Photo
from recon.stereo.multi_view import StereoDepth, StereoOptions
from recon.types.cameras import Cameras
from tests.fake_network import HEIGHT, PREDICTED_INTRINSICS, WIDTH, fake_model, photos, user_cameras
from tests.seeds import numpy_random

OPTIONS = InferenceOptions(process_res=WIDTH)
ORIGINAL_INTRINSICS = np.diag([2.0, 2, 1]) @ PREDICTED_INTRINSICS


def found(names: tuple[str, ...], registered: list[int], **more: Any) -> SfmResult:
    """The true cameras of the photos registered, without distortion."""
    count = len(registered)
    intrinsics = np.tile(ORIGINAL_INTRINSICS, (count, 1, 1))
    result = SfmResult(
        image_names=names,
        registered=np.array(registered),
        cameras=Cameras(user_cameras(len(names))[registered], intrinsics),
        lenses=Lenses(intrinsics, np.zeros((count, 8)), np.tile([2 * WIDTH, 2 * HEIGHT], (count, 1))),
        sparse=SparsePoints(np.zeros((1, 3)), tuple(np.zeros(0, np.intp) for _ in registered)),
        reprojection_errors=np.full(count, 0.5),
    )
    return replace(result, **more)


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch):
    """Function that makes structure from motion find the photos of these indices."""

    def prepare(registered: list[int], **more: Any) -> None:
        def fake(given, options, progress):
            progress("features", 1, len(given))
            return found(tuple(photo.name for photo in given), registered, **more)

        monkeypatch.setattr(recon.sfm.structure_from_motion, "structure_from_motion", fake)

    return prepare


def test_found_cameras_condition_and_align(finds, tmp_path: Path) -> None:
    finds([0, 1, 2])
    model, told = fake_model(), []
    result = reconstruct(
        model,
        photos(3),
        cameras="sfm",
        options=OPTIONS,
        export_dir=tmp_path,
        progress=lambda event: told.append((event.text, event.stages_done, event.stages)),
    )
    assert model.network.calls[0]["extrinsics"] is not None
    assert result.prediction.units == "aligned"
    np.testing.assert_array_equal(result.prediction.extrinsics, user_cameras(3)[:, :3].astype(np.float32))
    np.testing.assert_allclose(result.prediction.intrinsics, np.tile(PREDICTED_INTRINSICS, (3, 1, 1)), rtol=1e-6)
    assert told[:3] == [("cameras", 0, 6), ("cameras: features 1/3", 0, 6), ("load", 1, 6)]
    cameras = json.loads((tmp_path / "run.json").read_text())["cameras"]
    assert (cameras["extrinsics"], cameras["intrinsics"]) == ("sfm", "sfm")
    assert cameras["sfm"]["registered"] == ["0000", "0001", "0002"]


def test_photos_that_do_not_register_are_named_and_left_out(finds, tmp_path: Path) -> None:
    finds([0, 2, 3], other_models=(("0001", "0004"),))
    with pytest.warns(ReconWarning) as warned:
        result = reconstruct(fake_model(), photos(5), cameras="sfm", options=OPTIONS, export_dir=tmp_path)
    said = [str(warning.message) for warning in warned]
    assert any("2 photos form a group apart from the 3 used, and are left out: 0001, 0004" in line for line in said)
    assert any("left out: '0001': its camera could not be found" in line for line in said)
    assert len(result.prediction.depth) == 3
    np.testing.assert_array_equal(result.prediction.extrinsics, user_cameras(5)[[0, 2, 3], :3].astype(np.float32))
    record = json.loads((tmp_path / "run.json").read_text())
    assert [image["name"] for image in record["dropped_images"]] == ["0001", "0004"]


def test_cameras_in_doubt_are_said(finds, tmp_path: Path) -> None:
    finds([0, 1, 2], doubtful=True, assumed_lens=True, reprojection_errors=np.array([0.5, np.nan, 3.5]))
    with pytest.warns(ReconWarning) as warned:
        result = reconstruct(fake_model(), photos(3), cameras="sfm", options=OPTIONS, export_dir=tmp_path)
    for line in ("the focal length is assumed", "the cameras are doubtful: 1 points support them, off by 2.0 pixels"):
        assert any(str(warning.message).startswith(line) for warning in warned)
        assert any(message.startswith(line) for message in result.warnings)
    described = json.loads((tmp_path / "run.json").read_text())["cameras"]["sfm"]
    assert (described["doubtful"], described["assumed_lens"], described["mean_reprojection_error"]) == (True, True, 2)


def test_strict_stops_at_a_photo_that_does_not_register(finds) -> None:
    finds([0, 2])
    with pytest.raises(InputError, match="the cameras of some photos could not be found: 0001"):
        reconstruct(fake_model(), photos(3), cameras="sfm", options=InferenceOptions(process_res=WIDTH, strict=True))


def test_an_iterator_of_photos_is_read_twice(finds) -> None:
    finds([0, 1, 2])
    assert len(reconstruct(fake_model(), iter(photos(3)), cameras="sfm", options=OPTIONS).prediction.depth) == 3


class TestStereo:
    model = StereoEstimator(StereoOptions())

    def test_needs_cameras(self) -> None:
        with pytest.raises(InputError, match=r"multi-view stereo needs cameras.*'sfm'"):
            reconstruct(self.model, photos(2), options=OPTIONS)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"infer_gs": True}, "multi-view stereo has no Gaussian head"),
            ({"use_ray_pose": True}, "multi-view stereo predicts no cameras"),
            ({"export_feat_layers": (3,)}, "multi-view stereo has no encoder"),
        ],
    )
    def test_what_only_networks_do(self, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            reconstruct(self.model, photos(2), options=InferenceOptions(**options))

    def test_views_are_named_and_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fake(images, cameras, sparse, options, progress, names, masks):
            assert names == ("0000", "0001")
            progress("depth", 1, 2)
            depth = np.ones(images.shape[:3], np.float32)
            return StereoDepth(depth, depth, depth > 2, depth > 3)

        monkeypatch.setattr(recon.stereo.multi_view, "multi_view_depth", fake)
        told: list[str] = []
        intrinsics = np.tile(ORIGINAL_INTRINSICS, (2, 1, 1))
        reconstruct(
            self.model,
            photos(2),
            user_cameras(2),
            intrinsics,
            options=OPTIONS,
            progress=lambda event: told.append(event.text),
        )
        assert "predict: depth 1/2" in told

    def test_a_world_too_far_for_float32_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fake(images, *_):
            depth = np.ones(images.shape[:3], np.float32)
            return StereoDepth(depth, depth, depth > 2, depth > 3)

        monkeypatch.setattr(recon.stereo.multi_view, "multi_view_depth", fake)
        far = Similarity(1.0, np.eye(3), np.array([4.5e5, 5.4e6, 100])).apply_to_extrinsics(user_cameras(2))
        with pytest.warns(ReconWarning, match="subtract an offset"):
            reconstruct(self.model, photos(2), far, np.tile(ORIGINAL_INTRINSICS, (2, 1, 1)), options=OPTIONS)


def test_known_intrinsics_are_what_structure_from_motion_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen: dict[str, Any] = {}

    def fake(given, options, progress):
        seen.update(photos=given, options=options)
        return found(tuple(photo.name for photo in given), [0, 1, 2])

    monkeypatch.setattr(recon.sfm.structure_from_motion, "structure_from_motion", fake)
    fx, fy, cx, cy = ORIGINAL_INTRINSICS[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    text = f"{fx},{fy},{cx},{cy},0.01,0,0,0"
    reconstruct(fake_model(), photos(3), intrinsics=text, cameras="sfm", options=OPTIONS)
    for photo in seen["photos"]:
        np.testing.assert_allclose(photo.intrinsics, ORIGINAL_INTRINSICS)
        assert photo.distortion.tolist() == [0.01, 0, 0, 0, 0, 0, 0, 0]
    assert not seen["options"].refine_intrinsics
    refining = replace(OPTIONS, refine_intrinsics=True)
    each = np.tile(ORIGINAL_INTRINSICS, (3, 1, 1))
    reconstruct(fake_model(), photos(3), intrinsics=each, cameras="sfm", options=refining)
    assert seen["photos"][2].distortion is None
    assert seen["options"].refine_intrinsics


def test_intrinsics_to_refine_are_wanted():
    refining = replace(OPTIONS, refine_intrinsics=True)
    with pytest.raises(InputError, match=r"refine_intrinsics .* give --intrinsics"):
        reconstruct(fake_model(), photos(3), cameras="sfm", options=refining)
    with pytest.raises(InputError, match=r"refine_intrinsics .* cameras 'sfm'"):
        reconstruct(fake_model(), photos(3), options=refining)


def test_intrinsics_of_another_size_are_refused():
    larger = np.diag([2.5, 2.5, 1]) @ ORIGINAL_INTRINSICS
    with pytest.raises(InputError, match=r"intrinsics of '0000'.*lies outside the photo.*give "):
        reconstruct(fake_model(), photos(3), intrinsics=np.tile(larger, (3, 1, 1)), cameras="sfm", options=OPTIONS)


def test_given_cameras_are_refined_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen: dict[str, Any] = {}
    turned = user_cameras(3).copy()
    turned[:, :3, 3] += 0.25

    def fake(given, poses, options, progress, scale):
        seen.update(photos=given, poses=poses, scale=scale)
        result = found(tuple(photo.name for photo in given), [0, 1, 2], scale=scale)
        changes = CameraChanges(np.full(3, 0.5), np.full(3, 0.25))
        return replace(result, cameras=replace(result.cameras, world_to_camera=turned), changes=changes)

    monkeypatch.setattr(recon.sfm.refine_cameras, "refine_cameras", fake)
    asked = replace(OPTIONS, refine_cameras=True)
    each = np.tile(ORIGINAL_INTRINSICS, (3, 1, 1))

    def run(**more: Any) -> Any:
        return reconstruct(
            fake_model(), photos(3), user_cameras(3), each, options=asked, export_dir=tmp_path, export_format="npz"
        )

    result = run()
    np.testing.assert_array_equal(seen["poses"], user_cameras(3))
    np.testing.assert_allclose(seen["photos"][1].intrinsics, ORIGINAL_INTRINSICS)
    np.testing.assert_array_equal(result.prediction.extrinsics, turned[:, :3].astype(np.float32))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["cameras"]["sfm"]["changes"]["distances"] == [0.25] * 3
    assert record["seconds"]["cameras"] >= 0
    monkeypatch.setattr(recon.sfm.refine_cameras, "refine_cameras", None)  # what was kept is taken over
    assert "cameras" in run().reused


def test_cameras_to_refine_are_wanted():
    asked = replace(OPTIONS, refine_cameras=True)
    with pytest.raises(InputError, match=r"refine_cameras .*cameras 'sfm' finds"):
        reconstruct(fake_model(), photos(3), options=asked)
    with pytest.raises(InputError, match="refine_cameras is for cameras that are given, not for cameras 'sfm'"):
        reconstruct(fake_model(), photos(3), cameras="sfm", options=asked)


class TestGps:
    """Six photos, whose cameras are found in a frame of their own: 100 m to its unit, turned."""

    to_metres = Similarity(100.0, np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([-1000.0, -800.0, 20.0]))

    def photos(self, elsewhere: int | None = None, located: int = 6, nearer: float = 1.0) -> list[Photo]:
        places = self.to_metres.apply(camera_centres(user_cameras(6))) * nearer
        if nearer < 1:
            places += numpy_random(3).normal(scale=2.0, size=places.shape)
        degrees = places[:, 1::-1] / [111_268.0, 67_902.0] + [52.5, 13.4]  # metres to a degree at 52.5° north
        if elsewhere is not None:
            degrees[elsewhere, 1] += 1
        found = [GeoPosition(*place, height) for place, height in zip(degrees.tolist(), places[:, 2], strict=True)]
        positions = [*found[:located], *[None] * (6 - located)]
        return [
            Photo(f"{n}.jpg", pixels, gps=gps) for n, (pixels, gps) in enumerate(zip(photos(6), positions, strict=True))
        ]

    def test_the_result_is_in_metres_east_north_and_up(self, finds, tmp_path: Path) -> None:
        finds(list(range(6)))
        with pytest.warns(ReconWarning, match=r"up to 68 km from .*left out: 4\.jpg"):
            result = reconstruct(fake_model(), self.photos(4), cameras="sfm", options=OPTIONS, export_dir=tmp_path)
        assert result.prediction.units == "metric"
        truth = self.to_metres.apply(camera_centres(user_cameras(6)))
        centres = camera_centres(result.prediction.extrinsics.astype(np.float64))
        np.testing.assert_allclose(centres - centres[0], truth - truth[0], atol=0.5)  # of 800 m
        free = reconstruct(fake_model(), photos(6), extrinsics=user_cameras(6), options=OPTIONS).prediction
        np.testing.assert_allclose(result.prediction.depth, 100 * free.depth, rtol=1e-3)
        record = json.loads((tmp_path / "run.json").read_text())
        said = record["cameras"]["sfm"]["georeference"]
        assert (record["units"], said["frame"], said["left_out"]) == ("metric", "east-north-up", ["4.jpg"])
        assert said["scale"] == pytest.approx(100, rel=1e-3)
        assert [one["used"] for one in said["residuals"]] == [True, True, True, True, False, True]
        assert max(one["metres"] for one in said["residuals"] if one["used"]) < 0.5
        assert said["origin"]["latitude"] == pytest.approx(52.5, abs=0.01)
        assert result.georeference is not None
        assert "GPS of 5 of 6 photos; x is east, y north, z up of 52.5" in result.georeference.text

    def test_off_leaves_frame_and_scale_free(self, finds, tmp_path: Path) -> None:
        finds(list(range(6)))
        asked = replace(OPTIONS, gps="off")
        result = reconstruct(fake_model(), self.photos(), cameras="sfm", options=asked, export_dir=tmp_path)
        assert (result.prediction.units, result.georeference) == ("aligned", None)
        again = reconstruct(fake_model(), self.photos(), cameras="sfm", options=OPTIONS, export_dir=tmp_path)
        assert again.prediction.units == "metric"
        kept = reconstruct(fake_model(), self.photos(), cameras="sfm", options=OPTIONS, export_dir=tmp_path)
        assert "cameras" in kept.reused
        assert kept.georeference is not None
        assert kept.georeference.entry == again.georeference.entry

    @pytest.mark.filterwarnings("error")
    def test_photos_within_the_error_of_gps_are_said_to_be_without_a_warning(self, finds) -> None:
        finds(list(range(6)))
        result = reconstruct(fake_model(), self.photos(nearer=1e-3), cameras="sfm", options=OPTIONS)
        assert result.prediction.units == "aligned"
        assert result.georeference is not None
        assert "GPS leaves the unit of length free: its 6 positions" in result.georeference.text
        assert "exact to some 3 m" in result.georeference.text

    def test_two_positions_are_said_to_be_too_few(self, finds) -> None:
        finds(list(range(6)))
        with pytest.warns(ReconWarning, match="GPS does not tell the scale: 2 of 6 photos have a position"):
            result = reconstruct(fake_model(), self.photos(located=2), cameras="sfm", options=OPTIONS)
        assert result.prediction.units == "aligned"
        np.testing.assert_array_equal(result.prediction.extrinsics, user_cameras(6)[:, :3].astype(np.float32))


def test_stereo_finds_cameras_where_intrinsics_alone_are_known():
    stereo, network = StereoEstimator(StereoOptions()).profile, fake_model().profile
    pictures = open_source(photos(2))
    assert usual_cameras(stereo, pictures, intrinsics_given=True) == "sfm"
    assert usual_cameras(network, pictures, intrinsics_given=True) is None
    lens = Cameras(intrinsics=np.tile(ORIGINAL_INTRINSICS, (2, 1, 1)))
    calibrated = CalibratedSource(pictures, (0, 1), lens)
    assert usual_cameras(stereo, calibrated) == "sfm"
    assert known_lenses(calibrated, GivenCameras(source="sfm")) is lens
    placed = CalibratedSource(pictures, (0, 1), replace(lens, world_to_camera=user_cameras(2)))
    assert usual_cameras(stereo, placed) is None
    assert known_lenses(placed, GivenCameras(source="sfm")) is None


class TestKnownDistance:
    def run(self, first: str, second: str, metres: float, **more: Any) -> Any:
        asked = replace(OPTIONS, known_distance=(first, second, metres))
        return reconstruct(fake_model(), photos(3), cameras="sfm", options=asked, **more)

    def test_a_distance_within_a_photo_brings_everything_to_metres(self, finds, tmp_path: Path) -> None:
        finds([0, 1, 2])
        free = reconstruct(fake_model(), photos(3), cameras="sfm", options=OPTIONS).prediction
        apart = free.depth[0, 0, 0] * 60 / ORIGINAL_INTRINSICS[0, 0]  # the wall is parallel to the photo
        result = self.run("0000:40,50", "0000:100,50", 7 * float(apart), export_dir=tmp_path)
        assert (free.units, result.prediction.units) == ("aligned", "metric")
        np.testing.assert_allclose(result.prediction.depth, 7 * free.depth, rtol=1e-5)
        centres = camera_centres(result.prediction.extrinsics)
        np.testing.assert_allclose(centres, 7 * camera_centres(free.extrinsics), rtol=1e-4)
        record = json.loads((tmp_path / "run.json").read_text())
        assert record["units"] == "metric"
        assert record["known_distance"]["scale"] == pytest.approx(7, rel=1e-5)

    def test_points_of_two_photos_are_measured_through_their_lenses(self, finds) -> None:
        bent = np.tile([-0.2, 0.05, 0, 0, 0, 0, 0, 0], (3, 1))
        intrinsics = np.tile(ORIGINAL_INTRINSICS, (3, 1, 1))
        finds([0, 1, 2], lenses=Lenses(intrinsics, bent, np.tile([2 * WIDTH, 2 * HEIGHT], (3, 1))))
        free = reconstruct(fake_model(), photos(3), cameras="sfm", options=OPTIONS).prediction
        places = []
        for view, ray in ((0, np.array([-0.3, 0.2, 1])), (2, np.array([0.25, -0.3, 1]))):
            world = invert_rigid(to_4x4(free.extrinsics[view].astype(np.float64)))
            places.append(world[:3, :3] @ (free.depth[view, 0, 0] * ray) + world[:3, 3])
        apart = float(np.linalg.norm(places[0] - places[1]))
        pixels = []
        for ray in (np.array([-0.3, 0.2]), np.array([0.25, -0.3])):
            square = float(ray @ ray)
            bent_ray = ray * (1 - 0.2 * square + 0.05 * square**2)
            pixels.append(ORIGINAL_INTRINSICS[[0, 1], [0, 1]] * bent_ray + ORIGINAL_INTRINSICS[:2, 2])
        first, second = (f"{n}:{x:.6f},{y:.6f}" for n, (x, y) in zip(("0000", "0002"), pixels, strict=True))
        result = self.run(first, second, 3 * apart)
        np.testing.assert_allclose(result.prediction.depth, 3 * free.depth, rtol=1e-4)

    @pytest.mark.parametrize(
        ("first", "second", "metres", "message"),
        [
            ("0000:40,50", "house.jpg:1,2", 1.0, "no photo 'house.jpg'"),
            ("0000:40,50", "0001:400,50", 1.0, "0001:400,50 is outside the photo, which has 140×112"),
            ("0000:40,50", "0000:40,50", 1.0, "mark two that are apart"),
            ("0000:40,50", "0001:40,50", 0.0, "known_distance must be more than 0 metres"),
            ("0000:40;50", "0001:40,50", 1.0, "NAME:X,Y .*not '0000:40;50'"),
        ],
    )
    def test_what_cannot_be_measured_is_named(
        self, finds, first: str, second: str, metres: float, message: str
    ) -> None:
        finds([0, 1, 2])
        with pytest.raises(InputError, match=message):
            self.run(first, second, metres)

    def test_a_point_without_depth_is_named(self, finds) -> None:
        finds([0, 1, 2])
        prediction = reconstruct(fake_model(), photos(3), cameras="sfm", options=OPTIONS).prediction
        depth = prediction.depth.copy()
        depth[1, 25, 20] = 0
        beside = marked_place(replace(prediction, depth=depth), "0001:41,51")  # whose neighbours have some
        np.testing.assert_allclose(beside, marked_place(prediction, "0001:41,51"), rtol=1e-5)
        depth[1, 23:28, 18:23] = 0
        with pytest.raises(InputError, match="there is no depth at 0001:41,51"):
            marked_place(replace(prediction, depth=depth), "0001:41,51")

    def test_a_scale_that_is_known_is_not_changed(self) -> None:
        asked = replace(OPTIONS, known_distance=("0000:40,50", "0001:40,50", 2.0))
        with pytest.raises(InputError, match="known_distance is for a scale that is free"):
            reconstruct(fake_model(), photos(3), extrinsics=user_cameras(3), options=asked)
