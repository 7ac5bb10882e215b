"""Exported files against torch, for a small network of each kind."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from recon.errors import InputError, MissingExtraError
from recon.estimate.network import NetworkEstimator
from recon.estimate.unrelated import SinglePhoto, estimate_each
from recon.models.onnx import export, export_file
from recon.models.onnx.export import OnnxFile, export_onnx
from recon.models.onnx.export_check import MAX_ERROR_FP16, ExportError, check_file, relative_error
from recon.models.onnx.export_graphs import graph_of
from recon.models.onnx.graph_start import GraphStart, read_graph_start
from recon.models.onnx.options import OnnxOptions
from recon.models.presets import load_preset
from recon.models.ready import ReadyModel, WeightsRecord
from recon.onnx import MonocularModel
from recon.sources.photo_cameras import PhotoCameras
from recon.types import Prediction
from tests.models.tiny import SHALLOW, images, tiny_network

PRESETS = {
    "any_view": "da3-small",
    "giant": "da3-giant",
    "single_view": "da3mono-large",
    "disparity": "depth-anything-v2-small",
    "metric_depth": "depth-anything-v2-metric-indoor-small",
}
SIZE = (56, 70)
FIXED = OnnxOptions(size=SIZE)
FOCAL = 100.0


def tiny_model(kind: str) -> ReadyModel:
    preset = dataclasses.replace(load_preset(PRESETS[kind]), network=SHALLOW[kind])
    return ReadyModel(tiny_network(kind, table=SHALLOW), preset, WeightsRecord("random", seed=0))


def run(path: Path, values: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    (image,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {image.name: values}), strict=True))


def assert_agrees(file: OnnxFile, kind: str, shape: tuple[int, ...]) -> None:
    """`file` gives what the network itself gives, called as everyone else calls it."""
    *count, _, height, width = shape
    photos = images(count[-1], height=height, width=width, seed=sum(shape))
    got = run(file.path, (photos if len(shape) == 5 else photos[0]).numpy())
    with torch.no_grad():
        output = tiny_network(kind, table=SHALLOW)(photos if len(shape) == 5 else photos[0][:, None])
    if len(shape) == 5:
        expected = {
            "depth": output.depth,
            "confidence": output.depth_conf,
            "extrinsics": output.extrinsics,
            "intrinsics": output.intrinsics,
        }
    else:
        values = output.depth if output.disparity is None else output.disparity  # (N, 1, H, W)
        expected = {"depth": values} if kind == "single_view" else {"predicted_depth": values[:, 0]}
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        assert relative_error(got[name], values.numpy()) <= 1e-4, name


class TestFixedFiles:
    @pytest.mark.parametrize(
        ("kind", "views"), [("giant", 2), ("single_view", None), ("disparity", None), ("metric_depth", None)]
    )
    def test_agree_with_torch(self, kind: str, views: int | None, fixed: OnnxFile, tmp_path: Path) -> None:
        path = tmp_path / "file.onnx"
        options = OnnxOptions(size=SIZE, views=views)
        file = fixed if kind == "disparity" else export_onnx(tiny_model(kind), path, options)
        assert file.error <= 1e-4
        assert [path.name for path in file.path.parent.iterdir()] == ["file.onnx"]
        assert all(isinstance(axis, int) for axis in file.input[1])
        assert_agrees(file, kind, file.input[1])  # type: ignore[arg-type]

    def test_names_and_shapes(self, mono: OnnxFile, tmp_path: Path) -> None:
        session = onnxruntime.InferenceSession(mono.path)
        assert [(i.name, i.shape) for i in session.get_inputs()] == [("image", [1, 3, *SIZE])]
        assert [(o.name, o.shape) for o in session.get_outputs()] == [
            ("depth", [1, 1, *SIZE]),
            ("sky", [1, 1, *SIZE]),
        ]
        assert mono.input == ("image", (1, 3, *SIZE))
        assert mono.outputs == {"depth": (1, 1, *SIZE), "sky": (1, 1, *SIZE)}

    def test_say_nothing_of_this_machine(self, mono: OnnxFile) -> None:
        content = mono.path.read_bytes()
        assert str(Path(export.__file__).parent).encode() not in content
        assert b".py" not in content


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    path = tmp_path_factory.mktemp("mono") / "file.onnx"
    return export_onnx(tiny_model("single_view"), path, OnnxOptions(size=SIZE, sky=True))


@pytest.fixture(scope="module")
def disparity(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    path = tmp_path_factory.mktemp("disparity") / "file.onnx"
    return export_onnx(tiny_model("disparity"), path, OnnxOptions(dynamic=True))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    """The disparity network for one size."""
    return export_onnx(tiny_model("disparity"), tmp_path_factory.mktemp("fixed") / "file.onnx", FIXED)


@pytest.fixture(scope="module")
def any_view(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    path = tmp_path_factory.mktemp("any_view") / "file.onnx"
    return export_onnx(tiny_model("any_view"), path, OnnxOptions(dynamic=True))


@pytest.mark.slow
class TestDynamicFiles:
    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("size", [(14, 14), (56, 70), (154, 98), (518, 518)])
    def test_of_single_views(self, disparity: OnnxFile, count: int, size: tuple[int, int]) -> None:
        assert disparity.error <= 1e-4
        assert_agrees(disparity, "disparity", (count, 3, *size))

    @pytest.mark.parametrize("views", [1, 2, 3, 5])
    @pytest.mark.parametrize("size", [(28, 14), (56, 70), (154, 98)])
    def test_of_any_number_of_views(self, any_view: OnnxFile, views: int, size: tuple[int, int]) -> None:
        assert any_view.error <= 1e-4
        assert_agrees(any_view, "any_view", (1, views, 3, *size))

    def test_names(self, disparity: OnnxFile, any_view: OnnxFile) -> None:
        assert disparity.input == ("pixel_values", ("batch", 3, "height", "width"))
        assert disparity.outputs == {"predicted_depth": ("batch", "height", "width")}
        assert any_view.input == ("images", (1, "views", 3, "height", "width"))
        assert any_view.outputs["extrinsics"] == (1, "views", 3, 4)

    def test_the_reference_view_is_chosen_from_three_on(self, any_view: OnnxFile) -> None:
        """Otherwise the order of the views would not matter to which of them is described relative to itself."""
        photos = images(3, seed=1)
        order = [2, 0, 1]
        first, second = (run(any_view.path, photos[:, which].numpy()) for which in ([0, 1, 2], order))
        np.testing.assert_allclose(first["depth"][:, order], second["depth"], rtol=1e-3)


class TestHalfPrecision:
    @pytest.mark.parametrize(("kind", "views"), [("any_view", 3), ("single_view", None), ("disparity", None)])
    def test_agrees_with_torch(self, kind: str, views: int | None, tmp_path: Path) -> None:
        file = export_onnx(tiny_model(kind), tmp_path / "file.onnx", OnnxOptions(size=SIZE, views=views, fp16=True))
        assert 1e-5 < file.error <= MAX_ERROR_FP16
        graph = onnx.load(file.path).graph
        ends = [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)]
        assert set(ends) == {onnx.TensorProto.FLOAT}
        types = {weights.name: weights.data_type for weights in graph.initializer}
        products = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm")]
        of_weights = [types[name] for node in products for name in node.input[1:2] if name in types]
        # The cameras' layers and the position embedding's resizing remain.
        assert of_weights.count(onnx.TensorProto.FLOAT16) > 0.85 * len(of_weights)
        norms = [node.input[1] for node in graph.node if node.op_type == "LayerNormalization"]
        assert {types[name] for name in norms} == {onnx.TensorProto.FLOAT}
        assert file.metadata["recon.precision"] == "fp16"

    def test_leaves_the_network_as_it_is(self, tmp_path: Path) -> None:
        model = tiny_model("disparity")
        export_onnx(model, tmp_path / "file.onnx", OnnxOptions(size=SIZE, fp16=True))
        assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def photo(width: int, height: int) -> np.ndarray:
    """Smooth: with a picture of noise a small network's depth is noise, too."""
    return ((images(1, height=height, width=width)[0, 0].permute(1, 2, 0).numpy() * 0.2 + 0.5).clip(0, 1) * 255).astype(
        np.uint8
    )


def predicted_by_torch(kind: str, file: OnnxFile, picture: np.ndarray) -> Prediction:
    """What `recon mono` gives with the network in torch."""
    from recon.sources.loading import load_photos

    (loaded,) = load_photos(picture).photos
    fit = MonocularModel(file.path).estimator.profile.fit  # of the file's fixed size
    camera = PhotoCameras(FOCAL).of(loaded, [loaded.name], 0)
    (prediction,) = estimate_each(NetworkEstimator(tiny_model(kind)), [SinglePhoto(fit.photo(loaded), camera)])
    return prediction


class TestRunningThem:
    @pytest.mark.parametrize("kind", ["single_view", "disparity"])
    def test_gives_the_prediction_of_the_network(self, kind: str, mono: OnnxFile, disparity: OnnxFile) -> None:
        file = {"single_view": mono, "disparity": disparity}[kind]
        picture = photo(SIZE[1], SIZE[0])
        prediction = MonocularModel(file.path).predict(picture, focal=FOCAL)
        expected = predicted_by_torch(kind, file, picture)
        np.testing.assert_allclose(prediction.depth, expected.depth, rtol=1e-3)
        np.testing.assert_array_equal(prediction.processed_images, expected.processed_images)
        np.testing.assert_array_equal(prediction.intrinsics, expected.intrinsics)
        assert (prediction.units, prediction.image_names) == (expected.units, expected.image_names)
        assert (prediction.sky is None) == (expected.sky is None)
        if prediction.sky is not None and expected.sky is not None:
            assert 0 < expected.sky.mean() < 1
            assert (prediction.sky != expected.sky).mean() <= 1e-3

    def test_reads_the_metadata(self, disparity: OnnxFile, mono: OnnxFile) -> None:
        info = MonocularModel(disparity.path).info
        assert (info.model, info.output_kind, info.known_from) == ("depth-anything-v2-small", "disparity", "metadata")
        assert (info.size, info.batch, info.output_rank) == (None, None, 3)
        assert info.metadata == disparity.metadata
        assert MonocularModel(mono.path).info.sky_output_name == "sky"

    def test_photos_are_normalised_once(self, disparity: OnnxFile, mono: OnnxFile, tmp_path: Path) -> None:
        """No false alarm where the file's metadata is lost, and none of half precision."""
        half = export_onnx(tiny_model("single_view"), tmp_path / "half.onnx", OnnxOptions(size=SIZE, fp16=True))
        for file in (disparity, mono, half):
            assert MonocularModel(file.path).info.normalise == "outside"
            (image,) = onnx.load(file.path).graph.input
            assert read_graph_start(file.path, image.name) == GraphStart()

    @pytest.mark.parametrize("dynamo", [True, False])
    def test_a_network_that_others_export_with_their_normalisation(self, dynamo: bool, tmp_path: Path) -> None:
        class WithNormalisation(nn.Module):
            def __init__(self, full: float) -> None:
                super().__init__()
                self.full = full
                self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
                self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
                self.network = nn.Conv2d(3, 1, 3, padding=1)

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return self.network((image / self.full - self.mean) / self.std) * 2.0 + 7.0

        for full in (1.0, 255.0):
            path = tmp_path / f"{full}.onnx"
            torch.onnx.export(
                WithNormalisation(full).eval(),
                (torch.rand(1, 3, 28, 28),),
                path,
                input_names=["image"],
                dynamo=dynamo,
                external_data=False,
            )
            start = read_graph_start(path, "image")
            assert set(start.operators) >= {"Sub", "Div"}
            assert start.takes_bytes == (full == 255)

    def test_a_file_of_several_views_is_refused(self, any_view: OnnxFile) -> None:
        with pytest.raises(InputError, match="not for single photos"):
            MonocularModel(any_view.path)


class TestMetadata:
    def test_of_random_weights(self, mono: OnnxFile) -> None:
        written = {entry.key: entry.value for entry in onnx.load(mono.path).metadata_props}
        assert written == mono.metadata
        assert written["recon.model"] == "da3mono-large"
        assert written["recon.output_kind"] == "depth"
        assert written["recon.weights"] == "random (seed 0)"
        assert written["recon.opset"] == str(onnx.load(mono.path).opset_import[0].version)
        assert json.loads(written["recon.normalisation"])["mean"] == [0.485, 0.456, 0.406]
        assert "recon.licence" not in written

    def test_of_a_checkpoint(self, tmp_path: Path) -> None:
        """In bfloat16, which becomes float32."""
        import hashlib

        from safetensors.torch import save_file

        from recon.models.build import build_network
        from recon.models.checkpoints import CheckpointSource
        from recon.models.weights import load_weights

        weights = tmp_path / "weights.safetensors"
        state = tiny_network("disparity", table=SHALLOW).state_dict()
        save_file({name: value.bfloat16() for name, value in state.items()}, weights)
        network = build_network(SHALLOW["disparity"])
        load_weights(network, weights)
        record = WeightsRecord("given", checkpoint=CheckpointSource(weights, None, None), licence="Apache-2.0")
        model = dataclasses.replace(tiny_model("disparity"), network=network, weights=record)
        file = export_onnx(model, tmp_path / "file.onnx", FIXED)
        assert file.error <= 1e-4
        info = MonocularModel(file.path).info
        assert info.licence == "Apache-2.0"
        assert info.metadata["recon.source_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert info.metadata["recon.weights"] == "weights.safetensors"


class TestLargeFiles:
    def test_have_their_weights_beside_them(
        self, fixed: OnnxFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export_file, "MAX_BYTES_IN_ONE_FILE", 1000)
        split = export_onnx(tiny_model("disparity"), tmp_path / "file.onnx", FIXED)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file.onnx", "file.onnx.data"]
        assert split.external_data == tmp_path / "file.onnx.data"
        assert split.path.stat().st_size < 0.5 * fixed.bytes
        assert split.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
        assert_agrees(split, "disparity", (1, 3, *SIZE))
        monkeypatch.undo()
        export_onnx(tiny_model("disparity"), tmp_path / "file.onnx", FIXED)
        assert [path.name for path in tmp_path.iterdir()] == ["file.onnx"]


class TestItsOwnCheck:
    def test_a_file_that_disagrees_is_not_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of other weights than those that it is compared with; an older one of that name stays."""
        path = tmp_path / "file.onnx"
        path.write_bytes(b"older")
        other = graph_of(tiny_network("disparity", seed=1, table=SHALLOW))
        write = export.write_file
        monkeypatch.setattr(export, "write_file", lambda graph, *rest, **named: write(other, *rest, **named))
        with pytest.raises(ExportError, match=r"differs from torch by more than 1e-03.*predicted_depth"):
            export_onnx(tiny_model("disparity"), path, FIXED)
        assert [path.name for path in tmp_path.iterdir()] == ["file.onnx"]
        assert path.read_bytes() == b"older"

    def test_a_file_that_does_not_run(self, disparity: OnnxFile) -> None:
        values = np.zeros((1, 3, 15, 14, 1), np.float32)
        with pytest.raises(ExportError, match="fails on an input"):
            check_file(disparity.path, [values], [[values]], 1e-3)

    @pytest.mark.parametrize(
        ("actual", "expected", "error"),
        [
            ([1.0, 3.0], [1.0, 3.0], 0.0),
            ([1.0, 3.3], [1.0, 3.0], 0.1),
            ([0.2, 2.0, 4.0], [0.0, 2.0, 4.0], 0.2 / 3),  # against the mean of 2 and 4, where the value itself is small
            ([1.0, np.nan], [1.0, 3.0], np.inf),
            ([1.0, np.inf], [1.0, np.inf], 0.0),
            ([1.0], [1.0, 3.0], np.inf),
        ],
    )
    def test_relative_error(self, actual: list[float], expected: list[float], error: float) -> None:
        assert relative_error(np.float32(actual), np.float32(expected)) == pytest.approx(error)


class TestBadRequests:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"size": (500, 504)}, "multiples of 14, got 500 504"),
            ({"size": (0, 504)}, "multiples of 14"),
            ({"size": (504, 504), "dynamic": True}, "leave one of them out"),
            ({"views": 0}, "views must be at least 1"),
        ],
    )
    def test_options(self, arguments: Mapping[str, object], message: str) -> None:
        with pytest.raises(InputError, match=message):
            OnnxOptions(**arguments)  # type: ignore[arg-type]

    def test_options_that_do_not_fit_the_network(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="views is for any-view models"):
            export_onnx(tiny_model("disparity"), tmp_path / "file.onnx", OnnxOptions(views=2))
        with pytest.raises(InputError, match="sky is for"):
            export_onnx(tiny_model("any_view"), tmp_path / "file.onnx", OnnxOptions(sky=True))

    def test_a_nested_network(self) -> None:
        with pytest.raises(InputError, match="da3metric-large"):
            graph_of(tiny_network("nested"))

    def test_paths(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("in place of a folder", encoding="utf-8")
        for path, message in [(tmp_path / "text" / "file.onnx", "cannot write"), (tmp_path, "a folder")]:
            with pytest.raises(InputError, match=message):
                export_onnx(tiny_model("disparity"), path, FIXED)
        assert [path.name for path in tmp_path.iterdir()] == ["text"]

    @pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
    def test_a_missing_package(self, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        find = export.importlib.util.find_spec
        monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == package else find(name))
        with pytest.raises(MissingExtraError, match=rf"'{package}'.*onnx-export"):
            export_onnx(tiny_model("disparity"), tmp_path / "file.onnx", FIXED)


class TestCommand:
    def recon(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = "import sys; from recon.cli.main import main; sys.exit(main())"
        return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)

    @pytest.mark.slow
    def test_writes_a_file_that_recon_mono_runs(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "small.onnx"
        done = self.recon(
            *("export-onnx", "--model", "depth-anything-v2-small", "--weights", "none", "--size", "70", "84"),
            *("-o", str(path)),
        )
        assert done.returncode == 0, done.stderr
        assert "relative difference" in done.stdout
        assert "random weights" in done.stderr
        assert "pixel_values [1, 3, 70, 84]" in done.stdout
        assert MonocularModel(path).info.size == (84, 70)

    def test_refuses_what_cannot_be(self, tmp_path: Path) -> None:
        path = str(tmp_path / "small.onnx")
        for arguments, message in [
            (("--model", "da3-tiny", "-o", path), "da3-tiny"),
            (("--model", "da3-small", "-o", path, "--size", "500", "504"), "multiples of 14"),
            (("--model", "da3mono-large", "-o", path, "--views", "2"), "views is for any-view models"),
        ]:
            done = self.recon("export-onnx", *arguments)
            assert done.returncode == 2, done.stderr
            assert message in done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert not list(tmp_path.iterdir())

    def test_a_file_that_disagrees_is_a_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from recon.cli.main import main as cli
        from recon.models import ready

        monkeypatch.setattr(ready, "ready_model", lambda *_, **__: tiny_model("disparity"))
        monkeypatch.setattr(export, "MAX_ERROR", 0.0)
        arguments = ["export-onnx", "--model", "depth-anything-v2-small", "--size", "28", "28"]
        code = cli([*arguments, "-o", str(tmp_path / "small.onnx")])
        assert code == 1
        assert "is not kept" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
