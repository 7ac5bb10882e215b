"""Choosing the pixels of a prediction that become a coloured point cloud."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.located_depth import check_points, has_depth, percentiles, with_cameras
from recon.geometry.unprojection import unproject_depth
from recon.messages import warn
from recon.types import FloatArray, Prediction

BLACK_BELOW = 16
"""A pixel is black background where all three channels are below this."""
WHITE_FROM = 240
"""A pixel is white background where all three channels reach this."""


@dataclass(frozen=True)
class PointOptions:
    """Which pixels become points."""

    conf_thresh_percentile: float = 40.0
    """Leave out the pixels below this percentile of the confidence."""
    num_max_points: int = 1_000_000
    """Keep at most this many points, drawn evenly among those that pass."""
    conf_thresh: float = 1.05
    """Raise the threshold to at least this confidence, as far as `ensure_thresh_percentile` allows."""
    ensure_thresh_percentile: float = 90.0
    """Never raise the threshold above this percentile: the pixels above it always stay."""
    filter_black_bg: bool = False
    """Leave out near-black pixels."""
    filter_white_bg: bool = False
    """Leave out near-white pixels."""
    seed: int = 0
    """Seed of the draw."""

    def __post_init__(self) -> None:
        for name in ("conf_thresh_percentile", "ensure_thresh_percentile"):
            if not 0 <= getattr(self, name) <= 100:
                raise InputError(f"{name} must be between 0 and 100, got {getattr(self, name)}")
        if self.num_max_points < 1:
            raise InputError(f"num_max_points must be at least 1, got {self.num_max_points}")
        if math.isnan(self.conf_thresh):
            raise InputError("conf_thresh must be a number, got nan")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True)
class PointCloud:
    """P coloured points in world space, in the order of views, rows and columns."""

    points: NDArray[np.float32]
    """(P, 3) positions in the frame and units of the prediction."""
    colors: NDArray[np.uint8]
    """(P, 3) sRGB."""
    pixels: NDArray[np.intp]
    """(P,) the pixel each point comes from, as an index into the flattened (N, H, W) depth; ascending."""
    conf_threshold: float | None
    """The confidence each point reaches; None for predictions without confidence."""


def select_points(prediction: Prediction, options: PointOptions) -> PointCloud:
    """The pixels with depth that are neither sky nor filtered background and reach the confidence threshold.

    The threshold is `conf_thresh` clamped between two percentiles of those pixels' confidence. A rule that would leave
    no pixel at all is dropped with a warning, so the cloud is never empty. Raises InputError as `check_points`.
    """
    check_points(prediction)
    prediction = with_cameras(prediction)
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    kept = _foreground(prediction, options)
    threshold = None
    if prediction.conf is not None:
        threshold = confidence_threshold(prediction.conf[kept], options)
        kept &= prediction.conf >= threshold
    pixels = _sample(np.flatnonzero(kept), options.num_max_points, options.seed)

    views, height, width = prediction.depth.shape
    points = np.empty((len(pixels), 3), np.float32)
    ends = np.searchsorted(pixels, np.arange(views + 1) * (height * width))
    for view in range(views):  # one view at a time: all pixels' points at once would not fit for long sequences
        chosen = slice(ends[view], ends[view + 1])
        this = slice(view, view + 1)
        world = unproject_depth(prediction.depth[this], prediction.intrinsics[this], prediction.extrinsics[this])
        np.take(world.reshape(-1, 3), pixels[chosen] - view * height * width, axis=0, out=points[chosen])
    colors = np.take(prediction.processed_images.reshape(-1, 3), pixels, axis=0)  # (N*H*W, 3) -> (P, 3)
    return PointCloud(points, colors, pixels, threshold)


def confidence_threshold(conf: FloatArray, options: PointOptions) -> float:
    """`conf_thresh`, clamped between the percentiles of (P,) `conf` that the options name.

    The upper one wins where they contradict each other.
    """
    lower, upper = percentiles(conf, [options.conf_thresh_percentile, options.ensure_thresh_percentile])
    return float(min(max(options.conf_thresh, lower), upper))


def _foreground(prediction: Prediction, options: PointOptions) -> NDArray[np.bool_]:
    """(N, H, W) True where a pixel has depth and is neither sky nor a background colour to leave out."""
    kept = has_depth(prediction)
    images = prediction.processed_images
    excluded: list[tuple[str, NDArray[np.bool_]]] = []
    if prediction.sky is not None:
        excluded.append(("sky", prediction.sky))
    if options.filter_black_bg:
        excluded.append(("black background", np.all(images < BLACK_BELOW, axis=-1)))
    if options.filter_white_bg:
        excluded.append(("white background", np.all(images >= WHITE_FROM, axis=-1)))
    for what, mask in excluded:
        remaining = kept & ~mask
        if remaining.any():
            kept = remaining
        else:
            warn(f"leaving out {what} would leave no points: it is kept")
    return kept


def _sample(pixels: NDArray[np.intp], count: int, seed: int) -> NDArray[np.intp]:
    """At most `count` of `pixels`, drawn without replacement, in their own order."""
    if len(pixels) <= count:
        return pixels
    keys = np.random.default_rng(seed).random(len(pixels))
    drawn = np.zeros(len(pixels), bool)
    drawn[np.argpartition(keys, count)[:count]] = True
    return pixels[drawn]
