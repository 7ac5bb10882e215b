"""Arrays of npz files that stay on the disk: written piece by piece, and mapped into memory where they are read.

An npz file is a ZIP archive of `.npy` files. Where those are stored as they are and begin at multiples of 64 bytes, as
`NpzWriter` puts them, numpy can map each of them: the system reads what is looked at, and may drop it again. Any
program that reads npz files reads these.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from recon.errors import InputError, why

_ALIGNED = 64
"""Bytes; a multiple of the size of every number."""
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""Of a file in a ZIP archive (APPNOTE.TXT, 4.3.7)."""
_ZIP64_EXTRA = 20
"""Bytes that `zipfile` adds to that for a file of any size."""
_PADDING = 0xD935
"""Identifier of an extra field that says nothing (as Android's zipalign has it)."""
_WORTH_MAPPING = 1 << 16
"""Bytes of an array, from which on it is mapped: each keeps a file open."""
_AT_ONCE = 1 << 24
"""Bytes of an array that are copied at a time."""


@dataclass(frozen=True)
class Streamed:
    """An array that is made as it is written."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterable[NDArray[Any]]]
    """Gives the array along its first axis, in order."""


class NpzWriter:
    """A context in which arrays are written to a file, one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._file = file

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def write(self, name: str, array: NDArray[Any] | Streamed) -> None:
        """Add the array of that name. Raises ValueError where pieces do not make up what was promised."""
        member = zipfile.ZipInfo(f"{name}.npy")  # of 1980, so that equal arrays make equal files
        begin = self._file.tell() + _LOCAL_HEADER.size + len(member.filename.encode()) + _ZIP64_EXTRA + 4
        padding = -begin % _ALIGNED
        member.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
        with self._zip.open(member, "w", force_zip64=True) as target:
            header = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
            npy.write_array_header_2_0(target, header)
            written = 0
            for piece in array.pieces() if isinstance(array, Streamed) else _in_rows(array):
                if piece.dtype != array.dtype or (array.shape and piece.shape[1:] != array.shape[1:]):
                    raise ValueError(f"a piece of {name} is {piece.shape} {piece.dtype}, not of {array.shape}")
                target.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
                written += piece.nbytes
            if written != array.dtype.itemsize * int(np.prod(array.shape, dtype=np.int64)):
                raise ValueError(f"the pieces of {name} are not all of {array.shape}")


def _in_rows(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Pieces of the array along its first axis; of one that is mapped, memory is given back after each."""
    if not is_mapped(array) or not array.ndim:
        yield np.atleast_1d(array)
        return
    step = max(_AT_ONCE * len(array) // max(array.nbytes, 1), 1)
    for start in range(0, len(array), step):
        yield array[start : start + step]
        release(array)


def map_npz(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file whose names are `wanted`: mapped, read-only, where they can be.

    Small ones, and those that are packed or not aligned, are read.

    Raises what numpy and zipfile raise on a damaged file: ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if not wanted(name):
                continue
            found = _mapped(path, file, member)
            if found is None:
                with archive.open(member) as content:
                    found = npy.read_array(content, allow_pickle=False)
            arrays[name] = found
    return arrays


def _mapped(path: Path, file: IO[bytes], member: zipfile.ZipInfo) -> NDArray[Any] | None:
    """One array, mapped; None where that cannot be."""
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    file.seek(member.header_offset)
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    begin = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    file.seek(begin)
    version = npy.read_magic(file)
    shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    offset = file.tell()
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if fortran or dtype.hasobject or size < _WORTH_MAPPING or offset % _ALIGNED:
        return None
    if offset - begin + size != member.file_size or offset + size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"{member.filename} is cut short")
    return np.memmap(path, dtype, "r", offset, shape)


def scratch(folder: Path, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of zeros in a file in `folder` that nobody sees and that is gone with the array or the process.

    Raises OSError where there is no room for it.
    """
    size = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
    if size == 0:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # else a full disk would end the process when the array is written to
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, dtype, "r+", 0, shape)


def map_like(array: NDArray[Any], dtype: Any, *more: int) -> NDArray[Any]:
    """Zeros for each value of `array`, or `more` for each: in memory; of one that is mapped, on the disk as well.

    Raises InputError where there is no room for it.
    """
    shape = (*array.shape, *more)
    if not is_mapped(array):
        return np.zeros(shape, dtype)
    beside = _file_of(array)
    folder = beside.parent if beside is not None and os.access(beside.parent, os.W_OK) else Path(tempfile.gettempdir())
    try:
        return scratch(folder, shape, dtype)
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {why(error)}; make room there, and the same command goes on"
        ) from error


def row_pieces(array: NDArray[Any], most: int = 2_000_000) -> Iterator[slice]:
    """Slices along the first axis of an array with at most so many values; all of it where it is in memory.

    Of one that is mapped, memory is given back as the next slice is asked for.
    """
    if not is_mapped(array):
        yield slice(0, len(array))
        return
    step = max(most * len(array) // max(array.size, 1), 1)
    for start in range(0, len(array), step):
        yield slice(start, min(start + step, len(array)))
        release(array)


def any_in(array: NDArray[Any]) -> bool:
    """Whether any value is not 0."""
    return any(array[rows].any() for rows in row_pieces(array))


def is_mapped(array: Any) -> bool:
    """Whether the array, or what it is a part of, is on the disk."""
    return _map_of(array) is not None


def release(*arrays: NDArray[Any] | None) -> None:
    """Give back the memory that parts of mapped arrays take which have been looked at; they can be looked at again."""
    for array in arrays:
        found = _map_of(array)
        if found is not None and hasattr(mmap, "MADV_DONTNEED"):
            if not (isinstance(array, np.ndarray) and array.flags.writeable):
                found.madvise(mmap.MADV_DONTNEED)
            else:  # what was written goes to the file first
                found.flush()
                found.madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> mmap.mmap | None:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(getattr(array, "_mmap", None), mmap.mmap):
            found: mmap.mmap = array._mmap  # type: ignore[attr-defined]
            return found
        array = array.base
    return array if isinstance(array, mmap.mmap) else None


def _file_of(array: Any) -> Path | None:
    while isinstance(array, np.ndarray):
        name = getattr(array, "filename", None)
        if name is not None:
            return Path(name)
        array = array.base
    return None


def write_npz(file: IO[bytes], arrays: Mapping[str, NDArray[Any] | Streamed]) -> None:
    """Write all `arrays` by their names, so that `map_npz` maps them."""
    with NpzWriter(file) as writer:
        for name, array in arrays.items():
            writer.write(name, array)
