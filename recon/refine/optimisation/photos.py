"""What splats are fitted to: photos, their masks, and the depth that is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.photo_loss import Target
from recon.types import Prediction


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


class ProcessedPhotos:
    """The photos of a prediction at its size, each looked at as a whole."""

    def __init__(self, prediction: Prediction, fitted: Sequence[int]) -> None:
        self._prediction = prediction
        self._looks = {view: self._look(view) for view in fitted}

    def look(self, view: int) -> Look:
        """At one of the photos that are fitted to."""
        return self._looks[view]

    def _look(self, view: int) -> Look:
        prediction = self._prediction
        photo = prediction.processed_images[view].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        valid = prediction.valid[view]
        closeness = np.where(valid, 1 / np.where(valid, prediction.depth[view], 1), 0).astype(np.float32)
        return Look(view, Target(photo, self.mask(view)), closeness, np.eye(3))

    def pixels(self, view: int) -> NDArray[np.uint8]:
        """(H, W, 3) of any photo."""
        return self._prediction.processed_images[view]

    def mask(self, view: int) -> NDArray[np.bool_] | None:
        """(H, W) where any photo counts; None: everywhere."""
        return None if self._prediction.mask is None else self._prediction.mask[view]
