"""What splats are fitted to: photos, their masks, and the depth that is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.photo_loss import Target
from recon.types import Prediction

_KEPT_BYTES = 1 << 30
"""Of photos ready to be looked at; more are made ready for each look."""


@dataclass(frozen=True)
class Look:
    """What one step looks at: a photo, or a rectangle of it."""

    view: int
    target: Target
    closeness: NDArray[np.float32]
    """(H, W) reciprocals of the depth that is known, and 0 elsewhere."""
    from_processed: NDArray[np.float64]
    """(3, 3) affine map from pixels of the processed photo to those of the look."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.closeness.shape
        return height, width

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        target = self.target
        arrays = (target.photo, target.means, target.squares, target.counts, self.closeness)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True)
class Part:
    """A rectangle of a photo that a rendered view is compared with."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: NDArray[np.bool_] | None
    """(H, W) where it counts; None: everywhere."""
    from_processed: NDArray[np.float64]
    """(3, 3) as in `Look`."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width, _ = self.pixels.shape
        return height, width


class Photos(Protocol):
    """The photos of a prediction, at some size."""

    levels: int
    """How many sizes are looked at one after another, each twice as large as the one before; the last is theirs."""

    def look(self, view: int, level: int, turn: int) -> Look:
        """At one of the photos that are fitted to, at a level from 0 to `levels` - 1.

        `turn` tells how often all photos have been looked at: with the other arguments it decides what is looked at.
        """

    def parts(self, view: int) -> Sequence[Part]:
        """Of any photo, to compare it with its view."""


class ProcessedPhotos:
    """The photos of a prediction at its size, each looked at as a whole."""

    levels = 1

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._ready: dict[int, Look] = {}
        self._room = _KEPT_BYTES

    def look(self, view: int, level: int, turn: int) -> Look:
        """See `Photos.look`."""
        found = self._ready.get(view) or self._look(view)
        if view not in self._ready and found.nbytes <= self._room:
            self._ready[view] = found
            self._room -= found.nbytes
        return found

    def parts(self, view: int) -> Sequence[Part]:
        """See `Photos.parts`: the whole."""
        return [Part(self._prediction.processed_images[view], self._mask(view), np.eye(3))]

    def _look(self, view: int) -> Look:
        photo = as_planes(self._prediction.processed_images[view])
        return Look(view, Target(photo, self._mask(view)), known_closeness(self._prediction, view), np.eye(3))

    def _mask(self, view: int) -> NDArray[np.bool_] | None:
        return None if self._prediction.mask is None else self._prediction.mask[view]


def as_planes(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) pixels as (3, H, W) from 0 to 1."""
    return pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def known_closeness(prediction: Prediction, view: int) -> NDArray[np.float32]:
    """(H, W) reciprocals of the depth that was found and not cleaned away, and 0 elsewhere."""
    valid = prediction.valid[view]
    if prediction.kept is not None:
        valid = valid & prediction.kept[view]
    return np.where(valid, 1 / np.where(valid, prediction.depth[view], 1), 0).astype(np.float32)
