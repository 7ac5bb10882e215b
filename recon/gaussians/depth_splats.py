"""Gaussian splats from the depth maps of any model: one flat ellipsoid per pixel that is worth it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.gaussians.ellipsoids import cover_footprints
from recon.gaussians.surface import at_depth_edges, measure_slopes
from recon.gaussians.thinning import (
    ViewSurface,
    dither,
    importance,
    not_seen_better,
    pixel_angle,
    resolution_levels,
    within_budget,
)
from recon.geometry.cameras import invert_rigid
from recon.geometry.located_depth import check_points, percentiles, with_cameras
from recon.geometry.unprojection import unproject_depth
from recon.messages import warn
from recon.types import Gaussians, Prediction

SH_CONSTANT = 0.28209479177387814
"""The spherical harmonic of degree 0, 1 / √(4 π): colour is 0.5 + SH_CONSTANT · coefficient."""
OPACITY = 0.98
"""Of splats of ordinary confidence, and without any."""
LEAST_OPACITY = 0.6
"""Of the least confident ones: less would let the background shine through."""
_ORDINARY_PERCENTILE = 25.0
"""Of the confidence of all pixels: from here on it counts as ordinary."""
_LARGEST_DEPTH = 1e30
"""Points and extents of greater depth would not fit float32."""
_SAMPLES = 10_000
"""Pixels that fix the typical depth."""


@dataclass(frozen=True)
class DepthSplatOptions:
    """Which pixels become splats."""

    conf_thresh_percentile: float = 10.0
    """Leave out the pixels below this percentile of the confidence."""
    thin: bool = True
    """Leave out what another view sees at a finer resolution, or an earlier one at a similar resolution."""
    budget: int | None = None
    """Keep at most this many splats, the most important ones, and grow them to cover for the rest. None: all."""

    def __post_init__(self) -> None:
        if not 0 <= self.conf_thresh_percentile <= 100:
            raise InputError(f"conf_thresh_percentile must be between 0 and 100, got {self.conf_thresh_percentile}")
        if self.budget is not None and self.budget < 1:
            raise InputError(f"budget must be at least 1, or None for no limit, got {self.budget}")


@dataclass(frozen=True)
class DepthSplats:
    """Splats, where they come from, and what was left out, in this order."""

    gaussians: Gaussians
    """G splats in the order of views, rows and columns."""
    pixels: NDArray[np.intp]
    """(G,) the pixel each comes from, as an index into the flattened (N, H, W) depth; ascending."""
    without_depth: int
    """Pixels whose depth or confidence is no usable number."""
    sky: int
    """Pixels of the sky."""
    low_confidence: int
    """Pixels below the confidence threshold."""
    at_edges: int
    """Pixels that float between a foreground and a background."""
    thinned: int
    """Pixels whose surface another view shows better, or earlier."""
    over_budget: int
    """Splats beyond the budget."""


def from_depth(prediction: Prediction, options: DepthSplatOptions | None = None) -> Gaussians:
    """Splats of degree 0 for the pixels worth one, in the frame and units of the prediction, never none.

    The mean is the point at the pixel's centre; extents and orientation are those of the pixel's footprint on the
    surface, colour is the pixel's, opacity follows the confidence. A single view without cameras gets those of a point
    cloud (`recon.export.points.with_cameras`).

    Raises:
        InputError: no usable depth, cameras missing for several views, or cameras that are none.
    """
    return splats_from_depth(prediction, options).gaussians


def splats_from_depth(prediction: Prediction, options: DepthSplatOptions | None = None) -> DepthSplats:
    """The same as `from_depth`, with where splats come from and what was left out, for reports."""
    options = options or DepthSplatOptions()
    check_points(prediction)
    prediction = with_cameras(prediction)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return _splats(prediction, options, pool)


def _splats(prediction: Prediction, options: DepthSplatOptions, pool: ThreadPoolExecutor) -> DepthSplats:
    views, height, width = prediction.depth.shape
    selection = _select_pixels(prediction, options)
    surfaces = list(pool.map(lambda view: _surface(prediction, view, selection), range(views)))
    if not any(surface.kept.any() for surface in surfaces):
        warn("leaving out pixels at depth edges would leave no splats: they are kept")
        surfaces = list(pool.map(lambda view: _surface(prediction, view, selection, keep_edges=True), range(views)))
    if options.thin:
        pixels = list(pool.map(lambda view: not_seen_better(surfaces, view), range(views)))
    else:
        pixels = [np.flatnonzero(surface.kept) for surface in surfaces]
    seen, thinned = (sum(map(len, p)) for p in ([np.flatnonzero(s.kept) for s in surfaces], pixels))

    spacing = [np.ones(len(chosen), np.float32) for chosen in pixels]
    if options.budget is not None and options.budget < thinned:
        pixels, spacing = _apply_budget(prediction, selection, surfaces, pixels, options.budget)
    parts = pool.map(
        lambda view: _build(prediction, view, surfaces[view], pixels[view], spacing[view], selection), range(views)
    )
    offsets = [view * height * width for view in range(views)]
    return DepthSplats(
        gaussians=_concatenate(list(parts)),
        pixels=np.concatenate([chosen + offset for chosen, offset in zip(pixels, offsets, strict=True)]),
        without_depth=selection.without_depth,
        sky=selection.sky,
        low_confidence=selection.low_confidence,
        at_edges=int(selection.kept.sum()) - seen,
        thinned=seen - thinned,
        over_budget=thinned - sum(map(len, pixels)),
    )


@dataclass(frozen=True)
class _Selection:
    """The pixels with depth to rely on, before any geometry."""

    kept: NDArray[np.bool_]
    """(N, H, W)."""
    full_confidence: float | None
    """The confidence that counts as ordinary; None without confidence."""
    unit: float
    """A typical pixel's width on the surface, in the units of depth."""
    without_depth: int
    sky: int
    low_confidence: int


def _select_pixels(prediction: Prediction, options: DepthSplatOptions) -> _Selection:
    """Apply the rules on depth, sky and confidence; one of the last two that would leave nothing warns instead."""
    depth, conf = prediction.depth, prediction.conf
    kept = (depth > 0) & (depth < _LARGEST_DEPTH)  # False for NaN
    if conf is not None:
        kept &= np.isfinite(conf)
    left = [int(kept.sum())]
    if not left[0]:
        raise InputError(f"no pixel has a depth between 0 and {_LARGEST_DEPTH:g}: there is nothing to make splats of")
    if prediction.sky is not None:
        if (kept & ~prediction.sky).any():
            kept &= ~prediction.sky
        else:
            warn("leaving out sky would leave no splats: it is kept")
    left.append(int(kept.sum()))
    full_confidence = None
    if conf is not None:
        threshold, full_confidence = percentiles(
            conf[kept], [options.conf_thresh_percentile, max(options.conf_thresh_percentile, _ORDINARY_PERCENTILE)]
        )
        kept &= conf >= threshold
    left.append(int(kept.sum()))
    assert prediction.intrinsics is not None
    unit = float(np.median(depth[kept][:: max(left[-1] // _SAMPLES, 1)])) * pixel_angle(prediction.intrinsics[0])
    return _Selection(kept, full_confidence, unit, kept.size - left[0], left[0] - left[1], left[1] - left[2])


def _surface(prediction: Prediction, view: int, selection: _Selection, keep_edges: bool = False) -> ViewSurface:
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    intrinsics = prediction.intrinsics[view]
    angle = pixel_angle(intrinsics)
    depth = prediction.depth[view].astype(np.float32, copy=False)
    kept = selection.kept[view]
    if not keep_edges:
        kept = kept & ~at_depth_edges(depth, kept, angle)
    slopes = measure_slopes(depth, kept, angle)
    levels = resolution_levels(depth, kept, slopes, intrinsics, selection.unit)
    return ViewSurface(depth, kept, slopes, levels, intrinsics, prediction.extrinsics[view])


def _apply_budget(
    prediction: Prediction,
    selection: _Selection,
    surfaces: list[ViewSurface],
    pixels: list[NDArray[np.intp]],
    budget: int,
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.float32]]]:
    """The pixels of each view that stay, and how far apart they then are, in pixels."""
    width = prediction.depth.shape[2]
    importances = [
        importance(prediction.processed_images[view], surface.depth, surface.kept).ravel()[chosen]
        * _opacities(prediction, view, chosen, selection)
        for view, (surface, chosen) in enumerate(zip(surfaces, pixels, strict=True))
    ]
    thresholds = [dither(chosen, width) for chosen in pixels]
    stays, spacing = within_budget(np.concatenate(importances), np.concatenate(thresholds), budget)
    starts = np.cumsum([0, *map(len, pixels)])
    ends = np.searchsorted(stays, starts)
    spans = [slice(first, last) for first, last in pairwise(ends)]
    kept = [chosen[stays[span] - start] for chosen, span, start in zip(pixels, spans, starts[:-1], strict=True)]
    return kept, [spacing[span] for span in spans]


def _build(
    prediction: Prediction,
    view: int,
    surface: ViewSurface,
    pixels: NDArray[np.intp],
    spacing: NDArray[np.float32],
    selection: _Selection,
) -> Gaussians:
    """The splats of (P,) flattened `pixels` of one view."""
    rows, columns = np.divmod(pixels, surface.depth.shape[1])
    centres = np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)  # (2, P)
    scales, rotations = cover_footprints(
        surface.depth.ravel()[pixels],
        surface.slopes.reshape(2, -1)[:, pixels],
        centres,
        spacing,
        surface.intrinsics,
        invert_rigid(surface.extrinsics),
    )
    points = unproject_depth(surface.depth[None], surface.intrinsics[None], surface.extrinsics[None])
    colors = prediction.processed_images[view].reshape(-1, 3)[pixels] / np.float32(255)
    return Gaussians(
        means=points.reshape(-1, 3)[pixels],
        scales=scales,
        rotations=rotations,
        harmonics=((colors - np.float32(0.5)) / np.float32(SH_CONSTANT))[:, :, None],
        opacities=_opacities(prediction, view, pixels, selection),
    )


def _opacities(
    prediction: Prediction, view: int, pixels: NDArray[np.intp], selection: _Selection
) -> NDArray[np.float32]:
    """(P,) opacity of flattened pixels: in proportion to confidence up to the ordinary one, within bounds."""
    if prediction.conf is None or not selection.full_confidence or selection.full_confidence < 0:
        return np.full(len(pixels), OPACITY, np.float32)
    share = prediction.conf[view].ravel()[pixels].astype(np.float32) / np.float32(selection.full_confidence)
    return np.clip(np.float32(OPACITY) * share, np.float32(LEAST_OPACITY), np.float32(OPACITY))


def _concatenate(parts: list[Gaussians]) -> Gaussians:
    return Gaussians(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Gaussians)))
