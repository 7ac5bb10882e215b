"""What a run keeps: found again by what decided it, the same to the bit, and never half a file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from recon.digests import digest, program_digest
from recon.messages import collect_warnings, warn
from recon.run.find_cameras import kept_classes
from recon.run.packing import pack, unpack
from recon.run.pipeline import KEPT_CLASSES
from recon.run.store import FOLDER, SHARED_STAGES, Store
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.seeds import numpy_random


@dataclass(frozen=True)
class Thing:
    numbers: np.ndarray
    name: str = "ä"
    parts: tuple[Any, ...] = ()
    more: dict[Any, Any] = field(default_factory=dict)


def whole_prediction() -> Prediction:
    """A value in each field."""
    random = numpy_random(0)
    views, height, width = 2, 3, 4
    gaussians = Gaussians(
        random.normal(size=(5, 3)).astype(np.float32),
        random.uniform(1, 2, (5, 3)).astype(np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (5, 1)),
        random.normal(size=(5, 3, 4)).astype(np.float32),
        random.uniform(size=5).astype(np.float32),
    )
    special: dict[str, Any] = {
        "depth": np.array([np.nan, np.inf, -0.0, 1e-40] * 6, np.float32).reshape(views, height, width),
        "processed_images": random.integers(0, 256, (views, height, width, 3), dtype=np.uint8),
        "conf": random.uniform(1, 2, (views, height, width)).astype(np.float32),
        "extrinsics": random.normal(size=(views, 3, 4)).astype(np.float32),
        "intrinsics": random.normal(size=(views, 3, 3)).astype(np.float32),
        "gaussians": gaussians,
        "gaussian_source": "depth",
        "units": "metric",
        "scale_factor": 0.1 + 0.2,
        "image_names": ("a.jpg", "ü/b.jpg"),
        "original_sizes": np.array([[40, 30], [41, 31]]),
        "processed_to_original": random.normal(size=(views, 3, 3)),
        "ref_view": 1,
    }
    for one in fields(Prediction):  # of the rest, what is a mask
        if one.name not in special and "np.bool_" in str(one.type):
            special[one.name] = random.uniform(size=(views, height, width)) < 0.5
    return Prediction(**special)


def assert_same(one: Any, other: Any) -> None:
    """Equal to the bit, in type and value."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            assert_same(getattr(one, name), getattr(other, name))
    elif isinstance(one, (tuple, list)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, dict):
        assert_same(list(one), list(other))
        assert_same(list(one.values()), list(other.values()))
    else:
        assert one == other


class TestPacking:
    @pytest.mark.parametrize(
        "value",
        [
            whole_prediction(),
            Cameras(np.tile(np.eye(4), (2, 1, 1))),
            Thing(
                np.arange(3), parts=(1, (2.5, None), [True, "x"]), more={3: np.zeros((0, 2)), "k": {"l": np.array(7)}}
            ),
            {"text": np.array(["a", "bc"]), "nothing": None, "far": float("inf")},
        ],
    )
    def test_there_and_back(self, value: Any) -> None:
        tree, arrays = pack(value)
        again = unpack(json.loads(json.dumps(tree)), arrays, (Prediction, Gaussians, Cameras, Thing))
        assert_same(again, value)

    def test_arrays_come_back_in_rows(self) -> None:
        tree, arrays = pack(Thing(np.arange(12.0).reshape(3, 4).T[::2]))
        again = unpack(tree, arrays, (Thing,))
        assert again.numbers.flags.c_contiguous
        np.testing.assert_array_equal(again.numbers, np.arange(12.0).reshape(3, 4).T[::2])

    def test_only_the_classes_named_come_back(self) -> None:
        tree, arrays = pack(Thing(np.zeros(1)))
        with pytest.raises(KeyError, match="Thing"):
            unpack(tree, arrays, (Prediction,))

    @pytest.mark.parametrize("value", [object(), np.array([object()]), {1, 2}, len])
    def test_what_would_need_pickle_is_refused(self, value: Any) -> None:
        with pytest.raises(TypeError):
            pack([value])


def test_everything_that_an_outcome_may_consist_of_is_named() -> None:
    known = {kind.__name__: kind for kind in (*KEPT_CLASSES, *kept_classes())}

    def parts(kind: Any, above: frozenset[type] = frozenset()) -> set[type]:
        below = {part for argument in get_args(kind) for part in parts(argument, above)}
        if is_dataclass(kind) and kind not in above:  # one may consist of its own kind
            assert isinstance(kind, type)
            hints = get_type_hints(kind, localns=known).values()
            below |= {kind, *(part for hint in hints for part in parts(hint, above | {kind}))}
        return below

    for kind in known.values():
        assert parts(kind) <= set(known.values()), kind


class TestDigests:
    def test_equal_values_have_one_digest(self) -> None:
        assert digest({"a": 1, "b": (2.0, None)}) == digest({"b": [2.0, None], "a": 1})
        columns = np.asfortranarray(np.arange(6).reshape(2, 3))
        assert digest(columns) == digest(np.arange(6).reshape(2, 3))
        assert digest(Thing(np.ones(2))) == digest(Thing(np.ones(2)))

    def test_any_difference_makes_another(self) -> None:
        values: list[Any] = [
            *(
                None,
                True,
                1,
                1.0,
                "1",
                b"1",
                Path("1"),
                [],
                [[]],
                [1],
                {"1": 1},
                ["a", "b"],
                ["ab"],
                "nan",
                float("nan"),
            ),
            *(np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.zeros(0), np.zeros((0, 1))),
            *(Thing(np.ones(2)), Thing(np.ones(2), "b"), whole_prediction(), replace(whole_prediction(), ref_view=0)),
        ]
        assert len({digest(value) for value in values}) == len(values)
        large = np.zeros(3000)
        changed = large.copy()
        changed[1500] = 1e-300
        assert digest(large) != digest(changed)

    def test_the_program_has_one_for_good(self) -> None:
        assert program_digest() == program_digest()


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
class TestStore:
    @pytest.fixture
    def made(self) -> list[Any]:
        return []

    @pytest.fixture
    def make(self, made: list[Any]) -> Any:
        def thing(value: float = 1.0) -> Any:
            def work() -> Thing:
                made.append(value)
                warn(f"made {value}")
                return Thing(np.full(1000, value).reshape(10, 100).T)

            return work

        return thing

    def test_found_again_by_what_decided_it(self, make: Any, made: list[Any], tmp_path: Path) -> None:
        first = Store(tmp_path, (Thing,)).outcome("predict", {"a": 1}, make())
        with collect_warnings() as said:
            again = Store(tmp_path, (Thing,)).outcome("predict", {"a": 1}, make())
        assert (first.reused, again.reused, made) == (False, True, [1.0])
        assert said == ["made 1.0"]
        assert_same(first.outcome, again.outcome)
        assert first.outcome.numbers.strides == again.outcome.numbers.strides

    def test_another_key_makes_anew_and_replaces_all_but_shared_stages(
        self, make: Any, made: list[Any], tmp_path: Path
    ) -> None:
        store = Store(tmp_path, (Thing,))
        most = SHARED_STAGES["cameras"]
        for value in range(most + 2):
            store.outcome("predict", value, make(value))
            store.outcome("cameras", value, make(value))
        names = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / FOLDER).iterdir())
        assert names == ["cameras"] * most + ["predict"]
        assert store.outcome("predict", most + 1, make()).reused
        assert store.outcome("cameras", most, make()).reused
        assert not store.outcome("predict", 0, make()).reused

    def test_stages_that_are_no_longer_wanted_go(self, make: Any, tmp_path: Path) -> None:
        store = Store(tmp_path, (Thing,))
        for stage in ("cameras", "export ply", "export glb", "export gs_ply"):
            store.outcome(stage, 0, make())
        store.keep_only("export", ["export ply"])
        names = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / FOLDER).iterdir())
        assert names == ["cameras", "export-ply"]

    def test_the_shared_outcome_used_last_stays(self, make: Any, tmp_path: Path) -> None:
        store = Store(tmp_path, (Thing,))
        for value in range(SHARED_STAGES["cameras"]):
            store.outcome("cameras", value, make(value))
        for age, path in enumerate(sorted((tmp_path / FOLDER).iterdir())):
            os.utime(path, (age, age))
        assert store.outcome("cameras", 0, make()).reused
        store.outcome("cameras", -1, make())
        store.outcome("cameras", -2, make())
        assert store.outcome("cameras", 0, make()).reused

    def test_an_update_of_the_program_makes_anew(
        self, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Store(tmp_path, (Thing,)).outcome("predict", 1, make())
        monkeypatch.setattr("recon.run.store.program_digest", lambda: "another")
        assert not Store(tmp_path, (Thing,)).outcome("predict", 1, make()).reused

    def test_fresh_makes_anew_and_keeps(self, make: Any, tmp_path: Path) -> None:
        Store(tmp_path, (Thing,)).outcome("predict", 1, make(1))
        assert not Store(tmp_path, (Thing,), fresh=True).outcome("predict", 1, make(2)).reused
        again = Store(tmp_path, (Thing,)).outcome("predict", 1, make(3))
        assert again.reused
        assert again.outcome.numbers[0, 0] == 2

    def test_what_no_longer_holds_is_made_anew(self, make: Any, tmp_path: Path) -> None:
        store = Store(tmp_path, (Thing,))
        store.outcome("export glb", 1, make())
        assert store.outcome("export glb", 1, make(), usable=lambda found: found.name == "ä").reused
        assert not store.outcome("export glb", 1, make(), usable=lambda found: False).reused

    @pytest.mark.parametrize("damage", ["cut", "byte", "empty", "text"])
    def test_a_damaged_file_is_said_and_made_anew(self, make: Any, tmp_path: Path, damage: str) -> None:
        Store(tmp_path, (Thing,)).outcome("predict", 1, make())
        (path,) = (tmp_path / FOLDER).iterdir()
        content = bytearray(path.read_bytes())
        if damage == "byte":
            content[content.index(np.float64(1).tobytes() * 9) + 7] ^= 1
        path.write_bytes({"cut": content[:-30], "empty": b"", "text": b"hello"}.get(damage, bytes(content)))
        with collect_warnings() as said:
            again = Store(tmp_path, (Thing,)).outcome("predict", 1, make())
        assert not again.reused
        assert [path.name in message and "damaged" in message for message in said] == [True, False]
        assert Store(tmp_path, (Thing,)).outcome("predict", 1, make()).reused

    def test_a_folder_that_cannot_be_written_is_said_once(self, make: Any, made: list[Any], tmp_path: Path) -> None:
        (tmp_path / FOLDER).write_text("a file")
        store = Store(tmp_path, (Thing,))
        with collect_warnings() as said:
            assert store.outcome("predict", 1, make()).outcome.numbers[0, 0] == 1
            store.outcome("splat", 1, make(2.0))
        assert [("not kept" in message) for message in said] == [False, True, False]
        assert len(made) == 2

    def test_a_failure_keeps_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path, ()).outcome("predict", 1, fail)
        assert not list(tmp_path.rglob("*"))
