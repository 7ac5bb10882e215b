"""A checkpoint that training writes is read by the reference package, and gives the same there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.models.ready import ready_model
from recon.train.loop import train
from tests.reference.networks import needs_reference
from tests.reference.stubs import import_reference_api
from tests.train.scene import Rooms, room, rooms
from tests.train.settings import config

pytestmark = [*needs_reference, pytest.mark.slow]


def test_its_own_loader_reads_it(tmp_path: Path) -> None:
    """Fine-tuned by low-rank changes and a new decoder, from random weights of the full da3-small."""
    settings = config("da3-small", steps=1, lora={"rank": 2}, freeze=["cameras"], optimiser={"average": 0.5})
    model = train(settings, Rooms(rooms(1, 1, 2, 28)), tmp_path).model
    theirs = import_reference_api().DepthAnything3.from_pretrained(str(model)).model.eval()
    ours = ready_model("da3-small", weights=model).network
    images = torch.from_numpy(room(2, 56, 70).images)[None]
    with torch.inference_mode():
        found, expected = ours(images), theirs(images)
    for name, value in (("depth", found.depth), ("depth_conf", found.depth_conf), ("intrinsics", found.intrinsics)):
        error = (value - expected[name]).abs().max() / expected[name].abs().max()
        assert error <= 1e-4, name
