"""Photos from files, folders, arrays and Pillow images, upright and in 8-bit RGB."""

from __future__ import annotations

import contextvars
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.errors import InputError, MissingExtraError
from recon.messages import warn
from recon.sources.formats import PHOTO_SUFFIXES, RAW_SUFFIXES
from recon.sources.in_flight import IN_FLIGHT, Admit
from recon.sources.pixels import focal_35mm, pixels_from_array, pixels_from_pil, read_image

MIN_SIDE = 14
"""Shortest usable side in pixels: one patch of the networks."""

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Photo:
    """One picture as a person sees it: turned upright, any transparency blended over white."""

    name: str
    """File name, or the index among the images given ("0003"), for messages and for matching cameras."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""
    exif_focal_35mm: float | None = None
    """Focal length in millimetres on a 36 × 24 mm frame, from EXIF; None where it does not say."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise InputError(
                f"photo '{self.name}' must be (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}"
            )

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True)
class LoadedPhotos(Generic[Loaded]):
    """The usable photos among the images given."""

    photos: list[Loaded]
    """At least one: the photos, or what `load_each` was told to make of them."""
    kept: list[int]
    """For each photo, its index among the images given (a folder counts as its images in natural order)."""
    names: list[str]
    """Names of all images given, those left out included: their number is what per-image cameras must match."""
    dropped: list[tuple[str, str]]
    """Name of each image left out, and why."""


ImageLike: TypeAlias = str | os.PathLike[str] | NDArray[Any] | Image.Image | Photo
PhotoSource: TypeAlias = ImageLike | Sequence[ImageLike] | Iterator[ImageLike]
_Item: TypeAlias = Path | NDArray[Any] | Image.Image | Photo


def load_photos(source: PhotoSource, strict: bool = False) -> LoadedPhotos[Photo]:
    """Read photos and keep them all in memory; arguments and errors are those of `load_each`."""
    return load_each(source, lambda photo: photo, strict)


def load_each(source: PhotoSource, convert: Callable[[Photo], Loaded], strict: bool = False) -> LoadedPhotos[Loaded]:
    """Read photos, several files at a time as far as memory allows, and keep of each only what `convert` makes of it.

    Args:
        source: path of an image or of a folder (its images in natural order: img2 before img10; hidden and other files
            are passed over), an array (H, W), (H, W, 1 | 3 | 4) or (N, H, W, C), a Pillow image, a `Photo`, or a
            sequence of those.
        convert: called in the thread that read the photo; an InputError from it makes the photo a bad one.
        strict: refuse a bad image among several; otherwise it is left out with a warning that names it.

    Raises:
        InputError: nothing usable is left, a bad image with `strict`, or something that is no image at all.
        MissingExtraError: a package is not installed that one of the files needs: that is no fault of the photo.
    """
    items = _items(source)
    if not items:
        raise InputError("no images given; give an image, several, or a folder of images")
    names = _names(items)

    def load(item: _Item, name: str) -> Loaded | InputError:
        """Failures are returned, for the caller to raise or to warn about in its own thread."""
        try:
            with IN_FLIGHT.share() as admit:
                return convert(_load(item, name, admit))
        except MissingExtraError:
            raise
        except InputError as error:
            return error

    # Threads pay off for files only, and two threads must not decode the same lazily opened Pillow image.
    if len(items) > 1 and not any(isinstance(item, Image.Image) for item in items):
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1, len(items))) as pool:
            # Each task runs in the caller's context, so that its warnings reach whoever collects them.
            tasks = [
                pool.submit(contextvars.copy_context().run, load, item, name)
                for item, name in zip(items, names, strict=True)
            ]
            try:
                outcomes = [task.result() for task in tasks]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C, without reading the rest first
                raise
    else:
        outcomes = [load(item, name) for item, name in zip(items, names, strict=True)]

    dropped = [
        (name, str(outcome)) for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, InputError)
    ]
    failures = [outcome for outcome in outcomes if isinstance(outcome, InputError)]
    if failures and (strict or len(items) == 1):
        raise failures[0]
    if len(failures) == len(items):
        raise InputError(f"none of the {len(items)} images can be used; the first: {failures[0]}") from failures[0]
    for failure in failures:
        warn(f"left out: {failure}")
    kept = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, InputError)]
    photos = [outcome for outcome in outcomes if not isinstance(outcome, InputError)]
    return LoadedPhotos(photos, kept, names, dropped)


def check_folders_apart(sources: Iterable[Path], folder: Path) -> None:
    """Raise InputError if results in `folder` would lie among the photos: they could replace them, or be taken for one.

    Args:
        sources: photos, and folders of photos.
        folder: of the results; it need not exist.
    """
    for source in sources:
        path = source.expanduser().absolute()
        if (path if path.is_dir() else path.parent).resolve() == folder.resolve():
            raise InputError(f"the results cannot go into the folder of the photos, {folder}: they would be photos")


def natural_key(name: str) -> list[str | int]:
    """Sort key that reads runs of digits as numbers and ignores case: img2 < IMG10 < img011."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def list_images(folder: Path) -> list[Path]:
    """Image files directly in `folder`, hidden ones excepted, in natural order; InputError when there are none.

    A RAW photo beside a JPEG (or the like) of the same name is that same picture: it is passed over, with a warning.
    """
    try:
        # A broken link counts too: it is better named than passed over.
        files = [
            path
            for path in folder.iterdir()
            if (path.is_file() or path.is_symlink()) and not path.is_dir() and not path.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(f"the folder '{folder}' cannot be listed: {error.strerror}") from error
    images = _without_raw_twins([path for path in files if path.suffix.lower() in PHOTO_SUFFIXES])
    if not images:
        hint = f"; did you mean '{folder / 'images'}'?" if (folder / "images").is_dir() else ""
        raise InputError(f"the folder '{folder}' holds no images (JPEG, PNG, TIFF, WebP, HEIC, …){hint}")
    return sorted(images, key=lambda path: (natural_key(path.name), path.name))


def _without_raw_twins(images: list[Path]) -> list[Path]:
    """The images without the RAW files whose developed picture is among them."""
    developed = {path.stem.casefold() for path in images if path.suffix.lower() not in RAW_SUFFIXES}
    twins = {path for path in images if path.suffix.lower() in RAW_SUFFIXES and path.stem.casefold() in developed}
    if twins:
        shown = ", ".join(sorted(path.name for path in twins)[:3]) + (", …" if len(twins) > 3 else "")
        warn(f"passed over {len(twins)} RAW photos in '{images[0].parent}' beside pictures of the same name: {shown}")
    return [path for path in images if path not in twins]


def _items(source: Any) -> list[_Item]:
    """Flatten `source` to single images, folders and batches opened up, nothing read yet."""
    if isinstance(source, (Photo, Image.Image)):
        return [source]
    if isinstance(source, np.ndarray):
        return list(source) if source.ndim == 4 else [source]
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        return [*list_images(path)] if path.is_dir() else [path]
    if isinstance(source, (Sequence, Iterator)) and not isinstance(source, (bytes, bytearray)):
        return [item for entry in source for item in _items(entry)]
    raise InputError(f"an image must be a path, a numpy array or a Pillow image, not {type(source).__name__}")


def _names(items: list[_Item]) -> list[str]:
    """File names where there are files, the whole path for different files of one name, else the index.

    Raises InputError where different pictures would go by one name, which is what their cameras are found by.
    """
    files = [_file(item) for item in items]
    files_of_name = Counter(path.name for path in {path for path in files if path is not None})

    def name(index: int, item: _Item, file: Path | None) -> str:
        if isinstance(item, Photo):
            return item.name
        if file is None:
            return f"{index:04d}"
        return file.name if files_of_name[file.name] == 1 else file.as_posix()

    names = [name(index, *entry) for index, entry in enumerate(zip(items, files, strict=True))]
    pictures: dict[str, tuple[_Item, Path | None]] = {}
    for label, item, file in zip(names, items, files, strict=True):
        first, first_file = pictures.setdefault(label, (item, file))
        if first is not item and (file is None or file != first_file):
            raise InputError(f"two images go by the name '{label}': name them apart")
    return names


def _file(item: _Item) -> Path | None:
    """Where the item is, or was, read from."""
    if isinstance(item, Path):
        return item
    name = getattr(item, "filename", "") if isinstance(item, Image.Image) else ""
    return Path(os.fsdecode(name)) if name else None


def _load(item: _Item, name: str, admit: Admit) -> Photo:
    label = f"'{item}'" if isinstance(item, Path) else f"image '{name}'"
    photo = _photo(item, name, label, admit)
    if min(photo.width, photo.height) < MIN_SIDE:
        raise InputError(f"{label} is {photo.width}×{photo.height} pixels; both sides must be at least {MIN_SIDE}")
    return photo


def _photo(item: _Item, name: str, label: str, admit: Admit) -> Photo:
    if isinstance(item, Photo):
        return item
    if isinstance(item, Path):
        return Photo(name, *read_image(item, admit))
    if isinstance(item, np.ndarray):
        return Photo(name, pixels_from_array(item, label))
    try:
        return Photo(name, pixels_from_pil(item, label), focal_35mm(item))
    except OSError as error:  # a Pillow image decodes its file only now
        raise InputError(f"{label} cannot be decoded, its file may be truncated or damaged: {error}") from error
