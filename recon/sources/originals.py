"""The photos behind a prediction, read again from the source that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.sources.adapted_photos import photo_changes
from recon.sources.source import Source


@dataclass(frozen=True)
class SourceOriginals:
    """As `recon.types.originals.Originals`."""

    source: Source
    indices: tuple[int, ...]
    """Of each view, its photo in the source."""

    @staticmethod
    def by_name(source: Source, names: Sequence[str]) -> SourceOriginals:
        """Of views with these names, all of which the source has."""
        places = {name: index for index, name in enumerate(source.names)}
        return SourceOriginals(source, tuple(places[name] for name in names))

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """As `Originals.paths`."""
        paths = self.source.paths
        return tuple(paths[index] for index in self.indices)

    @property
    def changes(self) -> tuple[Mapping[str, Any] | None, ...]:
        """As `Originals.changes`."""
        changes, names = photo_changes(self.source), self.source.names
        return tuple(change.entry if (change := changes.get(names[index])) else None for index in self.indices)

    def read(self, view: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """As `Originals.read`."""
        photo = self.source.read(self.indices[view])
        return photo.pixels, photo.mask
