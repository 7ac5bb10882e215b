"""Writing a prediction to files: one module per format, one table.

Exporters are pure: they never change the prediction, finish before they return, write each file whole or not at all,
give the same bytes for the same prediction, and do not depend on which other exporters ran.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from recon.errors import InputError
from recon.export import (
    colmap,
    depth_vis,
    feat_vis,
    glb,
    gs_glb,
    gs_ply,
    gs_video,
    html,
    mesh,
    nerfstudio,
    npz,
    ply,
    spz,
    trajectory,
)
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.notebook import show
from recon.export.npz import read_npz
from recon.options import Options, build, options_of
from recon.types import Prediction

__all__ = [
    "EXPORTERS",
    "GROUPS",
    "Exported",
    "Exporter",
    "Needs",
    "Overrides",
    "TypedOptions",
    "check_formats",
    "check_options",
    "export",
    "formats_taking",
    "formats_that_need",
    "formats_with_gaussians",
    "overrides_by_name",
    "parse_formats",
    "read_npz",
    "show",
]

EXPORTERS: dict[str, Exporter[Any]] = {
    exporter.name: exporter
    for exporter in (
        npz.MINI_NPZ,
        npz.NPZ,
        glb.GLB,
        ply.PLY,
        mesh.MESH,
        depth_vis.DEPTH_VIS,
        feat_vis.FEAT_VIS,
        gs_ply.GS_PLY,
        spz.SPZ,
        gs_glb.GS_GLB,
        gs_video.GS_VIDEO,
        colmap.COLMAP,
        nerfstudio.NERFSTUDIO,
        trajectory.TRAJECTORY_FORMAT,
        html.HTML,
    )
}
"""By name. A new format is a module of its own and a line here."""

GROUPS = {"trainer": ("colmap", "ply")}
"""Names that stand for several formats: `trainer` for what splat trainers start from."""

Overrides: TypeAlias = Mapping[str, Mapping[str, Any]]
"""`{format: {option: value}}`"""
TypedOptions: TypeAlias = Mapping[str, Options]
"""By format, an object of its class of options."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Split format names joined with `-`, groups into their formats, dropping repetitions.

    Raises InputError for an unknown name.
    """
    names = tuple(dict.fromkeys(name for given in text.split("-") for name in GROUPS.get(given, (given,))))
    for name in names:
        _require_known(name)
    return names


def formats_that_need(need: str, formats: Sequence[str]) -> tuple[str, ...]:
    """Those of `formats` that cannot do without `need`, a field of `Needs`."""
    return tuple(name for name in formats if getattr(EXPORTERS[name].needs, need))


def formats_with_gaussians(formats: Sequence[str]) -> tuple[str, ...]:
    """Those of `formats` that hold Gaussians, or show them where there are some."""
    return tuple(name for name in formats if EXPORTERS[name].needs.gaussians or EXPORTERS[name].shows_gaussians)


def formats_taking(name: str) -> tuple[str, ...]:
    """Formats with an option that is of that name, or takes the option of that name of a run."""
    return tuple(
        format_name
        for format_name, exporter in EXPORTERS.items()
        if any(name in (own, one.like) for own, one in options_of(exporter.options).items())
    )


def overrides_by_name(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{format: {option: value}}` of all formats with an option of one of these names; see `formats_taking`."""
    found: dict[str, dict[str, Any]] = {}
    for format_name, exporter in EXPORTERS.items():
        for own, one in options_of(exporter.options).items():
            named = next((name for name in (own, one.like) if name in values), None)
            if named is not None:
                found.setdefault(format_name, {})[own] = values[named]
    return found


def check_options(overrides: Overrides | None = None, choices: Options | None = None) -> dict[str, Any]:
    """The options of every format: what the `choices` of a run say, over that `overrides`, else the defaults.

    Needs no prediction, so can run first. Raises InputError for an unknown format or option, or a value that its option
    does not take.
    """
    overrides = overrides or {}
    for name, values in overrides.items():
        _require_known(name)
        if not isinstance(values, Mapping):
            raise InputError(f"export_kwargs[{name!r}] must map options to values, got {values!r}")
    chosen = {} if choices is None else {name: getattr(choices, name) for name in options_of(type(choices))}
    return {name: _build(exporter, chosen, overrides.get(name, {})) for name, exporter in EXPORTERS.items()}


def _build(exporter: Exporter[Any], chosen: Mapping[str, Any], overrides: Mapping[str, Any]) -> Any:
    options = options_of(exporter.options)
    taken = {own: chosen[one.like] for own, one in options.items() if one.like is not None and one.like in chosen}
    of, prefix = f"export format {exporter.name!r}", f"{exporter.name}."
    return build(exporter.options, {**taken, **overrides}, of=of, prefix=prefix)


def check_formats(formats: Sequence[str], options: TypedOptions) -> None:
    """Raise InputError where one of `formats` cannot be written here whatever the prediction (`options` that do not go
    together, a package that is missing), or two would write one file in two ways; `options` are those of each.

    Needs no prediction, so can run first.
    """
    for name in formats:
        EXPORTERS[name].check_options(options[name])
    decided: dict[str, tuple[str, object]] = {}
    for name in formats:
        for output, by in EXPORTERS[name].shared(options[name]).items():
            first, first_by = decided.setdefault(output, (name, by))
            if by != first_by:
                raise InputError(
                    f"{first} and {name} both write {output}, but not the same: {_difference(first_by, by)}; "
                    "give both the same options, or export one of them to another folder"
                )


def _difference(one: object, other: object) -> str:
    """What the two differ in."""
    if isinstance(one, Options) and isinstance(other, Options):
        names = [name for name in options_of(type(one)) if getattr(one, name) != getattr(other, name)]
        one, other = (", ".join(f"{name}={getattr(each, name)}" for name in names) for each in (one, other))
    return f"{one} and {other}"


def export(
    prediction: Prediction,
    formats: str | Sequence[str],
    folder: str | Path,
    options: Overrides | TypedOptions | None = None,
) -> dict[str, Exported]:
    """Write `prediction` under `folder` in each of `formats`, one string joined with `-` or several names.

    `options` maps a format to its options: `{option: value}`, or an object of its class. Those of formats not asked for
    are checked and otherwise unused. Everything that can be known to fail is checked for all formats before the first
    file is written. Raises InputError.
    """
    names = parse_formats(formats if isinstance(formats, str) else "-".join(formats))
    given = options or {}
    chosen = check_options({name: one for name, one in given.items() if not isinstance(one, Options)})
    chosen |= {name: one for name, one in given.items() if isinstance(one, Options)}
    check_formats(names, chosen)
    for name in names:
        EXPORTERS[name].check(prediction, chosen[name])
    written: dict[str, Exported] = {}
    for name in names:
        start = time.perf_counter()
        exported = EXPORTERS[name].write(prediction, Path(folder), chosen[name])
        written[name] = replace(exported, seconds=time.perf_counter() - start)
    return written


def _require_known(name: str) -> None:
    if name not in EXPORTERS:
        parts = re.split(r"[,;+\s]+", name)
        if len(parts) > 1 and all(part in (*EXPORTERS, *GROUPS) for part in parts):
            raise InputError(f"export formats are joined with '-': {'-'.join(parts)}, not {name!r}")
        raise InputError(f"unknown export format {name!r}; known: {', '.join((*EXPORTERS, *GROUPS))}")
