"""From what the user names to a source: which kind it is, by its content, and opening it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.options import meant
from recon.sources.images import ImageLike, ImageSource
from recon.sources.kind import SourceKind
from recon.sources.kinds import KINDS, PHOTOS, kind_of
from recon.sources.source import Source
from recon.sources.unread import refuse_unread

PhotoSource: TypeAlias = ImageLike | Sequence[ImageLike] | Iterator[ImageLike] | Source


def open_source(source: PhotoSource, options: SourceOptions = SourceOptions()) -> Source:  # noqa: B008 (frozen)
    """What `source` is, by its content, or as `options.input_kind` says; nothing is decoded yet.

    Args:
        source: path of an image, of a folder (the images in it and in its sub-folders, in natural order: img2 before
            img10) or of another kind of source (`KINDS`); an array (H, W), (H, W, 1 | 3 | 4) or (N, H, W, C), a Pillow
            image, a `Photo`, a sequence of those; or a source that is open already. Among several only photos and
            folders of photos.
        options: how to open it.

    Raises:
        InputError: something that is no image, or cannot be read as a source of photos: the message says what it is
            and what to do.
    """
    if isinstance(source, Source):
        return source
    entries = list(source) if isinstance(source, (list, tuple, Iterator)) else [source]
    paths = [Path(entry).expanduser() for entry in entries if isinstance(entry, (str, os.PathLike))]
    alone = len(entries) == 1
    forced = None if options.input_kind is None else _named(options.input_kind)
    if forced is not None and (not alone or not paths) and forced is not PHOTOS:
        raise InputError(f"input_kind {forced.name}: give one path, of {forced.what}; got {len(entries)} inputs")
    for path in paths:
        if forced is not None and not path.exists():
            raise InputError(f"'{path}' does not exist; give the path of {forced.what}")
        kind = kind_of(path) if forced is None else forced
        if kind is not PHOTOS and alone:
            return kind.open(path, options)
        if kind is not PHOTOS:
            raise InputError(
                f"{path} is {kind.what}, which is a source by itself: give it alone, or input_kind photos to take the "
                "photos in it"
            )
        if forced is None:
            refuse_unread(path, alone=alone)
    return ImageSource.of(entries)


def _named(name: str) -> SourceKind:
    if name not in KINDS:
        raise InputError(f"input_kind must be one of {', '.join(KINDS)}, not {name!r}; {meant(name, KINDS)}")
    return KINDS[name]
