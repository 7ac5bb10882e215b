"""A run that was killed goes on with the same command, and ends as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from PIL import Image

from recon.files import scenes_folder
from tests.benchmarks.kill_runs import Killed, Moment, kill_in_a_row, undisturbed
from tests.benchmarks.kill_windows import windowed_run
from tests.seeds import numpy_random

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so"),
]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A run of a few seconds: five photos of a sample scene at half their size."""
    photos = tmp_path_factory.mktemp("photos")
    for path in sorted((scenes_folder() / "table" / "images").iterdir())[:5]:
        with Image.open(path) as image:
            image.reduce(2).save(photos / path.name, quality=95, exif=image.getexif())
    formats = "npz-ply-gs_ply-depth_vis"
    return [str(photos), "--model", "mvs", "--process-res", "140", "--gs-iterations", "60", "--export", formats]


def test_killed_runs_end_with_the_same_files(arguments: list[str], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    seconds = undisturbed(arguments, whole)
    chance = numpy_random(0)
    kills: list[Killed] = []
    for row in range(2):
        moments = [Moment(chance.uniform(0, seconds / 2)), Moment(0.0, stage=2 + row), Moment(0.0, stage=5 + row)]
        killed = kill_in_a_row(arguments, tmp_path / f"killed-{row}", moments, whole)
        assert killed.differences == ()
        kills += killed.kills
    assert kills
    for one in kills:  # what was done before the stage that was killed need not be done again
        assert "align" not in one.done or "cameras" in one.reused
        assert "optimise" not in one.done or "align" in one.reused


def test_windows_that_were_killed_end_with_the_same_files(tmp_path: Path) -> None:
    arguments = windowed_run(tmp_path / "frames", 20, 8)
    whole = tmp_path / "whole"
    seconds = undisturbed(arguments, whole)
    chance = numpy_random(1)
    moments = [Moment(0.0, stage=2), Moment(chance.uniform(0, seconds)), Moment(0.0, stage=3)]
    killed = kill_in_a_row(arguments, tmp_path / "killed", moments, whole)
    assert killed.differences == ()
    assert killed.kills
