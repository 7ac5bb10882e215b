"""What a client may ask of a run: the options of `recon run`, but for those that are for this machine alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from recon.choices import MEASURED, MVS, EstimatorOptions, InferenceOptions, RunOptions
from recon.errors import InputError
from recon.estimate.choice import AUTO, JOINED_BY, choose
from recon.export import EXPORTERS, check_options, parse_formats
from recon.export.html import HTML
from recon.export.option_texts import parse_export_kwargs
from recon.models.presets import preset_names
from recon.options import Option, meant, options_of, part_of
from recon.run.settings_file import read_settings_file, settings_names

_MOST_ALIKE = 3
"""Names that are offered instead of one that is not known."""
_A_WORD = re.compile(r"(?!\.+$)[\w.,+\- ]*")
"""What an option may say that could also be a path: a name such as `sfm`, or numbers."""


@cache
def client_options() -> Mapping[str, Option]:
    """By name."""
    return {name: one for name, one in options_of(RunOptions).items() if not one.local and not one.positional}


def takes_files(one: Option) -> bool:
    """Whether its value is a file or a folder, or may be one."""
    return one.may_be_path or Path in (one.type, *get_args(one.type))


def model_names() -> tuple[str, ...]:
    """What `model` may say, alone or joined as its help says."""
    return (AUTO, *preset_names(), MVS, MEASURED)


def check_asked(settings: Mapping[str, Any], preset: str | None, given: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a job, as JSON holds them and `RunOptions` takes them.

    Args:
        settings: by name of the option; its value is text that is read as on the command line, or of its type.
        preset: name of the settings that others are those of, or None.
        given: for options whose value was sent as files: where these are, seen from the job's folder.

    Raises:
        InputError: naming an unknown option, a value that it does not take, or a path.
    """
    if preset is not None and preset not in settings_names():
        raise InputError(f"preset {preset!r} is not known; {meant(preset, settings_names())}")
    values = {} if preset is None else read_settings_file(preset, RunOptions)
    values |= _read_values(settings)
    values |= _places(given, settings, values)
    options = RunOptions(**values)
    _check_model(options)
    formats = parse_formats(options.export)
    _check_export_kwargs(options, given)
    if HTML.name not in formats:
        values["export"] = "-".join((*formats, HTML.name))  # what the result is looked at in
    return {name: as_json(value) for name, value in values.items()}


def _read_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    known, values = client_options(), {}
    for name, value in settings.items():
        if name not in known:
            raise InputError(_why_unknown(name))
        if takes_files(known[name]) and value is not None and not _is_of_words(value, known[name]):
            raise InputError(f"{name}: send its file, as a part of that name; a path here leads nowhere")
        values[name] = _read(known[name], value)
    return values


def _is_of_words(value: Any, one: Option) -> bool:
    """Whether it says nothing that could be a path elsewhere."""
    words = value if isinstance(value, list) else [value]
    return one.may_be_path and all(isinstance(word, str) and _A_WORD.fullmatch(word) for word in words)


def _places(given: Mapping[str, str], settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose value was sent as files; one of several values may have words, too."""
    known = client_options()
    found: dict[str, Any] = {}
    for name, path in given.items():
        if name not in known or not takes_files(known[name]):
            raise InputError(f"files for {name!r}: {'this option takes none' if name in known else _why_unknown(name)}")
        if _takes_several(known[name]):
            found[name] = (path, *values.get(name, ()))
        elif name in settings:
            raise InputError(f"{name}: given twice, as a value and as files")
        else:
            found[name] = path
    return found


def _check_model(options: RunOptions) -> None:
    """Raise InputError for a model that is not known. Which one `auto` is, is seen when the run begins."""
    first, joined, rest = options.model.partition(JOINED_BY)
    known = preset_names()[0] if first in ("", AUTO) else first
    choose(replace(part_of(options, EstimatorOptions), model=f"{known}{joined}{rest}"))


def _check_export_kwargs(options: RunOptions, given: Mapping[str, str]) -> None:
    kwargs = parse_export_kwargs(options.export_kwargs)
    for format_name, chosen in kwargs.items():
        of_format = options_of(EXPORTERS[format_name].options) if format_name in EXPORTERS else {}
        named = next((name for name in chosen if name in of_format and takes_files(of_format[name])), None)
        if named is not None:
            raise InputError(f"export_kwargs: {format_name}.{named} names a file, which leads nowhere here")
    # Files that were sent for formats are where the run finds them, not here.
    of_formats = {one.like for exporter in EXPORTERS.values() for one in options_of(exporter.options).values()}
    of_run = options_of(InferenceOptions)
    elsewhere = {name: of_run[name].default for name in given if name in of_formats and name in of_run}
    check_options(kwargs, replace(part_of(options, InferenceOptions), **elsewhere))


def _why_unknown(name: str) -> str:
    """Why an option is not known, and which ones are named alike."""
    local = options_of(RunOptions).get(name)
    if local is not None and local.local:
        return f"{name} is chosen by whoever runs the server: leave it out"
    close = get_close_matches(name, client_options(), n=_MOST_ALIKE)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "/v1/openapi.json lists them"
    return f"there is no option {name!r}; {hint}"


def _read(one: Option, value: Any) -> Any:
    """Text as on the command line; several numbers may stand in one text, with spaces or commas between them."""
    if isinstance(value, str) and one.type is not str:
        if type(None) in get_args(one.type) and value.strip().lower() in ("", "none", "null"):
            return None
        if _takes_several(one) and not value.lstrip().startswith("["):
            return one.read([part for part in re.split(r"[\s,]+", value.strip()) if part], text=True)
        return one.read(value, text=True)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return one.read(value, text=True)
    return one.read(value)


def _takes_several(one: Option) -> bool:
    return any(get_origin(kind) is tuple for kind in (one.type, *get_args(one.type)))


def as_json(value: Any) -> Any:
    """The value of an option as JSON holds it."""
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value.as_posix() if isinstance(value, Path) else value
