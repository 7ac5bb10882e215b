"""Gaussian splats from the depth maps of any model: a flat ellipsoid per pixel that is worth it, larger ones behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.located_depth import check_points, percentiles, with_cameras
from recon.geometry.unprojection import unproject_depth
from recon.messages import warn
from recon.options import Options, option
from recon.refine.ellipsoids import SIGMA, SIGMA_WITH_SECOND_LAYER, cover_footprints
from recon.refine.second_layer import SPACING, SecondLayer, depth_behind, make_second_layer
from recon.refine.surface import at_depth_edges, measure_slopes
from recon.refine.thinning import (
    FLAT_IMPORTANCE,
    ViewSurface,
    dither,
    importance,
    not_seen_better,
    pixel_angle,
    resolution_levels,
    within_budget,
)
from recon.types import Gaussians, Prediction

SH_CONSTANT = 0.28209479177387814
"""The spherical harmonic of degree 0, 1 / √(4 π): colour is 0.5 + SH_CONSTANT · coefficient."""
OPACITY = 0.98
"""Of splats of ordinary confidence, and without any."""
LEAST_OPACITY = 0.6
"""Of the least confident ones: less would let the background shine through."""
_ORDINARY_PERCENTILE = 25.0
"""Of the confidence of all pixels: from here on it counts as ordinary."""
_DOUBTFUL_PERCENTILE = 10.0
"""Of the confidence, below which pixels are left out where nothing else has been."""
CLEANED_MARGIN = 3
"""Pixels that cleaning left out have splats behind them where others are this near: at edges, not outside a crop."""
_SAMPLES = 10_000
"""Pixels that fix the typical depth."""


@dataclass(frozen=True, kw_only=True)
class DepthSplatOptions(Options):
    """Which pixels become splats."""

    conf_thresh_percentile: float | None = option(
        None,
        help="Leave out the pixels below this percentile of the confidence. None: 10 where every pixel has "
        "depth, else 0, as what left pixels without has left out what it doubts.",
        least=0,
        most=100,
    )
    thin: bool = option(
        True,
        help="Leave out what another view sees at a finer resolution, or an earlier one at a similar resolution.",
    )
    second_layer: bool = option(
        True,
        help="Put larger splats behind, which show through gaps and where depth is unknown "
        "(recon.refine.second_layer).",
    )
    include_filled: bool = option(
        False,
        help="Take filled-in depth for found. Off: such pixels are behind the splats, like all others without depth.",
    )
    budget: int | None = option(
        None,
        help="Keep at most this many splats, the most important ones, and grow them to cover for the rest. None: all.",
        least=1,
    )


@dataclass(frozen=True)
class DepthSplats:
    """Splats, where they come from, and what was left out, in this order."""

    gaussians: Gaussians
    """F splats of pixels, in the order of views, rows and columns, and those behind them, in the same order."""
    pixels: NDArray[np.intp]
    """(F,) the pixel each comes from, as an index into the flattened (N, H, W) depth; ascending."""
    spacing: NDArray[np.float32]
    """(F,) how many times farther apart than pixels a budget leaves them: 1 or more."""
    behind: int
    """Splats of the second layer."""
    without_depth: int
    """Pixels whose depth or confidence is no usable number."""
    cleaned: int
    """Pixels that cleaning left out (`Prediction.kept`)."""
    sky: int
    """Pixels of the sky."""
    low_confidence: int
    """Pixels below the confidence threshold."""
    at_edges: int
    """Pixels that float between a foreground and a background."""
    thinned: int
    """Pixels whose surface another view shows better, or earlier."""
    over_budget: int
    """Pixels beyond the budget."""


def from_depth(prediction: Prediction, options: DepthSplatOptions | None = None) -> Gaussians:
    """Splats of degree 0 for the pixels worth one, in the frame and units of the prediction, never none.

    Of the first layer the mean is the point at the pixel's centre; extents and orientation are those of the pixel's
    footprint on the surface, colour is the pixel's, opacity follows the confidence. The second one, behind it, is
    coarser (`recon.refine.second_layer`). A single view without cameras gets those of a point cloud
    (`recon.geometry.located_depth.with_cameras`).

    Raises:
        InputError: no usable depth, cameras missing for several views, or cameras that are none.
    """
    return splats_from_depth(prediction, options).gaussians


def splats_from_depth(prediction: Prediction, options: DepthSplatOptions | None = None) -> DepthSplats:
    """The same as `from_depth`, with where splats come from and what was left out, for reports."""
    options = options or DepthSplatOptions()
    check_points(prediction)
    prediction = with_cameras(prediction)
    with ThreadPoolExecutor(usable_cores()) as pool:
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

    layers: list[SecondLayer] = []
    if options.second_layer:
        layers = list(
            pool.map(lambda view: _layer_behind(prediction, view, surfaces, pixels[view], selection), range(views))
        )
    spacing = [np.ones(len(chosen), np.float32) for chosen in pixels]
    spacing_behind = [np.ones(len(layer.pixels), np.float32) for layer in layers]
    sigma = SIGMA_WITH_SECOND_LAYER if options.second_layer else SIGMA
    if options.budget is not None and options.budget < thinned + sum(map(len, spacing_behind)):
        sigma = SIGMA  # splats that grow close their gaps: only what no other shows stays behind them
        layers = [layer.select(layer.completed) for layer in layers]
        pixels, spacing, layers, spacing_behind = _apply_budget(
            prediction, selection, surfaces, pixels, layers, options.budget
        )

    first_layer = pool.map(
        lambda view: _build(prediction, view, surfaces[view], pixels[view], spacing[view], sigma, selection),
        range(views),
    )
    second_layer = pool.map(
        lambda view: _build_behind(prediction, view, surfaces[view], layers[view], spacing_behind[view], sigma),
        range(len(layers)),
    )
    parts = [*first_layer, *second_layer]
    offsets = [view * height * width for view in range(views)]
    return DepthSplats(
        gaussians=_concatenate(parts),
        spacing=np.concatenate(spacing),
        behind=sum(map(len, parts[views:])),
        pixels=np.concatenate([chosen + offset for chosen, offset in zip(pixels, offsets, strict=True)]),
        without_depth=selection.without_depth,
        cleaned=selection.cleaned,
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
    doubtful: NDArray[np.bool_]
    """(N, H, W) with depth to rely on but for the confidence."""
    full_confidence: float | None
    """The confidence that counts as ordinary; None without confidence."""
    unit: float
    """A typical pixel's width on the surface, in the units of depth."""
    without_depth: int
    cleaned: int
    sky: int
    low_confidence: int


def _select_pixels(prediction: Prediction, options: DepthSplatOptions) -> _Selection:
    """Apply the rules on depth, sky and confidence; one of the last two that would leave nothing warns instead."""
    depth, conf = prediction.depth, prediction.conf
    kept = prediction.pixels_with_depth(filled=options.include_filled, sky=True)
    left = [int(kept.sum())]
    if not left[0]:  # but others have been found by `check_points`
        raise InputError("all depth of this prediction was filled in: include_filled makes splats of it")
    if prediction.kept is not None:
        kept = kept & prediction.kept
        if not kept.any():
            raise InputError("cleaning or cropping left out every pixel of this prediction that could become a splat")
    left.append(int(kept.sum()))
    if prediction.sky is not None:
        if (kept & ~prediction.sky).any():
            kept = kept & ~prediction.sky
        else:
            warn("leaving out sky would leave no splats: it is kept")
    left.append(int(kept.sum()))
    full_confidence, doubtful = None, np.zeros(kept.shape, bool)
    if conf is not None:
        percentile = options.conf_thresh_percentile
        if percentile is None:
            counts = kept.size if prediction.mask is None else int(prediction.mask.sum())
            percentile = _DOUBTFUL_PERCENTILE if left[0] == counts else 0.0
        threshold, full_confidence = percentiles(conf[kept], [percentile, max(percentile, _ORDINARY_PERCENTILE)])
        doubtful = kept & (conf < threshold)
        kept = kept & ~doubtful
    left.append(int(kept.sum()))
    assert prediction.intrinsics is not None
    unit = float(np.median(depth[kept][:: max(left[-1] // _SAMPLES, 1)])) * pixel_angle(prediction.intrinsics[0])
    without_depth, cleaned, sky, low_confidence = (before - after for before, after in pairwise([kept.size, *left]))
    return _Selection(kept, doubtful, full_confidence, unit, without_depth, cleaned, sky, low_confidence)


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


def _layer_behind(
    prediction: Prediction,
    view: int,
    surfaces: list[ViewSurface],
    pixels: NDArray[np.intp],
    selection: _Selection,
) -> SecondLayer:
    none = np.zeros(prediction.depth.shape[1:], bool)
    if prediction.sky is not None:
        none |= prediction.sky[view]
    if prediction.mask is not None:
        none |= ~prediction.mask[view]
    if prediction.kept is not None:
        around = cv2.dilate(surfaces[view].kept.astype(np.uint8), np.ones((2 * CLEANED_MARGIN + 1,) * 2, np.uint8)) > 0
        none |= ~prediction.kept[view] & ~around
    return make_second_layer(surfaces, view, pixels, selection.doubtful[view], prediction.processed_images[view], none)


def _apply_budget(
    prediction: Prediction,
    selection: _Selection,
    surfaces: list[ViewSurface],
    pixels: list[NDArray[np.intp]],
    layers: list[SecondLayer],
    budget: int,
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.float32]], list[SecondLayer], list[NDArray[np.float32]]]:
    """The pixels of each view and the layers behind that stay, and how many times farther apart either then are."""
    width = prediction.depth.shape[2]
    importances = [
        importance(prediction.processed_images[view], surface.depth, surface.kept).ravel()[chosen]
        * _opacities(prediction, view, chosen, selection)
        for view, (surface, chosen) in enumerate(zip(surfaces, pixels, strict=True))
    ]
    importances += [np.full(len(layer.pixels), FLAT_IMPORTANCE, np.float32) for layer in layers]
    places = [*pixels, *(layer.pixels for layer in layers)]
    thresholds = [dither(chosen, width) for chosen in places]
    stays, spacing = within_budget(np.concatenate(importances), np.concatenate(thresholds), budget)
    starts = np.cumsum([0, *map(len, places)])
    ends = np.searchsorted(stays, starts)
    spans = [slice(first, last) for first, last in pairwise(ends)]
    chosen = [stays[span] - start for span, start in zip(spans, starts[:-1], strict=True)]
    spacings = [spacing[span] for span in spans]
    views = len(pixels)
    kept = [old[new] for old, new in zip(pixels, chosen[:views], strict=True)]
    kept_layers = [layer.select(new) for layer, new in zip(layers, chosen[views:], strict=True)]
    return kept, spacings[:views], kept_layers, spacings[views:]


def _build(
    prediction: Prediction,
    view: int,
    surface: ViewSurface,
    pixels: NDArray[np.intp],
    spacing: NDArray[np.float32],
    sigma: float,
    selection: _Selection,
) -> Gaussians:
    """The splats of (P,) flattened `pixels` of one view."""
    centres = _centres(pixels, surface.depth.shape[1])
    scales, rotations = cover_footprints(
        surface.depth.ravel()[pixels],
        surface.slopes.reshape(2, -1)[:, pixels],
        centres,
        spacing,
        sigma,
        surface.intrinsics,
        invert_rigid(surface.extrinsics),
    )
    points = unproject_depth(surface.depth[None], surface.intrinsics[None], surface.extrinsics[None])
    colors = prediction.processed_images[view].reshape(-1, 3)[pixels]
    opacities = _opacities(prediction, view, pixels, selection)
    return Gaussians(points.reshape(-1, 3)[pixels], scales, rotations, _harmonics(colors), opacities)


def _build_behind(
    prediction: Prediction,
    view: int,
    surface: ViewSurface,
    layer: SecondLayer,
    spacing: NDArray[np.float32],
    sigma: float,
) -> Gaussians:
    """The splats of the layer behind one view: larger ones, of the mean colour around."""
    count, width = len(layer.pixels), surface.depth.shape[1]
    centres = _centres(layer.pixels, width)
    camera_to_world = invert_rigid(surface.extrinsics)
    scales, rotations = cover_footprints(
        layer.depth,
        layer.slopes,
        centres,
        SPACING * spacing,
        sigma,
        surface.intrinsics,
        camera_to_world,
    )
    rays = np.linalg.inv(surface.intrinsics.astype(np.float64)) @ np.vstack([centres, np.ones((1, count))])  # (3, B)
    points = (rays * depth_behind(layer, surface.pixel_angle)).T @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]
    blurred = cv2.GaussianBlur(prediction.processed_images[view], (0, 0), SPACING / 2)
    if prediction.mask is not None:  # of colours that are not masked alone
        mask = prediction.mask[view].astype(np.float32)[..., None]
        total = cv2.GaussianBlur(prediction.processed_images[view] * mask, (0, 0), SPACING / 2)
        share = cv2.GaussianBlur(mask, (0, 0), SPACING / 2)[..., None]
        blurred = np.where(share > 0, total / np.maximum(share, 1e-6), blurred).clip(0, 255).astype(np.uint8)
    return Gaussians(
        means=points.astype(np.float32),
        scales=scales,
        rotations=rotations,
        harmonics=_harmonics(blurred.reshape(-1, 3)[layer.pixels]),
        opacities=np.full(count, OPACITY, np.float32),
    )


def _centres(pixels: NDArray[np.intp], width: int) -> NDArray[np.float32]:
    """(2, P) x and y of the centres of flattened pixels."""
    rows, columns = np.divmod(pixels, width)
    return np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)


def _harmonics(colors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(P, 3, 1) of (P, 3) colours."""
    unit = colors.astype(np.float32) / np.float32(255)
    return ((unit - np.float32(0.5)) / np.float32(SH_CONSTANT))[:, :, None]


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
