"""Flags and help come from the options of each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest

from recon.cli.arguments import help_text, parse
from recon.cli.command import Command
from recon.cli.main import COMMANDS
from recon.errors import InputError
from recon.export import EXPORTERS
from recon.options import Options, option, options_of
from recon.run.settings_file import settings_names


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """Try the flags, 100 % of them."""

    inputs: tuple[Path, ...] = option((), help="Files.", positional=True, metavar="INPUT")
    blocks: tuple[int, ...] = option((), help="One at a time.")
    size: tuple[int, int] | None = option(None, help="Both sides.", metavar="HEIGHT WIDTH")
    speed: float = option(1.5, help="At 50 % more.")
    mode: Literal["slow", "fast"] = option("slow", help="Which.")
    draw_all: bool = option(True, help="Everything.")
    out_file: Path | None = option(None, help="To write.", short="-o")


TRY = Command("try", Settings, lambda settings: None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("a b", {"inputs": (Path("a"), Path("b"))}),
        ("--speed 2 a", {"speed": 2.0, "inputs": (Path("a"),)}),
        ("a --speed=2 b", {"speed": 2.0, "inputs": (Path("a"), Path("b"))}),
        ("--speed -2", {"speed": -2.0}),
        ("--speed=-1e-3", {"speed": -0.001}),
        ("--blocks 3 a --blocks 4 b", {"blocks": (3, 4), "inputs": (Path("a"), Path("b"))}),
        ("--size 3 4 a", {"size": (3, 4), "inputs": (Path("a"),)}),
        ("--size 3,4 a,b", {"size": (3, 4), "inputs": (Path("a,b"),)}),
        ("--size=-3,4", {"size": (-3, 4)}),
        ("--no-draw-all", {"draw_all": False}),
        ("--no_draw_all --draw_all", {"draw_all": True}),
        ("--out_file a_b.onnx", {"out_file": Path("a_b.onnx")}),
        ("-o a.onnx -", {"out_file": Path("a.onnx"), "inputs": (Path("-"),)}),
        ("--mode fast --mode slow", {"mode": "slow"}),
        ("a -- --speed -x", {"inputs": (Path("a"), Path("--speed"), Path("-x"))}),
        ("-3", {"inputs": (Path("-3"),)}),
    ],
)
def test_arguments(arguments: str, expected: dict[str, Any]) -> None:
    assert parse(TRY, arguments.split()) == Settings(**expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sped 2", "has no option --sped; did you mean --speed?"),
        ("--spee=2", "has no option --spee; did you mean --speed?"),
        ("--no-draw-al", "did you mean --no-draw-all?"),
        ("--zzz", "has no option --zzz; recon try --help"),
        ("-q", "has no option -q"),
        ("--speed", "--speed: expected one argument"),
        ("--speed --mode fast", "--speed: expected one argument"),
        ("--speed fast", "--speed must be a number, got 'fast'"),
        ("--size 3", "--size: expected 2 arguments"),
        ("--size 3,4,5", "--size"),
        ("--size 3 b", "--size must be a whole number, got 'b'"),
        ("--mode medium", "--mode must be one of slow, fast, got 'medium'"),
        ("--blocks 3 --blocks x", "--blocks must be a whole number, got 'x'"),
        ("--draw-all=no", "--draw-all: takes no value"),
        ("--spin 3", "has no option --spin; recon try --help"),
    ],
)
def test_what_is_refused(arguments: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse(TRY, arguments.split())
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_help_says_defaults_and_percentages_as_they_are() -> None:
    text = " ".join(help_text(TRY).split())
    assert "100 % of them." in text
    assert "At 50 % more. [1.5]" in text
    assert "--size HEIGHT WIDTH" in text
    assert "-o" in text


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_every_option_of_every_command_is_explained(command: Command) -> None:
    text = help_text(command)
    for one in options_of(command.settings).values():
        assert one.help, one.name
        assert one.flag in text
        assert one.positional or get_origin(one.type) is not None or one.flag.startswith("--")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_headings_are_for_readers_of_the_help(command: Command) -> None:
    headings = [line for line in help_text(command).splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert "errors:" in headings
    for heading in headings:
        assert not {".", "`"} & set(heading), heading


@pytest.mark.parametrize("name", ["run", "mono", "export"])
def test_help_names_every_format_and_every_bundled_file(name: str) -> None:
    text = " ".join(help_text(COMMANDS[name]).split())
    assert ", ".join(EXPORTERS) in text
    assert name != "run" or f"or a name: {', '.join(settings_names())}." in text
