"""Photos with masks from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from recon.choices import MaskOptions
from recon.digests import digest
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.sources.in_flight import Admit
from recon.sources.masks import PhotoMasks
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class MaskedSource:
    """The photos of another source with masks; see `recon.sources.source.Source`."""

    photos: Source
    masks: PhotoMasks
    options: MaskOptions
    """What they were asked for by."""

    @property
    def names(self) -> tuple[str, ...]:
        """As of the photos."""
        return self.photos.names

    @property
    def ordered(self) -> bool:
        """As of the photos."""
        return self.photos.ordered

    @property
    def cameras(self) -> Cameras | None:
        """As of the photos."""
        return self.photos.cameras

    @property
    def points(self) -> SparsePoints | None:
        """As of the photos."""
        return self.photos.points

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """As of the photos."""
        return self.photos.depths

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """As of the photos."""
        return self.photos.paths

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those of the photos, and that of the masks."""
        given = self.options.masks
        if given is None:  # masks that the photos brought
            return self.photos.folders
        return (*self.photos.folders, given if given.is_dir() else given.parent)

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """As of the photos."""
        return self.photos.left_out

    def content(self, index: int) -> str:
        """Hash of the photo's and of its mask's file."""
        return digest(self.photos.content(index), self.masks.content(index))

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """The photo with its mask."""
        return self.masks.apply(self.photos.read(index, admit), index)


def with_masks(source: Source, options: MaskOptions) -> Source:
    """The photos with the masks that `options` name; `source` itself where they name none.

    Raises InputError as `find` and `check_shapes` of `recon.sources.masks.PhotoMasks`, or where photos lie in the
    folder of the masks.
    """
    if options.masks is None:
        return source
    if _is_masked(source, options):
        return source  # it is open already
    masks = PhotoMasks.find(options.masks, source.names, options.invert_masks)
    place = options.masks.expanduser().resolve()
    for path in source.paths:
        if path is not None and place in path.expanduser().resolve().parents:
            raise InputError(f"masks: the photo '{path}' lies in the folder of the masks; keep photos and masks apart")
    masks.check_shapes(source.paths)
    return MaskedSource(source, masks, options)


def _is_masked(source: Source, options: MaskOptions) -> bool:
    """Whether the photos, or those that they are made of, have these masks."""
    inner: object = source
    while inner is not None:
        if isinstance(inner, MaskedSource) and inner.options == options:
            return True
        inner = getattr(inner, "photos", None)
    return False
