"""What the folder for results is called after the photos, or the folders of photos, that they are of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from recon.sources.given_paths import folder_of_pattern

_SAY_NOTHING = (
    *("images", "image", "imgs", "img", "photos", "photo", "pictures", "picture", "pics", "frames", "frame"),
    *("rgb", "color", "colors", "colour", "colours", "png", "jpg", "jpeg", "dcim"),
    *("input", "inputs", "data", "undistorted"),
)
"""Names that folders of photos have whatever the photos show."""


def name_of_inputs(inputs: Sequence[Path]) -> str:
    """After the folder, that of a pattern, the photo, or the folder that all the photos are in; a folder called
    `images`, or the like, after what it is in, unless that is the working folder."""
    places = [Path(os.path.abspath(folder_of_pattern(path))) for path in inputs]
    if len(places) > 1:
        parents = {place.parent for place in places}
        return (_name_of_folder(places[0].parent) if len(parents) == 1 else places[0].stem) or "photos"
    place = Path(os.path.realpath(places[0].expanduser()))
    return (_name_of_folder(place) if place.is_dir() else place.stem) or "photos"


def _name_of_folder(folder: Path) -> str:
    """Its own name, or that of the nearest folder above whose name says something."""
    here = Path.cwd()
    named = folder
    while named.name.lower() in _SAY_NOTHING and named.parent not in (here, named):
        named = named.parent
    return named.name if named.name and named.name.lower() not in _SAY_NOTHING else folder.name
