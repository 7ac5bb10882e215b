"""The command `recon` and the table of its commands.

Exit codes: 0 done; 2 the user's input is wrong (one line on stderr); 1 anything else, Ctrl-C and SIGTERM among it.
Messages and progress go to stderr, results to stdout.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from recon.cli.arguments import HELP_FLAGS, help_text, overview, parse
from recon.cli.batch import BATCH
from recon.cli.command import Command
from recon.cli.demo import DEMO
from recon.cli.eval import EVAL
from recon.cli.export import EXPORT
from recon.cli.export_onnx import EXPORT_ONNX
from recon.cli.interrupts import ended_as_by_ctrl_c
from recon.cli.missing_package import what_to_install
from recon.cli.models import MODELS
from recon.cli.mono import MONO
from recon.cli.report import say
from recon.cli.run import RUN
from recon.cli.serve import SERVE
from recon.cli.streams import guarded_streams
from recon.cli.train import TRAIN
from recon.cli.train_splats import TRAIN_SPLATS
from recon.cli.view import VIEW
from recon.errors import InputError, why
from recon.options import meant, options_of
from recon.version import __version__

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (RUN, TRAIN_SPLATS, MONO, BATCH, DEMO, EVAL, MODELS, TRAIN, EXPORT, EXPORT_ONNX, VIEW, SERVE)
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


_ANYWHERE = r"(?<![\w./='\"-])NAME(?![\w./='\"])"
_OF_AN_OPTION = (
    r"^NAME(?= (?:is (?:for|what)|must be|keeps|leaves|'|\d))",
    r"\bgive NAME(?=[,;:)]|$| (?:'|\d))",
    r"\bleave NAME(?= out\b)",
    r"\bis for NAME(?=[,;:])",
    r"\bthan NAME(?= \d)",
)
_OF_A_SWITCH = (r"\bwith(?:out)? NAME\b(?![./='\"-])",)
"""Where errors speak of options, as expressions with the place of the NAME."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with guarded_streams(), ended_as_by_ctrl_c():
            return _run(arguments)
    except OSError:  # what was printed could not be written, which is said already
        return FAILED


def _run(arguments: list[str]) -> int:
    verbose = "--verbose" in arguments or os.environ.get("RECON_DEBUG", "") not in ("", "0")
    code = DONE
    try:
        if arguments and arguments[0] in ("--version", "-V"):
            print(f"recon {__version__}")
        elif arguments and arguments[0] in HELP_FLAGS:
            print(overview(COMMANDS, DESCRIPTION))
        elif set(HELP_FLAGS) & set(arguments):
            print(help_text(_command(arguments)), end="")
        else:
            command = _command(arguments)
            settings = parse(command, arguments[1:], COMMANDS)
            verbose = verbose or getattr(settings, "verbose", False)
            code = command.carry_out(settings) or DONE
        sys.stdout.flush()
        return code
    except InputError as error:
        return _say(f"error: {_with_flags(str(error), arguments)}", WRONG_INPUT)
    except KeyboardInterrupt as stop:
        return _say(str(stop) or "interrupted; files that were not complete have been removed", FAILED)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None and error.errno in _THE_USERS_PATH:
            return _say(f"error: {_refused(Path(os.fsdecode(error.filename)))}: {why(error)}", WRONG_INPUT)
        to_install = what_to_install(error) if isinstance(error, ModuleNotFoundError) else None
        if to_install is not None:
            return _say(f"error: {to_install}", WRONG_INPUT)
        if verbose:
            traceback.print_exc()
        hint = "" if verbose else " (--verbose shows where)"
        return _say(f"failed: {type(error).__name__}: {error if str(error) else 'no message'}{hint}", FAILED)


def _with_flags(message: str, arguments: Sequence[str]) -> str:
    """An error with the options of the command written as they are typed here: `crop_box` as `--crop-box`.

    None that is part of a path, a value or a setting, and those of one word, as `window`, only where messages speak of
    the option: `window is for`, `give window`, `leave window out`; `without strict`, if it takes no value.
    """
    command = COMMANDS.get(arguments[0]) if arguments else None
    options = {} if command is None else options_of(command.settings)
    options = {name: one for name, one in options.items() if not one.positional}
    words = {name: one for name, one in options.items() if "_" not in name}
    switches = {name: one for name, one in words.items() if one.type is bool}
    of_several = {name: one for name, one in options.items() if "_" in name}
    for some, places in ((of_several, (_ANYWHERE,)), (words, _OF_AN_OPTION), (switches, _OF_A_SWITCH)):
        for place in places if some else ():
            pattern = place.replace("NAME", f"(?P<name>{'|'.join(some)})")
            message = re.sub(
                pattern, lambda found: found[0].replace(found["name"], options[found["name"]].flag), message
            )
    return message


def _refused(path: Path) -> Path:
    """The folder above `path` that cannot be entered, if there is one; a user may not know what is looked for in it."""
    parents = (folder for folder in reversed(path.parents) if folder.is_dir())
    return next((folder for folder in parents if not os.access(folder, os.X_OK)), path)


def _say(message: str, code: int) -> int:
    """One line on stderr, and the exit code that goes with it."""
    say(" ".join(message.split()))
    return code


def _command(arguments: Sequence[str]) -> Command:
    if not arguments:
        raise InputError(f"recon needs a command: {', '.join(COMMANDS)} (recon --help)")
    if arguments[0].startswith("-") and (later := next((one for one in arguments if one in COMMANDS), None)):
        raise InputError(
            f"options go behind the command: recon {later} ... {arguments[0]}, not {arguments[0]} before it"
        )
    if arguments[0].startswith("-"):
        raise InputError(
            f"options go behind a command, as in recon run ... {arguments[0]}; commands: {', '.join(COMMANDS)}"
        )
    if arguments[0] not in COMMANDS:
        raise InputError(f"recon has no command {arguments[0]!r}; {meant(arguments[0], COMMANDS)}")
    return COMMANDS[arguments[0]]


if __name__ == "__main__":
    sys.exit(main())
