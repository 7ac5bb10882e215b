"""One batch is learned by heart: the whole way from images to losses to weights does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon.train.loop import train
from tests.train.scene import Rooms, rooms
from tests.train.settings import config

SCHEDULE = {"warm_up": 20, "decay": "cosine"}


@pytest.mark.slow
def test_any_view(tmp_path: Path) -> None:
    batch = rooms(1, scenes=1, views=2)
    outcome = train(config(steps=260, optimiser=SCHEDULE), Rooms(batch, batch), tmp_path)
    scores = outcome.progress.scores
    assert scores["abs_rel"] <= 0.02
    assert scores["rotation"] <= 1
    assert scores["focal"] <= 0.01
    assert scores["translation"] <= 2.5
    # It knows more than the mean of what it has seen, and than cameras that all look alike.
    assert scores["abs_rel"] < 0.5 * min(scores["abs_rel_mean_map"], scores["abs_rel_constant"])
    assert scores["rotation"] < 0.1 * scores["rotation_prior"]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny-single-view", "tiny-monocular"])
def test_single_view(network: str, tmp_path: Path) -> None:
    batch = rooms(1, scenes=2, views=1)
    outcome = train(config(network, steps=130, optimiser=SCHEDULE), Rooms(batch, batch), tmp_path)
    scores = outcome.progress.scores
    assert scores["abs_rel"] <= 0.02
    assert scores["abs_rel"] < 0.5 * min(scores["abs_rel_mean_map"], scores["abs_rel_constant"])
