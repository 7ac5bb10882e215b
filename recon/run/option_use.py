"""What each option is for, so that none is asked for in vain: one for something that a run does without is refused.

An option at its default asks for nothing. One from a file of settings, which may serve several runs, is a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from recon.choices import DEPTH_SPLATS, FORMATS, OPTIMISED_SPLATS, SPLATS, InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import EXPORTERS, formats_taking, formats_that_need, formats_with_gaussians
from recon.options import Options, asked_for
from recon.refine.splat_start import SplatStart
from recon.run.optimisation import why_not
from recon.run.wishes import gaussian_source


def parts_of_run(
    profile: Profile,
    options: InferenceOptions,
    formats: Collection[str],
    views: int,
    cameras_known: bool,
    start: SplatStart | None = None,
) -> set[str]:
    """What a run consists of; the last three arguments are those of `recon.run.optimisation.why_not`."""
    parts = {*formats, *profile.parts}
    source = gaussian_source(profile, options, list(formats))
    if source is not None:
        from_depth = source == "depth" and (start is None or start.needs_depth)
        parts |= {SPLATS, DEPTH_SPLATS} if from_depth else {SPLATS}
        if why_not(options, profile, list(formats), views, cameras_known, start) is None:
            parts.add(OPTIMISED_SPLATS)
    return parts


def parts_of_export(formats: Collection[str]) -> set[str]:
    """What a re-export consists of. Whether its splats are from depth depends on what was stored."""
    return {*formats, *((SPLATS, DEPTH_SPLATS) if formats_with_gaussians(list(formats)) else ())}


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
    in_vain, remedies = {}, {}
    for one in asked_for(settings):
        others = [user for user in one.used_by if user != FORMATS]
        formats = formats_taking(one.name) if FORMATS in one.used_by else ()
        if one.used_by and not {*others, *formats} & set(parts):
            users = [f"{' and '.join(others)}, which this run does without"] if others else []
            users += [f"{_formats(formats)} not asked for"] if formats else []
            in_vain[one.name] = f"{one.name} is for {'; and for '.join(users)}"
            remedies[one.name] = _remedy(others, formats)
    for name in option_formats:
        if name not in parts:
            in_vain["export_kwargs"] = f"export_kwargs: {name} has options, and is not among the formats asked for"
    for name, message in in_vain.items():
        if in_file is None or name not in in_file or getattr(settings, name) != in_file[name]:
            raise InputError("; ".join([message, *remedies.get(name, ())]))
    return list(in_vain.values())


def _remedy(others: Sequence[str], formats: tuple[str, ...]) -> tuple[str]:
    """What to do about an option that is for these parts of a run."""
    of_splats = [user for user in others if user in (SPLATS, DEPTH_SPLATS, OPTIMISED_SPLATS)]
    ask = formats or (formats_that_need("gaussians", list(EXPORTERS))[:1] if of_splats else ())
    return (f"leave it out, or ask for them with export {ask[0]}" if ask else "leave it out",)


def _formats(names: tuple[str, ...]) -> str:
    kind, are = ("format", "is") if len(names) == 1 else ("formats", "are")
    return f"the export {kind} {' and '.join(names)}, which {are}"
