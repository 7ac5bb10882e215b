"""Unrelated photos to files: each on its own, whatever its size, with an ONNX file or a network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.cli.export_onnx import OnnxExportSettings, preset_name
from recon.errors import CheckpointError, InputError
from recon.estimate.network import NetworkEstimator
from recon.export import read_npz
from recon.export.photo_depth import write_photo_depth
from recon.messages import ReconWarning
from recon.models.checkpoints import save_checkpoint
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord, ready_model
from recon.run import mono as mono_module
from recon.run.mono import MonoRun, open_estimator, run_mono
from recon.run.mono_settings import MonoSettings
from recon.run.pipeline import reconstruct
from recon.run.record import to_json
from recon.sources.cameras_file import write_cameras
from recon.sources.photo import Photo
from tests.known_cameras import cameras_of
from tests.models.onnx.graphs import SCALE, SHIFT, expected_map, stated, write_graph
from tests.models.tiny import TINY, tiny_network
from tests.seeds import numpy_random
from tests.without_torch import HIDE_TORCH

SIZES = {"a.png": (120, 90), "b.png": (90, 120), "c.png": (120, 90), "d.png": (140, 61)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos of three sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, (name, (width, height)) in enumerate(SIZES.items()):
        pixels = numpy_random(index).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "graph.onnx", size=(84, 84), batch=1, metadata=stated("depth"))


def run(inputs: Path | list[Path], onnx: Path, out: Path, **settings: Any) -> MonoRun:
    settings = {"focal": 100.0, "export": "", "depth_files": "npy", **settings}
    paths = tuple(inputs) if isinstance(inputs, list) else (inputs,)
    return run_mono(MonoSettings(inputs=paths, onnx=onnx, **settings), out)


def record_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "run.json").read_text())


class TestFiles:
    def test_each_photo_has_its_own(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        formats = "mini_npz-npz-glb-ply-depth_vis"
        result = run(folder, graph, out, export=formats, depth_files="png-npy")
        assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c", "d", "run.json"]
        for name, size in SIZES.items():
            own = out / name[0]
            assert {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file()} == {
                *("depth.png", "depth.npy", "scene.glb", "scene.jpg", "points.ply"),
                *("depth_vis/0000.jpg", "depth_vis/0000.png"),
                *("exports/npz/results.npz", "exports/mini_npz/results.npz"),
            }
            assert np.load(own / "depth.npy").shape == size[::-1]
            assert Image.open(own / "depth.png").size == size
            prediction = read_npz(own / "exports" / "npz" / "results.npz")
            assert prediction.image_names == (name,)
            np.testing.assert_allclose(prediction.depth[0], expected_map(prediction.processed_images[0]), rtol=1e-5)
        assert [photo.name for photo in result.photos] == list(SIZES)
        assert [photo.folder for photo in result.photos] == [out / name[0] for name in SIZES]

    @pytest.mark.parametrize("batch_size", [2, 3, 16])
    def test_do_not_depend_on_the_batch(self, folder: Path, tmp_path: Path, batch_size: int) -> None:
        graph = write_graph(tmp_path / "graph.onnx", metadata=stated("disparity"))
        for name, size in (("one", 1), ("many", batch_size)):
            run(folder, graph, tmp_path / name, batch_size=size, process_res=84)
        for name in SIZES:
            one, many = (np.load(tmp_path / run_name / name[0] / "depth.npy") for run_name in ("one", "many"))
            np.testing.assert_allclose(one, many, rtol=1e-6)

    def test_splats(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        from recon.splats.ply import read_ply

        run(folder / "a.png", graph, tmp_path / "out", export="gs_ply")
        assert len(read_ply(tmp_path / "out" / "a" / "gs_ply" / "0000.ply")) > 1000

    def test_the_record_says_how_they_came_to_be(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        run(folder, graph, out, export="glb", depth_files="png-npy", batch_size=2)
        record = record_of(out)
        assert record["model"]["weights"]["file"] == str(graph)
        assert record["model"]["output"] == {"name": "depth", "kind": "depth", "known_from": "metadata"}
        assert record["settings"]["batch_size"] == 2
        assert [photo["name"] for photo in record["photos"]] == list(SIZES)
        photo = record["photos"][1]
        assert (photo["folder"], photo["units"]) == ("b", "relative")
        assert (photo["original_size"], photo["processed_size"]) == ([90, 120], [70, 84])
        assert photo["camera"] == {"source": "given", "intrinsics": [[100, 0, 45], [0, 100, 60], [0, 0, 1]]}
        assert [file["path"] for file in photo["exports"]["glb"]["files"]] == ["b/scene.glb", "b/scene.jpg"]
        scale = photo["exports"]["photo_depth"]["details"]["depth_png"]["depth.png"]["scale"]
        values = np.asarray(Image.open(out / "b" / "depth.png"))
        np.testing.assert_allclose(values * scale, np.load(out / "b" / "depth.npy"), atol=0.501 * scale)
        assert set(record["seconds"]) == {"model", "read", "predict", "write"}

    def test_progress_is_told(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        told: list[tuple[str, int, int]] = []
        settings = MonoSettings(inputs=(folder,), onnx=graph, focal=9.0, batch_size=3, export="", depth_files="npy")
        run_mono(settings, tmp_path / "out", progress=lambda event: told.append((event.part, event.done, event.total)))
        assert told == [("a.png, b.png, c.png", 0, 4), ("d.png", 3, 4)]

    def test_photos_at_hand(self, graph: Path, tmp_path: Path) -> None:
        pixels = np.zeros((60, 80, 3), np.uint8)
        settings = MonoSettings(onnx=graph, focal=9.0, export="", depth_files="npy")
        run_mono(settings, tmp_path / "out", photos=[Photo("x.jpg", pixels), Photo("y.jpg", pixels)])
        assert np.load(tmp_path / "out" / "y" / "depth.npy").shape == (60, 80)


class TestWhereThingsAre:
    """A step in a photo is at its column and row in the depth at the photo's resolution, within half a pixel."""

    @pytest.mark.parametrize("size", [(240, 160), (160, 240), (203, 199)])
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    @pytest.mark.parametrize("fixed", [(84, 84), (70, 98), None])
    def test_a_step(self, size: tuple[int, int], orientation: int, fixed: Any, tmp_path: Path) -> None:
        width, height = size
        column, row = round(0.3 * width), round(0.7 * height)
        upright = np.zeros((height, width, 3), np.uint8)
        upright[:, column:] += 100
        upright[row:] += 100
        turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # what a camera held like that stores
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(np.rot90(upright, turns))).save(tmp_path / "step.png", exif=exif)
        graph = write_graph(tmp_path / "graph.onnx", size=fixed, metadata=stated("depth"))
        resolution = {} if fixed else {"process_res": 84, "process_res_method": "lower_bound_resize"}
        run(tmp_path / "step.png", graph, tmp_path / "out", **resolution)
        depth = np.load(tmp_path / "out" / "step" / "depth.npy")
        assert depth.shape == (height, width)
        assert middle(depth[row // 2]) == pytest.approx(column, abs=0.5)
        assert middle(depth[:, column // 2]) == pytest.approx(row, abs=0.5)


def middle(values: np.ndarray) -> float:
    """Where a step is half-way up, in pixels with centres at half-integers."""
    half = (values[0] + values[-1]) / 2
    (index,) = np.flatnonzero(np.diff(values > half))
    return index + 0.5 + (half - values[index]) / (values[index + 1] - values[index])


class TestCameras:
    def test_each_has_its_own_by_exif(self, tmp_path: Path) -> None:
        graph = write_graph(tmp_path / "da3metric-large.onnx", size=(84, 84), batch=1)
        for name, focal in (("a.jpg", 28), ("b.jpg", 50), ("c.jpg", None)):
            exif = Image.Exif()
            if focal is not None:
                exif.get_ifd(0x8769)[0xA405] = focal
            Image.new("RGB", (120, 90)).save(tmp_path / name, exif=exif)
        inputs = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")]
        with (
            pytest.warns(ReconWarning, match="gives metres only with a focal length"),
            pytest.warns(ReconWarning, match="is assumed: a horizontal field of view of 60 degrees"),
        ):
            result = run(inputs, graph, tmp_path / "out", focal=None)
        assert [photo.units for photo in result.photos] == ["metric", "metric", "relative"]
        photos = record_of(tmp_path / "out")["photos"]
        assert [photo["camera"]["source"] for photo in photos] == ["exif", "exif", "assumed"]
        assert photos[1]["scale_factor"] / photos[0]["scale_factor"] == pytest.approx(50 / 28)
        values = [np.load(tmp_path / "out" / name / "depth.npy").mean() for name in "abc"]
        assert values[0] / values[2] == pytest.approx(photos[0]["scale_factor"], rel=1e-3)
        assert len(record_of(tmp_path / "out")["warnings"]) == 2

    def test_by_file(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        intrinsics = np.array([[[90 + i, 0, 50], [0, 95, 40], [0, 0, 1]] for i in range(4)], float)
        write_cameras(tmp_path / "cameras.json", list(SIZES), cameras_of(list(SIZES.values()), None, intrinsics))
        run(folder, graph, tmp_path / "out", focal=None, cameras=tmp_path / "cameras.json", export="npz")
        for index, name in enumerate(SIZES):
            prediction = read_npz(tmp_path / "out" / name[0] / "exports" / "npz" / "results.npz")
            back = prediction.processed_to_original[0] @ prediction.intrinsics[0]
            np.testing.assert_allclose(back, intrinsics[index], rtol=1e-6, atol=1e-5)

    def test_a_photo_without_one_in_the_file_is_left_out(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        intrinsics = np.array([[[90, 0, 50], [0, 95, 40], [0, 0, 1]]] * 3, float)
        write_cameras(tmp_path / "c.json", list(SIZES)[:3], cameras_of(list(SIZES.values())[:3], None, intrinsics))
        with pytest.warns(ReconWarning, match=r"left out: .*d\.png"):
            result = run(folder, graph, tmp_path / "out", focal=None, cameras=tmp_path / "c.json")
        assert len(result.photos) == 3

    def test_no_such_file_or_both(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"none\.json is no file"):
            run(folder, graph, tmp_path / "out", focal=None, cameras=tmp_path / "none.json")
        with pytest.raises(InputError, match="either by focal or by a file"):
            run(folder, graph, tmp_path / "out", cameras=graph)


class TestBadPhoto:
    def test_is_named_and_left_out(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        (folder / "b.png").write_bytes(b"")
        Image.new("RGB", (3000, 20)).save(folder / "c.png")
        with (
            pytest.warns(ReconWarning, match=r"left out: .*b\.png' is empty"),
            pytest.warns(ReconWarning, match=r"left out: .*c\.png.*too elongated"),
        ):
            result = run(folder, graph, tmp_path / "out", batch_size=2)
        assert [photo.name for photo in result.photos] == ["a.png", "d.png"]
        assert [name for name, _ in result.dropped] == ["b.png", "c.png"]
        record = record_of(tmp_path / "out")
        assert [entry["name"] for entry in record["dropped_images"]] == ["b.png", "c.png"]
        assert len(record["warnings"]) == 2

    def test_one_whose_depth_no_format_can_hold(self, folder: Path, tmp_path: Path) -> None:
        """Black photos have depth below zero in this graph; a point cloud needs one point at least."""
        graph = write_graph(tmp_path / "graph.onnx", metadata=stated("depth"), shift=0.0)
        Image.new("RGB", (80, 60)).save(folder / "b.png")
        with pytest.warns(ReconWarning, match=r"left out: no pixel of 'b\.png' has a positive, finite depth"):
            result = run(folder, graph, tmp_path / "out", export="ply")
        assert [photo.name for photo in result.photos] == ["a.png", "c.png", "d.png"]
        assert not (tmp_path / "out" / "b").exists()

    def test_ends_a_strict_run(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        (folder / "b.png").write_bytes(b"")
        with pytest.raises(InputError, match=r"b\.png' is empty"):
            run(folder, graph, tmp_path / "out", strict=True)
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["state"] == "failed"
        assert "b.png" in record["error"]
        assert [photo["name"] for photo in record["photos"]] == ["a.png"]

    def test_that_ends_the_run_is_in_its_record(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        run(folder, graph, tmp_path / "out")
        (folder / "d.png").write_bytes(b"")
        with pytest.raises(InputError, match=r"d\.png' is empty"):
            run(folder, graph, tmp_path / "out", strict=True)
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert (record["state"], len(record["photos"])) == ("failed", 3)

    def test_fewer_photos_leave_no_folders_of_others(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        run(folder, graph, tmp_path / "out")
        assert (tmp_path / "out" / "d").is_dir()
        (folder / "d.png").unlink()
        run(folder, graph, tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b", "c", "run.json"]

    def test_that_is_the_only_one(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"missing\.png' does not exist"):
            run(folder / "missing.png", graph, tmp_path / "out")

    def test_none_that_is_good(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        for path in folder.iterdir():
            path.write_bytes(b"no image")
        with (
            pytest.warns(ReconWarning, match="left out"),
            pytest.raises(InputError, match=r"none of the 4 images can be used; the first: .*a\.png"),
        ):
            run(folder, graph, tmp_path / "out")


class TestWrongWish:
    @pytest.mark.parametrize(
        ("wish", "message"),
        [
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"gs_budget": 0}, "gs_budget must be at least 1"),
            ({"depth_files": "png-tiff"}, "depth_files must be png or npy, joined with '-', got 'tiff'"),
            ({"weights": "none"}, "weights is for a network in torch"),
            ({"device": "cuda"}, "device is for a network in torch"),
            ({"onnx": None, "provider": "cpu"}, "provider is for an ONNX file"),
            ({"onnx": None, "output_kind": "depth"}, "output_kind is for an ONNX file"),
            ({"onnx": None, "onnx_normalise": "inside"}, "onnx_normalise is for an ONNX file"),
            ({"export": "obj"}, "unknown export format 'obj'"),
            ({"export": "feat_vis"}, "feat_vis needs the features"),
            ({"focal": -1.0}, "focal must be above 0"),
            ({"process_res": 13}, "process_res must be at least 14, or 0, got 13"),
            ({"process_res_method": "fit"}, "process_res_method must be one of upper_bound_resize"),
            ({"process_res": 98}, "fixed input of 84×84 pixels"),
            ({"commercial_only": True}, r"graph\.onnx does not state its licence"),
            ({"onnx": None, "model": "da3-small"}, "da3-small looks at the views of one scene together"),
            ({"onnx": None, "model": "da9"}, "unknown model 'da9'"),
        ],
    )
    def test_is_refused(self, wish: dict[str, Any], message: str, folder: Path, graph: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=message):
            run(folder / "a.png", **{"onnx": graph, "out": tmp_path / "out", **wish})
        assert not (tmp_path / "out").exists()

    def test_a_licence_that_forbids_it(self, folder: Path, tmp_path: Path) -> None:
        metadata = stated("depth", licence="CC BY-NC 4.0")
        graph = write_graph(tmp_path / "graph.onnx", metadata=metadata)
        with pytest.raises(InputError, match=r"is licensed CC BY-NC 4\.0, which commercial_only excludes"):
            run(folder, graph, tmp_path / "out", commercial_only=True)

    def test_results_among_the_photos(self, folder: Path, graph: Path) -> None:
        for source in (folder, sorted(folder.iterdir())[0]):
            with pytest.raises(InputError, match="cannot go into the folder of the photos"):
                run(source, graph, folder)

    def test_no_photos(self, graph: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no images given"):
            run([], graph, tmp_path / "out")


def network(kind: str, preset: str) -> NetworkEstimator:
    tiny = replace(load_preset(preset), network=TINY[kind])
    return NetworkEstimator(ReadyModel(tiny_network(kind), tiny, WeightsRecord("random", seed=0)))


class TestNetwork:
    """The same, with a network in torch."""

    CASES = (
        ("single_view", "da3mono-large", 504),
        ("single_view", "da3metric-large", 504),
        ("disparity", "depth-anything-v2-small", 518),
        ("metric_depth", "depth-anything-v2-metric-indoor-small", 518),
    )

    @pytest.mark.parametrize(("kind", "preset", "process_res"), CASES)
    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_each_photo_is_as_it_is_alone(
        self, kind: str, preset: str, process_res: int, batch_size: int, folder: Path, tmp_path: Path
    ) -> None:
        """Also through the other road, as a scene of one view."""
        estimator = network(kind, preset)
        settings = MonoSettings(
            inputs=(folder,), focal=200.0, batch_size=batch_size, process_res=84, export="npz", depth_files=""
        )
        run_mono(settings, tmp_path / "out", estimator=estimator)
        for name in SIZES:
            found = read_npz(tmp_path / "out" / name[0] / "exports" / "npz" / "results.npz")
            width, height = SIZES[name]
            given = np.array([[[200, 0, width / 2], [0, 200, height / 2], [0, 0, 1]]])
            options = InferenceOptions(process_res=84, process_res_method=estimator.profile.fit.method)
            alone = reconstruct(estimator, folder / name, intrinsics=given, options=options).prediction
            np.testing.assert_allclose(found.depth, alone.depth, rtol=1e-4)
            np.testing.assert_allclose(found.intrinsics, alone.intrinsics, rtol=1e-6)
            assert (found.units, found.scale_factor) == (alone.units, pytest.approx(alone.scale_factor))
            if alone.sky is not None:
                assert 0 < alone.sky.mean() < 1
                np.testing.assert_array_equal(found.sky, alone.sky)

    @pytest.mark.parametrize(("kind", "preset", "process_res"), CASES)
    def test_photos_have_the_size_it_was_trained_at(self, kind: str, preset: str, process_res: int) -> None:
        fitted = network(kind, preset).profile.fit.photo(Photo("", np.zeros((60, 120, 3), np.uint8)))
        sides = (252, 504) if process_res == 504 else (518, 1036)
        assert fitted.pixels.shape == (*sides, 3)

    def test_the_weights_say_which_it_is(self, tmp_path: Path) -> None:
        """Also where an ONNX file is to be made of it."""
        with pytest.warns(ReconWarning, match="random weights"):
            network = ready_model("tiny-monocular", weights=None).network
        folder = save_checkpoint(network, "tiny-monocular", tmp_path / "model")
        assert open_estimator(MonoSettings(weights=str(folder))).profile.name == "tiny-monocular"
        onnx = OnnxExportSettings(weights=str(folder), out=tmp_path / "x.onnx")
        assert preset_name(onnx) == "tiny-monocular"
        with pytest.raises(CheckpointError, match="holds tiny-monocular, not da3mono-large"):
            open_estimator(MonoSettings(weights=str(folder), model="da3mono-large"))
        with pytest.raises(InputError, match="--model"):
            preset_name(OnnxExportSettings(weights="none", out=tmp_path / "x.onnx"))

    def test_opened_by_name(self) -> None:
        with pytest.warns(ReconWarning, match="random weights"):
            model = open_estimator(MonoSettings(model="depth-anything-v2-small", weights="none"))
        assert model.describe()["preset"] == "depth-anything-v2-small"
        assert model.warnings


WITHOUT_TORCH = (
    HIDE_TORCH
    + """
from pathlib import Path
from recon.run.mono_settings import MonoSettings
from recon.run.mono import run_mono
formats = "mini_npz-npz-glb-ply-depth_vis-gs_ply-spz"
settings = MonoSettings(inputs=(Path(sys.argv[2]),), onnx=Path(sys.argv[1]), focal=100.0, export=formats)
result = run_mono(settings, Path(sys.argv[3]))
assert len(result.photos) == 4
assert "torch" not in sys.modules
"""
)


def test_everything_is_written_without_torch(folder: Path, graph: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", WITHOUT_TORCH, str(graph), str(folder), str(tmp_path / "out")]
    done = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "d" / "scene.glb").exists()


def test_onnx_is_imported_for_onnx_files_only() -> None:
    program = "import recon.run.mono, sys; sys.exit(any(name.startswith('recon.models.onnx.') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    assert done.returncode == 0


def test_a_file_that_normalises_photos_itself(tmp_path: Path) -> None:
    start = [("Div", np.array(255, np.float32)), ("Sub", np.array([0.5], np.float32))]
    graph = write_graph(tmp_path / "graph.onnx", start=start, metadata=stated("depth"))
    Image.new("RGB", (84, 84), (51, 102, 204)).save(tmp_path / "a.png")
    run(tmp_path / "a.png", graph, tmp_path / "out", export="", focal=90.0, onnx_normalise="inside")
    depth = np.load(tmp_path / "out" / "a" / "depth.npy")
    np.testing.assert_allclose(depth, SHIFT + SCALE * ((0.2 + 0.4 + 0.8) / 3 - 0.5), rtol=1e-5)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"]["onnx_normalise"] == "inside"
    assert record["model"]["input"]["normalised"] == "inside-255"


class TestTheSameCommandAgain:
    """It takes over what is there, and does what is missing."""

    def run(self, folder: Path, graph: Path, out: Path, **settings: Any) -> MonoRun:
        chosen = {"focal": 100.0, "export": "glb", "depth_files": "npy", **settings}
        return run_mono(MonoSettings(inputs=(folder,), onnx=graph, **chosen), out, reuse=True)

    def test_all_is_there(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        first = self.run(folder, graph, tmp_path / "out")
        times = {path: path.stat().st_mtime_ns for result in first.photos for path in result.exported["glb"].files}
        again = self.run(folder, graph, tmp_path / "out")
        assert all(photo.reused for photo in again.photos)
        assert [photo.exported for photo in again.photos] == [photo.exported for photo in first.photos]
        assert {path: path.stat().st_mtime_ns for path in times} == times
        assert record_of(tmp_path / "out")["photos"] == [json.loads(to_json(photo.entry)) for photo in first.photos]

    @pytest.mark.parametrize("change", ["photo", "file", "model", "option"])
    def test_what_changed_is_done_anew(self, change: str, folder: Path, graph: Path, tmp_path: Path) -> None:
        self.run(folder, graph, tmp_path / "out")
        if change == "photo":
            Image.fromarray(np.full((90, 120, 3), 99, np.uint8)).save(folder / "c.png")
        elif change == "file":
            (tmp_path / "out" / "c" / "scene.glb").unlink()
        elif change == "model":
            write_graph(graph, size=(84, 84), batch=1, metadata=stated("disparity"))
        again = self.run(folder, graph, tmp_path / "out", **({"focal": 90.0} if change == "option" else {}))
        whole = change in ("model", "option")
        assert [photo.name for photo in again.photos if not photo.reused] == (list(SIZES) if whole else ["c.png"])
        assert (tmp_path / "out" / "c" / "scene.glb").is_file()
        fresh = run_mono(
            MonoSettings(inputs=(folder,), onnx=graph, focal=90.0 if change == "option" else 100.0, export="glb"),
            tmp_path / "fresh",
        )
        for result in fresh.photos:
            path = Path(result.folder.name) / "depth.npy"
            assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "fresh" / path).read_bytes()

    def test_after_a_run_that_ended_too_early(
        self, folder: Path, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = []

        def end_after_two(*arguments: Any, **more: Any) -> Any:
            if len(written) == 2:
                raise KeyboardInterrupt
            written.append(arguments)
            return write_photo_depth(*arguments, **more)

        monkeypatch.setattr(mono_module, "write_photo_depth", end_after_two)
        monkeypatch.setattr(mono_module, "_SECONDS_BETWEEN_RECORDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            self.run(folder, graph, tmp_path / "out")
        monkeypatch.undo()
        again = self.run(folder, graph, tmp_path / "out")
        assert [photo.reused for photo in again.photos] == [True, True, False, False]
        assert record_of(tmp_path / "out")["state"] == "done"

    def test_fewer_photos_and_no_reuse(self, folder: Path, graph: Path, tmp_path: Path) -> None:
        self.run(folder, graph, tmp_path / "out")
        (folder / "b.png").unlink()
        again = self.run(folder, graph, tmp_path / "out")
        assert [photo.name for photo in again.photos if photo.reused] == ["a.png", "c.png", "d.png"]
        assert not (tmp_path / "out" / "b").exists()
        anew = run(folder, graph, tmp_path / "out", export="glb")
        assert not any(photo.reused for photo in anew.photos)
