"""The command `recon` and the table of its commands.

Exit codes: 0 done; 2 the user's input is wrong (one line on stderr); 1 anything else. Messages and progress go to
stderr, results to stdout.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence

from recon.cli.arguments import HELP_FLAGS, help_text, overview, parse
from recon.cli.command import Command
from recon.cli.demo import DEMO
from recon.cli.eval import EVAL
from recon.cli.export import EXPORT
from recon.cli.export_onnx import EXPORT_ONNX
from recon.cli.models import MODELS
from recon.cli.mono import MONO
from recon.cli.run import RUN
from recon.errors import InputError
from recon.options import meant
from recon.version import __version__

COMMANDS: dict[str, Command] = {
    command.name: command for command in (RUN, MONO, DEMO, EVAL, MODELS, EXPORT, EXPORT_ONNX)
}
DESCRIPTION = f"recon {__version__}: photos to depth, cameras and point clouds with Depth Anything 3."
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no failure
    verbose = "--verbose" in arguments or os.environ.get("RECON_DEBUG", "") not in ("", "0")
    try:
        if arguments and arguments[0] in ("--version", "-V"):
            print(f"recon {__version__}")
            return DONE
        if arguments and arguments[0] in HELP_FLAGS:
            print(overview(COMMANDS, DESCRIPTION))
            return DONE
        command = _command(arguments)
        if set(HELP_FLAGS) & set(arguments):
            print(help_text(command), end="")
            return DONE
        settings = parse(command, arguments[1:])
        verbose = verbose or getattr(settings, "verbose", False)
        command.carry_out(settings)
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


def _command(arguments: Sequence[str]) -> Command:
    if not arguments:
        raise InputError(f"recon needs a command: {', '.join(COMMANDS)} (recon --help)")
    if arguments[0] not in COMMANDS:
        raise InputError(f"recon has no command {arguments[0]!r}; {meant(arguments[0], COMMANDS)}")
    return COMMANDS[arguments[0]]


def _wrong_input(message: str) -> int:
    print(f"recon: error: {' '.join(message.split())}", file=sys.stderr)
    return WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
