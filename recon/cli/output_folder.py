"""Where results go that nobody chose a folder for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

OUTPUTS = Path("outputs")


def default_folder(inputs: Sequence[Path]) -> Path:
    """Folder for the results of these inputs, named after the folder, the photo, or the folder the photos are in."""
    return OUTPUTS / _name_of(inputs)


def _name_of(inputs: Sequence[Path]) -> str:
    first = inputs[0].absolute()
    if len(inputs) > 1:
        parents = {path.absolute().parent for path in inputs}
        return (first.parent.name if len(parents) == 1 else first.stem) or "photos"
    resolved = first.resolve()
    return (resolved.name if resolved.is_dir() else resolved.stem) or "photos"
