"""NaN from a network is said on every road, and nothing but NaN ends it, naming the likely cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor

import recon.models.ready
from recon import DepthAnything3
from recon.choices import InferenceOptions
from recon.cli.main import main
from recon.errors import InputError
from recon.estimate.network import NetworkEstimator
from recon.messages import ReconWarning
from recon.models.outputs import NetworkOutput
from recon.onnx import MonocularModel
from recon.run.mono import run_mono
from recon.run.mono_settings import MonoSettings
from recon.run.pipeline import reconstruct
from recon.sources.photo import Photo
from tests.fake_network import HEIGHT, WIDTH, FakeNetwork, fake_ready, photos
from tests.models.onnx.graphs import stated, write_graph

PRESETS = ("da3-small", "da3nested-giant-large", "da3mono-large", "depth-anything-v2-small")


class GapNetwork(FakeNetwork):
    """Gives no number for the uppermost rows."""

    def __init__(self, share: float, *, disparity: bool = False, **known: object) -> None:
        super().__init__(**known)
        self.rows, self.disparity = int(share * HEIGHT), disparity

    def forward(self, images: Tensor, **given: object) -> NetworkOutput:
        output = super().forward(images, **given)
        output.depth[..., : self.rows, :] = torch.nan
        return NetworkOutput(disparity=1 / output.depth) if self.disparity else output


def network(preset: str, share: float) -> recon.models.ready.ReadyModel:
    ready = fake_ready(preset)
    single = "mono" in preset or "anything" in preset
    gaps = GapNetwork(share, disparity="anything" in preset, with_cameras=not single)
    return recon.models.ready.ReadyModel(gaps, ready.preset, ready.weights)


@pytest.mark.parametrize("preset", PRESETS)
def test_in_a_run(preset: str) -> None:
    estimator = NetworkEstimator(network(preset, 0.25))
    options = InferenceOptions(process_res=WIDTH, process_res_method="upper_bound_resize")
    with pytest.warns(ReconWarning, match=f"{preset} gives no number for 25.0% of the pixels"):
        prediction = reconstruct(estimator, photos(2), options=options).prediction
    assert not prediction.valid[:, : HEIGHT // 4].any()
    assert prediction.valid[:, HEIGHT // 4 :].all()
    with pytest.raises(InputError, match=f"{preset} gives no number for any pixel of '0000', '0001'.*weights.*fp32"):
        reconstruct(NetworkEstimator(network(preset, 1.0)), photos(2), options=options)


@pytest.mark.parametrize("preset", PRESETS[2:])
def test_of_single_photos_only_the_bad_one_is_left_out(preset: str, tmp_path: Path) -> None:
    settings = MonoSettings(process_res=WIDTH, process_res_method="upper_bound_resize", export="", focal=70.0)
    named = [Photo(f"{index}.png", pixels) for index, pixels in enumerate(photos(2))]
    estimator = NetworkEstimator(network(preset, 0.25))
    with pytest.warns(ReconWarning, match=r"no number for 25\.0% of the pixels \('0\.png'\)"):
        run_mono(settings, tmp_path / "some", photos=named[:1], estimator=estimator)
    with pytest.raises(InputError, match=r"no number for any pixel of '0\.png'.*fp32"):
        run_mono(settings, tmp_path / "none", photos=named[:1], estimator=NetworkEstimator(network(preset, 1.0)))


def test_in_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.api.ready_model", lambda *_, **__: network("da3-small", 0.25))
    with pytest.warns(ReconWarning, match=r"no number for 25\.0% of the pixels"):
        prediction = DepthAnything3("da3-small").inference(photos(2), process_res=WIDTH)
    assert np.isfinite(prediction.depth).all()
    monkeypatch.setattr("recon.api.ready_model", lambda *_, **__: network("da3-small", 1.0))
    with pytest.raises(InputError, match="no number for any pixel"):
        DepthAnything3("da3-small").inference(photos(2), process_res=WIDTH)


def test_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recon.models.ready, "ready_model", lambda *_, **__: network("da3-small", 1.0))
    Image.fromarray(photos(1)[0]).save("a.png")
    assert main(["run", "a.png", "--model", "da3-small", "--process-res", str(WIDTH), "--out", "out"]) == 2
    assert "no number for any pixel of 'a.png'" in capsys.readouterr().err
    assert not Path("out/exports").exists()


def test_from_an_onnx_file(tmp_path: Path) -> None:
    """One that divides nothing by nothing."""
    path = write_graph(tmp_path / "graph.onnx", size=(28, 28), batch=1, metadata=stated("depth"))
    model = onnx.load(path)
    last = model.graph.node[-1]
    last.op_type = "Div"
    last.input[:] = ["zero", "zeros"]
    del last.attribute[:]
    shape = [axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim]
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            onnx.numpy_helper.from_array(np.zeros(shape, np.float32), "zeros"),
        ]
    )
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"graph\.onnx gives no number for any pixel of '0000'.*float32"):
        MonocularModel(path).predict(np.zeros((28, 28, 3), np.uint8), focal=30.0)
