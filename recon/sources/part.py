"""Some of the photos of a source, by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sources.in_flight import Admit
from recon.sources.lazy_sequence import LazySequence
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class SourcePart:
    """M photos of another source; see `recon.sources.source.Source`."""

    photos: Source
    chosen: Sequence[int]
    """M indices into `photos`."""
    in_order: bool = False
    """Whether the photos follow each other in time, even if the other source does not know."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """M names."""
        names = self.photos.names
        return tuple(names[index] for index in self.chosen)

    @property
    def ordered(self) -> bool:
        """As told, else as the photos are."""
        return self.in_order or self.photos.ordered

    @cached_property
    def cameras(self) -> Cameras | None:
        """Of these photos."""
        cameras = self.photos.cameras
        return None if cameras is None else cameras[np.asarray(self.chosen, np.intp)]

    @cached_property
    def points(self) -> SparsePoints | None:
        """Of the scene, with what these photos observe."""
        points = self.photos.points
        return None if points is None else points.select_views(self.chosen)

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """Of these photos."""
        depths, chosen = self.photos.depths, self.chosen
        return None if depths is None else LazySequence(len(chosen), lambda index: depths[chosen[index]])

    @cached_property
    def paths(self) -> tuple[Path | None, ...]:
        """Of these photos."""
        paths = self.photos.paths
        return tuple(paths[index] for index in self.chosen)

    @property
    def folders(self) -> tuple[Path, ...]:
        """As of the photos."""
        return self.photos.folders

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """As of the photos."""
        return self.photos.left_out

    def content(self, index: int) -> str:
        """As of the photos."""
        return self.photos.content(self.chosen[index])

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """As of the photos."""
        return self.photos.read(self.chosen[index], admit)
