"""Where the photos of a scene lie, whose cameras are known from files beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from recon.errors import InputError
from recon.messages import collect_warnings
from recon.sources.camera_entries import CamerasFile
from recon.sources.images import ImageSource
from recon.sources.name_matches import few
from recon.sources.source import Source


def photos_of(file: CamerasFile, given: Path | None, places: Iterable[Path]) -> Source:
    """The photos in the folder `given`, else in the first of `places` that has one of the cameras' photos.

    Raises InputError where there is none.
    """
    if given is not None:
        if not given.is_dir():
            raise InputError(f"images: '{given}' is no folder; give the folder that the photos of the cameras are in")
        return ImageSource.of([given])
    tried = list(dict.fromkeys(place for place in places if place.is_dir()))
    for place in tried:
        if (photos := _photos_in(place)) is not None and _has_one(photos, file):
            return photos
    wanted = few(file.names or ())
    where = f"none of them is in {few(map(str, tried))}" if tried else "there is no folder `images` beside it"
    raise InputError(
        f"'{file.path}' has cameras of the photos {wanted}, but {where}; give their folder with --images, or take "
        "other photos without cameras with --input-kind photos"
    )


def _photos_in(folder: Path) -> Source | None:
    try:
        with collect_warnings():
            return ImageSource.of([folder])
    except InputError:
        return None


def _has_one(photos: Source, file: CamerasFile) -> bool:
    if file.names is None:
        return True
    stems = {_stem(name) for name in file.names}
    return any(_stem(name) in stems for name in photos.names)


def _stem(name: str) -> str:
    return PurePosixPath(name.casefold().replace("\\", "/")).stem


def common_folder(names: Sequence[str]) -> str:
    """The folder, with `/` behind it, that all these relative paths of files begin with; empty where there is none."""
    parts = [name.split("/")[:-1] for name in names]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "".join(f"{part}/" for part in shared)
