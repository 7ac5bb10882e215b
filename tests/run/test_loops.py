"""A long input that comes back to where it was: loops are found, hold or are refused, and bend what lies between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.choices import InferenceOptions
from recon.eval.camera_metrics import trajectory_error
from recon.geometry.cameras import camera_centres, to_4x4
from recon.geometry.similarity import umeyama
from recon.run.load import load
from recon.run.pipeline import Reconstruction, reconstruct
from recon.types import Prediction
from tests.drifting_network import Drift, DriftingNetwork
from tests.synthetic.camera_paths import look_at
from tests.synthetic.walk import Walk

SIZE = (126, 168)
DRIFT = Drift(scale=0.03)


class RememberedWalk(Walk):
    """Each frame is rendered once for all tests."""

    def pixels(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        return np.stack([_pixels(self.laps, frame) for frame in frames])

    def depth(
        self, frames: Sequence[int], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        return np.stack([_depth(self.laps, frame) for frame in frames])


@cache
def _pixels(laps: float, frame: int) -> NDArray[np.uint8]:
    return Walk(150, laps, SIZE, shaded=False).pixels([frame])[0]


@cache
def _depth(laps: float, frame: int) -> NDArray[np.float32]:
    walk = Walk(150, laps, SIZE)
    return walk.depth([frame], walk.intrinsics, SIZE)[0]


WALK = RememberedWalk(150, size=SIZE, shaded=False)


class TwinPlaces(RememberedWalk):
    """A walk on which frames 60 to 74 see, where they are, just what frames 10 to 24 have seen somewhere else."""

    def pixels(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        return super().pixels([_twin(frame) for frame in frames])

    def depth(
        self, frames: Sequence[int], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        return super().depth([_twin(frame) for frame in frames], intrinsics, size)


def _twin(frame: int) -> int:
    return frame - 50 if 60 <= frame < 75 else frame


class FirstPart(RememberedWalk):
    """The same walk, which ends before it comes back."""

    @cached_property
    def world_to_camera(self) -> NDArray[np.float64]:
        return WALK.world_to_camera[: self.count]


def run(walk: Walk, folder: Path, drift: Drift = DRIFT, window: int = 50, **options: Any) -> Reconstruction:
    chosen = InferenceOptions(process_res=max(SIZE), window=window, overlap=10, **options)
    network = DriftingNetwork(walk, drift)
    return reconstruct(network, walk.source(), options=chosen, export_dir=folder, reuse=True)


def error(prediction: Prediction) -> float:
    """Percent of the path's extent."""
    return float(trajectory_error(prediction.extrinsics, WALK.world_to_camera)[1])


def depth_error(prediction: Prediction) -> float:
    """Median over every tenth view of its median relative error, in the true unit."""
    world = umeyama(camera_centres(WALK.world_to_camera), camera_centres(to_4x4(np.array(prediction.extrinsics))))
    frames = list(range(0, WALK.count, 10))
    truth = WALK.depth(frames, prediction.intrinsics[0].astype(float), prediction.depth.shape[1:])
    found = prediction.depth[frames] * world.scale
    return float(np.median([abs(np.median(one[t > 0] / t[t > 0]) - 1) for one, t in zip(found, truth, strict=True)]))


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reconstruction, Path]:
    folder = tmp_path_factory.mktemp("closed")
    return run(WALK, folder), folder


def test_a_closed_loop_is_nearer_the_truth(closed: tuple[Reconstruction, Path], tmp_path: Path) -> None:
    prediction = closed[0].prediction
    left_open = run(WALK, tmp_path, loops=False)
    assert left_open.windows.loops == ()
    assert error(prediction) < 0.3
    assert error(prediction) < 0.5 * error(left_open.prediction)
    assert depth_error(prediction) < 0.01


def test_it_is_said_which_views_are_brought_together(closed: tuple[Reconstruction, Path]) -> None:
    result, folder = closed
    loops = json.loads((folder / "run.json").read_text())["windows"]["loops"]
    held = [loop for loop in loops if loop["holds"]]
    assert held
    for loop in held:
        first, last = WALK.frames(loop["views"])
        assert last - first >= 50
        assert loop["matches"] >= 20
    assert any(WALK.frames(loop["views"])[1] > 140 for loop in held)
    assert f"{len(held)} pair" in result.windows.text
    assert load(folder).extrinsics.shape == (150, 3, 4)


def test_views_beside_a_joint_of_windows_meet_without_a_step(closed: tuple[Reconstruction, Path]) -> None:
    world = umeyama(
        camera_centres(WALK.world_to_camera), camera_centres(to_4x4(np.array(closed[0].prediction.extrinsics)))
    )
    centres = world.apply(camera_centres(np.array(closed[0].prediction.extrinsics)))
    off = np.diff(centres, axis=0) - np.diff(camera_centres(WALK.world_to_camera), axis=0)
    at_joints = [44, 84, 94]  # the last windows share more
    assert np.linalg.norm(off[at_joints], axis=1).max() < 4 * np.sqrt((off**2).sum(axis=1).mean())


def test_places_that_only_look_alike_are_not_brought_together(tmp_path: Path) -> None:
    twins = TwinPlaces(150, size=SIZE, shaded=False)
    result = run(twins, tmp_path, keyframes=0)  # which would see the jump to the other place
    false = [loop for loop in result.windows.loops if 60 <= WALK.frames(loop.names)[1] < 75]
    assert len(false) >= 2
    assert not any(loop.holds for loop in false)
    assert sum(loop.holds for loop in result.windows.loops) > 0
    assert error(result.prediction) < 0.4


def test_what_is_never_seen_again_has_no_loops(tmp_path: Path) -> None:
    half = FirstPart(70, size=SIZE, shaded=False)
    result = run(half, tmp_path, window=24)
    assert not any(loop.holds and np.diff(half.frames(loop.names))[0] > 45 for loop in result.windows.loops)


class Turning(Walk):
    """A camera on a tripod."""

    @cached_property
    def world_to_camera(self) -> NDArray[np.float64]:
        centre, angle = np.tile([[0.3, -3.5, 1.6]], (self.count, 1)), np.linspace(0, 2.5, self.count)
        ahead = np.stack([np.cos(angle), np.sin(angle), -0.1 + 0 * angle], axis=1)
        return look_at(centre, centre + ahead)


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_a_camera_that_only_turns_is_said_and_its_depth_kept(tmp_path: Path) -> None:
    turning = Turning(30, size=(42, 56), shaded=False)
    network = DriftingNetwork(turning)
    options = InferenceOptions(process_res=56, window=12)
    result = reconstruct(network, turning.source(), options=options, export_dir=tmp_path)
    assert len(result.prediction.depth) == 30
    (said,) = (line for line in result.warnings if "only turns" in line)
    assert "one place" in said
    walking = reconstruct(
        DriftingNetwork(Walk(30, size=(42, 56), shaded=False)), Walk(30, size=(42, 56), shaded=False).source(),
        options=options, export_dir=tmp_path / "walking",
    )  # fmt: skip
    assert not any("only turns" in line for line in walking.warnings)
