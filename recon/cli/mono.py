"""`recon mono`: depth of single photos."""

from __future__ import annotations

from dataclasses import dataclass

from recon.choices import ExportChoices, FormatKwargs, FreshOption
from recon.cli.command import Command, CommandOptions
from recon.cli.output_folder import default_folder
from recon.errors import InputError
from recon.run.mono_settings import MonoSettings


@dataclass(frozen=True, kw_only=True)
class MonoCommand(FreshOption, MonoSettings, FormatKwargs, CommandOptions):
    """Depth of single photos that have nothing to do with each other, by a network in torch or an ONNX file."""


def mono(settings: MonoCommand) -> None:
    """A folder of files for each photo, and a line for each on stdout."""
    from recon.cli.report import ProgressReport, print_mono, report_warnings
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.run.mono import run_mono
    from recon.run.option_use import check_use

    if not settings.inputs:
        raise InputError("no photos given: recon mono PHOTO..., or recon mono FOLDER")
    out = settings.out if settings.out is not None else default_folder(settings.inputs, "-mono")
    with report_warnings(), ProgressReport() as progress:
        export_kwargs = parse_export_kwargs(settings.export_kwargs)
        check_options(export_kwargs)
        check_use(ExportChoices(), parse_formats(settings.export) if settings.export else (), export_kwargs)
        result = run_mono(settings, out, export_kwargs=export_kwargs, reuse=not settings.fresh, progress=progress)
    print_mono(out, result)


MONO = Command("mono", MonoCommand, mono)
