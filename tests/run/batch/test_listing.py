"""What users name becomes scenes, each with a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recon.choices import RunOptions
from recon.cli.batch import _read_line
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.run.batch.listing import part_of_scenes, scenes_of
from recon.run.batch.scene import BatchScene


def read(given: Sequence[Path], out: str = "results", **common: Any) -> list[BatchScene]:
    return scenes_of(given, RunOptions(**common), out, _read_line)


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_every_folder_video_and_archive_of_a_folder(tmp_path: Path) -> None:
    folders(tmp_path, "b10", "b9", ".hidden", "results", "earlier/.batch")
    for name in ("walk.mp4", "phone.zip", "notes.txt", "photo.jpg"):
        (tmp_path / name).touch()
    found = read([tmp_path], out=str(tmp_path / "results"), seed=3)
    assert [one.name for one in found] == ["b9", "b10", "phone", "walk"]
    assert found[0].settings == RunOptions(inputs=(tmp_path / "b9",), seed=3)


def test_a_pattern_and_what_a_shell_makes_of_it(tmp_path: Path) -> None:
    folders(tmp_path, "x1", "x2", "y")
    (tmp_path / "x.txt").touch()
    (tmp_path / "x.md").touch()
    assert [one.name for one in read([tmp_path / "x*"])] == ["x1", "x2"]
    with pytest.warns(ReconWarning, match=r"x\.md"):
        assert [one.name for one in read([tmp_path / "x1", tmp_path / "x2", tmp_path / "x.md"])] == ["x1", "x2"]


def test_lines_of_a_list(tmp_path: Path) -> None:
    folders(tmp_path / "sites", "a", "b b", "c", "masks")
    (tmp_path / "cams.json").touch()
    (tmp_path / "list.txt").write_text(
        "# a comment\nsites/a\n\nsites/b b\n"
        "sites/c --name third --seed 7 --cameras cams.json --masks sites/masks --model da3-small\n"
        "'sites/c' sites/a/x.jpg\n"
    )
    first, second, third, fourth = read([tmp_path / "list.txt"], model="mvs", process_res=140)
    assert [one.name for one in (first, second, third, fourth)] == ["a", "b b", "third", "c"]
    assert first.settings == RunOptions(inputs=(tmp_path / "sites/a",), model="mvs", process_res=140)
    assert third.settings == RunOptions(
        inputs=(tmp_path / "sites/c",),
        seed=7,
        model="da3-small",
        process_res=140,
        cameras=str(tmp_path / "cams.json"),
        masks=tmp_path / "sites/masks",
    )
    assert fourth.settings.inputs == (tmp_path / "sites/c", tmp_path / "sites/a/x.jpg")


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_entries_of_a_list(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_text('["a", {"inputs": ["b", "c"], "name": "both", "seed": 2}]')
    first, second = read([path])
    assert (first.name, first.settings.inputs) == ("a", (tmp_path / "a",))
    assert (second.name, second.settings.inputs, second.settings.seed) == ("both", (tmp_path / "b", tmp_path / "c"), 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb --sed 3\n", r"line 2.*--sed"),
        ("a --seed x\n", r"line 1.*seed.*'x'"),
        ("a 'b\n", r"line 1.*quotation"),
        ("--seed 3\n", r"line 1.*no photos"),
        ("a --name x/y\n", r"line 1.*'x/y'"),
        ("a --name ..\n", r"line 1.*'\.\.'"),
        ("a --invert-masks\n", r"line 1.*invert_masks"),
        ("a --name one\nb --name ONE\n", r"line 1.*line 2.*one"),
        ("a --seed 1\na --seed 2\n", r"line 1.*line 2.*name"),
        ("# nothing\n", r"no scenes.*list\.txt"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        read([tmp_path / "list.txt"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', "no list"),
        ("[", "cannot be read"),
        ('[{"inputs": "a", "sed": 1}]', r"entry 1.*sed.*seed"),
        ('["a", {"inputs": "b", "seed": "x"}]', r"entry 2.*seed"),
        ('[{"seed": 1}]', r"entry 1.*no photos"),
        ("[3]", r"entry 1.*inputs"),
    ],
)
def test_entries_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read([tmp_path / "list.json"])


@pytest.mark.parametrize(
    ("given", "said"), [("none", "does not exist"), ("none*", "matches nothing"), (".", "recon run")]
)
def test_nothing_there(tmp_path: Path, given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read([tmp_path / given])


def test_names_tell_scenes_apart_by_the_folders_above(tmp_path: Path) -> None:
    folders(tmp_path, "north/house/images", "south/house/images", "shed/images")
    given = [tmp_path / "north/house/images", tmp_path / "south/house/images", tmp_path / "shed/images"]
    assert [one.name for one in read(given)] == ["north-house", "south-house", "shed"]


def test_shards_share_the_scenes(tmp_path: Path) -> None:
    scenes = read([folders(tmp_path, *"abcdefg")])
    parts = [part_of_scenes(scenes, f"{part}/3") for part in (1, 2, 3)]
    assert [one.name for one in parts[1]] == ["b", "e"]
    assert sorted(one.name for part in parts for one in part) == list("abcdefg")
    assert part_of_scenes(scenes, None) == scenes
    for bad in ("0/3", "4/3", "3", "a/b", "1/0", "-1/3"):
        with pytest.raises(InputError, match="shard"):
            part_of_scenes(scenes, bad)


def test_what_a_scene_wants_survives_the_way_to_another_process(tmp_path: Path) -> None:
    (scene,) = read(
        [tmp_path / "a.mp4"] if (tmp_path / "a.mp4").touch() is None else [], crop_sphere=(1.0, 2.0, 3.0, 4.0)
    )
    assert BatchScene.of_message(scene.message()) == scene
    again = BatchScene.of_message({**scene.message(), "settings": {**scene.message()["settings"], "fresh": True}})
    assert again.wanted == scene.wanted
    other = BatchScene.of_message({**scene.message(), "settings": {**scene.message()["settings"], "seed": 1}})
    assert other.wanted != scene.wanted
