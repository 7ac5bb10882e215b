"""A batch that is killed, and whose processes are killed, comes to what an undisturbed one comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.kill_batches import OUT, differences, kill_in_a_row, undisturbed
from tests.run.batch.small_scenes import make_bad_scenes, make_scenes
from tests.seeds import numpy_random


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="nothing tells which processes a batch has started")
def test_killed_batches_end_with_the_same_files(tmp_path: Path) -> None:
    scenes = make_bad_scenes(make_scenes(tmp_path / "in", 3))
    seconds = undisturbed(scenes, tmp_path / "whole")
    chance = numpy_random(0)
    moments = [chance.uniform(seconds / 4, seconds * 0.8) for _ in range(2)]
    said = kill_in_a_row(scenes, tmp_path / "killed", moments, chance)
    assert said
    assert differences(tmp_path / "killed" / OUT, tmp_path / "whole" / OUT) == []
