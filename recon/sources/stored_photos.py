"""The photos behind a result that was stored: by their paths, or by opening again what the run was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.sources.images import ImageSource
from recon.sources.source import Source


@dataclass(frozen=True)
class StoredPhotos:
    """As `recon.types.originals.Originals`."""

    names: tuple[str, ...]
    """N names of the views."""
    paths: tuple[Path | None, ...]
    """The file of each view's photo; None for one that has none of its own, as a frame of a video."""
    reopen: Callable[[], Source] | None = None
    """Opens the source again that the views were made of; None where it is not known."""
    recorded_changes: tuple[Mapping[str, Any] | None, ...] = ()
    """As `changes`; empty where nothing was done to any."""

    @property
    def changes(self) -> tuple[Mapping[str, Any] | None, ...]:
        """As `Originals.changes`."""
        return self.recorded_changes or (None,) * len(self.names)

    @cached_property
    def _source(self) -> Source:
        if self.reopen is None:
            raise InputError("where they were is not known")
        return self.reopen()

    def read(self, view: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """As `Originals.read`."""
        path = self.paths[view]
        if path is not None:
            photo = ImageSource.of([path]).read(0)
        elif self.names[view] in self._source.names:
            photo = self._source.read(self._source.names.index(self.names[view]))
        else:
            raise InputError(f"'{self.names[view]}' is not among the photos any more")
        return photo.pixels, photo.mask
