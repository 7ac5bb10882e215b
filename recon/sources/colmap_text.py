"""Which line of a COLMAP model's text files cannot be read: COLMAP itself only says that one cannot.

https://colmap.github.io/format.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_SHOWN = 60
"""Characters of a line that a message quotes."""


def unreadable_line(folder: Path) -> str | None:
    """The first line that is none of its file, with the file and what belongs there; None where all are right."""
    for name, (read, what) in _FILES.items():
        path = folder / f"{name}.txt"
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, check, words in read(lines):
            try:
                check(words)
            except (ValueError, IndexError):
                line = lines[number].strip()
                quoted = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
                return f"line {number + 1} of '{path}' is no line of it: {quoted!r}; it takes {what}"
    return None


_Checked = Iterator[tuple[int, Callable[[Sequence[str]], None], Sequence[str]]]
"""Number of a line, what raises ValueError or IndexError if it is wrong, and its words."""


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _each(check: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], _Checked]:
    def lines(content: Sequence[str]) -> _Checked:
        return ((number, check, line.split()) for number, line in enumerate(content) if _is_content(line))

    return lines


def _images(content: Sequence[str]) -> _Checked:
    """Two lines an image, of which the second, its points, may be empty."""
    number = 0
    while number < len(content):
        if _is_content(content[number]):
            yield number, _check_image, content[number].split()
            number += 1
            if number < len(content):
                yield number, _check_points_of_image, content[number].split()
        number += 1


def _check_camera(words: Sequence[str]) -> None:
    _numbers(int, words[0], words[2], words[3])
    _numbers(float, *words[4:])
    if len(words) < 7:
        raise ValueError


def _check_image(words: Sequence[str]) -> None:
    _numbers(int, words[0], words[8])
    _numbers(float, *words[1:8])
    words[9]  # its name


def _check_points_of_image(words: Sequence[str]) -> None:
    _numbers(float, *words[::3], *words[1::3])
    _numbers(int, *words[2::3])
    if len(words) % 3:
        raise ValueError


def _check_point(words: Sequence[str]) -> None:
    _numbers(int, words[0], *words[4:7], *words[8:])
    _numbers(float, *words[1:4], words[7])


def _numbers(kind: Callable[[str], object], *words: str) -> None:
    for word in words:
        kind(word)


_FILES = {
    "cameras": (_each(_check_camera), "CAMERA_ID, MODEL, WIDTH, HEIGHT and the numbers of the model"),
    "images": (
        _images,
        "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME, and below X, Y, POINT3D_ID of each point",
    ),
    "points3D": (_each(_check_point), "POINT3D_ID, X, Y, Z, R, G, B, ERROR, and IMAGE_ID, POINT2D_IDX of each image"),
}
