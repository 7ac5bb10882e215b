"""From what the user names to a source: which kind it is, by its content, and opening it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from recon.choices import MaskOptions, SourceOptions
from recon.errors import InputError
from recon.messages import warn
from recon.options import asked_for, meant, part_of
from recon.sources.given_paths import given_paths
from recon.sources.images import ImageLike, ImageSource
from recon.sources.kind import SourceKind
from recon.sources.kinds import KINDS, PHOTOS, kind_of
from recon.sources.masked import with_masks
from recon.sources.source import Source
from recon.sources.thinned import EVERY_KIND, thinned
from recon.sources.unread import refuse_unread
from recon.sources.unused_cameras import unused_cameras

PhotoSource: TypeAlias = ImageLike | Sequence[ImageLike] | Iterator[ImageLike] | Source


def open_source(source: PhotoSource, options: SourceOptions = SourceOptions()) -> Source:  # noqa: B008 (frozen)
    """What `source` is, by its content, or as `options.input_kind` says, with the masks asked for; nothing is decoded
    yet.

    Args:
        source: path of an image, of a folder or ZIP archive (the images in it and in its sub-folders, in natural order:
            img2 before img10), a pattern or a list of these (`recon.sources.given_paths`), or of another kind of source
            (`KINDS`); an array (H, W), (H, W, 1 | 3 | 4) or (N, H, W, C), a Pillow image, a `Photo`, a sequence of
            those; or a source that is open already. Among several only photos, folders and archives of photos.
        options: how to open it.

    Raises:
        InputError: something that is no image, or cannot be read as a source of photos: the message says what it is
            and what to do; or as `recon.sources.masked.with_masks`.
    """
    return with_masks(source, part_of(options, MaskOptions)) if isinstance(source, Source) else _opened(source, options)


def _opened(source: ImageLike | Sequence[ImageLike] | Iterator[ImageLike], options: SourceOptions) -> Source:
    masks = part_of(options, MaskOptions)
    forced = None if options.input_kind is None else _named(options.input_kind)
    given = list(source) if isinstance(source, (list, tuple, Iterator)) else [source]
    entries = [one for entry in given for one in _expanded(entry, forced)]
    paths = [entry for entry in entries if isinstance(entry, Path)]
    alone = len(entries) == 1
    if forced is not None and (not alone or not paths) and forced is not PHOTOS:
        raise InputError(f"input_kind {forced.name}: give one path, of {forced.what}; got {len(entries)} inputs")
    for path in paths:
        if forced is not None and not path.exists():
            raise InputError(f"'{path}' does not exist; give the path of {forced.what}")
        kind = kind_of(path) if forced is None else forced
        if kind is not PHOTOS and alone:
            _check_heeded(options, kind)
            opened = kind.open(path, options)
            return thinned(opened if "masks" in kind.heeds else with_masks(opened, masks), options, kind.heeds)
        if kind is not PHOTOS:
            raise InputError(
                f"{path} is {kind.what}, which is a source by itself: give it alone, or input_kind photos to take the "
                "photos in it"
            )
        if forced is None:
            refuse_unread(path, alone=alone)
            for message in unused_cameras(path):
                warn(message)
    _check_heeded(options, PHOTOS)
    return thinned(with_masks(ImageSource.of(entries, in_use=masks.masks), masks), options)


def _expanded(entry: Any, forced: SourceKind | None) -> Sequence[Any]:
    """The paths that a path stands for; anything else as it is."""
    if not isinstance(entry, (str, os.PathLike)):
        return (entry,)
    path = Path(entry).expanduser()
    as_photos = forced is PHOTOS or (forced is None and kind_of(path) is PHOTOS)
    return given_paths(path) if as_photos else (path,)


def _check_heeded(options: SourceOptions, kind: SourceKind) -> None:
    """Raise InputError where an option is asked for that is for other kinds of sources alone."""
    for one in asked_for(options):
        takers = [other.name for other in KINDS.values() if one.name in other.heeds]
        if takers and one.name not in {*kind.heeds, *EVERY_KIND}:
            raise InputError(f"{one.name} is for inputs of the kinds {', '.join(takers)}; this is {kind.what}")


def _meant(name: str) -> str:
    """A kind of nearly that name."""
    hint = meant(name, KINDS)
    return f"; {hint}" if hint.startswith("did") else ""


def _named(name: str) -> SourceKind:
    if name not in KINDS:
        raise InputError(f"input_kind must be one of {', '.join(KINDS)}, not {name!r}{_meant(name)}")
    return KINDS[name]
