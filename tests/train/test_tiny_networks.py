"""The tiny networks that are there to be trained: found by name, without weights of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.errors import CheckpointError
from recon.models.build import random_network
from recon.models.checkpoints import save_checkpoint
from recon.models.presets import all_preset_names, load_preset, preset_names
from recon.models.ready import preset_of_checkpoint, ready_model

TINY = [name for name in all_preset_names() if name not in preset_names()]


def test_they_are_not_listed_among_those_with_official_weights() -> None:
    assert {"tiny-any-view", "tiny-single-view", "tiny-monocular"} <= set(TINY)
    assert "da3-small" in preset_names()


@pytest.mark.parametrize("name", TINY)
def test_a_checkpoint_of_one_says_what_it_is(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{name}.*recon train"):
        ready_model(name)
    network = random_network(load_preset(name).network, seed=3)
    save_checkpoint(network, name, tmp_path)
    assert preset_of_checkpoint(tmp_path) == (name, tmp_path)
    loaded = ready_model(name, weights=tmp_path).network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in network.state_dict().items())
