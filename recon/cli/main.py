"""The command `recon`: `run`, `mono`, `demo`, `eval`, `models`, `export`, `export-onnx`.

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
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeAlias

import tyro

from recon.cli.command_settings import DemoSettings, EvalSettings, ExportSettings, ModelsSettings, OnnxExportSettings
from recon.cli.commands import demo, evaluate, export_again, list_models, mono, run, write_onnx
from recon.cli.usage_errors import in_one_line
from recon.errors import InputError
from recon.options import MonoCommand, RunSettings, load_settings
from recon.version import __version__

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
        _carry_out(settings)
        return DONE
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


Settings: TypeAlias = (
    RunSettings | MonoCommand | DemoSettings | EvalSettings | ExportSettings | OnnxExportSettings | ModelsSettings
)


def _settings(arguments: list[str]) -> Settings:
    settings = _parse(arguments, RunSettings())
    if isinstance(settings, RunSettings) and settings.config is not None:
        given: dict[str, Any] = {
            name: () for name in ("export_kwargs", "export_feat_layers") if getattr(settings, name)
        }
        # Flags would add to the lists of the file; they are to win over it, as everywhere.
        settings = _parse(arguments, replace(load_settings(settings.config), **given))
    return settings


def _carry_out(settings: Settings) -> None:
    if isinstance(settings, RunSettings):
        run(settings)
    elif isinstance(settings, MonoCommand):
        mono(settings)
    elif isinstance(settings, DemoSettings):
        demo(settings)
    elif isinstance(settings, EvalSettings):
        evaluate(settings)
    elif isinstance(settings, ExportSettings):
        export_again(settings)
    elif isinstance(settings, OnnxExportSettings):
        write_onnx(settings)
    else:
        list_models()


def _parse(arguments: list[str], run_defaults: RunSettings) -> Any:
    commands: Any = (
        Annotated[RunSettings, tyro.conf.subcommand("run", default=run_defaults)]
        | Annotated[MonoCommand, tyro.conf.subcommand("mono")]
        | Annotated[DemoSettings, tyro.conf.subcommand("demo")]
        | Annotated[EvalSettings, tyro.conf.subcommand("eval")]
        | Annotated[ModelsSettings, tyro.conf.subcommand("models")]
        | Annotated[ExportSettings, tyro.conf.subcommand("export")]
        | Annotated[OnnxExportSettings, tyro.conf.subcommand("export-onnx")]
    )
    parse: Callable[..., Any] = partial(tyro.cli, commands, args=arguments, prog="recon", description=DESCRIPTION)
    unseen = io.StringIO()
    try:
        with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            return parse()
    except SystemExit as stop:
        if stop.code == DONE:
            return parse()  # once more, to show the help
        # A field that refuses its value, else what tyro finds wrong.
        cause: BaseException | None = stop
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from None
            cause = cause.__context__
        raise InputError(in_one_line(unseen.getvalue())) from None


if __name__ == "__main__":
    sys.exit(main())
