"""Batches depend on the seed and their number alone; mixtures, budgets, shares of processes, and bad samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from recon.errors import InputError
from recon.train.batches import Batch
from recon.train.data.scene import Labels, Picture, Scene
from recon.train.data.training_data import ConfiguredData, open_data
from tests.train.data.wall_scene import wall_scene

OPTIONS = {"process_res": 56, "aspect": [0.6, 1.6], "patches": 48, "workers": 2, "ahead": 3}


def data_of(scenes: Mapping[str, Sequence[Scene]], sets: Any = None, **more: Any) -> ConfiguredData:
    named = [{"paths": [name]} for name in scenes] if sets is None else sets
    return open_data({"sets": named, **OPTIONS, **more}, of="x.yaml: data", scenes=scenes)


def same(one: Batch, other: Batch) -> bool:
    """To the bit."""
    for name in (field.name for field in fields(Batch)):
        a, b = getattr(one, name), getattr(other, name)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b):
            return False
    return True


def test_a_batch_is_the_same_whenever_it_is_made() -> None:
    scenes = {"a": [wall_scene(6, "a")], "b": [wall_scene(5, "b"), wall_scene(4, "c")]}
    one, other = data_of(scenes, views=[1, 3]), data_of(scenes, views=[1, 3])
    expected = [one.batch(7, number) for number in range(6)]
    for number in (4, 0, 5, 2):
        assert same(other.batch(7, number), expected[number])
    assert not same(one.batch(8, 0), expected[0])
    stream = other.batches(7)
    assert all(same(next(stream), batch) for batch in expected)
    stream.close()


def test_a_stream_goes_on_where_it_was_left() -> None:
    data = data_of({"a": [wall_scene(8, "a")]})
    first = data.batches(3)
    expected = [next(first) for _ in range(7)]
    first.close()
    second = data.batches(3)
    for _ in range(4):
        next(second)
    state = second.state()
    second.close()
    third = data.batches(3)
    next(third)
    third.resume(state)
    assert all(same(next(third), batch) for batch in expected[4:])
    with pytest.raises(InputError, match="whole number"):
        third.resume({"batches": "many"})
    third.close()


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_the_batches_of_one(ranks: int) -> None:
    data = data_of({"a": [wall_scene(14, "a")]}, patches=96)
    for number in range(4):
        whole = data.batch(5, number)
        for rank in range(ranks):
            assert same(data.batch(5, number, rank, ranks), whole.part(rank, ranks))
    small = data_of({"a": [wall_scene(9, "a")]}, patches=20, aspect=[1, 1])
    with pytest.raises(InputError, match="batch of 1 samples cannot be shared out to 2 processes"):
        small.batch(5, 0, 1, 2)


def test_batches_keep_to_the_budget_and_vary_in_shape_and_views() -> None:
    data = data_of({"a": [wall_scene(12, "a")]}, views=[1, 4], given_cameras=0.5)
    batches = [data.batch(0, number) for number in range(40)]
    assert all(batch.tokens <= 48 for batch in batches)
    assert {batch.images.shape[1] for batch in batches} == {1, 2, 3, 4}
    assert len({batch.images.shape[3:] for batch in batches}) >= 4
    assert 8 < sum(batch.cameras_given for batch in batches) < 32
    for batch in batches:
        assert all(len(set(names)) == len(names) for names in batch.names)
        assert batch.metric
        assert batch.depth is not None
        assert torch.isfinite(batch.images).all()


def test_sets_have_their_shares_as_evenly_as_can_be() -> None:
    scenes = {name: [wall_scene(6, name)] for name in "ab"}
    sets = [{"paths": ["a"], "weight": 1}, {"paths": ["b"], "weight": 2}]
    data = data_of(scenes, sets)
    names = [data.batch(1, number).names[0][0][0] for number in range(60)]
    for end in range(3, 61):
        assert abs(names[:end].count("b") - 2 * end / 3) < 2
    seen = Counter(name for number in range(60) for (name,) in data.batch(1, number).names if name[0] == "b")
    assert len(seen) == 6  # every photo


def spoiled(scene: Scene, bad: Mapping[int, str]) -> Scene:
    """With photos that cannot be used."""
    labels = scene.read_labels
    assert labels is not None

    def read_labels(view: int, size: tuple[int, int], to_photo: np.ndarray) -> Labels:
        known = labels(view, size, to_photo)
        number = {"nan": np.nan, "zero": 0.0, "infinite": np.inf}.get(bad.get(view, ""))
        return known if number is None else replace(known, depth=np.full_like(known.depth, number))

    def read_picture(view: int) -> Picture:
        if bad.get(view) == "unreadable":
            raise InputError(f"'{view}.png' cannot be decoded")
        return scene.read_picture(view)

    return replace(scene, read_labels=read_labels, read_picture=read_picture)


def test_bad_samples_are_named_and_others_take_their_places() -> None:
    bad = {0: "nan", 2: "zero", 3: "infinite", 5: "unreadable"}
    data = data_of({"a": [spoiled(wall_scene(9, "a"), bad)]})
    for number in range(25):
        batch = data.batch(2, number)
        assert batch.valid is not None
        assert batch.valid.flatten(2).any(dim=2).all()
        assert not {name for (name,) in batch.names} & {f"a: {view}.png" for view in bad}
        assert same(batch, data.batch(2, number))
    assert set(data.skipped) == {f"a: {view}.png" for view in bad}
    assert "no valid depth" in data.skipped["a: 0.png"]
    assert "cannot be decoded" in data.skipped["a: 5.png"]


def test_a_set_without_anything_usable_stops_with_the_reason() -> None:
    data = data_of({"a": [spoiled(wall_scene(9, "a"), dict.fromkeys(range(9), "nan"))]})
    with pytest.raises(InputError, match=r"x\.yaml: data\.sets\[0\]: 20 samples in a row .* no valid depth"):
        data.batch(0, 0)
    far = np.tile(np.eye(4), (9, 1, 1))
    far[:, 1, 3] = -40.0 * np.arange(9)
    data = data_of({"a": [wall_scene(9, "a", extrinsics=far)]}, views=[2, 2])
    with pytest.raises(InputError, match="only 1 views overlap"):
        data.batch(0, 0)


def test_depth_that_is_missing_in_parts_is_not_valid_there() -> None:
    data = data_of({"a": [wall_scene(8, "a", holes=True)]}, zoom=[1, 1], mirror=0, aspect=[1.3, 1.3])
    batch = data.batch(0, 0)
    assert batch.valid is not None
    assert batch.depth is not None
    third = batch.valid.shape[-1] // 3
    assert not batch.valid[..., : third - 2].any()
    assert batch.valid[..., third + 2 :].all()
    assert torch.isfinite(batch.depth).all()


def test_evaluation_shows_whole_photos_in_order_and_always_the_same() -> None:
    scenes = {"a": [wall_scene(7, "a")], "b": [wall_scene(11, "b"), spoiled(wall_scene(3, "c"), {1: "nan"})]}
    data = data_of(scenes, [{"paths": ["a"]}], evaluation=[{"paths": ["b"], "every": 2}])
    batches = list(data.evaluation())
    names = [name for batch in batches for (name,) in batch.names]
    assert names == [*(f"b: {view}.png" for view in range(0, 11, 2)), "c: 0.png", "c: 2.png"]
    assert all(same(one, other) for one, other in zip(batches, data.evaluation(), strict=True))
    assert batches[0].intrinsics is not None
    assert batches[0].images.shape[3:] == (42, 56)  # of photos of 80 × 60
    several = data_of(scenes, [{"paths": ["a"]}], evaluation=[{"paths": ["b"]}], views=[2, 4], patches=64)
    shapes = [batch.images.shape[:2] for batch in several.evaluation()]
    assert shapes == [(1, 4), (1, 4)]  # and of the third, three views, one is bad


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, r"x\.yaml: data\.sets must list at least one set"),
        ({"sets": "a"}, r"data\.sets must be a list of sets"),
        ({"sets": [{"weight": 2}]}, r"data\.sets\[0\]: 'paths' is missing"),
        ({"sets": [{"paths": ["a"], "weight": 0}]}, r"data\.sets\[0\]\.weight must be above 0"),
        ({"sets": [{"paths": ["a"], "wieght": 1}]}, r"data\.sets\[0\].*did you mean 'weight'"),
        ({"sets": [{"paths": ["a"]}], "veiws": [1, 2]}, "unknown key 'veiws'; did you mean 'views'"),
        ({"sets": [{"paths": ["a"]}], "views": [3, 2]}, r"data\.views must have the smaller number first"),
        ({"sets": [{"paths": ["a"], "labels": "teacher"}]}, r"data\.sets\[0\]\.labels: teacher needs"),
        ({"sets": [{"paths": ["nothing*"]}]}, r"data\.sets\[0\]: nothing is at 'nothing\*'"),
        ({"sets": [{"paths": ["gone"]}]}, r"data\.sets\[0\]: 'gone' does not exist"),
        ({"sets": [{"paths": ["a"]}], "patches": 2000}, r"data\.sets\[0\]: has 4 photos .* lower 'patches'"),
        ({"sets": [{"paths": ["bare"]}]}, "brings no depth; give .* 'labels: teacher'"),
    ],
)
def test_what_a_configuration_cannot_say(entries: dict[str, Any], said: str) -> None:
    scenes = {"a": [wall_scene(4, "a")], "bare": [replace(wall_scene(4, "bare"), read_labels=None)]}
    with pytest.raises(InputError, match=said):
        open_data({**OPTIONS, **entries}, of="x.yaml: data", scenes=scenes)


def test_what_is_said_of_the_data() -> None:
    scenes = {"a": [wall_scene(4, "a"), wall_scene(6, "b")]}
    described = data_of(scenes, [{"paths": ["a"], "limit": 5}]).describe()
    assert described["sets"] == [
        {
            "scenes": 2,
            "photos": 9,
            "weight": 1.0,
            "labels": "own",
            "cameras": True,
            "metres": True,
            "left_out": {},
        }
    ]


def test_a_scene_that_cannot_be_opened_is_left_out_and_named(tmp_path: Any) -> None:
    from recon.messages import ReconWarning
    from tests.eval.layout_folders import blendedmvs

    blendedmvs(tmp_path)
    (tmp_path / "empty").mkdir()
    entries = {"sets": [{"paths": [str(tmp_path / "*")]}], **OPTIONS, "patches": 24}
    with pytest.warns(ReconWarning, match="left out 1 of 2 scenes: .*empty"):
        data = open_data(entries)
    assert list(data.describe()["sets"][0]["left_out"]) == [str(tmp_path / "empty")]
    assert data.batch(0, 0).images.shape[0] >= 1
