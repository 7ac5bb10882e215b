"""Depth of calibrated views by multi-view stereo, without a network.

For each view: a plane sweep at low resolution, slanted planes refined from there up to full resolution, and in the end
only what other views confirm. On the CPU by compiled kernels, on a GPU by torch; both do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.cuda import cuda_device
from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.progress import TellPart
from recon.stereo.bridging import bridge
from recon.stereo.coarse_to_fine import match_view
from recon.stereo.consistency import (
    Agreement,
    DepthMaps,
    agreement,
    close_gaps,
    extend,
    read_slopes,
    remove_speckles,
    store_slopes,
)
from recon.stereo.contours import clear_contours
from recon.stereo.filling import fill
from recon.stereo.images import warp_back, warp_between
from recon.stereo.matchers import CpuMatcher, Matcher, TorchMatcher
from recon.stereo.photos import Photos, take_photos
from recon.stereo.rough_points import rough_points
from recon.stereo.sky import find_sky
from recon.stereo.stereo_options import StereoOptions
from recon.stereo.view_selection import ViewPlan, plan_view
from recon.types.cameras import Cameras

__all__ = ["StereoDepth", "StereoOptions", "multi_view_depth"]

_SMALLEST_SIDE = 16
"""Pixels: below, the windows do not fit."""
_SPANNED_QUALITY = 0.3
"""What stands for correlation and uniqueness in the confidence of an area that a plane bridges."""
_SURROUNDING = 5
"""Of a pixel's eight neighbours, that have to be kept on its plane where no view agrees with it."""
_SURROUNDED_AGREEMENT = 0.1
"""What stands for the views' agreement in the confidence of such a pixel."""
_LEAST_ABOVE_ONE = 1e-3
"""Confidence of depth that is kept, above that of none."""
_DIFFERENT_PLACES = 1e-9
"""Distance between cameras, relative to their distance from the origin or to one, that is more than rounding."""


@dataclass(frozen=True)
class StereoDepth:
    """Depth maps of N views."""

    depth: NDArray[np.float32]
    """(N, H, W) along the camera's z axis, in the units of the cameras; 0 where there is none."""
    conf: NDArray[np.float32]
    """(N, H, W) confidence: 1 + correlation · uniqueness · agreement summed over the checking views, each of the three
    at most 1 per view; 1 where the depth is filled in or missing."""
    filled: NDArray[np.bool_]
    """(N, H, W) True where the depth was completed from the pixels around."""
    sky: NDArray[np.bool_]
    """(N, H, W) True where the views show the sky: no depth is found or filled in there."""


def multi_view_depth(
    images: NDArray[np.uint8],
    cameras: Cameras,
    sparse: SparsePoints | None,
    options: StereoOptions | None = None,
    progress: TellPart | None = None,
    names: Sequence[str] | None = None,
    masks: NDArray[np.bool_] | None = None,
) -> StereoDepth:
    """Depth and confidence of calibrated views of one scene that stands still.

    Beyond its arguments and result it holds one view's work and one number per pixel of each view.

    Args:
        images: (N, H, W, 3) RGB, at least two.
        cameras: world-to-camera and intrinsics in pixels of these images, both needed; where they have sizes, an image
            is the left upper part of that size, and the rest nothing.
        sparse: points of the scene in the cameras' frame and which view sees which, as structure from motion gives
            them; None finds rough ones by itself.
        options: None takes the defaults.
        progress: told of each view, for each part (`depth`, `agreement`).
        names: of the views, for warnings.
        masks: (N, H, W) False where nothing is to be matched and no depth found; None: nowhere.

    Raises:
        InputError: fewer than two views, images too small, cameras that are missing or all at one place, sparse points
            for another number of views, or no CUDA where it was asked for.
    """
    options = options or StereoOptions()
    _check(images, cameras, sparse)
    count, height, width = images.shape[:3]
    photos = take_photos(images, cameras, masks)
    tell = progress or (lambda stage, done, total: None)
    label = [f"view {view}" if names is None else f"'{names[view]}'" for view in range(count)]
    with ThreadPoolExecutor(options.threads or usable_cores()) as pool:
        matcher = _matcher(options, pool)
        if sparse is None:
            sparse = rough_points(photos.grey, cameras, options.noise, pool, photos.masks)
        plans = [_plan(view, cameras, sparse, photos.sizes, options, label) for view in range(count)]
        inverse_depth = np.zeros((count, height, width), np.float32)
        conf = np.ones((count, height, width), np.float32)
        slopes = np.zeros((count, 2, height, width), np.int16)
        for view, plan in enumerate(plans):
            if plan is not None:
                own = photos.own(view)
                matched = match_view(view, photos, cameras, plan, options, matcher, pool)
                inverse_depth[own], conf[own] = matched.inverse_depth, matched.quality
                slopes[view][:, *own[1:]] = matched.slopes
            tell("depth", view + 1, count)
        kept = np.zeros((count, height, width), np.float32)
        maps = DepthMaps(inverse_depth, slopes, photos.masks)
        for view, plan in enumerate(plans):
            own = photos.own(view)
            if plan is not None:
                kept[own], agreeing = _confirmed(view, photos, maps, cameras, plan, options, pool)
                conf[own] *= agreeing
            conf[own] = np.where(kept[own] > 0, 1 + np.maximum(conf[own], _LEAST_ABOVE_ONE), 1)
            tell("agreement", view + 1, count)
        _bridge(photos, kept, conf, maps, cameras, plans, options, pool)
        del maps, inverse_depth, slopes
        sky = find_sky(photos, kept, cameras, plans)
        conf[sky] = 1
        filled = np.zeros((count, height, width), bool)
        for view in range(count) if options.fill else ():
            own = photos.own(view)
            whole = fill(kept[own], images[own])
            whole = np.where(sky[own], 0, whole if photos.masks is None else whole * photos.masks[own])
            filled[own] = (whole > 0) & (kept[own] == 0)
            kept[own] = whole
        np.divide(1, kept, out=kept, where=kept > 0)
    return StereoDepth(kept, conf, filled, sky)


def _check(images: NDArray[np.uint8], cameras: Cameras, sparse: SparsePoints | None) -> None:
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise InputError(f"images must be uint8 of shape (views, height, width, 3), got {images.dtype} {images.shape}")
    count, height, width = images.shape[:3]
    if count < 2:
        raise InputError(f"multi-view stereo needs at least two views of the scene, got {count}")
    if cameras.sizes is not None and (cameras.sizes > (width, height)).any():
        raise InputError(
            f"cameras must be of images of at most {width}×{height} pixels, not {cameras.sizes.max(axis=0)}"
        )
    smallest = np.array([width, height]) if cameras.sizes is None else cameras.sizes.min(axis=0)
    if smallest.min() < _SMALLEST_SIDE:
        raise InputError(
            f"images of {smallest[0]}×{smallest[1]} pixels are too small for multi-view stereo: "
            f"it needs at least {_SMALLEST_SIDE}×{_SMALLEST_SIDE}"
        )
    for name, matrices in (("extrinsics", cameras.world_to_camera), ("intrinsics", cameras.intrinsics)):
        if matrices is None:
            raise InputError(f"multi-view stereo needs {name}: give cameras, or find them by structure from motion")
        if len(matrices) != count:
            raise InputError(f"{name} must hold one matrix per image: {len(matrices)} given for {count} images")
    if sparse is not None and len(sparse.observed) != count:
        raise InputError(f"sparse points must be of the same views: of {len(sparse.observed)}, not {count}")
    assert cameras.world_to_camera is not None
    centres = invert_rigid(cameras.world_to_camera)[:, :3, 3]
    if np.ptp(centres, axis=0).max() <= _DIFFERENT_PLACES * max(1.0, float(np.abs(centres).max())):
        raise InputError(
            "the cameras all stand at one place, from where no depth can be told: "
            "multi-view stereo needs photos taken from different places"
        )


def _matcher(options: StereoOptions, pool: ThreadPoolExecutor) -> Matcher:
    cuda = cuda_device(options.device)
    return CpuMatcher(pool) if cuda is None else TorchMatcher(cuda)


def _plan(
    view: int,
    cameras: Cameras,
    sparse: SparsePoints,
    sizes: NDArray[np.int64],
    options: StereoOptions,
    label: Sequence[str],
) -> ViewPlan | None:
    """What to match a view with; None, and a warning, where there is nothing."""
    plan = plan_view(view, cameras, sparse, sizes, options.sources, options.checking_views)
    if plan is None or len(plan.sources) == 0:
        warn(f"{label[view]} overlaps with no other view that was taken from elsewhere: it gets no depth")
        return None
    if options.depth_range is not None:
        near, far = options.depth_range
        plan = plan._replace(inverse_depths=(1 / far, 1 / near))
    return plan


def _confirmed(
    view: int,
    photos: Photos,
    maps: DepthMaps,
    cameras: Cameras,
    plan: ViewPlan,
    options: StereoOptions,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inverse depth (h, w), 0 where too few checking views agree, and the sum of their agreement."""
    assert maps.slopes is not None
    found, wanted = np.ascontiguousarray(maps.inverse_depth[photos.own(view)]), photos.wanted(view)
    agreed = _agreement(view, found, maps, cameras, plan, options, pool)
    count = (agreed.with_each > 0).sum(axis=0)
    kept = np.where(_enough(agreed, options), found, 0)
    slopes = read_slopes(maps.slopes[view][:, *photos.own(view)[1:]])
    remove_speckles(kept, slopes, options.smallest_patch, 2 * options.tolerance)
    extend(kept, np.where(count > 0, found, 0), slopes, options.tolerance)
    extend(kept, found, slopes, options.tolerance, _SURROUNDING)
    clear_contours(kept, photos.images[photos.own(view)], options.smallest_patch, wanted, slopes)
    close_gaps(kept, slopes, np.ones(kept.shape, np.bool_) if wanted is None else wanted, options.tolerance)
    remove_speckles(kept, slopes, options.smallest_patch, 2 * options.tolerance)
    return kept, np.maximum(agreed.with_each.sum(axis=0), _SURROUNDED_AGREEMENT)


def _bridge(
    photos: Photos,
    kept: NDArray[np.float32],
    conf: NDArray[np.float32],
    maps: DepthMaps,
    cameras: Cameras,
    plans: Sequence[ViewPlan | None],
    options: StereoOptions,
    pool: ThreadPoolExecutor,
) -> None:
    """Add to `kept` and `conf` (N, H, W) the areas without texture that planes bridge; `maps` are written over."""
    assert maps.slopes is not None
    for view, plan in enumerate(plans):
        own = photos.own(view)
        maps.inverse_depth[view] = kept[view]
        if plan is not None:
            planes = bridge(kept[own], photos.images[own], options.tolerance, photos.wanted(view))
            spanned = planes[0] > 0
            maps.inverse_depth[own][spanned] = planes[0][spanned]
            maps.slopes[view][:, *own[1:]][:, spanned] = store_slopes(planes)[:, spanned]
    for view, plan in enumerate(plans):
        own = photos.own(view)
        spanned = np.where(kept[own] > 0, 0, maps.inverse_depth[own])
        if plan is None or not spanned.any():
            continue
        agreed = _agreement(view, spanned, maps, cameras, plan, options, pool)
        confirmed = _enough(agreed, options)
        # Nothing speaks for the plane itself: no correlation, only that views agree on it.
        conf[own] = np.where(confirmed, 1 + _SPANNED_QUALITY * agreed.with_each.sum(axis=0), conf[own])
        kept[own] = np.where(confirmed, spanned, kept[own])


def _agreement(
    view: int,
    inverse_depth: NDArray[np.float32],
    maps: DepthMaps,
    cameras: Cameras,
    plan: ViewPlan,
    options: StereoOptions,
    pool: ThreadPoolExecutor,
) -> Agreement:
    """Of a view's inverse depth (h, w) with what its checking views have found."""
    there, back = warp_between(cameras, view, plan.checking_views), warp_back(cameras, view, plan.checking_views)
    return agreement(
        inverse_depth, maps, plan.checking_views, there, back, options.tolerance, options.pixel_tolerance, pool
    )


def _enough(agreed: Agreement, options: StereoOptions) -> NDArray[np.bool_]:
    """(h, w) whether enough checking views agree: where a pixel lies in the images of few, all of them but one, and at
    least one."""
    needed = np.clip(agreed.within.astype(np.intp) - 1, 1, options.agreeing)
    return np.asarray((agreed.with_each > 0).sum(axis=0) >= needed)
