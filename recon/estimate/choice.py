"""Which model a run takes when none is named."""

from __future__ import annotations

from recon.models.hub import is_cached, is_reachable
from recon.models.presets import Preset, load_preset, preset_names

AUTO = "auto"
MVS = "mvs"
"""Multi-view stereo, in the place of a preset."""
_PREFERRED = ("da3-large", "da3-base", "da3-small")
"""In this order, before all other networks that see several views."""


def choose_model(commercial_only: bool = False) -> str:
    """Name of an any-view preset whose weights are in the cache or can be downloaded now, else `mvs`.

    Those in the cache come first. `commercial_only` passes over weights that must not be used commercially.
    """
    usable = [preset for preset in _any_view_presets() if not (commercial_only and preset.non_commercial)]
    for preset in usable:
        if is_cached(preset.hub_repo, files=preset.hub_files):
            return preset.name
    return usable[0].name if is_reachable(usable[0].hub_repo) else MVS


def without_weights(commercial_only: bool = False) -> str:
    """What to say where `choose_model` finds none."""
    which = "weights of Depth Anything 3" + (" for commercial use" if commercial_only else "")
    return (
        f"no {which} on this machine and no hub to get them from: depth by multi-view stereo (mvs) instead; with a "
        "network, `--model da3-small` downloads them once, or `--weights FOLDER` takes them from a folder"
    )


def _any_view_presets() -> list[Preset]:
    presets = [load_preset(name) for name in (*_PREFERRED, *(n for n in preset_names() if n not in _PREFERRED))]
    return [preset for preset in presets if preset.any_view is not None]
