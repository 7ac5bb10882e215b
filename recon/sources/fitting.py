"""Photos to what the networks see, and the affine map back to the photos' own pixels.

Two resizes, as the networks were trained with: the longest (upper bound) or shortest (lower bound) side to
`process_res`, then both sides to multiples of the patch by a small second resize or a centre crop. Coordinates have
pixel centres at half-integers, so a resize is a pure scaling and a crop a pure shift.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import MixedSizes, ProcessResMethod
from recon.cores import usable_cores
from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import project_points
from recon.messages import warn
from recon.sources.mask_resize import resize_mask
from recon.sources.photo import Photo
from recon.types.cameras import Cameras

PATCH = 14
PROCESS_RES_METHODS = get_args(ProcessResMethod)

MAX_PROCESSED_PIXELS = 50_000_000
"""Largest processed image: a lower bound on the short side lets an elongated photo grow without limit."""

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

AROUND = tuple(round(255 * mean) for mean in IMAGENET_MEAN.tolist())
"""RGB around photos that are smaller than their views: what networks see as zeros, which shows them nothing."""

Size = tuple[int, int]


@dataclass(frozen=True)
class DepthPrior:
    """Depth that the user has of N views."""

    depth: NDArray[np.float32]
    """(N, H, W) at the pixels of the views, NaN where there is none."""
    in_metres: bool
    """Whether its unit is said; else it may be any, one for all views."""


@dataclass(frozen=True)
class Views:
    """What an estimator sees: N photos at one common size H × W; and the way back to them.

    Height and width are multiples of 14, unless photos were left at their own size.

    Photos of sizes of their own stand in the middle of it.
    """

    pixels: NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    original_sizes: NDArray[np.int64]
    """(N, 2) width and height of the upright originals."""
    processed_to_original: NDArray[np.float64]
    """(N, 3, 3) maps homogeneous processed pixel coordinates to those of the originals (undistorted, where the lens of
    the cameras bends them); half-integer pixel centres."""
    names: tuple[str, ...]
    """N names of the photos."""
    masks: NDArray[np.bool_] | None = None
    """(N, H, W) True where a view shows what is wanted; None: everywhere."""
    cameras: Cameras = field(default_factory=Cameras)
    """What is known of the cameras of these views: pinhole, in their pixels."""
    original_cameras: Cameras = field(default_factory=Cameras)
    """The same cameras for the upright originals as they were taken, lens included."""
    points: SparsePoints | None = None
    """Of the scene, in the frame of the cameras."""
    photo_boxes: NDArray[np.int64] | None = None
    """(N, 4) left, top, width and height of each photo in its view; nothing is around it, and `masks` say so. None: all
    fill their views."""
    depths: NDArray[np.float32] | None = None
    """(N, H, W) depth that the input brings, in the scale of its cameras, NaN where there is none; None: nowhere."""

    priors: tuple[DepthPrior, ...] = ()
    """Depth images that the user has beside the photos."""

    def __len__(self) -> int:
        return len(self.pixels)

    def window(self, chosen: slice) -> Views:
        """These views only."""
        return Views(
            self.pixels[chosen],
            self.original_sizes[chosen],
            self.processed_to_original[chosen],
            self.names[chosen],
            None if self.masks is None else self.masks[chosen],
            self.cameras[chosen],
            self.original_cameras[chosen],
            None if self.points is None else self.points.select_views(range(len(self))[chosen]),
            None if self.photo_boxes is None else self.photo_boxes[chosen],
            None if self.depths is None else self.depths[chosen],
            tuple(replace(prior, depth=prior.depth[chosen]) for prior in self.priors),
        )

    def cut_out(self, indices: Sequence[int]) -> Views:
        """The photos of these views, all of one size, without what is around them, and without points."""
        if self.photo_boxes is None:
            left, top, height, width = 0, 0, *self.pixels.shape[1:3]
        else:
            left, top, width, height = self.photo_boxes[indices[0]].tolist()
        chosen = list(indices)
        area = slice(top, top + height), slice(left, left + width)
        cut = Views(
            self.pixels[chosen][:, *area],
            self.original_sizes[chosen],
            self.processed_to_original[chosen] @ _shift(left, top),
            tuple(self.names[index] for index in chosen),
            None if self.masks is None else self.masks[chosen][:, *area],
            depths=None if self.depths is None else self.depths[chosen][:, *area],
            priors=tuple(replace(prior, depth=prior.depth[chosen][:, *area]) for prior in self.priors),
        )
        return cut.with_cameras(self.original_cameras[chosen])

    def with_cameras(self, original_cameras: Cameras, points: SparsePoints | None = None) -> Views:
        """With cameras of the upright originals (N); the photos must have been undistorted by them where they bend.

        Of `points`, those go that are seen at masked pixels alone.
        """
        height, width = self.pixels.shape[1:3]
        if original_cameras.sizes is None:
            original_cameras = replace(original_cameras, sizes=self.original_sizes)
        cameras = original_cameras.pinhole().mapped(self.processed_to_original, (width, height))
        if points is not None and self.masks is not None:
            points = _points_in_masks(points, cameras, self.masks)
        return replace(self, cameras=cameras, original_cameras=original_cameras, points=points)


def _points_in_masks(points: SparsePoints, cameras: Cameras, masks: NDArray[np.bool_]) -> SparsePoints:
    """The points as views see them where their masks (N, H, W) are True; without those that none then sees any more."""
    if cameras.world_to_camera is None or cameras.intrinsics is None:
        return points
    observed, places = [], []
    for view, seen in enumerate(points.observed):
        pixels, depth = project_points(
            points.points[seen][None], cameras.intrinsics[[view]], cameras.world_to_camera[[view]]
        )
        within = (depth[0] > 0) & (pixels[0] >= 0).all(axis=1) & (pixels[0] < masks.shape[:0:-1]).all(axis=1)
        columns, rows = pixels[0][within].astype(np.intp).T
        shown = np.ones(len(seen), np.bool_)
        shown[within] = masks[view, rows, columns]
        observed.append(seen[shown])
        places.append(None if points.pixels is None else points.pixels[view][shown])
    before = points.track_lengths
    kept = (before == 0) | (replace(points, observed=tuple(observed), pixels=None).track_lengths > 0)
    renumbered = np.cumsum(kept) - 1
    errors = None if points.errors is None else points.errors[kept]
    shown_at = None if points.pixels is None else tuple(place for place in places if place is not None)
    return SparsePoints(points.points[kept], tuple(renumbered[seen] for seen in observed), errors, shown_at)


@dataclass(frozen=True)
class FittedPhoto:
    """One photo at its own processed size, before a crop that all may have in common."""

    name: str
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    original_size: Size
    """Width and height of the upright original."""
    processed_to_original: NDArray[np.float64]
    """(3, 3) as in `Views`."""
    mask: NDArray[np.bool_] | None = None
    """(H, W) as in `Photo`."""


def preprocess(
    photos: Sequence[Photo],
    process_res: int = 504,
    method: str = "upper_bound_resize",
    mixed_sizes: MixedSizes = "crop",
) -> Views:
    """Resize photos to the networks' size, several at a time.

    Args:
        photos: at least one.
        process_res: pixels of the longest (`upper_bound_*`) or shortest (`lower_bound_*`) side, before it becomes a
            multiple of 14; at least 14.
        method: one of `PROCESS_RES_METHODS`; `*_resize` rounds each side to a multiple of 14 by a second resize,
            `*_crop` cuts it down to one around the centre.
        mixed_sizes: what to do with photos that end at different sizes: leave each its `own`, in the middle of the
            largest width and height; `crop` all around the centre to the smallest, with a warning; or raise an `error`.

    Raises:
        InputError: a setting out of range, a photo too elongated for `process_res`, or mixed sizes refused.
    """
    if not photos:
        raise InputError("no photos to preprocess")
    with ThreadPoolExecutor(min(8, usable_cores(), len(photos))) as pool:
        fitted = list(pool.map(lambda photo: fit_photo(photo, process_res, method), photos))
    return combine(fitted, mixed_sizes)


def fit_photo(photo: Photo, process_res: int = 504, method: str = "upper_bound_resize") -> FittedPhoto:
    """Resize one photo; arguments and errors as for `preprocess`."""
    process_res = _check_settings(process_res, method)
    bounded = _bounded_size(photo.width, photo.height, process_res, method)
    final = _patch_multiples(bounded, method)
    _refuse_elongated(photo, bounded, final, process_res, method)
    image, affine = _resize(photo.pixels, np.eye(3), bounded)
    image, affine = (_resize if method.endswith("_resize") else _centre_crop)(image, affine, final)
    # A copy where the photo itself fits: what is kept must not hold on to the photo's memory, nor be changed with it.
    pixels = np.array(image) if np.shares_memory(image, photo.pixels) else image
    mask = None
    if photo.mask is not None:  # through both steps as the pixels go, for these mix their colours in both
        mask = resize_mask(photo.mask, bounded)
        mask = resize_mask(mask, final) if method.endswith("_resize") else _centre_crop(mask, np.eye(3), final)[0]
        if not mask.any():
            raise InputError(f"the mask of '{photo.name}' leaves no whole pixel of it at {final[0]}×{final[1]}")
    return FittedPhoto(photo.name, pixels, (photo.width, photo.height), affine, mask)


def at_own_size(photo: Photo) -> FittedPhoto:
    """One photo as it is. Raises InputError where it has more than `MAX_PROCESSED_PIXELS`."""
    if photo.width * photo.height > MAX_PROCESSED_PIXELS:
        raise InputError(
            f"photo '{photo.name}' ({photo.width}×{photo.height}) is too large to be worked on at its own size; "
            "give process_res a number of pixels"
        )
    mask = None if photo.mask is None else photo.mask.copy()
    return FittedPhoto(photo.name, photo.pixels.copy(), (photo.width, photo.height), np.eye(3), mask)


def combine(photos: Sequence[FittedPhoto], mixed_sizes: MixedSizes = "crop") -> Views:
    """Stack photos of one size, or bring them to one; `mixed_sizes` and errors as for `preprocess`."""
    if mixed_sizes not in get_args(MixedSizes):
        raise InputError(f"mixed_sizes must be one of {', '.join(get_args(MixedSizes))}, not {mixed_sizes!r}")
    sizes = [_size_of(photo.pixels) for photo in photos]
    if mixed_sizes == "own" and len(set(sizes)) > 1:
        return _side_by_side(photos)
    common = (min(w for w, _ in sizes), min(h for _, h in sizes))
    if any(size != common for size in sizes):
        _report_mixed_sizes(photos, sizes, common, mixed_sizes)
    cropped = [_centre_crop(photo.pixels, photo.processed_to_original, common) for photo in photos]
    return Views(
        pixels=np.stack([image for image, _ in cropped]),
        original_sizes=np.array([photo.original_size for photo in photos], np.int64),
        processed_to_original=np.stack([affine for _, affine in cropped]),
        names=tuple(photo.name for photo in photos),
        masks=_combined_masks(photos, common),
    )


def _side_by_side(photos: Sequence[FittedPhoto]) -> Views:
    """Each photo in the middle of a view of the largest width and height, without a mask of what is around it."""
    sizes = np.array([_size_of(photo.pixels) for photo in photos])
    width, height = sizes.max(axis=0).tolist()
    if width * height > MAX_PROCESSED_PIXELS:
        raise InputError(
            f"photos of such different shapes need views of {width}×{height} pixels; lower process_res, use an "
            "upper_bound method, or crop them (mixed_sizes)"
        )
    pixels = np.full((len(photos), height, width, 3), AROUND, np.uint8)
    masks = np.zeros((len(photos), height, width), np.bool_)
    corners = ((width, height) - sizes) // 2  # as a crop around the middle has it
    for index, (photo, (left, top), (w, h)) in enumerate(zip(photos, corners.tolist(), sizes.tolist(), strict=True)):
        pixels[index, top : top + h, left : left + w] = photo.pixels
        masks[index, top : top + h, left : left + w] = True if photo.mask is None else photo.mask
    return Views(
        pixels=pixels,
        original_sizes=np.array([photo.original_size for photo in photos], np.int64),
        processed_to_original=np.stack(
            [
                photo.processed_to_original @ _shift(-left, -top)
                for photo, (left, top) in zip(photos, corners.tolist(), strict=True)
            ]
        ),
        names=tuple(photo.name for photo in photos),
        masks=masks,
        photo_boxes=np.concatenate([corners, sizes], axis=1),
    )


def _combined_masks(photos: Sequence[FittedPhoto], size: Size) -> NDArray[np.bool_] | None:
    if all(photo.mask is None for photo in photos):
        return None
    everywhere = np.ones(size[::-1], np.bool_)
    masks = [everywhere if photo.mask is None else _centre_crop(photo.mask, np.eye(3), size)[0] for photo in photos]
    return np.stack(masks)


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale (N, H, W, 3) uint8 RGB to [0, 1], standardise by ImageNet's mean and deviation: (N, 3, H, W) float32."""
    values = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    values /= np.float32(255)
    values -= IMAGENET_MEAN[:, None, None]
    values /= IMAGENET_STD[:, None, None]
    return values


def map_intrinsics(
    intrinsics: NDArray[np.floating[Any]], processed_to_original: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Intrinsics (..., 3, 3) of the upright originals, in their pixels, to those of the processed images."""
    return np.linalg.inv(processed_to_original.astype(np.float64)) @ intrinsics


def unmap_intrinsics(
    intrinsics: NDArray[np.floating[Any]], processed_to_original: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Intrinsics (..., 3, 3) of processed images back to those of the upright originals; undoes `map_intrinsics`."""
    return processed_to_original.astype(np.float64) @ intrinsics


def _check_settings(process_res: int, method: str) -> int:
    if method not in PROCESS_RES_METHODS:
        raise InputError(f"process_res_method must be one of {', '.join(PROCESS_RES_METHODS)}, not {method!r}")
    try:
        value = operator.index(process_res)
    except TypeError as error:
        raise InputError(f"process_res must be a whole number of pixels, not {process_res!r}") from error
    if value < PATCH:
        raise InputError(f"process_res must be at least {PATCH} pixels, not {value}")
    return value


def _refuse_elongated(photo: Photo, bounded: Size, final: Size, process_res: int, method: str) -> None:
    """InputError where a side would be left without a single patch, or without bound."""
    described = f"photo '{photo.name}' ({photo.width}×{photo.height}) is too elongated"
    if 0 in final:
        raise InputError(
            f"{described}: at process_res {process_res} it shrinks to {bounded[0]}×{bounded[1]}, "
            f"less than a patch of {PATCH} pixels; crop it or raise process_res"
        )
    if final[0] * final[1] > MAX_PROCESSED_PIXELS:
        raise InputError(
            f"{described} for {method}: it would become {final[0]}×{final[1]}; crop it, lower process_res, "
            "or use an upper_bound method"
        )


def _size_of(image: NDArray[Any]) -> Size:
    return image.shape[1], image.shape[0]


def _bounded_size(width: int, height: int, process_res: int, method: str) -> Size:
    """Size with the longest or shortest side at `process_res`, the other in proportion."""
    bound = max if method.startswith("upper_bound") else min
    scale = process_res / bound(width, height)
    # round() goes to even at .5, as the reference's does: a size decides which pixels exist.
    return max(1, round(width * scale)), max(1, round(height * scale))


def _patch_multiples(size: Size, method: str) -> Size:
    """Each side to a multiple of the patch: the nearest (a tie goes up) for resizes, the next below for crops."""
    slack = PATCH // 2 if method.endswith("_resize") else 0
    width, height = ((side + slack) // PATCH * PATCH for side in size)
    return width, height


def _resize(
    image: NDArray[np.uint8], affine: NDArray[np.float64], size: Size
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Scale to (width, height): cubic when either side grows, else the area average."""
    width, height = _size_of(image)
    if size == (width, height):
        return image, affine
    interpolation = cv2.INTER_CUBIC if size[0] > width or size[1] > height else cv2.INTER_AREA
    resized = cv2.resize(image, size, interpolation=interpolation).astype(np.uint8, copy=False)
    return resized, affine @ np.diag([width / size[0], height / size[1], 1.0])


def _centre_crop(image: NDArray[Any], affine: NDArray[np.float64], size: Size) -> tuple[Any, NDArray[np.float64]]:
    """Cut (width, height) from the middle; an odd margin leaves the extra pixel right or below."""
    width, height = _size_of(image)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return image[top : top + size[1], left : left + size[0]], affine @ _shift(left, top)


def _shift(left: int, top: int) -> NDArray[np.float64]:
    """From pixels of a part that begins at (`left`, `top`) to those of the whole."""
    return np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])


def _report_mixed_sizes(
    photos: Sequence[FittedPhoto], sizes: list[Size], common: Size, mixed_sizes: MixedSizes
) -> None:
    """Name the sizes and the lost share in a warning, or in an error where mixed sizes are refused."""
    counts = Counter(photo.original_size for photo in photos).most_common()
    listed = ", ".join(f"{w}×{h} ({count})" for (w, h), count in counts[:4])
    if len(counts) > 4:
        listed += f" and {len(counts) - 4} more sizes"
    lost = [1 - common[0] * common[1] / (w * h) for w, h in sizes]
    worst = int(np.argmax(lost))
    cropping = (
        f"to {common[0]}×{common[1]} pixels around the centre, {np.mean(lost):.0%} of the pixels lost on average, "
        f"{lost[worst]:.0%} of '{photos[worst].name}'"
    )
    if mixed_sizes == "error":
        raise InputError(f"the photos have mixed sizes: {listed}; bring them to one size, or allow a crop {cropping}")
    warn(f"the photos have mixed sizes: {listed}; all are cropped {cropping}")
