"""`recon models`: the presets."""

from __future__ import annotations

from dataclasses import dataclass

from recon.cli.command import Command, CommandOptions


@dataclass(frozen=True, kw_only=True)
class ModelsSettings(CommandOptions):
    """List the presets: parameters, abilities, licence, and whether the weights are on this machine."""


def list_models(settings: ModelsSettings) -> None:
    """One line per preset."""
    from recon.cli.report import print_table
    from recon.models.hub import is_cached
    from recon.models.presets import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    rows = [
        (
            preset.name,
            f"{preset.parameters / 1e6:,.0f} M",
            ", ".join(preset.abilities),
            preset.licence,
            "yes" if is_cached(preset.hub_repo, files=preset.hub_files) else "no",
        )
        for preset in presets
    ]
    rows.append(("mvs", "", "depth and confidence of several views, without a network", "no weights", "yes"))
    rows.append(("measured", "", "the depth that a capture with LiDAR brings", "no weights", "yes"))
    rows.append(("NAME+mvs", "", "depth of stereo where that is sure, the network's, fitted to it, elsewhere", "", ""))
    print_table(("model", "parameters", "abilities", "licence", "cached"), rows, right_aligned=("parameters",))


MODELS = Command("models", ModelsSettings, list_models)
