"""Scenes are given out once, tried again where that helps, and not done again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recon.choices import RunOptions
from recon.errors import InputError
from recon.run.batch.batch_file import write_batch_file
from recon.run.batch.board import Board, Told
from recon.run.batch.leases import Leases
from recon.run.batch.outcome import DONE, FAILED, Ended, Outcome
from recon.run.batch.place import LocalPlace
from recon.run.batch.scene import BatchScene


def scenes(*names: str, seed: int = 0) -> list[BatchScene]:
    return [BatchScene(name, RunOptions(inputs=(Path(name),), seed=seed)) for name in names]


class Batch:
    """A board, and what it tells."""

    def __init__(self, folder: Path, leases: Leases, names: str, retries: int = 0, force: bool = False, seed: int = 0):
        self.place, self.told = LocalPlace(folder), list[Told]()
        self.scenes = scenes(*names, seed=seed)
        self.board = Board(self.place, self.scenes, leases, retries=retries, force=force, tell=self.told.append)

    def end(self, scene: BatchScene, state: Any = DONE, again: bool = False) -> bool:
        self.place.write(f"{scene.name}/run.json", b"{}")
        error = None if state == DONE else "why"
        outcome = Outcome(state, error, 1.5, wanted=scene.wanted, record_bytes=2)
        return self.board.ended(scene, Ended(outcome, again))

    def do_all(self) -> str:
        """Names of the scenes that were done."""
        names = ""
        while (scene := self.board.next(wait=False)) is not None:
            self.end(scene)
            names += scene.name
        return names


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Any]:
    with contextlib.ExitStack() as held:

        def start(names: str = "abc", **options: Any) -> Batch:
            leases = held.enter_context(Leases(LocalPlace(tmp_path)))
            return Batch(tmp_path, leases, names, **options)

        yield start


def test_what_is_done_is_not_done_again(batch: Any, tmp_path: Path) -> None:
    first = batch()
    scene = first.board.next()
    first.end(scene)
    failing = first.board.next()
    assert first.end(failing, FAILED)
    again = batch()
    assert again.do_all() == "bc"
    assert [(told.scene, told.what) for told in again.told if told.what != "begun"] == [
        ("a", "kept"),
        ("b", "done"),
        ("c", "done"),
    ]
    assert batch().do_all() == ""
    assert batch(force=True).do_all() == "abc"
    assert batch(seed=1).do_all() == "abc"  # other settings
    (tmp_path / "b" / "run.json").unlink()
    (tmp_path / "c" / "run.json").write_text("{another}")
    assert batch(seed=1).do_all() == "bc"


def test_two_at_once_share_the_scenes(batch: Any) -> None:
    first, second = batch("abcd"), batch("abcd")
    a, b = first.board.next(), second.board.next()
    assert (a.name, b.name) == ("a", "b")
    assert second.board.next().name == "c"
    first.end(a, FAILED)
    assert second.board.next().name == "d"
    assert first.board.next(wait=False) is None
    assert not first.board.is_over
    for scene in second.scenes[1:]:
        second.end(scene)
    first.board._looked = second.board._looked = 0.0
    assert first.board.next() is None
    assert second.board.next() is None  # a has just failed there: it is not tried here
    assert first.board.is_over
    assert second.board.is_over
    assert [first.board.outcomes[name].state for name in "abcd"] == [FAILED, DONE, DONE, DONE]
    assert first.board.outcomes == second.board.outcomes


def test_an_interrupted_one_leaves_its_scenes_to_others(batch: Any, tmp_path: Path) -> None:
    second = batch("ab")
    with Leases(LocalPlace(tmp_path)) as leases:
        assert Batch(tmp_path, leases, "ab").board.next().name == "a"
        assert second.board.next().name == "b"
        assert second.board.next(wait=False) is None
    second.board._looked = 0.0
    assert second.board.next().name == "a"


def test_a_scene_that_may_end_otherwise_is_tried_again(batch: Any) -> None:
    one = batch("ab", retries=2)
    a = one.board.next()
    assert not one.end(a, FAILED, again=True)
    assert one.board.next().name == "b"  # the others first
    one.end(one.scenes[1], FAILED)
    assert one.board.next().name == "a"
    assert not one.end(a, FAILED, again=True)
    assert one.board.is_last_attempt(one.board.next())
    assert one.end(a, FAILED, again=True)
    assert one.board.is_over
    assert (one.board.outcomes["a"].attempts, one.board.outcomes["b"].attempts) == (3, 1)
    assert [told.error for told in one.told if told.what == "again"] == ["why", "why"]
    later = batch("ab")
    later.end(later.board.next())
    assert later.board.outcomes["a"].attempts == 4  # in all
    other = batch("b", seed=1)
    other.end(other.board.next())
    assert other.board.outcomes["b"].attempts == 1  # at something else


def test_a_full_disk_ends_the_batch_and_the_same_command_goes_on(batch: Any) -> None:
    one = batch("abc")
    one.end(one.board.next())
    b = one.board.next()
    full = Outcome(FAILED, "cannot write x: No space left on device", wanted=b.wanted)
    with pytest.raises(InputError, match=r"b: .*No space left.*same command"):
        one.board.ended(b, Ended(full, stops_batch=True))
    assert one.board.next() is None
    assert batch("abc").do_all() == "bc"


def test_batch_json_says_how_all_scenes_are(batch: Any, tmp_path: Path) -> None:
    first, second = batch("ab"), batch("c")
    second.do_all()
    first.end(first.board.next(), FAILED)
    with Leases(first.place) as leases:
        content = write_batch_file(first.place, [*first.scenes, *second.scenes], first.board.outcomes, leases)
    assert content["counts"] == {"done": 1, "failed": 1, "open": 1}
    assert content["seconds"] == 3.0
    found = [(one["name"], one["state"], one["error"]) for one in content["scenes"]]
    assert found == [("a", "failed", "why"), ("b", "open", None), ("c", "done", None)]
    assert (tmp_path / "batch.json").is_file()
