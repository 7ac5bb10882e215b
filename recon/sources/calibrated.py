"""Photos whose cameras are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class CalibratedSource:
    """Those photos of another source whose cameras are known; see `recon.sources.source.Source`."""

    photos: Source
    chosen: tuple[int, ...]
    """M indices into `photos`."""
    cameras: Cameras
    """Of the M upright originals as they were taken, lens included."""
    points: SparsePoints | None = None
    """Of the scene, in the frame of the cameras; observed by the M views."""
    depths: Sequence[NDArray[Any]] | None = None
    """Measured depth of each of the M photos, in the scale of the cameras; that of `photos` has another."""
    left_out: tuple[tuple[str, str], ...] = ()
    """As `recon.sources.source.Source.left_out`."""

    @property
    def names(self) -> tuple[str, ...]:
        """M names."""
        return tuple(self.photos.names[index] for index in self.chosen)

    @property
    def ordered(self) -> bool:
        """As the photos are."""
        return self.photos.ordered

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each photo."""
        return tuple(self.photos.paths[index] for index in self.chosen)

    @property
    def folders(self) -> tuple[Path, ...]:
        """As those of the photos."""
        return self.photos.folders

    def content(self, index: int) -> str:
        """As of the photos."""
        return self.photos.content(self.chosen[index])

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """The upright original as it was taken."""
        return self.photos.read(self.chosen[index], admit)

    def with_scene(self, points: SparsePoints | None, depths: Sequence[NDArray[Any]] | None) -> CalibratedSource:
        """The same photos and cameras, with what else is known of the scene."""
        return replace(self, points=points, depths=depths)

    def select(self, indices: Sequence[int]) -> CalibratedSource:
        """Some of these photos, in this order."""
        return CalibratedSource(
            self.photos,
            tuple(self.chosen[index] for index in indices),
            self.cameras[np.asarray(indices, np.intp)],
            None if self.points is None else self.points.select_views(indices),
            None if self.depths is None else [self.depths[index] for index in indices],
            self.left_out,
        )
