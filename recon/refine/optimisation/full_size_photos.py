"""Photos at a size of their own, larger than that of their depth: looked at in random crops, memory bounded.

Whole photos at the size of the depth come first; then crops of as many pixels, of photos twice as large at each level,
up to their size. What is read stays as uint8 while there is room; whenever one of the others is read, the crops of its
next looks are kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import SplatResolution
from recon.errors import InputError
from recon.progress import tell
from recon.refine.optimisation.photo_loss import Target
from recon.refine.optimisation.photos import Look, Part, ProcessedPhotos, as_planes, known_closeness
from recon.sources.undistortion import undistort
from recon.types import Prediction

_KEPT_BYTES = 2 << 30
"""Of photos in memory: some fifty of 12 megapixels."""
_CROPS_BYTES, _CROPS = 512 << 20, 16
"""Of crops of photos that are not in memory, and how many of each at most."""
_PARTS_ALONG = 2
"""Rectangles along each side of a photo that is compared with its view."""


class FullSizePhotos:
    """See `recon.refine.optimisation.photos.Photos`."""

    def __init__(
        self, prediction: Prediction, resolution: SplatResolution | int, views: Sequence[int], seed: int = 0
    ) -> None:
        """Of a prediction whose `originals` can be read; those of `views` are, and are refused at once if they cannot.

        Args:
            prediction: with `originals` and `processed_to_original`.
            resolution: `full`, or pixels of the longer side; photos are never enlarged.
            views: those that are going to be looked at or compared.
            seed: of the places of crops.

        Raises:
            InputError: photos that are not at hand, that cannot be read or are of another size than they were.
        """
        if prediction.originals is None or prediction.processed_to_original is None:
            raise InputError("gs_resolution: the photos themselves are not at hand here: use 'process'")
        self._prediction, self._resolution, self._seed = prediction, resolution, seed
        self._whole = ProcessedPhotos(prediction)
        self._room = _KEPT_BYTES
        self._kept: dict[int, Part] = {}
        self._crops: dict[tuple[int, int, int], Part] = {}
        """By view, level and turn."""
        largest = 1.0
        for done, view in enumerate(views):
            tell("photos", done, len(views))
            zoom = self._photo(view).from_processed[[0, 1], [0, 1]].max()
            largest = max(largest, float(zoom))
        self.levels = 1 + max(0, math.ceil(math.log2(largest) - 0.01))
        read_again = max(1, len(set(views) - set(self._kept)))
        room = _CROPS_BYTES // (4 * prediction.depth[0].size * read_again)
        self._crops_at_once = max(1, min(_CROPS, room))

    def look(self, view: int, level: int, turn: int) -> Look:
        """See `Photos.look`: at level 0 at the whole photo as it was processed, then at a crop of about its size."""
        if level == 0 and self.levels > 1:
            return self._whole.look(view, level, turn)
        part = self._crops.pop((view, level, turn), None)
        if part is None:
            photo = self._photo(view)
            part = self._crop_at(photo, view, level, turn)
            if view not in self._kept:
                self._crops = {key: crop for key, crop in self._crops.items() if key[0] != view}
                for later in range(turn + 1, turn + self._crops_at_once):
                    self._crops[view, level, later] = _copy(self._crop_at(photo, view, level, later))
        closeness = _sampled(known_closeness(self._prediction, view), part)
        return Look(view, Target(as_planes(part.pixels), part.mask), closeness, part.from_processed)

    def _crop_at(self, photo: Part, view: int, level: int, turn: int) -> Part:
        """The crop that is looked at."""
        rng = np.random.default_rng([self._seed, view, turn])
        step = 1 << (self.levels - 1 - level)
        crop = self._crop(photo)
        height, width = (min(side * step, whole) for side, whole in zip(crop, photo.size, strict=True))
        top, left = int(rng.integers(photo.size[0] - height + 1)), int(rng.integers(photo.size[1] - width + 1))
        part = _cut(photo, top, left, (height, width))
        return part if step == 1 else _resized(part, crop)

    def parts(self, view: int) -> Sequence[Part]:
        """See `Photos.parts`: rectangles of the size of the processed photo, evenly spread."""
        photo = self._photo(view)
        crop = self._crop(photo)
        starts = []
        for side, whole in zip(crop, photo.size, strict=True):
            count = min(_PARTS_ALONG, whole // side)
            starts.append([round((i + 0.5) * whole / count - side / 2) for i in range(count)])
        return [_cut(photo, top, left, crop) for top, left in itertools.product(*starts)]

    def _crop(self, photo: Part) -> tuple[int, int]:
        """Height and width of what is looked at: as the processed photo, or less."""
        (height, width), (rows, columns) = photo.size, self._prediction.depth.shape[1:]
        return min(height, rows), min(width, columns)

    def _photo(self, view: int) -> Part:
        if view in self._kept:
            return self._kept[view]
        photo = self._read(view)
        nbytes = photo.pixels.nbytes + (0 if photo.mask is None else photo.mask.nbytes)
        if nbytes <= self._room:
            self._kept[view] = photo
            self._room -= nbytes
        return photo

    def _read(self, view: int) -> Part:
        """A photo as its pinhole camera takes it, what the processed one shows of it, at the size to fit splats to."""
        prediction = self._prediction
        assert prediction.originals is not None
        assert prediction.processed_to_original is not None
        pixels, mask = prediction.originals.read(view)
        height, width, _ = pixels.shape
        known = prediction.original_sizes
        if known is not None and known[view].tolist() != [width, height]:
            name = prediction.image_names[view] if prediction.image_names else f"photo {view}"
            raise InputError(
                f"'{name}' is another picture than it was: {width}×{height} pixels instead of "
                f"{known[view][0]}×{known[view][1]}; run it anew"
            )
        if prediction.lenses is not None and prediction.lenses.distortion is not None:
            lens = replace(prediction.lenses[[view]], sizes=np.array([[width, height]]))
            pixels, mask = undistort(pixels, lens), None if mask is None else undistort(mask, lens)
        to_original = prediction.processed_to_original[view].astype(np.float64)
        rows, columns = prediction.depth.shape[1:]
        left, top = (max(0, round(place)) for place in to_original[:2, 2])
        right, bottom = (round(place) for place in (to_original @ (columns, rows, 1))[:2])
        shown = (min(bottom, height) - top, min(right, width) - left)
        photo = _cut(Part(pixels, mask, to_original), top, left, shown)
        longest = max(photo.size)
        if isinstance(self._resolution, int) and self._resolution < longest:
            scale = self._resolution / longest
            photo = _resized(photo, (max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))))
        photo = _copy(photo)
        if prediction.mask is None:
            return photo
        counts = _sampled(prediction.mask[view], photo)
        return replace(photo, mask=counts if photo.mask is None else counts & photo.mask)


def _cut(photo: Part, top: int, left: int, size: tuple[int, int]) -> Part:
    """The rectangle of `size` (height, width) that begins at a pixel."""
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    mask = None if photo.mask is None else photo.mask[rows, columns]
    return Part(photo.pixels[rows, columns], mask, shift @ photo.from_processed)


def _copy(photo: Part) -> Part:
    """With arrays of its own, which do not hold on to what is around it."""
    return replace(photo, pixels=np.array(photo.pixels), mask=None if photo.mask is None else np.array(photo.mask))


def _resized(photo: Part, size: tuple[int, int]) -> Part:
    """Brought to a smaller `size` (height, width)."""
    height, width = size
    pixels = cv2.resize(photo.pixels, (width, height), interpolation=cv2.INTER_AREA)
    mask = photo.mask
    if mask is not None:
        mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    scale = np.diag([width / photo.size[1], height / photo.size[0], 1.0])
    return Part(pixels.astype(np.uint8, copy=False), mask, scale @ photo.from_processed)


def _sampled(processed: NDArray[Any], part: Part) -> NDArray[Any]:
    """(H, W) values of the nearest pixels of an array as large as the processed photo."""
    to_processed = np.linalg.inv(part.from_processed)
    height, width = part.size
    columns = np.floor((np.arange(width) + 0.5) * to_processed[0, 0] + to_processed[0, 2]).astype(np.intp)
    rows = np.floor((np.arange(height) + 0.5) * to_processed[1, 1] + to_processed[1, 2]).astype(np.intp)
    last_row, last_column = processed.shape[0] - 1, processed.shape[1] - 1
    return processed[np.clip(rows, 0, last_row)[:, None], np.clip(columns, 0, last_column)]
