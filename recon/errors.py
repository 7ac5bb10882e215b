"""Errors a user can act on.

The command line turns `InputError` into one line on stderr and exit code 2; everything else is a fault of the program
or of the machine and exits with 1.
"""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used; the message names the file or argument and says what would be right."""


def why(error: BaseException) -> str:
    """What an error says, in one line: of the machine's just the reason, such as `Permission denied`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class CheckpointError(InputError):
    """A checkpoint cannot be found, read, or does not fit the network it is for."""


class MissingExtraError(InputError):
    """An optional package is needed and not installed; the message names the extra that brings it.

    Where a package is there and only too old, `extra` is None and `package` says which version would do.
    """

    def __init__(self, purpose: str, package: str, extra: str | None) -> None:
        install = f"--upgrade '{package}'" if extra is None else f"'recon[{extra}]'"
        super().__init__(f"{purpose} needs the package '{package}': pip install {install}")
