"""Pictures of the depth: each image beside its coloured depth, and the depth itself as a 16-bit PNG."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.export.exporter import Exported, Exporter, NoOptions
from recon.export.pictures import write_jpeg, write_png16
from recon.types import FloatArray, Prediction
from recon.types.pieces import release_maps

_ANCHORS = np.array(
    [
        [48, 34, 110],
        [44, 88, 178],
        [46, 146, 190],
        [96, 192, 166],
        [178, 222, 150],
        [244, 236, 152],
        [250, 184, 92],
        [236, 110, 62],
        [196, 42, 62],
        [128, 8, 52],
    ]
)
DEPTH_COLORS: NDArray[np.uint8] = np.stack(
    [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(_ANCHORS)), channel) for channel in _ANCHORS.T], axis=1
).astype(np.uint8)
"""(256, 3) sRGB from far (cold, dark blue) to near (warm, dark red)."""
SKY_COLOR = (200, 200, 200)
INVALID_COLOR = (0, 0, 0)
CLIPPED_PERCENT = 2
"""Share of the pixels at each end of the disparities that share the end colours."""
PNG_MAX = 65535
_VIEWS_AT_ONCE = 16
"""Of a long run, whose maps are on the disk: memory is given back after so many."""


def write(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `depth_vis/0000.jpg` and `depth_vis/0000.png` for each view.

    depth = png × scale, with the scale of each file in the details under `depth_png`; 0 is sky or no depth.
    """
    pictures = [folder / "depth_vis" / f"{view:04d}.jpg" for view in range(len(prediction.depth))]
    depths = [path.with_suffix(".png") for path in pictures]

    def write_view(view: int) -> float:
        write_jpeg(pictures[view], render_view(prediction, view))
        area = view, *prediction.photo_area(view)
        values, scale = quantise_depth(prediction.depth[area], prediction.valid_or_filled[area])
        write_png16(depths[view], values)
        if view % _VIEWS_AT_ONCE == 0:
            release_maps(prediction)
        return scale

    with ThreadPoolExecutor() as pool:  # the encoders release the interpreter lock
        scales = list(pool.map(write_view, range(len(pictures))))
    files = tuple(path for pair in zip(pictures, depths, strict=True) for path in pair)
    return Exported(
        files, {"depth_png": {path.name: {"scale": scale} for path, scale in zip(depths, scales, strict=True)}}
    )


def render_view(prediction: Prediction, view: int) -> NDArray[np.uint8]:
    """(h, 2w, 3) RGB: the photo of one view beside its coloured depth."""
    area = view, *prediction.photo_area(view)
    colored = color_depth(prediction.depth[area], prediction.valid_or_filled[area])
    if prediction.sky is not None:
        colored[prediction.sky[area]] = SKY_COLOR
    return np.concatenate([prediction.processed_images[area], colored], axis=1)


def color_depth(depth: FloatArray, measured: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an (H, W) depth: near is warm, linear in 1 / depth; black outside the mask `measured`."""
    disparity = np.divide(1, depth, out=np.zeros(depth.shape, np.float32), where=measured)
    if not measured.any():
        return np.full((*depth.shape, 3), INVALID_COLOR, np.uint8)
    low, high = np.percentile(disparity[measured], [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT])
    return color_disparity(disparity, measured, (low, high))


def color_disparity(disparity: FloatArray, measured: NDArray[np.bool_], ends: tuple[float, float]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of (H, W) values of 1 / depth from the far to the near one of `ends`; black outside `measured`."""
    low, high = ends
    nearness = (disparity - low) / (high - low) if high > low else np.full_like(disparity, 0.5)
    colored = np.take(DEPTH_COLORS, np.rint(nearness.clip(0, 1) * 255).astype(np.uint8), axis=0)
    colored[~measured] = INVALID_COLOR
    return colored


def quantise_depth(depth: FloatArray, measured: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], float]:
    """(H, W) 16-bit values and their scale: depth ≈ values × scale, within half a step; 0 outside `measured`.

    Depth of less than one step becomes 1, so that it stays apart from no depth.
    """
    largest = float(depth[measured].max(initial=0))
    scale = largest / PNG_MAX if largest > 0 else 1.0
    values = np.zeros(depth.shape, np.uint16)
    values[measured] = np.rint(depth[measured].astype(np.float64) / scale).clip(1, PNG_MAX)
    return values, scale


DEPTH_VIS = Exporter("depth_vis", NoOptions, write, ("depth_vis",), in_pieces=True)
