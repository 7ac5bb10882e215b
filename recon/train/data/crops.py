"""Sizes of samples within a budget of patches, and the parts of photos that fill them.

A crop is cut at whole pixels of the photo and then resized, so that its map to the photo is exact. Mirroring a picture
mirrors the world with it: with M = diag(-1, 1, 1), a mirrored camera has extrinsics M E M and, of pixels x' = W - x,
intrinsics whose principal point is mirrored and whose focal lengths stay positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.models.presets import PATCH_SIZE
from recon.sources.mask_resize import resize_mask
from recon.train.data.scene import Picture, Size
from recon.types import FloatArray

_MIRROR = np.diag([-1.0, 1, 1, 1])
_LEAST_SIDE = 2
"""Pixels of a crop."""


def sample_size(process_res: int, aspect: float, views: int, patches: int) -> Size:
    """Height and width, multiples of a patch, of each of so many views.

    Args:
        process_res: pixels of the longest side, as far as the budget allows.
        aspect: width by height.
        views: of one sample.
        patches: that all views of a sample may have together.

    Raises:
        InputError: a budget that does not hold one patch for each view.
    """
    if patches < views:
        raise InputError(f"patches must be at least the number of views, {views}, got {patches}")
    longest = max(1, process_res // PATCH_SIZE)
    columns, rows = (longest, longest / aspect) if aspect >= 1 else (longest * aspect, longest)
    shrunk = min(1.0, (patches / views / (columns * rows)) ** 0.5)
    width, height = (max(1, round(side * shrunk)) for side in (columns, rows))
    while views * width * height > patches:  # rounding went over: the side gives way that keeps the proportions
        smaller = [(width - 1, height)] * (width > 1) + [(width, height - 1)] * (height > 1)
        width, height = min(smaller, key=lambda sides: abs(math.log(sides[0] / sides[1] / aspect)))
    return height * PATCH_SIZE, width * PATCH_SIZE


@dataclass(frozen=True)
class Crop:
    """A part of a photo, resized to a sample's size, and mirrored or not."""

    left: int
    top: int
    width: int
    height: int
    size: Size
    """Of the sample."""
    mirrored: bool = False

    @property
    def to_photo(self) -> NDArray[np.float64]:
        """(3, 3) from pixels of the sample to pixels of the photo, half-integer centres."""
        across, down = self.width / self.size[1], self.height / self.size[0]
        if self.mirrored:
            return np.array([[-across, 0, self.left + self.width], [0, down, self.top], [0, 0, 1]])
        return np.array([[across, 0, self.left], [0, down, self.top], [0, 0, 1]])

    def picture(self, picture: Picture) -> Picture:
        """The part of the photo: area average where it shrinks, cubic where either side grows."""
        area = slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)
        height, width = self.size
        cut = picture.pixels[area]
        grows = width > self.width or height > self.height
        if cut.shape[:2] != self.size:
            interpolation = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
            cut = cv2.resize(cut, (width, height), interpolation=interpolation).astype(np.uint8, copy=False)
        mask = None if picture.mask is None else resize_mask(picture.mask[area], (width, height))
        if self.mirrored:
            cut, mask = cut[:, ::-1], None if mask is None else mask[:, ::-1]
        return Picture(np.ascontiguousarray(cut), mask)

    def intrinsics(self, matrix: FloatArray) -> NDArray[np.float64]:
        """(3, 3) of the sample's picture, of those of the photo."""
        mapped = np.linalg.inv(self.to_photo) @ matrix
        return np.asarray(mapped @ _MIRROR[:3, :3] if self.mirrored else mapped, np.float64)

    def world_to_camera(self, matrix: FloatArray) -> NDArray[np.float64]:
        """(4, 4) in the world that is mirrored with the picture, where it is."""
        return np.asarray(_MIRROR @ matrix @ _MIRROR if self.mirrored else matrix, np.float64)


def draw_crop(
    random: np.random.Generator,
    photo: Size,
    size: Size,
    zoom: tuple[float, float],
    centre: FloatArray | None,
    mirrored: bool,
) -> Crop:
    """A part of a photo with the proportions of a sample.

    Args:
        random: of this view.
        photo: height and width.
        size: of the sample.
        zoom: bounds of the crop's side, as a share of the largest crop's.
        centre: (2,) x and y of the principal point, which is to stay in the middle; None: the crop may lie anywhere.
        mirrored: whether it is mirrored.

    Raises:
        InputError: a principal point so near to the border that no crop is left around it.
    """
    height, width = photo
    room = np.array([width, height], np.float64)
    if centre is not None:
        room = 2 * np.minimum(centre, room - centre)
    share = random.uniform(*zoom)
    across = min(room[0], room[1] * size[1] / size[0])
    sides = np.rint(np.array([across, across * size[0] / size[1]]) * share).astype(np.int64)
    if not (sides >= _LEAST_SIDE).all():
        raise InputError("no crop is left around its principal point, which is at its border or outside")
    sides = np.minimum(sides, (width, height))
    free = np.array([width, height]) - sides
    corner = random.integers(0, free + 1) if centre is None else np.rint(centre - sides / 2).astype(np.int64)
    corner = np.clip(corner, 0, free)
    return Crop(int(corner[0]), int(corner[1]), int(sides[0]), int(sides[1]), size, mirrored)


def whole(photo: Size, size: Size, centre: FloatArray) -> Crop:
    """The largest part around a principal point (2,), or around the middle where that is at the border."""
    height, width = photo
    random = np.random.default_rng(0)  # there is nothing to draw
    try:
        return draw_crop(random, photo, size, (1.0, 1.0), centre, mirrored=False)
    except InputError:
        return draw_crop(random, photo, size, (1.0, 1.0), np.array([width / 2, height / 2]), mirrored=False)
