"""`recon export`: formats from a stored result, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices import ExportChoices, FormatKwargs, FormatsOption
from recon.cli.command import Command, CommandOptions
from recon.messages import collect_warnings
from recon.options import like, option


@dataclass(frozen=True, kw_only=True)
class ExportSettings(ExportChoices, FormatKwargs, CommandOptions):
    """Export a result again, without a model."""

    result: Path = option(help="exports/npz/results.npz of a run.", positional=True, metavar="RESULT.npz")
    to: str = like(FormatsOption, "export", required=True, metavar="FORMATS")
    out: Path | None = option(None, help="Folder for the files [the folder of the run].")


def export_again(settings: ExportSettings) -> None:
    """Formats from a result that holds everything, and a note in the run's `run.json`."""
    from recon.cli.report import ProgressReport, print_exports, report_warnings
    from recon.export import check_options, export, parse_formats, read_npz
    from recon.export.option_texts import parse_export_kwargs
    from recon.refine.splat import with_gaussians
    from recon.run.format_options import format_options
    from recon.run.option_use import check_use, parts_of_export
    from recon.run.record import add_exports, read_record, run_folder

    formats = parse_formats(settings.to)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    options = format_options(settings, export_kwargs)
    check_options(options)
    check_use(settings, parts_of_export(formats), export_kwargs)
    out = settings.out if settings.out is not None else run_folder(settings.result)
    record = read_record(out)
    with report_warnings(), ProgressReport() as progress, collect_warnings() as messages:
        progress.begin(f"read {settings.result.name}")
        prediction = with_gaussians(read_npz(settings.result), settings, formats)
        progress.begin(f"export {settings.to}")
        exported = export(prediction, formats, out, options)
        add_exports(out, record, settings.result, exported, options, messages)
    print_exports(out, exported, messages)


EXPORT = Command("export", ExportSettings, export_again)
