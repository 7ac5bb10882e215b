from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.measured import MeasuredDepth
from recon.estimate.network import NetworkEstimator
from recon.export import EXPORTERS, read_npz
from recon.geometry.cameras import camera_centres, invert_rigid, normalise_extrinsics
from recon.geometry.quaternions import to_matrix
from recon.geometry.unprojection import unproject_depth
from recon.messages import ReconWarning
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord, ready_model
from recon.run.given_cameras import GivenCameras
from recon.run.pipeline import reconstruct
from recon.run.plan import plan_run
from recon.sources.cameras_file import write_cameras
from recon.types import Prediction
from tests.fake_network import (
    HEIGHT,
    PREDICTED_INTRINSICS,
    USER_WORLD,
    WALL,
    WIDTH,
    fake_model,
    network_cameras,
    photos,
    user_cameras,
)
from tests.known_cameras import cameras_of

SMALL = InferenceOptions(process_res=WIDTH)
ORIGINAL_INTRINSICS = np.array([[122.0, 0, 68], [0, 124.0, 57], [0, 0, 1]])
"""Of photos of twice the processed size."""
PROCESSED_INTRINSICS = np.array([[61.0, 0, 34], [0, 62.0, 28.5], [0, 0, 1]])


def original_intrinsics(count: int) -> np.ndarray:
    return np.tile(ORIGINAL_INTRINSICS, (count, 1, 1))


def small(**options: object) -> InferenceOptions:
    return InferenceOptions(process_res=WIDTH, **options)


def wall_distances(prediction: Prediction) -> np.ndarray:
    """How far each unprojected point is from the wall, measured in the user's world."""
    points = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics)
    in_network_world = USER_WORLD.inverse().apply(points.astype(np.float64))
    return np.abs(in_network_world[..., 2] - WALL)


class TestCamerasIn:
    def test_none_gives_the_predicted_ones(self) -> None:
        model = fake_model()
        prediction = reconstruct(model, photos(3), options=SMALL).prediction
        assert prediction.depth.shape == (3, HEIGHT, WIDTH)
        assert prediction.units == "relative"
        assert prediction.ref_view == 1
        assert prediction.scale_factor is None
        assert prediction.image_names == ("0000", "0001", "0002")
        np.testing.assert_allclose(prediction.extrinsics, network_cameras(3)[:, :3], atol=1e-6)
        np.testing.assert_allclose(prediction.intrinsics[0], PREDICTED_INTRINSICS, rtol=1e-6)
        np.testing.assert_array_equal(prediction.original_sizes, [[140, 112]] * 3)
        assert model.network.calls[0]["extrinsics"] is None

    def test_both_are_returned_exactly_and_depth_takes_their_scale(self) -> None:
        model = fake_model()
        given = user_cameras(4)
        prediction = reconstruct(model, photos(4), given, original_intrinsics(4), options=SMALL).prediction
        assert prediction.units == "aligned"
        np.testing.assert_array_equal(prediction.extrinsics, given[:, :3].astype(np.float32))
        np.testing.assert_allclose(prediction.intrinsics, [PROCESSED_INTRINSICS] * 4, rtol=1e-6)
        assert prediction.scale_factor == pytest.approx(2.5, rel=1e-5)
        np.testing.assert_allclose(prediction.depth[0], 2.5 * WALL, rtol=1e-5)
        assert wall_distances(prediction).max() < 1e-4
        assert prediction.ref_view is None

    def test_the_network_gets_normalised_extrinsics_and_processed_intrinsics(self) -> None:
        model = fake_model()
        reconstruct(model, photos(3), user_cameras(3)[:, :3], original_intrinsics(3), options=SMALL)
        (call,) = model.network.calls
        np.testing.assert_allclose(call["extrinsics"][0], normalise_extrinsics(user_cameras(3)), atol=1e-6)
        np.testing.assert_allclose(call["intrinsics"][0], [PROCESSED_INTRINSICS] * 3, rtol=1e-6)
        assert call["images"].shape == (1, 3, 3, HEIGHT, WIDTH)

    def test_without_alignment_they_move_to_the_predicted_frame(self) -> None:
        options = small(align_to_input_ext_scale=False)
        cameras = user_cameras(4), original_intrinsics(4)
        prediction = reconstruct(fake_model(), photos(4), *cameras, options=options).prediction
        assert prediction.units == "relative"
        assert prediction.scale_factor is None
        np.testing.assert_allclose(prediction.extrinsics, network_cameras(4)[:, :3], atol=1e-5)
        np.testing.assert_allclose(prediction.depth[0], WALL)

    def test_intrinsics_alone_are_returned_and_the_network_runs_without_cameras(self) -> None:
        model = fake_model()
        prediction = reconstruct(model, photos(2), intrinsics=original_intrinsics(2), options=SMALL).prediction
        (call,) = model.network.calls
        assert call["extrinsics"] is None
        assert call["intrinsics"] is None
        np.testing.assert_array_equal(prediction.intrinsics, np.array([PROCESSED_INTRINSICS] * 2, np.float32))
        assert prediction.units == "relative"

    def test_extrinsics_alone_are_joined_by_predicted_intrinsics(self) -> None:
        model = fake_model("da3-giant")
        options = small(infer_gs=True, export_feat_layers=(3,))
        prediction = reconstruct(model, photos(3), user_cameras(3), options=options).prediction
        first, second = model.network.calls
        assert first["extrinsics"] is None
        assert not first["infer_gs"]
        assert first["feature_layers"] == ()
        np.testing.assert_allclose(second["intrinsics"][0], [PREDICTED_INTRINSICS] * 3, rtol=1e-6)
        np.testing.assert_allclose(prediction.intrinsics, [PREDICTED_INTRINSICS] * 3, rtol=1e-6)
        np.testing.assert_array_equal(prediction.extrinsics, user_cameras(3)[:, :3].astype(np.float32))
        assert prediction.aux["feat_layer_3"].shape == (3, 4, 5, 8)

    @pytest.mark.parametrize("to_input", [True, False])
    def test_one_view_leaves_the_scale_undetermined(self, to_input: bool) -> None:
        given = user_cameras(1)
        with pytest.warns(ReconWarning, match="scale between the given cameras and the prediction is undetermined"):
            prediction = reconstruct(
                fake_model(), photos(1), given, original_intrinsics(1), options=small(align_to_input_ext_scale=to_input)
            ).prediction
        assert prediction.units == "relative"
        assert prediction.scale_factor is None
        np.testing.assert_allclose(prediction.depth, WALL)
        expected = given if to_input else network_cameras(1)
        np.testing.assert_allclose(prediction.extrinsics, expected[:, :3], atol=1e-6)

    def test_coincident_cameras_leave_the_scale_undetermined(self) -> None:
        given = np.repeat(user_cameras(1), 3, axis=0)
        with pytest.warns(ReconWarning, match="the cameras coincide"):
            prediction = reconstruct(fake_model(), photos(3), given, original_intrinsics(3), options=SMALL).prediction
        assert prediction.units == "relative"
        np.testing.assert_array_equal(prediction.extrinsics, given[:, :3].astype(np.float32))

    def test_gaussians_move_with_the_cameras(self) -> None:
        cameras = user_cameras(4), original_intrinsics(4)
        prediction = reconstruct(fake_model("da3-giant"), photos(4), *cameras, options=small(infer_gs=True)).prediction
        # The fake network puts the Gaussians of all pixels at the camera's centre.
        means = prediction.gaussians.means.reshape(4, -1, 3)
        np.testing.assert_allclose(
            means, np.broadcast_to(camera_centres(user_cameras(4))[:, None], means.shape), atol=1e-4
        )
        # They are as wide as the pixels, which are those of the given intrinsics.
        linear = np.linalg.inv(PROCESSED_INTRINSICS) @ PREDICTED_INTRINSICS
        expected = 0.25 * np.sqrt(np.linalg.eigvalsh(linear @ linear.T))
        np.testing.assert_allclose(prediction.gaussians.scales / expected, 1, rtol=1e-5)
        assert prediction.aux["gaussians"] is prediction.gaussians

    def test_camera_to_world_is_noticed(self) -> None:
        angles = np.linspace(0, np.pi, 6)
        cameras = np.tile(np.eye(4), (6, 1, 1))
        for camera, a in zip(cameras, angles, strict=True):
            camera[:3, :3] = [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
            camera[:3, 3] = camera[:3, :3] @ [2.0, 1.0, 3.0] + [0, 0, 4]
        with pytest.warns(ReconWarning, match="camera-to-world"):
            reconstruct(fake_model(), photos(6), invert_rigid(cameras), original_intrinsics(6), options=SMALL)

    @pytest.mark.parametrize(
        ("extrinsics", "intrinsics", "message"),
        [
            (user_cameras(3), None, "extrinsics must hold one matrix per image: 3 given for 2"),
            (None, original_intrinsics(3), "intrinsics must hold one matrix per image"),
            (user_cameras(2) * np.nan, None, r"extrinsics\[0\] must be finite"),
            (2 * user_cameras(2), None, r"extrinsics\[0\]"),
            (np.zeros((2, 5, 4)), None, "extrinsics must have shape"),
            (None, -original_intrinsics(2), r"intrinsics\[0\]"),
        ],
    )
    def test_wrong_ones_are_refused(self, extrinsics: object, intrinsics: object, message: str) -> None:
        model = fake_model()
        with pytest.raises(InputError, match=message):
            reconstruct(model, photos(2), extrinsics, intrinsics, options=SMALL)
        assert not model.network.calls

    def test_a_file_of_cameras(self, tmp_path: Path) -> None:
        names = ["0000", "0001", "0002"]
        path = tmp_path / "cameras.json"
        write_cameras(path, names, cameras_of([[140, 112]] * 3, user_cameras(3), original_intrinsics(3)))
        prediction = reconstruct(fake_model(), photos(3), cameras=path, options=SMALL).prediction
        np.testing.assert_array_equal(prediction.extrinsics, user_cameras(3)[:, :3].astype(np.float32))
        assert prediction.units == "aligned"
        with pytest.raises(InputError, match="not both"):
            reconstruct(fake_model(), photos(3), user_cameras(3), cameras=path, options=SMALL)

    def test_cameras_of_a_photo_left_out_are_left_out(self, tmp_path: Path) -> None:
        for index, pixels in enumerate(photos(4)):
            Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        (tmp_path / "1.png").write_bytes(b"")
        model = fake_model()
        with pytest.warns(ReconWarning, match=r"left out.*1\.png"):
            result = reconstruct(
                model, tmp_path, user_cameras(4), original_intrinsics(4), options=SMALL, export_dir=tmp_path / "out"
            )
        assert result.prediction.image_names == ("0.png", "2.png", "3.png")
        expected = user_cameras(4)[[0, 2, 3], :3].astype(np.float32)
        np.testing.assert_array_equal(result.prediction.extrinsics, expected)
        record = json.loads(result.record_path.read_text())
        assert [dropped["name"] for dropped in record["dropped_images"]] == ["1.png"]
        assert "empty" in record["dropped_images"][0]["reason"]
        with pytest.raises(InputError, match=r"1\.png"):
            reconstruct(model, tmp_path, options=small(strict=True))


class TestMetricScale:
    def test_nested_is_in_metres(self) -> None:
        model = fake_model("da3nested-giant-large", metric=3.0, with_sky=True)
        prediction = reconstruct(model, photos(3), options=SMALL).prediction
        assert prediction.units == "metric"
        assert prediction.is_metric
        assert prediction.scale_factor == 3.0
        assert prediction.sky[:, : HEIGHT // 2].all()
        assert not prediction.sky[:, HEIGHT // 2 :].any()

    def test_nested_takes_the_scale_of_given_cameras(self) -> None:
        cameras = user_cameras(4), original_intrinsics(4)
        aligned = reconstruct(
            fake_model("da3nested-giant-large", metric=3.0), photos(4), *cameras, options=SMALL
        ).prediction
        assert aligned.units == "aligned"
        assert aligned.scale_factor == pytest.approx(2.5, rel=1e-5)
        assert wall_distances(aligned).max() < 1e-4
        kept = reconstruct(
            fake_model("da3nested-giant-large", metric=3.0),
            photos(4),
            *cameras,
            options=small(align_to_input_ext_scale=False),
        ).prediction
        assert kept.units == "metric"
        np.testing.assert_allclose(kept.depth[0], 3 * WALL)

    def test_single_view_metric_needs_intrinsics(self) -> None:
        model = fake_model("da3metric-large", with_cameras=False, with_sky=True)
        with pytest.warns(ReconWarning, match="metres only with a focal length"):
            relative = reconstruct(model, photos(2), options=SMALL).prediction
        assert relative.units == "relative"
        assert relative.conf is None
        assert relative.extrinsics is None
        metric = reconstruct(model, photos(2), intrinsics=original_intrinsics(2), options=SMALL).prediction
        assert metric.units == "metric"
        np.testing.assert_allclose(metric.depth, relative.depth * (61 + 62) / 2 / 300, rtol=1e-6)
        assert metric.scale_factor == pytest.approx(61.5 / 300)
        np.testing.assert_allclose(metric.intrinsics, [PROCESSED_INTRINSICS] * 2, rtol=1e-6)

    def test_different_focal_lengths_have_no_common_factor(self) -> None:
        intrinsics = original_intrinsics(2)
        intrinsics[1, :2, :2] *= 2
        model = fake_model("da3metric-large", with_cameras=False)
        prediction = reconstruct(model, photos(2), intrinsics=intrinsics, options=SMALL).prediction
        np.testing.assert_allclose(prediction.depth[1], (WALL - 0.05) * 2 * 61.5 / 300, rtol=1e-6)
        assert prediction.scale_factor is None

    def test_mono_passes_cameras_on(self) -> None:
        model = fake_model("da3mono-large", with_cameras=False)
        with pytest.warns(ReconWarning, match="looks at each view alone"):
            prediction = reconstruct(
                model, photos(2), user_cameras(2), original_intrinsics(2), options=SMALL
            ).prediction
        assert prediction.units == "relative"
        np.testing.assert_array_equal(prediction.extrinsics, user_cameras(2)[:, :3].astype(np.float32))
        assert model.network.calls[0]["extrinsics"] is None


class TestRefusedBeforeTheNetworkRuns:
    @pytest.mark.parametrize(
        ("preset", "options", "message"),
        [
            ("da3-small", {"infer_gs": True}, "da3-small has no Gaussian head"),
            ("da3mono-large", {"use_ray_pose": True}, "da3mono-large predicts no cameras"),
            ("da3-small", {"export_feat_layers": (12,)}, "da3-small has blocks 0 to 11, not 12"),
        ],
    )
    def test_what_a_preset_cannot_do(self, preset: str, options: dict, message: str, tmp_path: Path) -> None:
        self._refused(fake_model(preset), message, tmp_path, options=small(**options))

    @pytest.mark.parametrize(
        ("export", "message"),
        [
            ({"export_format": "glb-gltf"}, "unknown export format 'gltf'"),
            ({"export_format": "mesh", "export_kwargs": {"mesh": {"texture": True}}}, "mesh.format=glb"),
            ({"export_format": "feat_vis"}, "feat_vis needs the features of export_feat_layers"),
            ({"export_kwargs": {"glb": {"colour": 1}}}, "unknown option 'colour'"),
            ({"export_kwargs": {"gl": {}}}, "unknown export format 'gl'"),
            ({"export_kwargs": {"glb": 3}}, "must map options to values"),
        ],
    )
    def test_exports(self, export: dict, message: str, tmp_path: Path) -> None:
        self._refused(fake_model(), message, tmp_path, **export)

    def test_a_place_that_cannot_be_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        self._refused(fake_model(), "is not a folder", tmp_path, export_dir=tmp_path / "file" / "out")

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
    def test_a_read_only_place(self, tmp_path: Path) -> None:
        self._refused(fake_model(), "cannot write to", tmp_path, export_dir=Path("/proc/self/out"))

    def test_formats_the_prediction_has_no_cameras_for(self, tmp_path: Path) -> None:
        model = fake_model("da3mono-large", with_cameras=False)
        with pytest.raises(
            InputError, match=r"glb of 2 views need their cameras: `--cameras sfm`.*export mini_npz only"
        ):
            reconstruct(model, photos(2), options=SMALL, export_dir=tmp_path / "out", export_format="mini_npz-glb")
        assert not (tmp_path / "out").exists()
        assert model.network.calls == []

    def test_a_video_from_cameras_with_skew(self, tmp_path: Path) -> None:
        intrinsics = np.tile([[140.0, 3, 70], [0, 140, 56], [0, 0, 1]], (3, 1, 1))
        model, wish = fake_model(), {"options": SMALL, "export_dir": tmp_path / "out"}
        with pytest.raises(InputError, match=r"gs_video: splats are rendered without skew"):
            reconstruct(model, photos(3), user_cameras(3), intrinsics, export_format="mini_npz-gs_video", **wish)
        assert not (tmp_path / "out").exists()
        assert model.network.calls == []

    def test_bad_cameras_name_their_file(self, tmp_path: Path) -> None:
        path = tmp_path / "cameras.npz"
        np.savez(path, extrinsics=np.full((2, 4, 4), np.nan))
        with pytest.raises(InputError, match=r"cameras\.npz.*extrinsics\[0\].*0000, 0001"):
            reconstruct(fake_model(), photos(2), cameras=path, options=SMALL)

    def test_results_into_the_folder_of_the_photos(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            Image.fromarray(photos(1)[0]).save(tmp_path / name)
        Image.fromarray(photos(1)[0]).save(tmp_path / "b.png")
        for source in (tmp_path, tmp_path / "a.png", [tmp_path / "a.png", tmp_path / "b.png"]):
            with pytest.raises(InputError, match="cannot go into the folder of the photos"):
                reconstruct(fake_model(), source, options=SMALL, export_dir=tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda p: (p / "clip.MP4").write_bytes(b"x") and p / "clip.MP4", "a video"),
            (lambda p: (p / "transforms.json").write_text("{}") and p / "transforms.json", "--cameras"),
            (lambda p: (p / "images.bin").write_bytes(b"x") and p, "COLMAP"),
            (lambda p: p, "holds no images"),
            (lambda p: p / "absent.jpg", "does not exist"),
        ],
    )
    def test_inputs_that_are_no_photos(self, make: object, message: str, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        model = fake_model()
        for source in (make(folder), [make(folder), photos(1)[0]]):
            with pytest.raises(InputError, match=message):
                reconstruct(model, source, options=SMALL)
        assert not model.network.calls

    def test_mixed_sizes(self) -> None:
        mixed = [*photos(1), np.zeros((140, 112, 3), np.uint8)]
        model = fake_model()
        with pytest.raises(InputError, match="mixed sizes"):
            reconstruct(model, mixed, options=small(mixed_sizes="error"))
        assert not model.network.calls

    @pytest.mark.parametrize(
        ("package", "export", "extra"),
        [
            ("gsply", {"export_format": "spz"}, r"recon\[spz\]"),
            (
                "xatlas",
                {"export_format": "mesh", "export_kwargs": {"mesh": {"texture": True, "format": "glb"}}},
                r"recon\[mesh\]",
            ),
            (
                "fast_simplification",
                {"export_format": "glb-mesh", "export_kwargs": {"mesh": {"triangles": 9}}},
                r"recon\[mesh\]",
            ),
        ],
    )
    def test_packages_of_formats_that_are_missing(
        self, package: str, export: dict, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        self._refused(fake_model(), extra, tmp_path, **export)

    def test_depth_that_the_input_does_not_bring(self) -> None:
        with pytest.raises(InputError, match="the input brings no depth"):
            plan_run(MeasuredDepth().profile, photos(2), GivenCameras(source="sfm"), SMALL, None, "glb", None)

    def test_a_word_for_cameras_with_a_slip(self, tmp_path: Path) -> None:
        self._refused(fake_model(), "'smf'; did you mean 'sfm'", tmp_path, cameras="smf")

    @staticmethod
    def _refused(model: NetworkEstimator, message: str, tmp_path: Path, **arguments: object) -> None:
        before = sorted(tmp_path.rglob("*"))
        arguments = {"options": SMALL, "export_dir": tmp_path / "out", **arguments}
        with pytest.raises(InputError, match=message):
            reconstruct(model, photos(2), **arguments)
        assert not model.network.calls
        assert sorted(tmp_path.rglob("*")) == before


class TestFiles:
    def test_nothing_is_written_unless_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = reconstruct(fake_model(), photos(1), options=SMALL)
        assert result.record_path is None
        assert not result.exported
        assert list(tmp_path.iterdir()) == []

    def test_run_json(self, tmp_path: Path) -> None:
        result = reconstruct(
            fake_model(), photos(3), options=SMALL, export_dir=tmp_path, export_format="mini_npz-ply", settings={"a": 1}
        )
        record = json.loads((tmp_path / "run.json").read_text(), parse_constant=_no_constants)
        assert list(record) == [
            *("state", "versions", "model", "settings", "units", "scale_factor", "ref_view", "gaussians", "quality"),
            *(
                "cameras",
                "images",
                "cleaning",
                "optimised",
                "not_optimised",
                "dropped_images",
                "warnings",
                "seconds",
                "reused",
                "result",
            ),
            "exports",
        ]
        assert record["state"] == "done"
        assert record["model"]["preset"] == "da3-small"
        assert record["model"]["weights"]["source"] == "random"
        assert record["settings"]["process_res"] == WIDTH
        assert record["settings"]["a"] == 1
        assert record["ref_view"] == 1
        assert record["cameras"] == {"extrinsics": "predicted", "intrinsics": "predicted"}
        assert [image["original_size"] for image in record["images"]] == [[140, 112]] * 3
        np.testing.assert_allclose(record["images"][0]["processed_to_original"], np.diag([2, 2, 1]))
        assert list(record["exports"]) == ["mini_npz", "ply"]
        for export in record["exports"].values():
            for file in export["files"]:
                assert (tmp_path / file["path"]).stat().st_size == file["bytes"]
        assert set(result.seconds) == {"load", "predict", "align", "clean", "export mini_npz", "export ply"}

    def test_numbers_that_are_none_are_null(self, tmp_path: Path) -> None:
        from recon.run.record import write_record

        path = write_record(
            tmp_path, {"a": np.float32("nan"), "b": [np.inf, np.int64(3)], "c": np.eye(2), "d": tmp_path}
        )
        assert json.loads(path.read_text(), parse_constant=_no_constants) == {
            "a": None,
            "b": [None, 3],
            "c": [[1.0, 0.0], [0.0, 1.0]],
            "d": str(tmp_path),
        }

    def test_options_reach_the_formats_and_do_not_outlive_the_call(self, tmp_path: Path) -> None:
        formats = {"export_format": "glb-ply", "options": small(num_max_points=500)}
        overrides = {"glb": {"num_max_points": 200}}
        first = reconstruct(fake_model(), photos(2), export_dir=tmp_path / "a", export_kwargs=overrides, **formats)
        second = reconstruct(fake_model(), photos(2), export_dir=tmp_path / "b", **formats)
        assert [first.exported[name].details["points"] for name in ("glb", "ply")] == [200, 500]
        assert [second.exported[name].details["points"] for name in ("glb", "ply")] == [500, 500]
        assert overrides == {"glb": {"num_max_points": 200}}

    def test_a_second_run_replaces_its_files_and_leaves_others(self, tmp_path: Path) -> None:
        reconstruct(fake_model(), photos(2), options=SMALL, export_dir=tmp_path, export_format="npz-depth_vis")
        (tmp_path / "depth_vis" / "notes.txt").write_text("the user's")
        reconstruct(fake_model(), photos(3), options=SMALL, export_dir=tmp_path, export_format="npz")
        assert len(read_npz(tmp_path / "exports" / "npz" / "results.npz").depth) == 3
        assert [path.name for path in (tmp_path / "depth_vis").iterdir()] == ["notes.txt"]
        assert list(json.loads((tmp_path / "run.json").read_text())["exports"]) == ["npz"]

    def test_what_is_read_back_is_what_was_predicted(self, tmp_path: Path) -> None:
        result = reconstruct(
            fake_model("da3-giant"),
            photos(2),
            options=small(infer_gs=True, export_feat_layers=(1, 2)),
            export_dir=tmp_path,
            export_format="npz",
        )
        read = read_npz(tmp_path / "exports" / "npz" / "results.npz")
        np.testing.assert_array_equal(read.depth, result.prediction.depth)
        np.testing.assert_array_equal(read.gaussians.means, result.prediction.gaussians.means)
        np.testing.assert_array_equal(read.aux["feat_layer_2"], result.prediction.aux["feat_layer_2"])
        assert read.units == result.prediction.units
        assert read.image_names == result.prediction.image_names

    def test_interrupted_exports_leave_no_half_written_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from recon.files import atomic_write

        def interrupted(prediction: Prediction, folder: Path, options: object) -> None:
            with atomic_write(folder / "points.ply") as temporary:
                temporary.write_bytes(b"half")
                raise KeyboardInterrupt

        monkeypatch.setitem(EXPORTERS, "ply", replace(EXPORTERS["ply"], write=interrupted))
        with pytest.raises(KeyboardInterrupt):
            reconstruct(fake_model(), photos(1), options=SMALL, export_dir=tmp_path, export_format="mini_npz-ply")
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"results.npz", "run.json"}
        record = json.loads((tmp_path / "run.json").read_text())
        assert (record["state"], list(record["exports"])) == ("interrupted", ["mini_npz"])

    def test_progress_is_told_of_each_stage(self, tmp_path: Path) -> None:
        stages: list[tuple[str, int, int]] = []
        reconstruct(
            fake_model(),
            photos(1),
            options=SMALL,
            export_dir=tmp_path,
            export_format="ply-glb",
            progress=lambda event: stages.append((event.stage, event.stages_done, event.stages)),
        )
        names = ["load", "predict", "align", "clean", "export ply", "export glb"]
        assert stages == [(name, index, 6) for index, name in enumerate(names)]


class TestBadPhotoAmongOthers:
    """It is named and left out, also where cameras are given, and nothing else goes lost."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        for index, pixels in enumerate(photos(3)):
            Image.fromarray(pixels).save(folder / f"{index}.png")
        (folder / "1.png").write_bytes(b"")
        return folder

    def test_cameras_by_name_need_not_know_it(self, folder: Path, tmp_path: Path) -> None:
        path, kept = tmp_path / "cameras.json", [0, 2]
        size = [(2 * WIDTH, 2 * HEIGHT)] * 2
        write_cameras(path, ["0.png", "2.png"], cameras_of(size, user_cameras(3)[kept], original_intrinsics(2)))
        with pytest.warns(ReconWarning, match=r"left out: .*1\.png"):
            result = reconstruct(fake_model(), folder, cameras=path, options=SMALL, export_dir=tmp_path / "out")
        assert result.prediction.image_names == ("0.png", "2.png")
        np.testing.assert_array_equal(result.prediction.extrinsics, user_cameras(3)[kept, :3].astype(np.float32))
        (dropped,) = json.loads((tmp_path / "out" / "run.json").read_text())["dropped_images"]
        assert dropped["name"] == "1.png"
        assert "1.png" in dropped["reason"]

    def test_the_page_says_so_as_the_record_does(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with pytest.warns(ReconWarning, match="left out"):
            reconstruct(fake_model(), folder, options=SMALL, export_dir=out, export_format="html")
        page, record = (out / "view.html").read_text(), json.loads((out / "run.json").read_text())
        facts = json.loads(page.partition('id="facts-json">')[2].partition("</script>")[0])
        for name in ("units", "quality", "cleaning", "dropped_images", "warnings"):
            assert facts[name] == record[name], name
        assert facts["dropped_images"][0]["name"] == "1.png"
        assert facts["seconds"].items() <= record["seconds"].items()
        assert {"load", "predict", "clean", "splat"} <= set(facts["seconds"])
        assert facts["gaussians"]["source"] == record["gaussians"]["source"] == "depth"
        assert record["optimised"] is None

    def test_sizes_of_the_others_are_still_checked(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "cameras.json"
        write_cameras(path, ["0.png", "2.png"], cameras_of([(999, 3)] * 2, user_cameras(2), original_intrinsics(2)))
        with pytest.warns(ReconWarning, match="left out"), pytest.raises(InputError, match="999×3"):
            reconstruct(fake_model(), folder, cameras=path, options=SMALL)

    def test_arrays_are_for_all_photos_given(self, folder: Path) -> None:
        with pytest.warns(ReconWarning, match="left out"):
            prediction = reconstruct(fake_model(), folder, user_cameras(3), options=SMALL).prediction
        np.testing.assert_array_equal(prediction.extrinsics, user_cameras(3)[[0, 2], :3].astype(np.float32))

    def test_an_elongated_photo_is_one_too(self, folder: Path) -> None:
        Image.new("RGB", (20000, 50)).save(folder / "1.png")
        with pytest.warns(ReconWarning, match=r"left out: .*1\.png.*20000×50"):
            prediction = reconstruct(fake_model(), folder, options=SMALL).prediction
        assert prediction.image_names == ("0.png", "2.png")

    def test_a_broken_link_is_one_too(self, folder: Path) -> None:
        (folder / "1.png").unlink()
        (folder / "1.png").symlink_to(folder / "gone.png")
        with pytest.warns(ReconWarning, match=r"left out: .*1\.png"):
            assert len(reconstruct(fake_model(), folder, options=SMALL).prediction.depth) == 2


def test_a_run_that_fails_midway_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reconstruct(fake_model(), photos(1), options=SMALL, export_dir=tmp_path, export_format="mini_npz")
    assert (tmp_path / "run.json").exists()

    def fails(*arguments: object) -> None:
        raise InputError("the disk is full")

    monkeypatch.setitem(EXPORTERS, "ply", replace(EXPORTERS["ply"], write=fails))
    with pytest.raises(InputError, match="disk is full"):
        reconstruct(fake_model(), photos(1), options=SMALL, export_dir=tmp_path, export_format="mini_npz-ply")
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["state"], record["error"], list(record["exports"])) == ("failed", "the disk is full", ["mini_npz"])


@pytest.mark.parametrize("kind", ["any_view", "nested"])
def test_two_runs_are_bit_identical(kind: str, tmp_path: Path) -> None:
    from tests.models.tiny import tiny_network

    preset = load_preset("da3nested-giant-large" if kind == "nested" else "da3-giant")
    formats = "npz-mini_npz-glb-ply-depth_vis-feat_vis"
    options = small(infer_gs=kind == "nested", use_ray_pose=True, export_feat_layers=(2, 6), num_max_points=1000)
    for name in ("a", "b"):
        model = NetworkEstimator(ReadyModel(tiny_network(kind), preset, WeightsRecord("random", seed=0)))
        reconstruct(model, photos(3), options=options, export_dir=tmp_path / name, export_format=formats)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 10
    for file in files:
        if file.name != "run.json":  # it holds timings
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def _no_constants(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.slow
def test_real_photos_with_the_cameras_of_a_colmap_model(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "door"
    extrinsics, intrinsics = _read_colmap_text(folder / "sparse" / "0", sorted(p.name for p in folder.glob("images/*")))
    with pytest.warns(ReconWarning, match="random weights"):
        ready = ready_model("da3-small", weights=None)
    model = NetworkEstimator(ready, ready.warnings)
    formats = "mini_npz-npz-glb-ply-depth_vis"
    result = reconstruct(
        model,
        folder / "images",
        extrinsics,
        intrinsics,
        options=InferenceOptions(process_res=126),
        export_dir=tmp_path,
        export_format=formats,
    )
    prediction = result.prediction
    assert prediction.units == "aligned"
    np.testing.assert_array_equal(prediction.extrinsics, extrinsics[:, :3].astype(np.float32))
    height, width = prediction.depth.shape[1:]
    expected = np.diag([width / 1296, height / 1936, 1]) @ intrinsics
    np.testing.assert_allclose(prediction.intrinsics, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "exports/mini_npz/results.npz")["exts"], prediction.extrinsics)
    assert result.warnings == model.warnings


def _read_colmap_text(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera (N, 4, 4) and intrinsics (N, 3, 3) of the images named, from a model with one simple camera."""
    camera = next(line for line in (folder / "cameras.txt").read_text().splitlines() if not line.startswith("#"))
    focal, cx, cy = (float(value) for value in camera.split()[4:7])
    intrinsics = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
    lines = [line for line in (folder / "images.txt").read_text().splitlines() if not line.startswith("#")]
    found = {}
    for line in lines[::2]:  # every other line lists points
        entry = line.split()
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = to_matrix(np.array(entry[1:5], float))
        world_to_camera[:3, 3] = np.array(entry[5:8], float)
        found[entry[9]] = world_to_camera
    return np.stack([found[name] for name in names]), np.tile(intrinsics, (len(names), 1, 1))
