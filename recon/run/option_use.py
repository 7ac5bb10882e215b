"""What each option is for, so that none is asked for in vain: one for something that a run does without is refused.

An option at its default asks for nothing. One from a file of settings, which may serve several runs, is a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from recon.choices import DEPTH_SPLATS, SPLATS, InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import EXPORTERS, SPLAT_FORMATS
from recon.options import Options, asked_for, asked_in_vain
from recon.run.wishes import gaussian_source


def parts_of_run(profile: Profile, options: InferenceOptions, formats: Collection[str]) -> set[str]:
    """What a run consists of."""
    parts = {*formats, *profile.parts}
    source = gaussian_source(profile, options, list(formats))
    if source is not None:
        parts |= {SPLATS, DEPTH_SPLATS} if source == "depth" else {SPLATS}
    return parts


def parts_of_export(formats: Collection[str]) -> set[str]:
    """What a re-export consists of. Whether its splats are from depth depends on what was stored."""
    return {*formats, *((SPLATS, DEPTH_SPLATS) if set(formats) & set(SPLAT_FORMATS) else ())}


def check_use(
    settings: Options,
    parts: Collection[str],
    option_formats: Iterable[str],
    in_file: Mapping[str, Any] | None = None,
) -> list[str]:
    """Refuse options that nothing in `parts` has a use for.

    Args:
        settings: of the command.
        parts: what the run consists of.
        option_formats: formats that have options of their own in `export_kwargs`.
        in_file: what a file of settings says, which the command line started from.

    Returns:
        What to warn of: the options that are in vain and come from the file.

    Raises:
        InputError: naming the first that was asked for otherwise.
    """
    in_vain = asked_in_vain(settings, parts)
    for one in asked_for(settings):
        if one.name in in_vain and one.used_by[0] in EXPORTERS:
            in_vain[one.name] = f"{one.name} is for {_formats(one.used_by)} not asked for"
    for name in option_formats:
        if name not in parts:
            in_vain["export_kwargs"] = f"export_kwargs: {name} has options, and is not among the formats asked for"
    for name, message in in_vain.items():
        if in_file is None or name not in in_file or getattr(settings, name) != in_file[name]:
            raise InputError(message)
    return list(in_vain.values())


def _formats(names: tuple[str, ...]) -> str:
    kind, are = ("format", "is") if len(names) == 1 else ("formats", "are")
    return f"the export {kind} {' and '.join(names)}, which {are}"
