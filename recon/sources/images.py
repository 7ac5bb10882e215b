"""Photos from files, folders, arrays and Pillow images, upright and in 8-bit RGB."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.digests import digest, file_content
from recon.errors import InputError
from recon.messages import warn
from recon.sources.formats import PHOTO_SUFFIXES, RAW_SUFFIXES, ZIP, detect_format
from recon.sources.gps import gps_position
from recon.sources.in_flight import Admit
from recon.sources.names import NO_PHOTO_FOLDERS, natural_key, normalise_name
from recon.sources.photo import Photo
from recon.sources.pixels import Picture as Decoded
from recon.sources.pixels import focal_35mm, picture_from_array, picture_from_pil, read_picture
from recon.sources.unread import unread_in
from recon.sources.zip_photos import PackedPhoto, packed_photos

MIN_SIDE = 14
"""Shortest usable side in pixels: one patch of the networks."""

Picture: TypeAlias = Path | PackedPhoto | NDArray[Any] | Image.Image | Photo
"""A single one; a path is that of an image file."""
ImageLike: TypeAlias = str | os.PathLike[str] | NDArray[Any] | Image.Image | Photo


@dataclass(frozen=True)
class _Item:
    """One picture to come."""

    picture: Picture
    short_name: str = ""
    """Path within the folder or archive that was given, or the name of the file; empty without a file."""


@dataclass(frozen=True)
class ImageSource:
    """Image files, arrays and Pillow images, in the order given; see `recon.sources.source.Source`."""

    items: tuple[_Item, ...]
    names: tuple[str, ...]
    given_folders: tuple[Path, ...] = ()
    ordered: bool = False
    cameras: None = None
    points: None = None
    depths: None = None
    left_out: tuple[()] = ()
    _pillow: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Two threads must not decode the same lazily opened Pillow image."""

    @staticmethod
    def of(images: Iterable[Any], ordered: bool = False, in_use: Path | None = None) -> ImageSource:
        """Everything that `recon.sources.open_source.open_source` takes, in a list; errors as there.

        The folder `in_use` holds masks: it is not said that no photos are taken from it.
        """
        given = list(images)
        items = tuple(item for image in given for item in _items(image, in_use))
        if not items:
            raise InputError("no images given; give an image, several, or a folder of images")
        paths = [Path(image).expanduser() for image in given if isinstance(image, (str, os.PathLike))]
        return ImageSource(items, tuple(_names(items)), tuple(path for path in paths if path.is_dir()), ordered)

    @staticmethod
    def of_files(paths: Sequence[Path], names: Sequence[str]) -> ImageSource:
        """Image files that go by other names than their own, all different."""
        items = tuple(_Item(path, name) for path, name in zip(paths, names, strict=True))
        return ImageSource(items, tuple(names))

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each photo; None for one that was given as pixels."""
        return tuple(_file(item.picture) for item in self.items)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those given, and those that photos lie in."""
        return tuple(dict.fromkeys((*self.given_folders, *(path.parent for path in self.paths if path is not None))))

    def content(self, index: int) -> str:
        """As `recon.sources.source.Source.content`: of a file its bytes, else what was given."""
        picture = self.items[index].picture
        if isinstance(picture, Path):
            return file_content(picture)
        if isinstance(picture, PackedPhoto):
            return picture.content()
        if isinstance(picture, Image.Image):
            try:
                return digest(self.read(index))
            except InputError as error:
                return f"unreadable: {error}"
        return digest(picture)

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """As `recon.sources.source.Source.read`."""
        picture, name = self.items[index].picture, self.names[index]
        place = _place(picture) if isinstance(picture, (Path, PackedPhoto)) else None
        label = f"image '{name}'" if place is None else f"'{place}'"
        photo = self._photo(picture, name, label, admit)
        if min(photo.width, photo.height) < MIN_SIDE:
            raise InputError(f"{label} is {photo.width}×{photo.height} pixels; both sides must be at least {MIN_SIDE}")
        return photo

    def _photo(self, picture: Picture, name: str, label: str, admit: Admit) -> Photo:
        if isinstance(picture, Photo):
            return picture
        path = _file(picture)
        if isinstance(picture, Path):
            return _as_photo(name, read_picture(picture, admit), path)
        if isinstance(picture, PackedPhoto):
            return _as_photo(name, read_picture(picture.read(), admit), path)
        if isinstance(picture, np.ndarray):
            return _as_photo(name, picture_from_array(picture, label), path)
        try:
            with self._pillow:
                found = replace(
                    picture_from_pil(picture, label), exif_focal_35mm=focal_35mm(picture), gps=gps_position(picture)
                )
            return _as_photo(name, found, path)
        except OSError as error:  # a Pillow image decodes its file only now
            raise InputError(f"{label} cannot be decoded, its file may be truncated or damaged: {error}") from error


def _as_photo(name: str, picture: Decoded, path: Path | None) -> Photo:
    return Photo(
        name,
        picture.pixels,
        picture.exif_focal_35mm,
        path,
        picture.opaque,
        picture.orientation,
        gps=picture.gps,
    )


def check_folders_apart(photo_folders: Iterable[Path], folder: Path) -> None:
    """Raise InputError if results in `folder` would lie among the photos: they could replace them, or be taken for one.

    Args:
        photo_folders: folders that hold photos (`Source.folders`).
        folder: of the results; it need not exist.
    """
    for photo_folder in photo_folders:
        if photo_folder.expanduser().resolve() == folder.resolve():
            raise InputError(f"the results cannot go into the folder of the photos, {folder}: they would be photos")


def list_images(folder: Path, sub_folders: bool = True, in_use: Path | None = None) -> list[Path]:
    """Image files in `folder`, and in its sub-folders unless told otherwise, in natural order. InputError without any.

    Passed over are hidden files and folders, and the results of a run; and, with a warning, sub-folders that by their
    names hold masks, depth or normals, unless that is `in_use` as such, and RAW photos beside a JPEG (or the like) of
    the same name.
    """
    files, passed_over = _walk(folder, sub_folders)
    images = _without_raw_twins([path for path in files if path.suffix.lower() in PHOTO_SUFFIXES])
    of_scene = folder / "images"
    if of_scene.is_dir() and not any(path.parent == folder for path in images):
        # What lies beside the photos of a scene is not photos: where there is more, it is for the user to say.
        images = images if all(of_scene in path.parents for path in images) else []
    if not images:
        reason = f"; did you mean '{folder / 'images'}'?" if (folder / "images").is_dir() else ""
        if not reason and (instead := unread_in(folder)) is not None:
            reason = f"; {instead}"
        raise InputError(f"the folder '{folder}' holds no images (JPEG, PNG, TIFF, WebP, HEIC, …){reason}")
    if in_use is not None:
        used = in_use.expanduser().resolve()
        passed_over = [path for path in passed_over if path.resolve() != used]
    if passed_over:
        names = ", ".join(path.relative_to(folder).as_posix() for path in passed_over)
        warn(f"passed over sub-folders of '{folder}' that are named for something else than photos: {names}")
    return sorted(images, key=lambda path: (natural_key(_within(path, folder)), _within(path, folder)))


def _walk(folder: Path, sub_folders: bool) -> tuple[list[Path], list[Path]]:
    """The files of a folder and of its sub-folders, those of hidden ones and of runs excepted; and the sub-folders that
    are named for something else than photos."""
    files: list[Path] = []
    passed_over: list[Path] = []
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                # A broken link counts too: it is better named than passed over. Pipes and devices have no end.
                files += [path] if path.is_file() or not path.exists() else []
            elif not sub_folders:
                continue
            elif path.is_symlink() and path.resolve() in (folder.resolve(), *folder.resolve().parents):
                continue  # a link back up has no end
            elif (path / "run.json").is_file():
                continue  # results
            elif path.name.lower() in NO_PHOTO_FOLDERS:
                passed_over.append(path)
            else:
                found, without = _walk(path, sub_folders)
                files += found
                passed_over += without
    except OSError as error:
        raise InputError(f"the folder '{folder}' cannot be listed: {error.strerror}") from error
    return files, passed_over


def _within(path: Path, folder: Path) -> str:
    return normalise_name(path.relative_to(folder).as_posix())


def _without_raw_twins(images: list[Path]) -> list[Path]:
    """The images without the RAW files whose developed picture is beside them."""

    def place(path: Path) -> tuple[Path, str]:
        return path.parent, path.stem.casefold()

    developed = {place(path) for path in images if path.suffix.lower() not in RAW_SUFFIXES}
    twins = {path for path in images if path.suffix.lower() in RAW_SUFFIXES and place(path) in developed}
    if twins:
        shown = ", ".join(sorted(path.name for path in twins)[:3]) + (", …" if len(twins) > 3 else "")
        warn(f"passed over {len(twins)} RAW photos in '{images[0].parent}' beside pictures of the same name: {shown}")
    return [path for path in images if path not in twins]


def _items(source: Any, in_use: Path | None = None) -> list[_Item]:
    """Flatten `source` to single images, folders and batches opened up, nothing read yet."""
    if isinstance(source, (Photo, Image.Image)):
        path = _file(source)
        return [_Item(source, "" if path is None else normalise_name(path.name))]
    if isinstance(source, PackedPhoto):
        return [_Item(source, source.short_name)]
    if isinstance(source, np.ndarray):
        return [_Item(image) for image in source] if source.ndim == 4 else [_Item(source)]
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if path.is_dir():
            return [_Item(image, _within(image, path)) for image in list_images(path, in_use=in_use)]
        if _is_zip(path):
            return [_Item(photo, photo.short_name) for photo in packed_photos(path)]
        return [_Item(path, normalise_name(path.name))]
    if isinstance(source, (Sequence, Iterator)) and not isinstance(source, (bytes, bytearray)):
        return [item for entry in source for item in _items(entry, in_use)]
    raise InputError(f"an image must be a path, a numpy array or a Pillow image, not {type(source).__name__}")


def _names(items: Sequence[_Item]) -> list[str]:
    """Short names where they tell the files apart, else the whole path, else the index; all in Unicode's NFC.

    Raises InputError where different pictures would go by one name, which is what their cameras are found by.
    """
    places = [_place(item.picture) for item in items]
    distinct = {(item.short_name, place) for item, place in zip(items, places, strict=True) if place is not None}
    files_of_name = Counter(short_name for short_name, _ in distinct)

    def name(index: int, item: _Item, place: str | None) -> str:
        if isinstance(item.picture, Photo):
            return normalise_name(item.picture.name)
        if place is None:
            return f"{index:04d}"
        return item.short_name if files_of_name[item.short_name] == 1 else normalise_name(place)

    names = [name(index, *entry) for index, entry in enumerate(zip(items, places, strict=True))]
    pictures: dict[str, tuple[_Item, str | None]] = {}
    for label, item, place in zip(names, items, places, strict=True):
        first, first_place = pictures.setdefault(label, (item, place))
        if first.picture is not item.picture and (place is None or place != first_place):
            raise InputError(f"two images go by the name '{label}': name them apart")
    return names


def _place(picture: Picture) -> str | None:
    """What tells its file from others; None without one."""
    if isinstance(picture, PackedPhoto):
        return picture.label
    file = _file(picture)
    return None if file is None else file.as_posix()


def _is_zip(path: Path) -> bool:
    try:
        return path.is_file() and detect_format(path) is ZIP
    except OSError:
        return False  # reading it says why


def _file(picture: Picture) -> Path | None:
    """Where the picture is, or was, read from."""
    if isinstance(picture, Path):
        return picture
    if isinstance(picture, Photo):
        return picture.path
    name = getattr(picture, "filename", "") if isinstance(picture, Image.Image) else ""
    return Path(os.fsdecode(name)) if name else None
