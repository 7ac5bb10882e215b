"""The command `recon`: `run`, `models`, `export`.

Exit codes: 0 done; 2 the user's input is wrong (one line on stderr); 1 anything else. Messages and progress go to
stderr, results to stdout.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from recon import __version__
from recon.config import ExportSettings, RunSettings, load_settings, parse_export_kwargs
from recon.errors import InputError
from recon.messages import collect_warnings

DONE, FAILED, WRONG_INPUT = 0, 1, 2

_THE_USERS_PATH = (
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
)
"""What the machine says of a path that cannot be used."""

DESCRIPTION = f"recon {__version__}: photos to depth, cameras and point clouds with Depth Anything 3."


@dataclass(frozen=True)
class ModelsSettings:
    """List the presets: parameters, abilities, licence, and whether the weights are on this machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"recon {__version__}")
        return DONE
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no failure
    verbose = "--verbose" in arguments or os.environ.get("RECON_DEBUG", "") not in ("", "0")
    try:
        settings = _settings(arguments)
        verbose = verbose or getattr(settings, "verbose", False)
        return _carry_out(settings)
    except InputError as error:
        return _wrong_input(str(error))
    except KeyboardInterrupt:
        print("recon: interrupted; files that were not complete have been removed", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said, and Python is not to try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None and error.errno in _THE_USERS_PATH:
            return _wrong_input(f"{error.filename}: {error.strerror}")
        if verbose:
            traceback.print_exc()
        message = " ".join(str(error).split()) or "no message"
        hint = "" if verbose else " (--verbose shows where)"
        print(f"recon: failed: {type(error).__name__}: {message}{hint}", file=sys.stderr)
        return FAILED


def _wrong_input(message: str) -> int:
    print(f"recon: error: {' '.join(message.split())}", file=sys.stderr)
    return WRONG_INPUT


def _settings(arguments: list[str]) -> RunSettings | ExportSettings | ModelsSettings:
    settings = _parse(arguments, RunSettings())
    if isinstance(settings, RunSettings) and settings.config is not None:
        settings = _parse(arguments, load_settings(settings.config))
    return settings


def _carry_out(settings: RunSettings | ExportSettings | ModelsSettings) -> int:
    if isinstance(settings, RunSettings):
        return run(settings)
    if isinstance(settings, ExportSettings):
        return export_again(settings)
    return list_models()


def _parse(arguments: list[str], run_defaults: RunSettings) -> Any:
    commands: Any = (
        Annotated[RunSettings, tyro.conf.subcommand("run", default=run_defaults)]
        | Annotated[ModelsSettings, tyro.conf.subcommand("models")]
        | Annotated[ExportSettings, tyro.conf.subcommand("export")]
    )
    parse: Callable[..., Any] = partial(tyro.cli, commands, args=arguments, prog="recon", description=DESCRIPTION)
    unseen = io.StringIO()
    try:
        with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            return parse()
    except SystemExit as stop:
        if stop.code == DONE:
            return parse()  # once more, to show the help
        # A field that refuses its value, else what tyro finds wrong: a box that is folded into one line.
        cause: BaseException | None = stop
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from None
            cause = cause.__context__
        lines = [line.strip("│╭╮╰╯─ ") for line in unseen.getvalue().splitlines()]
        _title, *said = [line for line in lines if line.strip("-") and not line.endswith("--help")]
        raise InputError(" ".join(said)) from None


def run(settings: RunSettings) -> int:
    """`recon run`: photos to files, and a table of what was written."""
    from recon.export import check_options, parse_formats
    from recon.models.presets import load_preset
    from recon.pipeline import check_request, format_options, reconstruct
    from recon.report import ProgressReport, print_summary, report_warnings

    if not settings.inputs:
        raise InputError("no photos given: recon run FOLDER, or recon run PHOTO...")
    out = settings.out if settings.out is not None else Path("outputs") / _name_of(settings.inputs)
    inputs, options = list(settings.inputs), settings.inference_options()
    check_request(load_preset(settings.model), inputs, options, parse_formats(settings.export), out)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    check_options(format_options(options, export_kwargs))
    if settings.cameras is not None and not settings.cameras.is_file():
        raise InputError(f"--cameras {settings.cameras}: no such file")

    # Torch is imported, and weights are downloaded, only from here on.
    from recon.models.precision import resolve_precision
    from recon.models.ready import ready_model

    device = _device(settings.device)
    resolve_precision(settings.precision, device)
    with report_warnings(), ProgressReport() as progress:
        progress.begin(f"load {settings.model}")
        model = ready_model(
            settings.model,
            weights=None if settings.weights == "none" else settings.weights,
            seed=settings.seed,
            precision=settings.precision,
            engine=settings.engine,
            revision=settings.revision,
            commercial_only=settings.commercial_only,
        )
        model.network.to(device)
        result = reconstruct(
            model,
            inputs,
            cameras_file=settings.cameras,
            options=options,
            export_dir=out,
            export_format=settings.export,
            export_kwargs=export_kwargs,
            settings={f.name: getattr(settings, f.name) for f in fields(RunSettings)},
            progress=progress,
        )
    print_summary(out, result)
    return DONE


def export_again(settings: ExportSettings) -> int:
    """`recon export`: formats from a result that holds everything, and a note in the run's `run.json`."""
    from recon.export import export, read_npz
    from recon.pipeline import format_options
    from recon.report import ProgressReport, print_exports, report_warnings
    from recon.run_record import add_exports, read_record

    options = format_options(settings, parse_export_kwargs(settings.export_kwargs))
    out = settings.out.expanduser() if settings.out is not None else _folder_of(settings.result)
    record = read_record(out)
    with report_warnings(), ProgressReport() as progress, collect_warnings() as messages:
        progress.begin(f"read {settings.result.name}")
        prediction = read_npz(settings.result)
        progress.begin(f"export {settings.to}")
        exported = export(prediction, settings.to, out, options)
        add_exports(out, record, settings.result, exported, options, messages)
    print_exports(out, exported, messages)
    return DONE


def list_models() -> int:
    """`recon models`: one line per preset."""
    from recon.models.hub import is_cached
    from recon.models.presets import load_preset, preset_names
    from recon.report import print_table

    presets = [load_preset(name) for name in preset_names()]
    rows = [
        (
            preset.name,
            f"{preset.parameters / 1e6:,.0f} M",
            ", ".join(preset.abilities),
            preset.licence,
            "yes" if is_cached(preset.hub_repo) else "no",
        )
        for preset in presets
    ]
    print_table(("model", "parameters", "abilities", "licence", "cached"), rows, right_aligned=("parameters",))
    return DONE


def _name_of(inputs: Sequence[Path]) -> str:
    """What the results of these inputs are called: the folder, the photo, or the folder the photos are in."""
    first = inputs[0].expanduser().absolute()
    if len(inputs) > 1:
        parents = {path.expanduser().absolute().parent for path in inputs}
        return (first.parent.name if len(parents) == 1 else first.stem) or "photos"
    resolved = first.resolve()
    return (resolved.name if resolved.is_dir() else resolved.stem) or "photos"


def _folder_of(result: Path) -> Path:
    """The export folder that `result` was written to by a run, else the folder it lies in."""
    folder = result.expanduser().absolute().parent
    return folder.parent.parent if folder.parent.name == "exports" else folder


def _device(name: str) -> Any:
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if not available[name]:
        usable = ", ".join(device for device, there in available.items() if there)
        raise InputError(f"--device {name}: not available on this machine; usable: {usable}")
    return torch.device(name)
