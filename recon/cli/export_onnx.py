"""`recon export-onnx`: a network as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices import SeedOption, WeightsOptions
from recon.cli.command import Command, CommandOptions
from recon.errors import InputError
from recon.models.onnx.options import OnnxOptions
from recon.options import option, part_of


@dataclass(frozen=True, kw_only=True)
class OnnxExportSettings(OnnxOptions, WeightsOptions, SeedOption, CommandOptions):
    """Write a network as an ONNX file, checked against torch; `recon mono --onnx` runs those of single photos."""

    model: str | None = option(None, help="Preset (`recon models` lists them) [that of --weights].", metavar="MODEL")
    out: Path = option(
        help="ONNX file to write. Weights above 2 GB go beside it, into a file with .data after the name.",
        short="-o",
        metavar="FILE.onnx",
    )


def write_onnx(settings: OnnxExportSettings) -> None:
    """Write the file and say how far it is from torch."""
    from recon.cli.report import ProgressReport, report_warnings
    from recon.models.onnx.export import check_request, export_onnx
    from recon.models.presets import load_preset

    preset, options = load_preset(preset_name(settings)), part_of(settings, OnnxOptions)
    check_request(preset, settings.out, options)

    from recon.models.ready import ready_model

    with report_warnings(), ProgressReport() as progress:
        progress.begin(f"load {preset.name}")
        model = ready_model(
            preset.name,
            weights=None if settings.weights == "none" else settings.weights,
            seed=settings.seed,
            revision=settings.revision,
            commercial_only=settings.commercial_only,
        )
        progress.begin(f"write and check {settings.out.name}")
        written = export_onnx(model, settings.out, options)
    print(written.summary())


def preset_name(settings: OnnxExportSettings) -> str:
    """The preset that is named, or that the weights are of. Raises InputError where neither says it."""
    from recon.estimate.choice import OFFICIAL, RANDOM

    if settings.model is not None:
        return settings.model
    if settings.weights in (OFFICIAL, RANDOM):
        raise InputError("recon export-onnx needs --model, or --weights with a checkpoint of one")

    from recon.models.ready import preset_of_checkpoint

    return preset_of_checkpoint(settings.weights, revision=settings.revision)[0]


EXPORT_ONNX = Command("export-onnx", OnnxExportSettings, write_onnx)
