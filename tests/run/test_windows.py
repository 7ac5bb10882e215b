"""A long input in overlapping windows: as right as the windows are, and whole whatever ends the run."""

from __future__ import annotations

import errno
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from recon.choices import CleanChoices, InferenceOptions
from recon.digests import digest
from recon.errors import InputError
from recon.estimate.estimator import Estimator
from recon.estimate.network import NetworkEstimator, profile_of
from recon.eval.camera_metrics import trajectory_error
from recon.export import export
from recon.export.mesh import MeshOptions, make_mesh
from recon.export.points import PointOptions, select_points
from recon.geometry.cameras import camera_centres, to_4x4
from recon.geometry.similarity import umeyama
from recon.models.presets import load_preset
from recon.models.ready import ready_model
from recon.refine.clean import clean
from recon.run import store, window_choice
from recon.run.joined_windows import JoinedWindows, WindowJoint
from recon.run.load import load
from recon.run.pipeline import Reconstruction, reconstruct
from recon.run.quality import Quality
from recon.run.schema import check_record
from recon.run.window_choice import WindowSizes, bytes_per_view, choose_windows, usual_overlap, usual_size
from recon.sources.fitting import Views
from recon.types import Prediction, pieces
from recon.types.mapped import is_mapped
from tests.drifting_network import Drift, DriftingNetwork
from tests.fake_network import fake_model, photos
from tests.synthetic.walk import Walk

SIZE = (42, 56)
WALK = Walk(60, size=SIZE, shaded=False)
EXACT = Drift(scale=0, depth=0, degrees=0, step=0)


def run(
    estimator: Estimator, walk: Walk, folder: Path, window: int | None, formats: str = "mini_npz", **options: Any
) -> Reconstruction:
    chosen = InferenceOptions(process_res=max(SIZE), window=window, **options)
    return reconstruct(estimator, walk.source(), options=chosen, export_dir=folder, export_format=formats, reuse=True)


def depth_errors(prediction: Prediction, walk: Walk) -> np.ndarray:
    """Of every tenth view: the median relative error of its depth, in the true unit."""
    world = umeyama(camera_centres(walk.world_to_camera), camera_centres(to_4x4(np.array(prediction.extrinsics))))
    frames = range(0, walk.count, 10)
    truth = walk.depth(frames, prediction.intrinsics[0].astype(float), prediction.depth.shape[1:])
    found = prediction.depth[list(frames)] * world.scale
    return np.array([np.median(np.abs(one[t > 0] / t[t > 0] - 1)) for one, t in zip(found, truth, strict=True)])


class TestSpans:
    def test_cover_everything_and_share_what_was_asked(self) -> None:
        for count, size, overlap in ((60, 16, 4), (17, 16, 4), (61, 16, 15), (100, 2, 1)):
            spans = WindowSizes(size, overlap).spans(count)
            assert spans[0].start == 0
            assert spans[-1].stop == count
            assert all(len(span) == size for span in spans)
            shared = [first.stop - second.start for first, second in itertools.pairwise(spans)]
            assert shared[:-1] == [overlap] * (len(spans) - 2)
            assert shared[-1] >= overlap
            assert all(second.stop > first.stop for first, second in itertools.pairwise(spans))

    def test_one_where_one_suffices(self) -> None:
        assert WindowSizes(60, 8).spans(60) == (range(60),)
        assert [usual_overlap(size) for size in (2, 3, 16, 80)] == [1, 2, 2, 10]


class TestJoined:
    def test_exact_windows_in_worlds_of_their_own_make_the_true_walk(self, tmp_path: Path) -> None:
        result = run(DriftingNetwork(WALK, EXACT), WALK, tmp_path, 16, "mini_npz-glb")
        prediction = result.prediction
        assert prediction.depth.shape == (60, *SIZE)
        assert is_mapped(prediction.depth)
        assert prediction.image_names == WALK.source().names
        assert trajectory_error(prediction.extrinsics, WALK.world_to_camera)[0] < 1e-4 * WALK.extent
        assert depth_errors(prediction, WALK).max() < 1e-4
        record = json.loads((tmp_path / "run.json").read_text())
        check_record(record)
        assert record["windows"]["count"] == 5
        assert len(record["windows"]["joints"]) == 4
        assert record["windows"]["residual"] < 1e-4
        assert record["windows"]["parts"] == [{"from": "frame_000000.png", "to": "frame_000059.png"}]
        assert not list((tmp_path / "cache").glob("window-*"))

    @pytest.mark.parametrize("window", [12, 30])
    def test_noise_and_drift_stay_within_the_windows_own(self, tmp_path: Path, window: int) -> None:
        prediction = run(DriftingNetwork(WALK), WALK, tmp_path, window).prediction
        assert trajectory_error(prediction.extrinsics, WALK.world_to_camera)[0] < 0.01 * WALK.extent
        assert np.median(depth_errors(prediction, WALK)) < 0.015

    def test_metric_windows_keep_their_metres(self, tmp_path: Path) -> None:
        prediction = run(DriftingNetwork(WALK, EXACT, metric=True), WALK, tmp_path, 16).prediction
        assert prediction.units == "metric"
        steps = np.linalg.norm(np.diff(camera_centres(to_4x4(np.array(prediction.extrinsics))), axis=0), axis=1)
        true = np.linalg.norm(np.diff(camera_centres(WALK.world_to_camera), axis=0), axis=1)
        np.testing.assert_allclose(steps, true, rtol=1e-3)

    def test_known_cameras_are_kept_to_the_bit(self, tmp_path: Path) -> None:
        options = InferenceOptions(process_res=max(SIZE), window=16)
        intrinsics = np.tile(WALK.intrinsics, (60, 1, 1))
        result = reconstruct(
            DriftingNetwork(WALK, EXACT), WALK.source(), WALK.world_to_camera, intrinsics,
            options=options, export_dir=tmp_path,
        )  # fmt: skip
        np.testing.assert_array_equal(result.prediction.extrinsics, WALK.world_to_camera[:, :3].astype(np.float32))
        assert result.prediction.units == "aligned"
        assert depth_errors(result.prediction, WALK).max() < 1e-3
        assert {joint.rotation_from for joint in result.windows.joints} == {"given"}


@pytest.mark.filterwarnings("ignore:random weights")
def test_a_network_whose_input_fits_one_window_gives_the_same_bits(tmp_path: Path) -> None:
    network = NetworkEstimator(ready_model("da3-small", weights=None))
    few = Walk(4, size=SIZE, shaded=False)
    whole = run(network, few, tmp_path / "whole", 0, "npz").prediction
    fits = run(network, few, tmp_path / "fits", 4, "npz")
    kept = run(network, few, tmp_path / "kept", 4, "npz", keep_windows=True)
    assert fits.windows is None
    assert kept.windows is not None
    assert kept.windows.count == 1
    for one in (fits.prediction, kept.prediction):
        assert digest(one) == digest(whole)


class _Stopping:
    """An estimator that fails in its call of a number, and counts its calls."""

    def __init__(self, network: DriftingNetwork, fails_at: int | None = None) -> None:
        self.network, self.fails_at, self.calls = network, fails_at, 0
        self.profile, self.warnings = network.profile, network.warnings

    def prepare(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return self.network.describe()

    def estimate(self, views: Views, *others: Any) -> Prediction:
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return self.network.estimate(views, *others)


class TestResume:
    def test_goes_on_with_the_next_window(self, tmp_path: Path) -> None:
        undisturbed = run(DriftingNetwork(WALK), WALK, tmp_path / "whole", 16).prediction
        with pytest.raises(KeyboardInterrupt):
            run(_Stopping(DriftingNetwork(WALK), fails_at=4), WALK, tmp_path / "cut", 16)
        again = _Stopping(DriftingNetwork(WALK))
        result = run(again, WALK, tmp_path / "cut", 16)
        assert again.calls == 2
        assert "3 of 5 windows were there from before" in result.notes
        prediction = result.prediction
        np.testing.assert_array_equal(prediction.depth, undisturbed.depth)
        np.testing.assert_array_equal(prediction.extrinsics, undisturbed.extrinsics)
        done = _Stopping(DriftingNetwork(WALK))
        assert "predict" in run(done, WALK, tmp_path / "cut", 16, "mini_npz-glb").reused
        assert done.calls == 0

    def test_a_full_disk_is_one_line_and_what_was_done_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        undisturbed = run(DriftingNetwork(WALK), WALK, tmp_path / "whole", 16).prediction
        real, writes = store.write_npz, []

        def until_full(file: Any, arrays: Any) -> None:
            writes.append(file)
            if len(writes) == 3:
                file.write(b"half of it")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(file, arrays)

        monkeypatch.setattr(store, "write_npz", until_full)
        with pytest.raises(InputError, match="No space left") as refusal:
            run(DriftingNetwork(WALK), WALK, tmp_path / "full", 16)
        assert "\n" not in str(refusal.value)
        assert not [path for path in (tmp_path / "full").rglob(".*") if path.is_file()]
        monkeypatch.setattr(store, "write_npz", real)
        again = _Stopping(DriftingNetwork(WALK))
        prediction = run(again, WALK, tmp_path / "full", 16).prediction
        assert again.calls == 3
        np.testing.assert_array_equal(prediction.depth, undisturbed.depth)

    def test_the_result_is_read_from_the_disk(self, tmp_path: Path) -> None:
        prediction = run(DriftingNetwork(WALK), WALK, tmp_path, 16, "glb").prediction
        found = load(tmp_path)
        assert is_mapped(found.depth)
        np.testing.assert_array_equal(found.depth, prediction.depth)
        assert found.run["windows"]["size"] == 16


class TestByMemory:
    PROFILE = profile_of(load_preset("da3-small"))
    SMALL = InferenceOptions(process_res=56, device="cpu")

    def test_windows_are_as_long_as_memory_has_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        needed = bytes_per_view(self.PROFILE, self.SMALL, on_cuda=False)
        assert needed == pytest.approx(0.6 * 384 * 56 * 56, rel=0.01)
        for room, size in ((1000, window_choice.USUAL_SIZE), (40, 20)):
            monkeypatch.setattr(window_choice, "free_bytes", lambda room=room: room * needed)
            assert usual_size(self.PROFILE, self.SMALL) == size
        long = Walk(30, size=SIZE, shaded=False).source()
        assert choose_windows(self.PROFILE, long, self.SMALL, ("npz",), Path("out")) == WindowSizes(20, 2)
        assert choose_windows(self.PROFILE, long, self.SMALL, ("gs_ply",), Path("out")) is None

    def test_one_that_memory_has_no_room_for_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        needed = bytes_per_view(self.PROFILE, self.SMALL, on_cuda=False)
        monkeypatch.setattr(window_choice, "free_bytes", lambda: 10 * needed)
        with pytest.raises(InputError, match=r"window 16 .* about 10 views"):
            choose_windows(self.PROFILE, WALK.source(), replace(self.SMALL, window=16), ("npz",), Path("out"))


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "formats", "words"),
        [
            ({"window": 16, "overlap": 16}, "mini_npz", ("overlap 16", "window 16")),
            ({"overlap": 4}, "mini_npz", ("overlap", "window")),
            ({"window": 16}, "mini_npz-gs_video", ("gs_video", "export mini_npz")),
            ({"window": 16, "infer_gs": True}, "mini_npz", ("infer_gs",)),
        ],
    )
    def test_at_once(self, tmp_path: Path, options: dict[str, Any], formats: str, words: tuple[str, ...]) -> None:
        stopping = _Stopping(DriftingNetwork(WALK), fails_at=1)
        chosen = InferenceOptions(process_res=max(SIZE), **options)
        with pytest.raises(InputError) as refusal:
            reconstruct(stopping, WALK.source(), options=chosen, export_dir=tmp_path / "out", export_format=formats)
        assert all(word in str(refusal.value) for word in words)
        assert not (tmp_path / "out").exists()

    def test_photos_in_no_order(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="ordered"):
            reconstruct(fake_model(), photos(4), options=InferenceOptions(window=2), export_dir=tmp_path)

    def test_numbers_that_are_none(self) -> None:
        for wrong in ({"window": 1}, {"window": 8, "overlap": 0}):
            with pytest.raises(InputError):
                InferenceOptions(**wrong)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    folder = tmp_path_factory.mktemp("long")
    run(DriftingNetwork(WALK, EXACT), WALK, folder, 16, "npz")
    return load(folder)


@pytest.fixture(scope="module")
def whole(long: Prediction) -> Prediction:
    return long.window(slice(0, len(long.depth)))


class TestPieces:
    """What is written of maps on the disk, some views at a time, beside what is written of the same in memory."""

    @pytest.fixture(autouse=True)
    def _few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pieces, "_PIXELS_AT_ONCE", 20 * SIZE[0] * SIZE[1])

    def test_an_npz_is_read_without_being_loaded(self, long: Prediction) -> None:
        assert is_mapped(long.depth)
        assert is_mapped(long.processed_images)
        assert long.kept is not None

    def test_points(self, long: Prediction, whole: Prediction) -> None:
        every, same = (select_points(one, PointOptions(num_max_points=10**9)) for one in (long, whole))
        np.testing.assert_array_equal(every.pixels, same.pixels)
        np.testing.assert_array_equal(every.points, same.points)
        np.testing.assert_array_equal(every.colors, same.colors)
        assert every.conf_threshold == same.conf_threshold
        few = select_points(long, PointOptions(num_max_points=1000))
        assert len(few.points) == 1000
        assert (np.diff(few.pixels) > 0).all()
        assert len(np.unique(few.pixels // (SIZE[0] * SIZE[1]))) > 50

    def test_one_point_for_each_cube(self, long: Prediction) -> None:
        points = select_points(long, PointOptions(voxel=0.3)).points.astype(np.float64)
        assert len(np.unique(np.floor(points / 0.3), axis=0)) == len(points)

    def test_a_mesh(self, long: Prediction, whole: Prediction) -> None:
        options = MeshOptions(voxel=0.2 * float(np.median(whole.depth)) / 3, small_parts=0)
        (in_pieces, of_long), (at_once, of_whole) = (make_mesh(one, options) for one in (long, whole))
        assert of_long["blocks"] == of_whole["blocks"]
        assert abs(len(in_pieces.faces) / len(at_once.faces) - 1) < 0.01
        assert cKDTree(at_once.vertices).query(in_pieces.vertices)[0].max() < 0.2 * options.voxel
        near, place = cKDTree(at_once.vertices).query(in_pieces.vertices)
        close = near < 1e-3 * options.voxel
        assert close.mean() > 0.9
        off = np.abs(in_pieces.colors[close].astype(int) - at_once.colors[place[close]])
        assert np.percentile(off, 95) <= 1

    def test_cleaning_and_quality(self, long: Prediction, whole: Prediction) -> None:
        choices = CleanChoices(clean_edges=0.02)
        some, every = clean(long, choices), clean(whole, choices)
        assert some.points == every.points
        assert some.removed["edges"] == every.removed["edges"]
        assert (np.asarray(some.kept) == every.kept).mean() > 0.98
        of_long, of_whole = Quality.of(long), Quality.of(whole)
        assert of_long.valid == of_whole.valid
        assert of_long.depth_difference == pytest.approx(of_whole.depth_difference, abs=2e-3)

    def test_a_page_and_pictures(self, long: Prediction, tmp_path: Path) -> None:
        written = export(long, "html-depth_vis", tmp_path, {"html": {"max_mb": 3}})
        assert written["html"].details["points"] > 1000
        assert written["html"].details["mesh"] > 0
        assert len(written["depth_vis"].files) == 120


def test_a_stretch_of_one_view_is_no_pair_of_itself() -> None:
    joints = tuple(WindowJoint(n, n + 1, (f"{n}.jpg",) * 2, 1, 9, 0.01 + n / 100, 1.0, "points") for n in (0, 1))
    text = JoinedWindows(2, 1, 3, (("0.jpg", "2.jpg"),), joints).text
    assert "at most 2.00% at 1.jpg" in text
    assert "to 1.jpg" not in text
