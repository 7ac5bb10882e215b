"""Where a COLMAP model is in what the user names, by the names of its files alone."""

from __future__ import annotations

from pathlib import Path

from recon.errors import InputError
from recon.messages import warn
from recon.sources.names import natural_key

MODEL_FILES = ("cameras", "images", "points3D")
"""Names, without suffix, of the files a COLMAP model is made of."""
_USUAL_PLACES = ("sparse", "colmap/sparse", "dense/sparse")
"""Where COLMAP and the programs around it put models, within the folder of a scene."""


def has_model(path: Path) -> bool:
    """Whether a path is a COLMAP model, one of its files, or a folder with a model in it."""
    return bool(_models(path))


def model_folder(path: Path) -> Path:
    """The folder of the model. Of those that COLMAP numbers in one folder it is the largest, which is said.

    Raises InputError where there is none, or several that are no parts of one reconstruction.
    """
    found = _models(path)
    if not found:
        raise InputError(
            f"'{path}' holds no COLMAP model: a folder with cameras, images and points3D, all .bin or all .txt, itself "
            "or as sparse/0 in it"
        )
    if len(found) == 1:
        return found[0]
    if any(folder.parent != found[0].parent or not folder.name.isdigit() for folder in found):
        raise InputError(f"'{path}' holds several COLMAP models: {', '.join(map(str, found[:4]))}; give one of them")
    largest = max(found, key=_size)
    warn(
        f"'{found[0].parent}' holds {len(found)} COLMAP models, of photos that COLMAP could not bring together; the "
        f"largest is taken, '{largest.name}'"
    )
    return largest


def _models(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path.parent] if path.stem in MODEL_FILES and _is_model(path.parent) else []
        if not path.is_dir():
            return []
        if _is_model(path):
            return [path]
        for place in (path, *(path / usual for usual in _USUAL_PLACES)):
            if place != path and _is_model(place):
                return [place]
            if place.is_dir():
                inside = [one for one in sorted(place.iterdir(), key=lambda one: natural_key(one.name)) if one.is_dir()]
                if models := [one for one in inside if _is_model(one)]:
                    numbered = [one for one in models if one.name.isdigit()]
                    return numbered if place != path and numbered else models
    except OSError:
        pass
    return []


def _is_model(folder: Path) -> bool:
    """Whether files of a COLMAP model are there; one that is incomplete is one too, for what it lacks to be said."""
    binary = any((folder / f"{name}.bin").is_file() for name in MODEL_FILES)
    return binary or sum((folder / f"{name}.txt").is_file() for name in MODEL_FILES) >= 2


def _size(folder: Path) -> int:
    """Bytes of the file of images: what they see, for the most part."""
    return max((path.stat().st_size for path in folder.glob("images.*")), default=0)
