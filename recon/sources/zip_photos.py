"""The photos in a ZIP archive: the same that a folder of its content would have, by the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError
from recon.messages import warn
from recon.sources.file_content import FileContent
from recon.sources.formats import PHOTO_SUFFIXES, RAW_SUFFIXES
from recon.sources.names import NO_PHOTO_FOLDERS, natural_key, normalise_name
from recon.sources.zip_archive import ZipArchive

_SCENE_IMAGES = "images"
"""Folder of the photos of a scene, beside which other pictures may lie."""


@dataclass(frozen=True)
class PackedPhoto:
    """A file in an archive that is meant as a photo."""

    archive: ZipArchive
    member: str
    short_name: str
    """Its path in the archive, without the folders that all photos are in; composed (Unicode NFC)."""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.archive.label(self.member)

    def read(self) -> FileContent:
        """The file. Raises InputError where it cannot be unpacked."""
        return self.archive.read(self.member)

    def content(self) -> str:
        """Hash of what decides its bytes."""
        return self.archive.content(self.member)


def packed_photos(path: Path) -> list[PackedPhoto]:
    """The photos in an archive, in natural order, none unpacked yet.

    Left out are hidden files, and, with a warning, folders that by their names hold masks, depth or normals, and RAW
    photos beside a JPEG (or the like) of the same name. Raises InputError where there is none, and as `ZipArchive`.
    """
    archive = ZipArchive(path)
    members = [name for name in archive.names if not any(part.startswith(".") for part in name.split("/"))]
    members = [name for name in members if Path(name).suffix.lower() in PHOTO_SUFFIXES]
    others = [name for name in members if NO_PHOTO_FOLDERS & {part.lower() for part in name.split("/")[:-1]}]
    members = _of_scene([name for name in members if name not in set(others)])
    if not members:
        raise InputError(f"the archive '{path}' holds no images (JPEG, PNG, TIFF, WebP, HEIC, …)")
    if others:
        folders = sorted({name.rpartition("/")[0] for name in others})
        warn(f"passed over folders of '{path}' that are named for something else than photos: {', '.join(folders)}")
    members = _without_raw_twins(members, path)
    shared = _common_folder(members)
    photos = [PackedPhoto(archive, name, normalise_name(name[shared:])) for name in members]
    return sorted(photos, key=lambda photo: (natural_key(photo.short_name), photo.short_name))


def _of_scene(members: list[str]) -> list[str]:
    """Only the folder of images, where all pictures lie in folders and one is called so."""
    start = _common_folder(members)
    if any("/" not in name[start:] for name in members):
        return members
    of_scene = [name for name in members if name[start:].startswith(f"{_SCENE_IMAGES}/")]
    return of_scene or members


def _common_folder(members: Sequence[str]) -> int:
    """Characters of the folders that all are in, with the last `/`."""
    folders = [name.split("/")[:-1] for name in members]
    shared = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared += len(parts[0]) + 1
    return shared


def _without_raw_twins(members: list[str], path: Path) -> list[str]:
    def is_raw(name: str) -> bool:
        return Path(name).suffix.lower() in RAW_SUFFIXES

    def stem(name: str) -> str:
        return name.rpartition(".")[0].casefold()

    developed = {stem(name) for name in members if not is_raw(name)}
    kept = [name for name in members if not (is_raw(name) and stem(name) in developed)]
    if len(kept) < len(members):
        warn(f"passed over {len(members) - len(kept)} RAW photos in '{path}' beside pictures of the same name")
    return kept
