"""Options of each export format: what the run's options say, and over them those given for the format itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from recon.choices import ExportChoices
from recon.errors import InputError
from recon.sources.cameras_file import read_render_cameras

ExportOptions: TypeAlias = Mapping[str, Mapping[str, Any]]
"""`{format: {option: value}}`"""


def format_options(choices: ExportChoices, overrides: ExportOptions | None = None) -> dict[str, dict[str, Any]]:
    """Options of each format: what `choices` say, then `overrides`. Made anew for each call."""
    points: dict[str, Any] = {
        name: getattr(choices, name)
        for name in ("conf_thresh_percentile", "conf_drop_percent", "include_filled", "num_max_points", "seed")
    }
    merged: dict[str, dict[str, Any]] = {
        "glb": {**points, "show_cameras": choices.show_cameras},
        "ply": points,
        "feat_vis": {"fps": choices.feat_vis_fps},
        "gs_video": {"rasterizer": choices.rasterizer, "poster": choices.poster, **_render_options(choices)},
    }
    for name, values in (overrides or {}).items():
        if not isinstance(values, Mapping):
            raise InputError(f"export_kwargs[{name!r}] must map options to values, got {values!r}")
        merged[name] = {**merged.get(name, {}), **values}
    return merged


def _render_options(choices: ExportChoices) -> dict[str, Any]:
    """The cameras and the size to render a video with, where they were chosen."""
    if choices.render_cameras is None:
        return {} if choices.render_hw is None else {"render_hw": choices.render_hw}
    cameras = read_render_cameras(choices.render_cameras, choices.render_hw)
    found = {"render_exts": cameras.extrinsics, "render_ixts": cameras.intrinsics, "render_hw": cameras.size}
    return {name: value for name, value in found.items() if value is not None}
