"""Some of the photos of a source, or the same in an order that means something."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.geometry.sparse_points import SparsePoints
from recon.sources.in_flight import Admit
from recon.sources.lazy_sequence import LazySequence
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.types.cameras import Cameras

EVERY_KIND = ("every", "limit", "ordered", "masks", "invert_masks")
"""Names of the options that every kind of source takes."""


@dataclass(frozen=True)
class ThinnedSource:
    """Each `every`-th photo of another source, and at most `limit`; see `recon.sources.source.Source`."""

    photos: Source
    every: int = 1
    limit: int | None = None
    in_order: bool = False
    """Whether the photos follow each other in time, even if the other source does not know."""

    @cached_property
    def chosen(self) -> range:
        """Indices into the other source; which may have to look at its content to know how many it has."""
        return range(len(self.photos.names))[:: self.every][: self.limit]

    @property
    def names(self) -> tuple[str, ...]:
        """Of those chosen."""
        names = self.photos.names
        return tuple(names[index] for index in self.chosen)

    @property
    def ordered(self) -> bool:
        """As told, else as the other source is."""
        return self.in_order or self.photos.ordered

    @property
    def cameras(self) -> Cameras | None:
        """Of those chosen."""
        cameras = self.photos.cameras
        return None if cameras is None else cameras[np.asarray(self.chosen, np.intp)]

    @property
    def points(self) -> SparsePoints | None:
        """Of the scene, with what those chosen observe."""
        points = self.photos.points
        return None if points is None else points.select_views(self.chosen)

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """Of those chosen."""
        depths = self.photos.depths
        chosen = self.chosen
        return None if depths is None else LazySequence(len(chosen), lambda index: depths[chosen[index]])

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """Of those chosen."""
        paths = self.photos.paths
        return tuple(paths[index] for index in self.chosen)

    @property
    def folders(self) -> tuple[Path, ...]:
        """As of the other source."""
        return self.photos.folders

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """As of the other source."""
        return self.photos.left_out

    def content(self, index: int) -> str:
        """As of the other source."""
        return self.photos.content(self.chosen[index])

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """As of the other source."""
        return self.photos.read(self.chosen[index], admit)


def passed_over(source: Source) -> tuple[str, ...]:
    """Names of the photos that `every` and `limit` leave out of a source."""
    if not isinstance(source, ThinnedSource):
        return ()
    names, chosen = source.photos.names, set(source.chosen)
    return tuple(name for index, name in enumerate(names) if index not in chosen)


def thinned(source: Source, options: SourceOptions, heeded: Collection[str] = ()) -> Source:
    """The photos of `source` that `every` and `limit` of the options leave, as `ordered` says; itself where they leave
    all as they are. The options `heeded` are done already."""
    every = 1 if "every" in heeded else options.every
    limit = None if "limit" in heeded else options.limit
    in_order = options.ordered and "ordered" not in heeded
    return source if every == 1 and limit is None and not in_order else ThinnedSource(source, every, limit, in_order)
