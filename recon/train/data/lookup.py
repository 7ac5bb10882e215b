"""Values of maps of whole photos, at the pixel centres of parts of them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recon.sources.depth_resize import fit_depths
from recon.sources.fitting import Views
from recon.train.data.scene import Size
from recon.types import FloatArray
from recon.types.cameras import Cameras

Value = TypeVar("Value", bound=np.generic)


def depth_at(
    depth: NDArray[np.float32],
    photo_size: NDArray[np.int64],
    size: Size,
    to_photo: FloatArray,
    camera: Cameras | None = None,
) -> NDArray[np.float32]:
    """(H, W) depth at pixel centres of a part of a photo (width, height), of a map of the whole photo."""
    views = Views(
        np.empty((1, *size, 3), np.uint8), np.asarray(photo_size)[None], np.asarray(to_photo, np.float64)[None], ("",)
    )
    return fit_depths([depth], views, camera)[0]


def nearest(values: NDArray[Value], size: Size, to_photo: FloatArray) -> NDArray[Value]:
    """(H, W) the values of the photo's pixels that the pixel centres of a part of it lie in."""
    height, width = size
    x = to_photo[0, 0] * (np.arange(width) + 0.5) + to_photo[0, 2]
    y = to_photo[1, 1] * (np.arange(height) + 0.5) + to_photo[1, 2]
    columns = np.clip(np.floor(x), 0, values.shape[1] - 1).astype(np.intp)
    rows = np.clip(np.floor(y), 0, values.shape[0] - 1).astype(np.intp)
    return values[np.ix_(rows, columns)]
