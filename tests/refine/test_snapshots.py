"""Optimisations of splats that are killed and go on from what they kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import recon.refine.optimisation.loop as loop
import recon.refine.optimisation.snapshot_keeper as snapshot_keeper
from recon.choices import SplatOptimisation
from recon.messages import ReconWarning
from recon.refine.depth_splats import from_depth
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.optimise_splats import optimise_splats
from recon.refine.optimised_splats import OptimisedSplats
from recon.types import Gaussians, Prediction
from tests.refine.depth_scene import make_prediction

OPTIONS = SplatOptimisation(gs_holdout=4)


@pytest.fixture(scope="module")
def photos() -> Prediction:
    return replace(make_prediction(4, 30, 40), extrinsics_origin="sfm")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots before every step."""
    monkeypatch.setattr(snapshot_keeper, "_LARGEST_SHARE", np.inf)


class Killed(Exception):
    """Stands for the end of the process."""


def told(monkeypatch: pytest.MonkeyPatch, kill_at: int | None = None) -> list[int]:
    """The steps that are begun from now on; the process ends before step `kill_at`."""
    begun: list[int] = []

    def tell(part: str, done: int, total: int) -> None:
        if done == kill_at:
            raise Killed
        begun.append(done)

    monkeypatch.setattr(loop, "tell", tell)
    return begun


def assert_equal(one: OptimisedSplats, other: OptimisedSplats) -> None:
    for name in Gaussians.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.gaussians, name), getattr(other.gaussians, name), err_msg=name)
    for name in ("world_to_camera", "intrinsics", "gains", "offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("iterations", "ended_by", "held_out", "before", "after", "held_out_before", "held_out_after"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.usefixtures("often")
def test_what_goes_on_after_a_kill_ends_at_the_same_bytes(
    photos: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = optimise_splats(photos, OPTIONS, seed=5)
    assert whole.iterations > 70  # past scores of the photos held out
    snapshots = Snapshots(tmp_path / "cache" / "fit.npz", seconds=0)
    for kill_at, threads in ((11, 2), (64, 1)):
        begun = told(monkeypatch, kill_at)
        with pytest.raises(Killed):
            optimise_splats(photos, OPTIONS, seed=5, threads=threads, snapshots=snapshots)
    assert begun[0] == 11
    begun = told(monkeypatch)
    assert_equal(optimise_splats(photos, OPTIONS, seed=5, threads=5, snapshots=snapshots), whole)
    assert begun[0] == 64
    # Another fit does not take it up.
    begun = told(monkeypatch)
    optimise_splats(photos, SplatOptimisation(gs_iterations=2), seed=5, snapshots=snapshots)
    assert begun == [0, 1]
    snapshots.remove()
    assert list(snapshots.path.parent.iterdir()) == []
    snapshots.remove()


@pytest.mark.usefixtures("often")
def test_a_kill_while_splats_become_more_changes_nothing(
    photos: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SplatOptimisation(gs_iterations=40, gs_densify="mcmc", gs_sh_degree=2, gs_splats=1500)
    start = from_depth(photos)
    start = Gaussians(**{name: getattr(start, name)[::4] for name in Gaussians.__dataclass_fields__})
    whole = optimise_splats(photos, options, start=start)
    assert len(whole.gaussians) > 2 * len(start)
    snapshots = Snapshots(tmp_path / "fit.npz", seconds=0)
    told(monkeypatch, 15)
    with pytest.raises(Killed):
        optimise_splats(photos, options, start=start, snapshots=snapshots)
    begun = told(monkeypatch)
    assert_equal(optimise_splats(photos, options, start=start, threads=3, snapshots=snapshots), whole)
    assert begun[0] == 15


@pytest.mark.usefixtures("often")
def test_snapshots_that_cannot_be_read_or_written_are_said_and_done_without(photos: Prediction, tmp_path: Path) -> None:
    options = SplatOptimisation(gs_iterations=6)
    whole = optimise_splats(photos, options)
    path = tmp_path / "fit.npz"
    assert_equal(optimise_splats(photos, options, snapshots=Snapshots(path, 0)), whole)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(ReconWarning, match="is damaged"):
        assert_equal(optimise_splats(photos, options, snapshots=Snapshots(path, 0)), whole)
    with pytest.warns(ReconWarning, match="cannot go on after a kill") as said:
        assert_equal(optimise_splats(photos, options, snapshots=Snapshots(path / "no folder.npz", 0)), whole)
    assert len(said) == 1
