"""What stereo matching reads: grey images, and the maps from one view's pixels to another's.

Kernels count pixels by index: column and row of a pixel's centre, half less than the coordinates used elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.types.cameras import Cameras


class Warp(NamedTuple):
    """Where a pixel of the reference view lies in each of S source views, as a function of its inverse depth.

    Pixel (column, row) at inverse depth w maps to homogeneous source pixels `matrix @ (column, row, 1) + w · shift`;
    the third of them is the depth in the source over the depth in the reference view.
    """

    matrix: NDArray[np.float32]
    """(S, 3, 3)."""
    shift: NDArray[np.float32]
    """(S, 3)."""


class Matching(NamedTuple):
    """One reference view (h, w) and the S sources it is matched with, at one level of resolution.

    The sources are of one size (H, W); a smaller photo has its last row and column repeated, and is not visible there.
    """

    reference: NDArray[np.uint8]
    """(h, w) grey."""
    colours: NDArray[np.uint8]
    """(h, w, 3) the reference in RGB."""
    sources: NDArray[np.uint8]
    """(S, H, W) grey."""
    warp: Warp
    """From the reference view to the sources."""
    agreeing: int
    """A pixel's score is the mean of its correlations with this many sources, those that match best: a source in
    which the pixel is hidden does not spoil it."""
    noise: float
    """Standard deviation of the image noise in grey levels: texture fainter than this scores low."""
    wanted: NDArray[np.bool_] | None = None
    """(h, w) False where the reference is masked: no depth there, and no part in the windows of others. None: nowhere.
    """
    visible: NDArray[np.bool_] | None = None
    """(S, H, W) False where a source does not show what may be matched. None: nowhere."""

    @property
    def wanted_or_empty(self) -> NDArray[np.bool_]:
        """For kernels: `wanted`, or (0, 0) where it is None."""
        return np.zeros((0, 0), np.bool_) if self.wanted is None else np.ascontiguousarray(self.wanted)

    @property
    def visible_or_empty(self) -> NDArray[np.bool_]:
        """For kernels: `visible` as (S · H · W,), or (0,) where it is None."""
        return np.zeros(0, np.bool_) if self.visible is None else np.ascontiguousarray(self.visible).reshape(-1)


def to_grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (N, H, W) of RGB images (N, H, W, 3)."""
    grey = np.empty(images.shape[:3], np.uint8)
    for view, image in enumerate(images):
        cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY, dst=grey[view])
    return grey


def shrink(grey: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Images (N, H, W) at 1/factor of the size (rounded up), each pixel the mean of the area it covers."""
    count, height, width = grey.shape
    small = np.empty((count, -(-height // factor), -(-width // factor)), np.uint8)
    for view, image in enumerate(grey):
        cv2.resize(image, small.shape[:0:-1], dst=small[view], interpolation=cv2.INTER_AREA)
    return small


def repeat_borders(grey: NDArray[np.uint8], sizes: NDArray[np.int64]) -> None:
    """Fill, in place, what is beyond the left upper part of `sizes` (N, 2), width and height, of images (N, H, W) with
    the last row and column of that part."""
    for image, (width, height) in zip(grey, sizes.tolist(), strict=True):
        image[:height, width:] = image[:height, width - 1 : width]
        image[height:] = image[height - 1]


def scaled_intrinsics(
    intrinsics: NDArray[np.float64], size: tuple[int, int], new: tuple[int, int]
) -> NDArray[np.float64]:
    """Intrinsics (N, 3, 3) after a resize from `size` to `new` (height, width)."""
    return np.diag([new[1] / size[1], new[0] / size[0], 1.0]) @ intrinsics


def warp_between(cameras: Cameras, reference: int, sources: NDArray[np.intp]) -> Warp:
    """The maps from view `reference` to views `sources`; cameras must be complete, in pixels of the images."""
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    reference_to_source = cameras.world_to_camera[sources] @ np.linalg.inv(
        cameras.world_to_camera[reference]
    )  # (S, 4, 4)
    to_centre = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    to_index = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    source_pixels = to_index @ cameras.intrinsics[sources]  # (S, 3, 3)
    rays = np.linalg.inv(cameras.intrinsics[reference]) @ to_centre
    matrix = source_pixels @ reference_to_source[:, :3, :3] @ rays
    shift = (source_pixels @ reference_to_source[:, :3, 3:])[..., 0]
    return Warp(matrix.astype(np.float32), shift.astype(np.float32))


def warp_back(cameras: Cameras, reference: int, sources: NDArray[np.intp]) -> Warp:
    """The maps from each of the views `sources` to view `reference`."""
    maps = [warp_between(cameras, int(source), np.array([reference])) for source in sources]
    return Warp(*(np.concatenate(parts) if maps else np.zeros(0, np.float32) for parts in zip(*maps, strict=True)))


def in_bands(pool: ThreadPoolExecutor, height: int, rows: int, work: Callable[[int, int], object]) -> None:
    """Call `work(first, last)` for bands of rows that make up the height; results do not depend on the pool's size."""
    list(pool.map(lambda first: work(first, min(first + rows, height)), range(0, height, rows)))


def pack_quads(grey: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Each pixel with its right, lower and lower right neighbour in one word: one load per bilinear sample.

    Args:
        grey: (S, H, W); its last row and column are repeated.

    Returns:
        (S, H · W), the pixel itself in the lowest byte, then right, below, and below right.
    """
    count, height, width = grey.shape
    quads = np.empty((count, height, width), np.uint32)
    for image, words in zip(grey, quads, strict=True):  # one at a time: of large photos these are what fills memory
        padded = np.pad(image, ((0, 1), (0, 1)), mode="edge").astype(np.uint32)
        words[:] = padded[1:, 1:]
        for part in (padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]):
            words <<= 8
            words |= part
    return quads.reshape(count, -1)


def pack_pixels(colours: NDArray[np.uint8], grey: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W) colours (H, W, 3) and grey levels (H, W) of one view in one word per pixel: red in the lowest byte, then
    green, blue and grey."""
    words = np.concatenate([colours, grey[..., None]], axis=2)
    return np.ascontiguousarray(words).view("<u4")[..., 0].astype(np.uint32, copy=False)
