"""The views as stereo matches them: grey levels, and which pixels show something."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.stereo.images import repeat_borders, to_grey
from recon.types.cameras import Cameras


class Photos(NamedTuple):
    """The views as they are matched."""

    images: NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    grey: NDArray[np.uint8]
    """(N, H, W); beyond a smaller photo, its last row and column go on."""
    sizes: NDArray[np.int64]
    """(N, 2) width and height of each photo, which is the left upper part."""
    masks: NDArray[np.bool_] | None
    """(N, H, W) False where nothing is to be matched, or there is no photo; None: nowhere."""

    def own(self, view: int) -> tuple[int, slice, slice]:
        """Index of the pixels of a view's photo among those of all views."""
        width, height = self.sizes[view].tolist()
        return view, slice(height), slice(width)

    def wanted(self, view: int) -> NDArray[np.bool_] | None:
        """(h, w) of the view's photo."""
        return None if self.masks is None else np.ascontiguousarray(self.masks[self.own(view)])


def take_photos(images: NDArray[np.uint8], cameras: Cameras, masks: NDArray[np.bool_] | None) -> Photos:
    """Views (N, H, W, 3) with the sizes of their cameras, and masks (N, H, W) or None."""
    count, height, width = images.shape[:3]
    sizes = np.tile(np.array([width, height]), (count, 1)) if cameras.sizes is None else cameras.sizes
    grey = to_grey(images)
    if (sizes != (width, height)).any():
        masks = np.ones(grey.shape, np.bool_) if masks is None else masks.copy()
        repeat_borders(grey, sizes)
        for view, (w, h) in enumerate(sizes.tolist()):
            masks[view, h:] = masks[view, :, w:] = False
    return Photos(images, grey, sizes, masks)
