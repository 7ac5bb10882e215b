"""One kind of option: what its field says holds for Python, YAML files and flags alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from recon.errors import InputError
from recon.options import (
    Options,
    asked_in_vain,
    build,
    coerce,
    like,
    option,
    options_of,
    part_of,
    settings_entry,
)


@dataclass(frozen=True, kw_only=True)
class Brush(Options):
    """How it is painted."""

    width: float = option(0.5, help="In millimetres.", above=0, most=10)
    colors: tuple[int, ...] = option((), help="Numbers of colours.", least=0, most=255)
    shape: Literal["round", "flat"] = option("round", help="Of the tip.", used_by=("oil", "water"))
    size: tuple[int, int] | None = option(None, help="Of the canvas.", least=1)
    file: Path | None = option(None, help="To read from.")
    palette: str = option("bright", help="A name or a file.", may_be_path=True)
    layers: int | None = option(None, help="On top of each other.", least=1)
    dry: bool = option(False, help="Wait.", used_by=("oil",))
    extra: Any = option(None, help="Anything.")


@dataclass(frozen=True, kw_only=True)
class Painting(Brush):
    """A painting."""

    title: str = option(help="What it shows.")
    strokes: int = like(Brush, "layers", default=3, help="How many.")


class TestCoerce:
    @pytest.mark.parametrize(
        ("value", "kind", "expected"),
        [
            (np.float32(0.5), float, 0.5),
            (np.int64(3), int, 3),
            (np.bool_(True), bool, True),
            (np.str_("a"), str, "a"),
            (2, float, 2.0),
            (np.array([1, 2]), tuple[int, ...], (1, 2)),
            ([3, 4], tuple[int, int] | None, (3, 4)),
            (None, tuple[int, int] | None, None),
            ("a/b", Path, Path("a/b")),
            (["a", Path("b")], tuple[Path, ...], (Path("a"), Path("b"))),
            (5, int | float, 5),
            (2.5, int | float, 2.5),
            ("x", int | str, "x"),
        ],
    )
    def test_values_of_python(self, value: object, kind: Any, expected: object) -> None:
        found = coerce(value, kind)
        assert found == expected
        assert type(found) is type(expected)

    @pytest.mark.parametrize(
        ("text", "kind", "expected"),
        [
            ("007", int, 7),
            ("1e6", int, 1_000_000),
            ("1e-2", float, 0.01),
            ("5", float, 5.0),
            ("No", bool, False),
            ("on", bool, True),
            ("off", str, "off"),
            ("007", str, "007"),
            ("flat", Literal["round", "flat"], "flat"),
            ("none", Literal["none", "hcat"] | None, "none"),
            ("none", int | None, None),
            ("none", str | None, "none"),
            ("[56, 70]", tuple[int, int] | None, (56, 70)),
            (["56", "70"], tuple[int, int] | None, (56, 70)),
            (["3", "4"], tuple[int, ...], (3, 4)),
            ("[[1, 2]]", Any, [[1, 2]]),
            ("9223372036854775807", int, 2**63 - 1),
        ],
    )
    def test_text_of_a_command_line(self, text: object, kind: Any, expected: object) -> None:
        found = coerce(text, kind, text=True)
        assert found == expected
        assert type(found) is type(expected)

    @pytest.mark.parametrize(
        ("value", "kind", "wanted"),
        [
            ("5", int, "a whole number"),
            (5.0, int, "a whole number"),
            (True, int, "a whole number"),
            (True, float, "a number"),
            ("5", float, "a number"),
            (math.nan, float, "a number"),
            (math.inf, float, "a number"),
            (10**400, float, "a number"),
            (1, bool, "true or false"),
            ("true", bool, "true or false"),
            (None, str, "text"),
            (b"a", str, "text"),
            ("", Path, "a path"),
            ("a\0b", Path, "a path"),
            (3, Path, "a path"),
            ("ab", tuple[str, ...], r"a list, written \[ab\]"),
            ({"a": 1}, tuple[str, ...], "a list"),
            ((1, 2, 3), tuple[int, int], "2 values"),
            (1, Literal["round", "flat"], "one of round, flat"),
            (True, Literal[1, 2], "one of 1, 2"),
            ([], int | str, "a whole number or text"),
        ],
    )
    def test_what_is_refused(self, value: object, kind: Any, wanted: str) -> None:
        with pytest.raises(ValueError, match=f"^must be {wanted}, got "):
            coerce(value, kind)

    @pytest.mark.parametrize(
        ("text", "kind"),
        [("5.5", int), ("true", int), ("1", bool), ("big", float), ("nan", float), ("[", tuple[int, ...])],
    )
    def test_text_that_cannot_be_read(self, text: str, kind: Any) -> None:
        with pytest.raises(ValueError, match="must be"):
            coerce(text, kind, text=True)


class TestPaths:
    @pytest.fixture(autouse=True)
    def _home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")

    def test_the_home_folder_in_every_kind_of_path(self) -> None:
        home = Path("/home/someone")
        assert Brush(file="~/a.json").file == home / "a.json"  # type: ignore[arg-type]
        assert Brush(file=Path("~")).file == home
        assert Brush(palette="~/p.yaml").palette == "/home/someone/p.yaml"
        assert coerce(["~/a", "b"], tuple[Path, ...], text=True) == (home / "a", Path("b"))

    def test_elsewhere_it_is_a_character(self) -> None:
        assert Painting(title="~").title == "~"
        assert Brush(file="a/~b").file == Path("a/~b")  # type: ignore[arg-type]

    def test_a_user_that_is_not_known(self) -> None:
        assert Brush(file="~no-such-user/a").file == Path("~no-such-user/a")  # type: ignore[arg-type]


class TestBounds:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"width": 0}, "width must be above 0 and at most 10, got 0.0"),
            ({"width": 10.5}, "width must be above 0 and at most 10"),
            ({"colors": (3, 256)}, "colors must be 0 to 255, got 256"),
            ({"size": (4, 0)}, "size must be at least 1, got 0"),
            ({"layers": 0}, "layers must be at least 1"),
        ],
    )
    def test_are_those_of_the_field(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            Brush(**values)

    def test_ends_belong_to_them_where_the_field_says_so(self) -> None:
        brush = Brush(width=10, colors=(0, 255), layers=1)
        assert (brush.width, brush.colors, brush.layers) == (10.0, (0, 255), 1)


def test_what_a_class_of_options_holds() -> None:
    found = options_of(Painting)
    assert list(found)[:2] == ["width", "colors"]
    assert found["title"].required
    assert not found["strokes"].required
    assert (found["strokes"].default, found["strokes"].like, found["strokes"].least) == (3, "layers", 1)
    assert found["width"].declared_in is Brush
    assert found["title"].declared_in is Painting
    assert found["layers"].flag == "--layers"
    with pytest.raises(InputError, match="strokes must be at least 1"):
        Painting(title="a", strokes=0)


def test_options_by_name() -> None:
    assert build(Brush, {"width": 2, "shape": "flat"}, of="brush") == Brush(width=2.0, shape="flat")
    with pytest.raises(InputError, match=r"unknown option 'widht' for brush; did you mean 'width'\?"):
        build(Brush, {"widht": 2}, of="brush")
    with pytest.raises(InputError, match=r"oil\.width must be above 0"):
        build(Brush, {"width": 0}, of="brush", prefix="oil.")


def test_a_part_of_them_and_the_record() -> None:
    painting = Painting(title="Sea", width=2.0, file=Path("a"))
    assert part_of(painting, Brush) == Brush(width=2.0, file=Path("a"))
    entry = settings_entry(painting)
    assert list(entry) == list(options_of(Painting))
    assert (entry["title"], entry["strokes"], entry["file"], entry["dry"]) == ("Sea", 3, Path("a"), False)


def test_what_is_asked_for_in_vain() -> None:
    brush = Brush(shape="flat", dry=True, width=3.0, extra=np.zeros(3))
    assert asked_in_vain(brush, {"oil"}) == {}
    assert list(asked_in_vain(brush, {"water"})) == ["dry"]
    assert list(asked_in_vain(brush, ())) == ["shape", "dry"]
    assert asked_in_vain(brush, ())["shape"] == "shape is for oil and water, which this run does without"
    assert asked_in_vain(Brush(shape="round", dry=False, width=3.0), ()) == {}
