"""How loops become machine code: when first called, and kept for the next process.

Numba keeps machine code until the file of its function changes. But constants and functions of other files are compiled
into it as well. Here machine code belongs to those, too: it is kept for the sources of the function's module and of the
compiled functions that the module imports, and so on, and for the values of the constants there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher
from numba.core.errors import WarningsFixer  # type: ignore[attr-defined]  # its stub leaves it out

from recon.messages import warn

Function = TypeVar("Function", bound=Callable[..., object])

FUSED = {"contract"}
"""For `fastmath`: a product and a sum may be rounded once instead of twice, differently wherever the function is
inlined."""

_catch_warnings = WarningsFixer.catch_warnings


def _catch_in_main_thread(
    self: WarningsFixer, filename: str | None = None, lineno: int | None = None
) -> AbstractContextManager[None]:
    """Numba's own, which holds warnings back while it finds types; in threads, none are.

    Python has one set of filters for the whole process, and what holds warnings back puts them as they were before. In
    a thread that compiles ahead, that would undo what other threads have changed meanwhile.
    """
    if threading.current_thread() is threading.main_thread():
        return _catch_warnings(self, filename, lineno)
    return contextlib.nullcontext()


WarningsFixer.catch_warnings = _catch_in_main_thread

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), np.generic)
"""Types that numba compiles into the functions that use such values; and arrays and tuples of them."""


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Decorate a function to be compiled when first called, and to run without the interpreter's lock.

    A division by zero gives infinity or NaN. Where no folder can hold compiled code, every process compiles anew, and a
    warning says so.

    Args:
        options: further ones of `numba.njit`.
    """
    options = {"nogil": True, "error_model": "numpy", **options}

    def compile_lazily(function: Function) -> Function:
        lazily: Any = njit(**options)(function)
        if isinstance(lazily, Dispatcher):  # not where NUMBA_DISABLE_JIT is set
            try:
                lazily._cache = _Cache(function, _stamp(function, options))  # type: ignore[attr-defined]
            except RuntimeError:  # numba may write neither in the package's folder nor in the user's cache
                _warn_of_missing_cache()
        return lazily

    return compile_lazily


class _CacheFiles(CompileResultCacheImpl):
    """Names the files of a function without its line in the source, so that new ones take the place of old ones."""

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        name = fullname.replace("<", "").replace(">", "")
        return f"{name}.py{sys.version_info[0]}{sys.version_info[1]}{abiflags}"


class _CacheFile(IndexDataCacheFile):
    """Numba's, but files that a crash of the machine left damaged count as absent, and are written anew."""

    def load(self, key: Any) -> Any:
        try:
            return super().load(key)
        except Exception:  # damaged bytes make the unpickler stumble in every way there is
            return None

    def _load_index(self) -> dict[Any, str]:
        try:
            return super()._load_index()
        except Exception:
            return {}


class _Cache(FunctionCache):
    """Numba's, in the same folders, but for the sources that `stamp` stands for."""

    _impl_class = _CacheFiles

    def __init__(self, function: Callable[..., object], stamp: str) -> None:
        super().__init__(function)
        self._cache_file = _CacheFile(self.cache_path, self._impl.filename_base, stamp)


def _stamp(function: Callable[..., object], options: dict[str, Any]) -> str:
    """Stands for everything that decides what a function is compiled to, its argument types excepted."""
    digest = hashlib.blake2b(digest_size=16)
    # Two functions of one name share their files.
    digest.update(f"{function.__qualname__} {function.__code__.co_firstlineno};".encode())
    for name, value in sorted(options.items()):
        digest.update(f"{name}={sorted(value) if isinstance(value, set) else value!r};".encode())
    _add_module(digest, sys.modules[function.__module__], set())
    return digest.hexdigest()


def _add_module(digest: Any, module: ModuleType, seen: set[str]) -> None:
    """Add a module's source, the constants it has by now, and the modules that compiled code in it comes from."""
    if module.__name__ in seen:
        return
    seen.add(module.__name__)
    file = getattr(module, "__file__", None)
    if file is not None:
        digest.update(_source_digest(file))
    package = module.__name__.partition(".")[0]
    for name, value in sorted(vars(module).items()):
        if name.startswith("__"):
            continue
        constant = _constant_bytes(value)
        if constant is not None:
            digest.update(f"{name}=".encode() + constant)
            continue
        origin = _origin(value)
        if origin is not None and origin.__name__.partition(".")[0] == package:
            _add_module(digest, origin, seen)


def _origin(value: object) -> ModuleType | None:
    """Module of what numba can use of another file: a compiled function, a type of named tuples, the module itself."""
    if isinstance(value, ModuleType):
        return value
    if isinstance(value, Dispatcher):
        return sys.modules.get(value.py_func.__module__)
    if isinstance(value, type) and issubclass(value, tuple):
        return sys.modules.get(value.__module__)
    return None


def _constant_bytes(value: object) -> bytes | None:
    """What a constant is; None for anything that is none to numba."""
    if isinstance(value, np.ndarray):
        return None if value.dtype.hasobject else f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, tuple):
        parts = [_constant_bytes(part) for part in value]
        return None if None in parts else b"(" + b",".join(part for part in parts if part is not None) + b")"
    return f"{type(value).__name__} {value!r}".encode() if isinstance(value, _CONSTANTS) else None


@functools.cache
def _source_digest(file: str) -> bytes:
    """Of a module's file; of one inside an archive, or that is gone, of its name alone."""
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).digest()
    except OSError:
        return file.encode()


@functools.cache
def _warn_of_missing_cache() -> None:
    """Once, not for every function."""
    warn(
        "no folder can hold compiled code, so every process compiles it anew: "
        "set NUMBA_CACHE_DIR to a folder that can be written"
    )
