"""What a configuration may say, for users: every key with its help and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from recon.options import Option, describe, options_of
from recon.train.config import SECTIONS, MainOptions
from recon.train.data.settings import EVALUATION, SETS, DataOptions, SetOptions
from recon.train.terms import TERMS

_WIDTH = 110
_INDENT = "    "


def key_lines() -> list[str]:
    """Lines of text, one or more for each key, in the order and with the nesting of a YAML file."""
    lines = [*_of_class(MainOptions, 0)]
    lines += ["", "losses:  # weights of what is learned [those that suit the network]"]
    for name, term in TERMS.items():
        usual = ", ".join(f"{weight:g} for {family}" for family, weight in term.usual.items() if weight)
        lines += _entry(f"{name}: {usual or '0'}", term.help, 1)
    for name, cls in SECTIONS.items():
        lines += ["", f"{name}:", *_of_class(cls, 1)]
    lines += [
        "",
        "data:",
        *_entry(f"{SETS}: [...]", "Sets to learn from, each with these keys:", 1),
        *_of_class(SetOptions, 2),
    ]
    lines += _entry(f"{EVALUATION}: [...]", "Sets that are kept for evaluation, with the same keys.", 1)
    return [*lines, *_of_class(DataOptions, 1)]


def _of_class(cls: type, depth: int) -> Iterable[str]:
    return [
        line for name, one in options_of(cls).items() for line in _entry(f"{name}: {_default(one)}", one.help, depth)
    ]


def _default(one: Option) -> str:
    if one.required:
        return f"({describe(one.type)}; needed)"
    return _as_yaml(one.default)


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entry(head: str, text: str, depth: int) -> list[str]:
    wrapped = textwrap.wrap(text, _WIDTH - len(_INDENT) * (depth + 1))
    return [f"{_INDENT * depth}{head}", *(f"{_INDENT * (depth + 1)}# {line}" for line in wrapped)]
