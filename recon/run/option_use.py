"""What each option is for, so that none is asked for in vain: one for something that a run does without is refused.

An option at its default asks for nothing. One from a file of settings, which may serve several runs, is a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from recon.errors import InputError
from recon.estimate.estimator import ANY_VIEW, NETWORK, STEREO, Profile
from recon.export import EXPORTERS, SPLAT_FORMATS
from recon.options import ExportChoices, InferenceOptions, RunSettings
from recon.run.wishes import gaussian_source

SPLATS = "splats"
DEPTH_SPLATS = "splats from depth"

USED_BY: Mapping[str, tuple[str, ...]] = {
    "weights": (NETWORK,),
    "revision": (NETWORK,),
    "engine": (NETWORK,),
    "precision": (NETWORK,),
    "export_feat_layers": (NETWORK,),
    "align_to_input_ext_scale": (ANY_VIEW,),
    "use_ray_pose": (ANY_VIEW,),
    "ref_view_strategy": (ANY_VIEW,),
    "fill": (STEREO,),
    "conf_thresh_percentile": ("glb", "ply"),
    "num_max_points": ("glb", "ply"),
    "show_cameras": ("glb",),
    "feat_vis_fps": ("feat_vis",),
    "gaussians": (SPLATS,),
    "gs_budget": (DEPTH_SPLATS,),
    "rasterizer": ("gs_video",),
    "render_cameras": ("gs_video",),
    "render_hw": ("gs_video",),
    "poster": ("gs_video",),
}
"""Parts of a run, export formats among them, any of which has a use for the option. Every run has for all others."""


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
    settings: ExportChoices, parts: Collection[str], option_formats: Iterable[str], file: RunSettings | None = None
) -> list[str]:
    """Refuse options that nothing in `parts` has a use for.

    Args:
        settings: of the command.
        parts: what the run consists of.
        option_formats: formats that have options of their own in `export_kwargs`.
        file: the settings of a file, which the command line started from.

    Returns:
        What to warn of: the options that are in vain and come from `file`.

    Raises:
        InputError: naming the first that was asked for otherwise.
    """
    in_vain = {
        name: f"{name} is for {_list(users)}"
        for name, users in USED_BY.items()
        if hasattr(settings, name)
        and getattr(settings, name) != getattr(type(settings), name)
        and not set(users) & set(parts)
    }
    for name in option_formats:
        if name not in parts:
            in_vain["export_kwargs"] = f"export_kwargs: {name} has options, and is not among the formats asked for"
    for name, message in in_vain.items():
        if file is None or getattr(settings, name) != getattr(file, name):
            raise InputError(message)
    return list(in_vain.values())


def _list(users: tuple[str, ...]) -> str:
    if users[0] in EXPORTERS:
        kind, are = ("format", "is") if len(users) == 1 else ("formats", "are")
        return f"the export {kind} {' and '.join(users)}, which {are} not asked for"
    return f"{' and '.join(users)}, which this run does without"
