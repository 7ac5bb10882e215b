"""What the user brings, whatever it is: names first, photos as they are wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sources.images import ImageLike, ImageSource
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo
from recon.sources.unread import refuse_unread
from recon.types.cameras import Cameras


@runtime_checkable
class Source(Protocol):
    """N photos, and what is known of them beside their pixels."""

    @property
    def names(self) -> tuple[str, ...]:
        """N names, by which cameras and results are found; one picture given twice has its name twice."""

    @property
    def ordered(self) -> bool:
        """Whether they follow each other in time, as the frames of a video do."""

    @property
    def cameras(self) -> Cameras | None:
        """Of the N upright originals as they were taken, lens included; None: unknown."""

    @property
    def points(self) -> SparsePoints | None:
        """Of the scene, in the frame of the cameras."""

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """Measured depth of each photo, in the scale of the cameras; None: unknown."""

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each photo; None for one that was given as pixels."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where photos were looked for, or lie: no place for results."""

    def content(self, index: int) -> str:
        """Hash of what photo number `index` is decoded from, which need not be decoded for it; several may be asked
        for at once, in threads. One that cannot be read has one too."""

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """Decode photo number `index`; several may be read at once, in threads.

        `admit` waits until there is room for so many pixels. Raises InputError where the photo cannot be used,
        MissingExtraError where a package is missing that its format needs.
        """


PhotoSource: TypeAlias = ImageLike | Sequence[ImageLike] | Iterator[ImageLike] | Source


def open_source(source: PhotoSource) -> Source:
    """What `source` is, by its content; nothing is decoded yet.

    Args:
        source: path of an image or of a folder (the images in it and in its sub-folders, in natural order: img2 before
            img10), an array (H, W), (H, W, 1 | 3 | 4) or (N, H, W, C), a Pillow image, a `Photo`, a sequence of those,
            or a source that is open already.

    Raises:
        InputError: something that is no image, or cannot be read as a source of photos: the message says what it is
            and what to do.
    """
    if isinstance(source, Source):
        return source
    entries = list(source) if isinstance(source, (list, tuple, Iterator)) else [source]
    for entry in entries:
        if isinstance(entry, (str, os.PathLike)):
            refuse_unread(Path(entry).expanduser(), alone=len(entries) == 1)
    return ImageSource.of(entries)
