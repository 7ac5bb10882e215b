"""A trained network goes where any checkpoint goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.cli.main import main
from recon.models.ready import ready_model
from recon.train.loop import train
from tests.train.scene import Rooms, room, rooms
from tests.train.settings import config


@pytest.mark.slow
def test_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`recon export-onnx` takes its checkpoint as it is, and the file gives what the network gives."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = "tiny-monocular"
    settings = config(network, steps=2, lora={"rank": 2})
    model = train(settings, Rooms(rooms(1, 1, 1, 28)), tmp_path / "trained").model
    file = tmp_path / "trained.onnx"
    assert main(["export-onnx", "--weights", str(model), "--out", str(file)]) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    images = room(1, *((56, 56) if isinstance(entry.shape[-1], str) else entry.shape[-2:])).images
    given = images[None] if len(entry.shape) == 5 else images
    found = session.run(None, {entry.name: given})[0]
    with torch.inference_mode():
        output = ready_model(network, weights=model).network(torch.from_numpy(images)[None])
    expected = (output.disparity if output.depth is None else output.depth).numpy()
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1e-3 * np.abs(expected).max()
