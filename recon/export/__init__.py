"""Writing a prediction to files: one module per format, one table.

Exporters are pure: they never change the prediction, finish before they return, write each file whole or not at all,
give the same bytes for the same prediction, and do not depend on which other exporters ran.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recon.errors import InputError
from recon.export import depth_vis, feat_vis, glb, gs_ply, gs_video, npz, ply, spz
from recon.export.exporter import Exported, Exporter, NoOptions, build_options
from recon.export.npz import read_npz
from recon.export.points import PointOptions
from recon.export.splats import SplatOptions
from recon.types import Prediction

__all__ = ["EXPORTERS", "SPLAT_FORMATS", "Exported", "Exporter", "check_options", "export", "parse_formats", "read_npz"]

EXPORTERS: dict[str, Exporter[Any]] = {
    "mini_npz": Exporter(NoOptions, npz.check, npz.write_mini),
    "npz": Exporter(NoOptions, npz.check, npz.write_full),
    "glb": Exporter(glb.GlbOptions, glb.check, glb.write),
    "ply": Exporter(PointOptions, ply.check, ply.write),
    "depth_vis": Exporter(NoOptions, depth_vis.check, depth_vis.write),
    "feat_vis": Exporter(feat_vis.FeatVisOptions, feat_vis.check, feat_vis.write),
    "gs_ply": Exporter(SplatOptions, gs_ply.check, gs_ply.write),
    "spz": Exporter(SplatOptions, spz.check, spz.write),
    "gs_video": Exporter(gs_video.GsVideoOptions, gs_video.check, gs_video.write),
}
SPLAT_FORMATS = ("gs_ply", "spz", "gs_video")
"""Formats that need Gaussians."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Split format names joined with `-`, dropping repetitions. Raises InputError for an unknown name."""
    names = tuple(dict.fromkeys(text.split("-")))
    for name in names:
        _require_known(name)
    return names


def check_options(options: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """The options object of every format, from `{format: {option: value}}`; needs no prediction, so can run first.

    Raises InputError for an unknown format or option, or a value that its option does not take.
    """
    options = options or {}
    for name in options:
        _require_known(name)
    return {name: build_options(name, e.options, options.get(name, {})) for name, e in EXPORTERS.items()}


def export(
    prediction: Prediction,
    formats: str | Sequence[str],
    folder: str | Path,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Exported]:
    """Write `prediction` under `folder` in each of `formats`, one string joined with `-` or several names.

    `options` maps a format to its options; those of formats not asked for are checked and otherwise unused. Everything
    that can be known to fail is checked for all formats before the first file is written. Raises InputError.
    """
    names = parse_formats(formats if isinstance(formats, str) else "-".join(formats))
    chosen = check_options(options)
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
        raise InputError(f"unknown export format {name!r}; known: {', '.join(EXPORTERS)}")
