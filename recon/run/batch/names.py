"""What the scenes of a batch are called: each has a folder of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from recon.errors import InputError
from recon.run.folder_names import name_of_inputs

_MOST_BYTES = 200


def names_of(scenes: Sequence[tuple[str | None, tuple[Path, ...], str]]) -> list[str]:
    """A name for each scene: the one given, or after its inputs, and then with as many names of the folders above in
    front as tell it from others.

    Args:
        scenes: for each the name given or None, the inputs, and where it was named, for errors.

    Raises:
        InputError: two scenes of the same name, or of the same inputs without one; a name that no folder can have.
    """
    found = [_checked(name, where) or _after(inputs, 0) for name, inputs, where in scenes]
    depth = 0
    while clashes := _clashes(found):
        depth += 1
        for same in clashes:
            free = [index for index in same if scenes[index][0] is None]
            longer = {index: _after(scenes[index][1], depth) for index in free}
            if not free or all(longer[index] == found[index] for index in free):
                first, second = (_said(scenes[index]) for index in same[:2])
                raise InputError(f"{first} and {second} would both be called '{found[same[0]]}': give one a name")
            for index, name in longer.items():
                found[index] = name
    return found


def _clashes(names: Sequence[str]) -> list[list[int]]:
    """Of those that would be the same folder, some disks not telling capitals from small letters: their indices."""
    by_folder: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        by_folder[name.casefold()].append(index)
    return [same for same in by_folder.values() if len(same) > 1]


def _after(inputs: tuple[Path, ...], depth: int) -> str:
    own = name_of_inputs(inputs).lstrip(".") or "scene"
    place = Path(*inputs[0].absolute().parts)
    while place.name and own not in (place.name, place.stem):  # above folders whose names say nothing
        place = place.parent
    above = [part for part in place.parent.parts if part.strip("/\\:")]
    return "-".join([*above[len(above) - min(depth, len(above)) :], own])


def _checked(name: str | None, where: str) -> str | None:
    if name is None:
        return None
    bad = not name.strip() or name.startswith(".") or any(one in name for one in "/\\\0") or not name.isprintable()
    if bad or len(name.encode()) > _MOST_BYTES:
        raise InputError(f"{where}: name {name!r} is none that a folder can have")
    return name


def _said(scene: tuple[str | None, tuple[Path, ...], str]) -> str:
    _, inputs, where = scene
    return where or f"'{inputs[0]}'"
