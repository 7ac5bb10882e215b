"""Whether the binary files of a COLMAP model are whole.

COLMAP's reader believes the counts it reads: of a file that is cut off it makes up the rest, or never ends. The layouts
are those of COLMAP's `src/colmap/scene/reconstruction_io_binary.cc`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from recon.errors import InputError

_COUNT, _TWO_COUNTS, _NUMBER = struct.Struct("<Q"), struct.Struct("<II"), struct.Struct("<I")
_POSE = 7 * 8
_SENSOR = 4 + 4
"""Its type and its number."""


def check_binary(folder: Path) -> None:
    """Raise InputError for the first file of a binary COLMAP model that ends before or after what it says it holds."""
    for name, skip in _SKIP.items():
        path = folder / f"{name}.bin"
        if path.is_file():
            _check(path, skip)


def _check(path: Path, skip: Callable[[memoryview, int], int]) -> None:
    size = path.stat().st_size
    if size < _COUNT.size:
        raise InputError(f"'{path}' of a COLMAP model is cut off: it has {size} bytes; copy it again")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        (count,) = _COUNT.unpack_from(content)
        place, done = _COUNT.size, 0
        try:
            while done < count and place < size:
                place, done = skip(content, place), done + 1
        except (struct.error, ValueError, IndexError):
            place = size + 1
    if done < count or place > size:
        raise InputError(
            f"'{path}' of a COLMAP model is cut off or damaged: it should hold {count} entries and ends in number "
            f"{max(done, 1)}; copy it again"
        )
    if place < size:
        raise InputError(f"'{path}' of a COLMAP model is damaged: {size - place} bytes follow what it holds")


@cache
def _parameters(model: int) -> int:
    """How many a camera model has, by its number. Raises ValueError where there is none."""
    import pycolmap

    known = {int(one): one for one in pycolmap.CameraModelId.__members__.values() if int(one) >= 0}
    if model not in known:
        raise ValueError(f"no camera model has the number {model}")
    return len(pycolmap.Camera.create_from_model_id(1, known[model], 1.0, 1, 1).params)


def _after_camera(content: memoryview, place: int) -> int:
    (model,) = _NUMBER.unpack_from(content, place + 4)
    return place + 24 + 8 * _parameters(model)


def _after_image(content: memoryview, place: int) -> int:
    name = place + 4 + _POSE + 4
    end = name
    while content[end]:  # names are short, and a view has no search
        end += 1
        if end >= len(content):
            raise ValueError("a name has no end")
    (points,) = _COUNT.unpack_from(content, end + 1)
    return end + 1 + _COUNT.size + 24 * int(points)


def _after_point(content: memoryview, place: int) -> int:
    (length,) = _COUNT.unpack_from(content, place + 43)
    return place + 51 + 8 * int(length)


def _after_rig(content: memoryview, place: int) -> int:
    _, sensors = _TWO_COUNTS.unpack_from(content, place)
    place += _TWO_COUNTS.size + (_SENSOR if sensors else 0)
    for _ in range(sensors - 1):
        place += _SENSOR + 1 + (_POSE if content[place + _SENSOR] else 0)
    return place


def _after_frame(content: memoryview, place: int) -> int:
    (entries,) = _NUMBER.unpack_from(content, place + 8 + _POSE)
    return place + 8 + _POSE + 4 + (_SENSOR + 8) * int(entries)


_SKIP: Mapping[str, Callable[[memoryview, int], int]] = {
    "cameras": _after_camera,
    "images": _after_image,
    "points3D": _after_point,
    "rigs": _after_rig,
    "frames": _after_frame,
}
"""For each file, where an entry ends that begins at a place."""
