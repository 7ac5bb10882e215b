"""What is said without telling where things lie on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_PART = r"[^\s'\"`:;,()\[\]{}/\\]"
_ABSOLUTE = re.compile(rf"(?<![\w.:/\\])(?:[A-Za-z]:[\\/]|/)(?:{_PART}+[\\/])*({_PART}*)")


def plain_text(text: str, folder: Path) -> str:
    """`text` with paths in `folder` as seen from there, and of all other absolute paths just the last part."""
    for root in dict.fromkeys((str(folder), str(folder.resolve()))):
        text = text.replace(f"{root}/", "").replace(f"{root}\\", "").replace(root, ".")
    return _ABSOLUTE.sub(lambda found: found[1] or ".", text)


def plain_entries(value: Any, folder: Path) -> Any:
    """The same for every text in what JSON holds. Text that is a path as a whole may have spaces in it."""
    if isinstance(value, dict):
        return {plain_text(key, folder): plain_entries(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_entries(item, folder) for item in value]
    if not isinstance(value, str):
        return value
    path = Path(value)
    if path.is_absolute() and "\n" not in value:
        inside = path.is_relative_to(folder)
        return path.relative_to(folder).as_posix() if inside else path.name or "."
    return plain_text(value, folder)
