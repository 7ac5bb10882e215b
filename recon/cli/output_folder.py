"""Where results go that nobody chose a folder for: under `outputs`, never among the results of another input."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from recon.cli.report import say
from recon.files import read_json
from recon.sources.given_paths import folder_of_pattern

OUTPUTS = Path("outputs")

_SAY_NOTHING = (
    *("images", "image", "imgs", "img", "photos", "photo", "pictures", "picture", "pics", "frames", "frame"),
    *("rgb", "color", "colors", "colour", "colours", "png", "jpg", "jpeg", "dcim"),
    *("input", "inputs", "data", "undistorted"),
)
"""Names that folders of photos have whatever the photos show."""


def default_folder(inputs: Sequence[Path], ending: str = "") -> Path:
    """The folder for the results of `inputs`: one of their own, and the same one whenever they are given again.

    It is called after the folder, that of a pattern, the photo, or the folder that all the photos are in; one called
    `images`, or the like, is called after what it is in, unless that is the working folder. Where another input has its
    results in the folder of that name, a number is added, which is said on stderr. `ending` is added to the name, for a
    command with results of its own.
    """
    name = f"{_name_of(inputs)}{ending}"
    numbered = (OUTPUTS / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
    found = next(folder for folder in numbered if _is_for(folder, inputs))
    if found.name != name:
        say(f"{OUTPUTS / name} holds the results of another input; these go to {found}")
    return found


def _is_for(folder: Path, inputs: Sequence[Path]) -> bool:
    """Whether the results in `folder` are of these inputs, as its `run.json` says, or nobody's."""
    try:
        record = read_json(folder / "run.json")
        recorded = record["settings"]["inputs"]
        return [_place(Path(text)) for text in recorded] == [_place(path) for path in inputs]
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _place(path: Path) -> str:
    return os.path.realpath(path.expanduser())


def _name_of(inputs: Sequence[Path]) -> str:
    places = [Path(os.path.abspath(folder_of_pattern(path))) for path in inputs]
    if len(places) > 1:
        parents = {place.parent for place in places}
        return (_name_of_folder(places[0].parent) if len(parents) == 1 else places[0].stem) or "photos"
    place = Path(_place(places[0]))
    return (_name_of_folder(place) if place.is_dir() else place.stem) or "photos"


def _name_of_folder(folder: Path) -> str:
    """Its own name, or that of the nearest folder above whose name says something."""
    here = Path.cwd()
    named = folder
    while named.name.lower() in _SAY_NOTHING and named.parent not in (here, named):
        named = named.parent
    return named.name if named.name and named.name.lower() not in _SAY_NOTHING else folder.name
