"""Long inputs in which nothing moves for long, or that cut to another place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.messages import collect_warnings
from recon.run.keyframes import Keyframes, find_keyframes, left_out
from recon.run.pipeline import Reconstruction, reconstruct
from recon.run.window_choice import WindowSizes
from recon.sources.frame_motion import SmallFrame, frame_motion
from recon.sources.images import ImageSource
from tests.drifting_network import DriftingNetwork
from tests.fake_network import fake_model, photos
from tests.seeds import numpy_random
from tests.synthetic.walk import Walk

pytestmark = pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
SIZE = (126, 168)


class Chosen(Walk):
    """Frames of a walk of 600, in an order of our own."""

    shown: Sequence[int] = ()

    @cached_property
    def world_to_camera(self) -> NDArray[np.float64]:
        return Walk(600).world_to_camera[list(self.shown)]


def walk_of(shown: Sequence[int]) -> Walk:
    kind = type("Shown", (Chosen,), {"shown": tuple(shown)})
    return kind(len(shown), size=SIZE, shaded=False)


def run(walk: Walk, folder: Path, **options: object) -> Reconstruction:
    chosen = InferenceOptions(process_res=max(SIZE), loops=False, **options)
    return reconstruct(
        DriftingNetwork(walk), walk.source(), options=chosen, export_dir=folder,
        export_format="mini_npz-trajectory", reuse=True,
    )  # fmt: skip


def small(walk: Walk, frame: int) -> SmallFrame:
    return SmallFrame.of(walk.pixels([frame])[0])


class TestMotion:
    def test_is_what_the_picture_moves(self) -> None:
        pixels = walk_of([0]).pixels([0])[0]
        first, second = SmallFrame.of(pixels[:, :-6]), SmallFrame.of(pixels[:, 6:])
        motion = frame_motion(first, second)
        assert motion.share == pytest.approx(6 / 162, rel=0.05)
        assert motion.found > 0.8

    def test_is_none_where_pictures_are_equal_or_only_noisy(self) -> None:
        random = numpy_random(1)
        pixels = walk_of([0]).pixels([0])[0]
        noisy = np.clip(pixels + random.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
        assert frame_motion(SmallFrame.of(pixels), SmallFrame.of(pixels)).share == 0
        assert frame_motion(SmallFrame.of(pixels), SmallFrame.of(noisy)).share < 0.003

    def test_is_far_where_nothing_is_found_again(self) -> None:
        walk = walk_of([0, 300])
        assert frame_motion(small(walk, 0), small(walk, 1)).share == np.inf
        blank = SmallFrame.of(np.full((60, 80, 3), 200, np.uint8))
        assert frame_motion(blank, SmallFrame.of(np.full((60, 80, 3), 90, np.uint8))).share == np.inf
        assert frame_motion(blank, SmallFrame.of(np.full((60, 80, 3), 201, np.uint8))).share == 0


class TestStanding:
    def test_thousands_of_equal_frames_are_one_view(self, tmp_path: Path) -> None:
        picture = walk_of([0]).pixels([0])[0]
        options = InferenceOptions(process_res=70, window=100, ordered=True)
        result = reconstruct(fake_model(), [picture] * 3000, options=options, export_dir=tmp_path)
        assert len(result.prediction.depth) == 1
        assert any("2999 frames are left out, of 3000" in line for line in result.notes)

    def test_frames_that_add_nothing_are_left_out_and_said(self, tmp_path: Path) -> None:
        shown = [*range(0, 40, 4), *[40] * 40, *range(44, 80, 4)]
        walk = walk_of(shown)
        result = run(walk, tmp_path, window=20)
        names = result.prediction.image_names
        assert len(names) == len(shown) - 39
        assert walk.name(10) in names
        assert walk.name(11) not in names
        (said,) = (line for line in result.notes if "left out" in line)
        assert "39 frames are left out, of 59" in said
        assert "--keyframes 0" in said
        assert not any("left out" in line for line in result.warnings)
        frames = json.loads((tmp_path / "trajectory.json").read_text())["frames"]
        assert [frame["image"] for frame in frames] == [walk.name(frame) for frame in range(59)]
        assert frames[10]["world_to_camera"] != frames[9]["world_to_camera"]
        again = run(walk, tmp_path, window=20)
        assert {"keyframes", "predict"} <= set(again.reused)

    def test_none_is_left_out_where_that_is_asked(self, tmp_path: Path) -> None:
        result = run(walk_of([5] * 6), tmp_path, window=4, keyframes=0)
        assert len(result.prediction.image_names) == 6
        assert result.notes == ()

    def test_one_is_one(self) -> None:
        (said,) = left_out(Keyframes((0, 2), ()), 3, 0.003)
        assert said.startswith("1 frame is left out, of 3")
        assert "0.30%" in said

    def test_a_share_of_the_picture_can_be_asked_for(self, tmp_path: Path) -> None:
        walk = walk_of(range(0, 40, 2))
        few, many = find_keyframes(walk.source(), 0.10), find_keyframes(walk.source(), 0.03)
        assert 2 < len(few.chosen) < len(many.chosen) <= 20
        result = run(walk, tmp_path, keyframes=10.0)
        assert result.prediction.image_names == tuple(walk.name(frame) for frame in few.chosen)

    def test_what_follows_does_not_change_the_choice(self) -> None:
        walk = walk_of(range(0, 40, 2))
        assert find_keyframes(walk_of(range(0, 20, 2)).source(), 0.05).chosen == tuple(
            frame for frame in find_keyframes(walk.source(), 0.05).chosen if frame < 10
        )

    def test_a_photo_that_cannot_be_read_is_kept_to_be_named(self, tmp_path: Path) -> None:
        walk = walk_of([0, 30, 60])
        walk.write(tmp_path)
        (tmp_path / walk.name(1)).write_bytes(b"nothing")
        assert find_keyframes(ImageSource.of([tmp_path]), 0.003).chosen == (0, 1, 2)


class TestCuts:
    def test_windows_go_over_none(self) -> None:
        spans = WindowSizes(10, 2).spans(40, [17])
        assert [(span.start, span.stop) for span in spans] == [(0, 10), (7, 17), (17, 27), (25, 35), (30, 40)]
        assert WindowSizes(10, 2).spans(12, [4, 4])[-1] == range(4, 12)

    def test_both_parts_are_kept_and_said(self, tmp_path: Path) -> None:
        shown = [*range(0, 60, 3), *range(160, 220, 3)]
        walk = walk_of(shown)
        assert find_keyframes(walk.source(), 0.003).cuts == (20,)
        result = run(walk, tmp_path, window=16, overlap=4)
        assert len(result.prediction.image_names) == 40
        assert result.windows.parts == ((walk.name(0), walk.name(19)), (walk.name(20), walk.name(39)))
        (said,) = (line for line in result.warnings if "cuts to another place" in line)
        assert walk.name(20) in said
        assert any("2 parts" in line for line in result.warnings)

    def test_a_quick_turn_is_none(self) -> None:
        with collect_warnings() as said:
            assert find_keyframes(walk_of([0, 25, 50, 75, 100]).source(), 0.003).cuts == ()
        assert not said


class TestRefused:
    def test_photos_in_no_order(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"keyframes.*ordered"):
            reconstruct(fake_model(), photos(4), options=InferenceOptions(keyframes=1.0), export_dir=tmp_path)

    def test_cameras_as_arrays(self, tmp_path: Path) -> None:
        walk = walk_of([0, 30, 60])
        with pytest.raises(InputError, match=r"keyframes.*arrays"):
            reconstruct(
                DriftingNetwork(walk), walk.source(), walk.world_to_camera,
                options=InferenceOptions(keyframes=1.0), export_dir=tmp_path,
            )  # fmt: skip
