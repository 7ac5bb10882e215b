"""Options of formats as the command line gives them: FORMAT.OPTION=VALUE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_type_hints

import yaml

from recon.errors import InputError
from recon.export import EXPORTERS

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def parse_export_kwargs(items: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`{format: {option: value}}`, each value of its option's own type. Raises `InputError` where one does not parse.

    What no such option takes, or none of that name, stays text, for `recon.export.check_options` to refuse.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for item in items:
        target, equals, text = item.partition("=")
        name, dot, option = target.partition(".")
        if not (equals and dot and name and option):
            raise InputError(f"export_kwargs must look like glb.camera_size=0.05, got {item!r}")
        types = get_type_hints(EXPORTERS[name].options) if name in EXPORTERS else {}
        kind = types.get(option, str)
        parsed.setdefault(name, {})[option] = _read(text, get_args(kind) or (kind,), item)
    return parsed


def _read(text: str, kinds: tuple[type, ...], item: str) -> Any:
    """`text` as the first of `kinds`, members of a union, that it can be; else as it is."""
    if Any in kinds:  # a list, for example
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"export_kwargs: the value of {item!r} cannot be read") from None
    if bool in kinds and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text
