"""What is said of splats that were fitted to photos."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from recon.cli.report import print_optimised
from recon.refine.optimised_splats import OptimisedSplats, Scores
from recon.run.record import to_json
from recon.splats.coverage import Coverage
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians

FOUND = OptimisedSplats(
    gaussians=random_gaussians(numpy_random(0), 3),
    coverage=Coverage(np.array([0, 3, 2], np.float32), np.array([0, 1, 2], np.int32)),
    world_to_camera=np.tile(np.eye(4), (2, 1, 1)),
    intrinsics=np.tile(np.eye(3), (2, 1, 1)),
    gains=np.ones((2, 3)),
    offsets=np.zeros((2, 3)),
    held_out=(1,),
    iterations=65,
    seconds=1.5,
    ended_by="iterations",
    before=Scores(24.04, 24.1, 0.7291),
    after=Scores(35.96, 36.0, 0.9784),
    held_out_before=Scores(20.0, 21.0, None),
    held_out_after=Scores(30.0, 31.0, None),
)


def test_what_is_compared_is_what_there_is() -> None:
    assert FOUND.progress["photos held out"] == (FOUND.held_out_before, FOUND.held_out_after)
    assert list(replace(FOUND, held_out_before=None, held_out_after=None).progress) == ["photos fitted to"]


def test_summary_says_how_much_they_gained(capsys: pytest.CaptureFixture[str]) -> None:
    print_optimised(FOUND)
    lines = capsys.readouterr().out.splitlines()
    assert "65 steps, 1.5 s" in lines[0]
    assert lines[2].split() == ["photos", "fitted", "to", "24.04", "dB", "35.96", "dB", "0.729", "0.978"]
    assert lines[3].split() == ["photos", "held", "out", "20.00", "dB", "30.00", "dB", "–", "–"]


def test_record_says_everything_but_the_splats() -> None:
    entry = json.loads(to_json(FOUND.entry))
    assert entry["before"] == {"psnr": 24.04, "psnr_fitted": 24.1, "ssim": 0.7291}
    assert entry["held_out_after"]["ssim"] is None
    assert entry["held_out"] == [1]
    assert (entry["splats"], entry["splats_unseen"], entry["splats_seen_once"]) == (3, 1, 1)
    assert entry["gains"] == [[1, 1, 1], [1, 1, 1]]
    assert "gaussians" not in entry
