"""The depth of each view at the resolution of its photo, as a 16-bit PNG and as a numpy array."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import DepthFile
from recon.errors import InputError
from recon.export.depth_vis import quantise_depth
from recon.export.exporter import Exported
from recon.export.pictures import write_png16
from recon.files import atomic_write
from recon.types import Prediction

KINDS = get_args(DepthFile)


def write_photo_depth(prediction: Prediction, view: int, stem: Path, kinds: tuple[str, ...] = KINDS) -> Exported:
    """Write `stem`.png and `stem`.npy, (H, W) of the upright original.

    The PNG holds depth / scale, with the scale in the details under `depth_png`, and 0 for sky and where there is no
    depth. The array is float32 in the prediction's units, 0 where there is no depth.
    """
    depth = depth_on_photo(prediction, view)
    files: list[Path] = []
    details = {}
    if "png" in kinds:
        path = stem.with_name(stem.name + ".png")
        measured = depth > 0
        if prediction.sky is not None:
            measured &= ~(_on_photo(prediction.sky[view].astype(np.float32), prediction, view) > 0.5)
        values, scale = quantise_depth(depth, measured)
        write_png16(path, values)
        files.append(path)
        details["depth_png"] = {path.name: {"scale": scale}}
    if "npy" in kinds:
        path = stem.with_name(stem.name + ".npy")
        content = io.BytesIO()
        np.save(content, depth)  # straight to a file it would not say that the disk is full
        with atomic_write(path) as temporary:
            temporary.write_bytes(content.getbuffer())
        files.append(path)
    return Exported(tuple(files), details)


def depth_on_photo(prediction: Prediction, view: int) -> NDArray[np.float32]:
    """(H, W) depth of one view at every pixel of its upright original, bilinear; 0 where there is none.

    Undoes the resize and the crop of `recon.sources.fitting` exactly. Pixels that a crop cut off have no depth, and
    pixels without depth do not mix with their neighbours. Raises InputError where the prediction does not know its
    originals.
    """
    depth = prediction.depth[view]
    usable = prediction.pixels_with_depth(filled=True, sky=True)[view]
    if usable.all():
        return _on_photo(depth, prediction, view)
    share = _on_photo(usable.astype(np.float32), prediction, view)
    if prediction.mask is not None:  # no depth in any part of a pixel that is masked
        share[_on_photo(prediction.mask[view].astype(np.float32), prediction, view, cv2.INTER_NEAREST) < 1] = 0
    mixed = _on_photo(np.where(usable, depth, np.float32(0)), prediction, view)
    return np.divide(mixed, share, out=np.zeros_like(mixed), where=share > 0.5)


def _on_photo(
    values: NDArray[np.float32], prediction: Prediction, view: int, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """(h, w) values of the processed image at the (H, W) pixels of the original; 0 beyond what a crop has left."""
    if prediction.original_sizes is None or prediction.processed_to_original is None:
        raise InputError("depth at the photos' resolution needs original_sizes and processed_to_original")
    width, height = (int(side) for side in prediction.original_sizes[view])
    rows, columns = prediction.photo_area(view)
    values = values[rows, columns]
    affine = prediction.processed_to_original[view] @ np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
    scale = affine[[0, 1], [0, 1]]  # original pixels per processed pixel, in x and y
    # Before it was cropped, the processed image covered the whole original; both sizes are whole numbers.
    left, top = np.rint(affine[:2, 2] / scale).astype(int)
    whole_width, whole_height = np.rint([width, height] / scale).astype(int)
    right, bottom = whole_width - left - values.shape[1], whole_height - top - values.shape[0]
    bordered = cv2.copyMakeBorder(
        values.astype(np.float32, copy=False), int(top), int(bottom), int(left), int(right), cv2.BORDER_REPLICATE
    )
    # OpenCV's linear resize has pixel centres at half-integers, too.
    resized = np.asarray(cv2.resize(bordered, (width, height), interpolation=interpolation), np.float32)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    resized[:, (x < left * scale[0]) | (x > (left + values.shape[1]) * scale[0])] = 0
    resized[(y < top * scale[1]) | (y > (top + values.shape[0]) * scale[1])] = 0
    return resized
