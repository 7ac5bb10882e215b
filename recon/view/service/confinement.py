"""A process that opens no file and lists no folder outside of a few, whatever files that strangers sent name.

A list of photos, a `transforms.json` or a COLMAP model names files: one that is sent to a service must not lead it to
pictures elsewhere on its disk. Python tells of every file before it is opened (PEP 578), in every thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import site
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recon.files import configs_folder

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/opt", "/nix", "/System", "/Library")
"""Where programs and drivers are, and what they say of the machine."""
_CACHES = ("huggingface", "torch", "torch_extensions", "numba", "matplotlib", "fontconfig")
_EVENTS = ("open", "os.listdir", "os.scandir")
_allowed: tuple[str, ...] | None = None
"""Folders, with a separator behind each; None: all."""
_is_hooked = False


@contextlib.contextmanager
def confined_to(folders: Iterable[Path]) -> Iterator[None]:
    """Within, opening a file and listing a folder elsewhere than in `folders`, Python, the system and caches of models
    is refused.

    As the system refuses a file of another user: PermissionError, with its name.
    """
    global _allowed, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_check)
        _is_hooked = True
    before = _allowed
    _allowed = tuple(dict.fromkeys(_with_end(path) for path in (*folders, *_of_programs())))
    try:
        yield
    finally:
        _allowed = before


def _of_programs() -> list[Path | str]:
    home, cache = Path.home(), Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    variables = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "NUMBA_CACHE_DIR", "SYSTEMROOT")
    return [
        *(sys.prefix, sys.base_prefix, *(entry for entry in sys.path if entry), *site.getsitepackages()),
        *(Path(__file__).parents[2], configs_folder(), *_SYSTEM),
        *(cache / name for name in _CACHES),
        *(home / name for name in (".nv", ".triton")),
        *(os.environ[name] for name in variables if os.environ.get(name)),
    ]


def _with_end(path: Path | str) -> str:
    return os.path.join(os.path.realpath(path), "")


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS or _allowed is None or not isinstance(arguments[0], (str, bytes)):
        return
    path = os.path.realpath(os.fsdecode(arguments[0]))
    if not path.startswith(_allowed) and f"{path}{os.sep}" not in _allowed:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(arguments[0]))
