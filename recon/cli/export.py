"""`recon export`: formats from a stored result, without a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recon.choices import ExportChoices, FormatKwargs, FormatsOption
from recon.cli.command import Command, CommandOptions
from recon.files import check_readable
from recon.messages import collect_warnings
from recon.options import like, option

_RESULT = "results.npz"


@dataclass(frozen=True, kw_only=True)
class ExportSettings(ExportChoices, FormatKwargs, CommandOptions):
    """Export a result again, without a model."""

    result: Path = option(help="Folder of a run, or a results.npz that it wrote.", positional=True, metavar="RESULT")
    to: str = like(FormatsOption, "export", required=True, metavar="FORMATS")
    out: Path | None = option(None, help="Folder for the files [the folder of the run].")


def export_again(settings: ExportSettings) -> None:
    """Formats from a result that holds everything, and a note in the run's `run.json`."""
    from recon.cli.report import ProgressReport, print_exports, report_warnings
    from recon.export import check_formats, check_options, export, formats_with_gaussians, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.files import only_writer
    from recon.refine.clean import clean_again, crop
    from recon.refine.splat import with_gaussians
    from recon.run.load import load
    from recon.run.option_use import check_use, parts_of_export
    from recon.run.own_outputs import check_outputs
    from recon.run.record import add_exports, record_of_files, run_folder

    formats = parse_formats(settings.to)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    options = check_options(export_kwargs, settings)
    check_use(settings, parts_of_export(formats), export_kwargs)
    check_formats(formats, options)
    result = _stored_result(settings.result)
    out = settings.out or (result if result.is_dir() else run_folder(result))
    check_outputs(out, formats)
    with report_warnings(), ProgressReport() as progress, collect_warnings() as messages, only_writer(out):
        record = record_of_files(out)
        progress.begin(f"read {result.name}")
        prediction = load(settings.result, needs_images=True)
        cleaning = clean_again(prediction, settings)
        prediction = replace(prediction, kept=cleaning.kept)
        if formats_with_gaussians(formats):
            prediction = with_gaussians(prediction, settings)
        prediction, cleaning = crop(prediction, cleaning, settings)
        progress.begin(f"export {settings.to}")
        exported = export(prediction, formats, out, options)
        add_exports(out, record, result, exported, options, messages)
    print_exports(out, exported, messages)
    if cleaning.text:
        print(cleaning.text)


def _stored_result(path: Path) -> Path:
    """The file that the run's exports are made of, as `run.json` names it; the folder itself without an npz.

    Raises InputError for a file that is not there or cannot be read.
    """
    if not path.is_dir():
        check_readable(path)
        return path
    return next((file for file in (path / _RESULT, path / "exports" / "npz" / _RESULT) if file.is_file()), path)


EXPORT = Command("export", ExportSettings, export_again)
