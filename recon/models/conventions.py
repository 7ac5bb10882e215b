"""What the families of single-view networks expect and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recon.choices import OutputKind, ProcessResMethod
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.models.presets import Preset

DepthScale = Literal["relative", "canonical", "metric"]
"""Units of depth: free, metres for a focal length of `recon.models.single_view.CANONICAL_FOCAL`, or metres."""


@dataclass(frozen=True)
class Conventions:
    """How photos are shown to a network, and what its map means."""

    output_kind: OutputKind
    depth_scale: DepthScale
    process_res: int
    """As for `recon.sources.fitting.fit_photo`: the size that the network was trained at."""
    process_res_method: ProcessResMethod
    sky: bool = False
    """Whether it gives a sky score, too."""

    @property
    def metres(self) -> Literal["never", "with focal", "always"]:
        """When its depth can be had in metres."""
        found: dict[DepthScale, Literal["never", "with focal", "always"]]
        found = {"relative": "never", "canonical": "with focal", "metric": "always"}
        return found[self.depth_scale]


DA3_MONO = Conventions("depth", "relative", 504, "upper_bound_resize", sky=True)
DA3_METRIC = Conventions("depth", "canonical", 504, "upper_bound_resize", sky=True)
DA2 = Conventions("disparity", "relative", 518, "lower_bound_resize")
"""Depth Anything 2 and 1."""
DA2_METRIC = Conventions("depth", "metric", 518, "lower_bound_resize")


def conventions_of(preset: Preset) -> Conventions:
    """Those of a preset. Raises InputError for one that looks at several views together."""
    from recon.models.presets import MonocularConfig, SingleViewConfig, load_preset, preset_names

    if isinstance(preset.network, SingleViewConfig):
        return DA3_METRIC if "metric scale with intrinsics" in preset.abilities else DA3_MONO
    if isinstance(preset.network, MonocularConfig):
        return DA2 if preset.network.max_depth is None else DA2_METRIC
    single = [p.name for p in map(load_preset, preset_names()) if isinstance(p.network, SingleViewConfig)]
    raise InputError(
        f"{preset.name} looks at the views of one scene together; single photos are for {', '.join(single)} "
        "and the presets of Depth Anything 2 and 1"
    )
