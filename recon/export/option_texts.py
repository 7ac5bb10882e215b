"""Options of formats as the command line gives them: FORMAT.OPTION=VALUE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recon.errors import InputError
from recon.export import EXPORTERS
from recon.options import options_of


def parse_export_kwargs(items: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`{format: {option: value}}`, each value of its option's own type. Raises `InputError` where one does not parse.

    An option that is not known stays text, for `recon.export.check_options` to refuse.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for item in items:
        target, equals, text = item.partition("=")
        name, dot, option = target.partition(".")
        if not (equals and dot and name and option):
            raise InputError(f"export_kwargs must look like FORMAT.OPTION=VALUE, glb.camera_size=0.05, got {item!r}")
        known = options_of(EXPORTERS[name].options) if name in EXPORTERS else {}
        value = known[option].read(text, target, text=True) if option in known else text
        parsed.setdefault(name, {})[option] = value
    return parsed
