"""Files in a folder of photos that look like cameras of them, and are none: who put them there will want to know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recon.errors import InputError
from recon.sources.scene_json import read_scene_json

_JSON_FILES = ("transforms.json", "transforms_train.json", "cameras.json")
_MODEL_FOLDER = "sparse"


def unused_cameras(folder: Path) -> Iterator[str]:
    """A sentence for each, of a folder that is no scene with cameras."""
    for name in _JSON_FILES:
        file = folder / name
        if file.is_file():
            try:
                read_scene_json(file)
                why = f"'{file}' lists no cameras in a form that recon knows"
            except InputError as error:
                why = str(error)
            yield f"the photos in '{folder}' are used without cameras: {why}"
    model = folder / _MODEL_FOLDER
    if model.is_dir():
        yield (
            f"the photos in '{folder}' are used without cameras: '{model}' holds no COLMAP model with cameras, images "
            "and points3D"
        )
