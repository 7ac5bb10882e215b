"""Files that cannot be run, providers that are not there, and no onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from recon.errors import InputError, MissingExtraError
from recon.messages import ReconWarning
from recon.models.onnx.session import open_session
from tests.models.onnx.graphs import write_graph
from tests.seeds import numpy_random


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "graph.onnx")


def test_a_good_file_opens(graph: Path) -> None:
    assert open_session(graph).get_providers() == ["CPUExecutionProvider"]


class TestBadFile:
    @pytest.mark.parametrize("content", [b"not a graph " * 20, bytes(range(256)) * 4])
    def test_not_onnx(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "photo.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"photo\.onnx: not an ONNX file"):
            open_session(path)

    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
    def test_truncated(self, kept: float, graph: Path) -> None:
        content = graph.read_bytes()
        graph.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(InputError, match=r"graph\.onnx: .*cut short"):
            open_session(graph)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty.onnx").touch()
        with pytest.raises(InputError, match=r"empty\.onnx is empty"):
            open_session(tmp_path / "empty.onnx")

    @pytest.mark.parametrize("name", ["missing.onnx", "."])
    def test_no_file(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="give an ONNX file"):
            open_session(tmp_path / name)


class TestExternalData:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return write_graph(tmp_path / "large.onnx", external_data=True)

    def test_beside_the_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert file.with_name("large.onnx.data").stat().st_size >= 1024
        monkeypatch.chdir("/")
        open_session(file)

    def test_missing(self, file: Path) -> None:
        file.with_name("large.onnx.data").unlink()
        with pytest.raises(InputError, match=r"belongs beside it.*large\.onnx\.data"):
            open_session(file)

    def test_cut_short(self, file: Path) -> None:
        file.with_name("large.onnx.data").write_bytes(bytes(100))
        with pytest.raises(InputError, match="belongs beside it"):
            open_session(file)


class TestProvider:
    @pytest.mark.parametrize("provider", ["cuda", "coreml", "tensorrt"])
    def test_one_that_is_not_there_is_refused_with_those_that_are(
        self, provider: str, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
        with pytest.raises(InputError, match=rf"provider {provider} is not .* it has cpu$"):
            open_session(graph, provider)  # type: ignore[arg-type]

    def test_unknown(self, graph: Path) -> None:
        with pytest.raises(InputError, match="provider must be one of auto, cpu, cuda, coreml, tensorrt"):
            open_session(graph, "gpu")  # type: ignore[arg-type]

    def test_one_that_does_not_start_is_refused(self, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As where onnxruntime has CUDA built in, and the machine has no driver: it would go on with the CPU."""
        pretend_cuda(monkeypatch)
        with pytest.raises(InputError, match=r"provider cuda cannot be used on this machine .* take cpu"):
            open_session(graph, "cuda")

    def test_auto_then_takes_the_cpu_and_says_so(self, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pretend_cuda(monkeypatch)
        with pytest.warns(ReconWarning, match="cuda cannot be used.*runs on the CPU"):
            assert open_session(graph, "auto").get_providers() == ["CPUExecutionProvider"]

    def test_operators_that_tensorrt_lacks_run_on_cuda_at_full_precision(
        self, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = pretend_cuda(monkeypatch)
        with pytest.raises(InputError, match="tensorrt cannot be used"):
            open_session(graph, "tensorrt")
        assert asked == [
            ("TensorrtExecutionProvider", {}),
            ("CUDAExecutionProvider", {"use_tf32": "0"}),
            ("CPUExecutionProvider", {}),
        ]


def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """An onnxruntime with CUDA and TensorRT built in, neither of which starts; returns what it is asked for."""
    asked: list[tuple[str, dict]] = []
    real = onnxruntime.InferenceSession

    def session(path: str, options: object, providers: list[tuple[str, dict]]) -> onnxruntime.InferenceSession:
        asked[:] = providers
        return real(path, options, providers=["CPUExecutionProvider"])

    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return asked


class TestThreads:
    def test_are_passed_on(self, graph: Path) -> None:
        assert open_session(graph, threads=1).get_session_options().intra_op_num_threads == 1

    def test_none_at_all(self, graph: Path) -> None:
        with pytest.raises(InputError, match="threads must be at least 1, got 0"):
            open_session(graph, threads=0)


def test_without_onnxruntime_the_extra_is_named(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime.*pip install 'recon\[onnx\]'"):
        open_session(graph)


def test_an_operator_that_is_none(tmp_path: Path) -> None:
    import onnx

    path = write_graph(tmp_path / "graph.onnx")
    model = onnx.load(path)
    model.graph.node[0].op_type = "Conjure"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"graph\.onnx: onnxruntime cannot load it: .*Conjure"):
        open_session(path)


def test_values_come_out_as_they_went_in(graph: Path) -> None:
    """Of the graphs by hand: mean over channels, scaled and shifted."""
    values = numpy_random(0).normal(size=(2, 3, 14, 28)).astype(np.float32)
    (out,) = open_session(graph).run(None, {"image": values})
    np.testing.assert_allclose(out, 1.5 + 0.25 * values.mean(axis=1, keepdims=True), rtol=1e-5)
