"""Depth of calibrated views by multi-view stereo, without a network.

For each view: a plane sweep at half resolution, slanted planes refined at full resolution, and in the end only what
other views confirm. On the CPU by compiled kernels, on a GPU by torch; both do the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.options import Options, option
from recon.progress import TellPart
from recon.sources.mask_resize import resize_mask
from recon.stereo.consistency import agreement, extend, remove_speckles
from recon.stereo.contours import clear_contours
from recon.stereo.filling import fill
from recon.stereo.images import Matching, repeat_borders, scaled_intrinsics, shrink, to_grey, warp_back, warp_between
from recon.stereo.matchers import CpuMatcher, Matcher, TorchMatcher
from recon.stereo.plane_refinement import Bounds
from recon.stereo.rough_points import rough_points
from recon.stereo.view_selection import ViewPlan, plan_view
from recon.types.cameras import Cameras

Device = Literal["auto", "cpu", "cuda"]

_SMALLEST_SIDE = 16
"""Pixels: below, the windows do not fit."""
_SWEEP_WINDOW = 7
"""Pixels at half resolution."""
_DIFFERENT_PLACES = 1e-9
"""Distance between cameras, relative to their distance from the origin or to one, that is more than rounding."""


@dataclass(frozen=True, kw_only=True)
class StereoOptions(Options):
    """How depth is looked for, and what of it is kept."""

    planes: int = option(
        96,
        help="Depths tried at each pixel, evenly spaced in inverse depth; what is found is refined between them.",
        least=8,
    )
    window: int = option(9, help="Odd diameter in pixels of the window that is matched.", least=3)
    sources: int = option(
        4,
        help="Views that each view is matched with; a pixel's score is the mean over the two that match it best.",
        least=1,
    )
    refinements: int = option(
        4,
        help="Passes in which pixels take over their neighbours' planes and fit their own.",
        least=1,
    )
    noise: float = option(
        0.5,
        help="Standard deviation of the images' noise in grey levels: fainter texture is not trusted.",
        above=0,
    )
    least_score: float = option(0.3, help="Least correlation of a pixel that is kept, -1 to 1.", least=-1, below=1)
    checking_views: int = option(6, help="Views whose depth maps each pixel is checked against.", least=1)
    agreeing: int = option(
        2,
        help="Of these that must agree; where no more have the pixel's point in their image, all but one of "
        "them, but at least one. Where a surface goes on beside pixels kept so, one is enough.",
        least=1,
    )
    tolerance: float = option(0.01, help="Largest relative difference of depth between views that agree.", above=0)
    pixel_tolerance: float = option(1.0, help="Largest distance in pixels after the way there and back.", above=0)
    smallest_patch: int = option(
        30,
        help="Pixels: smaller connected patches of depth are removed as speckle, and smaller holes show nothing "
        "behind.",
        least=0,
    )
    depth_range: tuple[float, float] | None = option(
        None,
        help="Nearest and farthest depth, in the units of the cameras; None takes it from the points, view by view.",
        above=0,
    )
    fill: bool = option(False, help="Complete the pixels without depth from the pixels around them, at confidence 1.")
    device: Device = option("auto", help="cuda needs torch with it; auto takes it where there is one.")
    threads: int | None = option(None, help="CPU threads; None takes all. The result is the same.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise InputError(f"window must be odd, got {self.window}")
        if self.depth_range is not None and self.depth_range[0] >= self.depth_range[1]:
            raise InputError(f"depth_range must be a nearest and a larger farthest depth, got {self.depth_range}")


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
    photos = _photos(images, cameras, masks)
    tell = progress or (lambda stage, done, total: None)
    label = [f"view {view}" if names is None else f"'{names[view]}'" for view in range(count)]
    with ThreadPoolExecutor(options.threads or os.cpu_count() or 1) as pool:
        matcher = _matcher(options, pool)
        if sparse is None:
            sparse = rough_points(photos.grey, cameras, options.noise, pool, photos.masks)
        plans = [_plan(view, cameras, sparse, photos.sizes, options, label) for view in range(count)]
        inverse_depth = np.zeros((count, height, width), np.float32)
        conf = np.ones((count, height, width), np.float32)
        for view, plan in enumerate(plans):
            if plan is not None:
                own = photos.own(view)
                inverse_depth[own], conf[own] = _match(view, photos, cameras, plan, options, matcher)
            tell("depth", view + 1, count)
        depth = np.zeros((count, height, width), np.float32)
        filled = np.zeros((count, height, width), bool)
        for view, plan in enumerate(plans):
            own = photos.own(view)
            kept = np.zeros(depth[own].shape, np.float32)
            if plan is not None:
                kept, agreeing = _confirmed(view, photos, inverse_depth, cameras, plan, options, pool)
                conf[own] *= agreeing
            conf[own] = np.where(kept > 0, 1 + conf[own], 1)
            if options.fill:
                whole = fill(kept, images[own])
                whole = whole if photos.masks is None else whole * photos.masks[own]
                filled[own] = (whole > 0) & (kept == 0)
                kept = whole
            np.divide(1, kept, out=depth[own], where=kept > 0)
            tell("agreement", view + 1, count)
    return StereoDepth(depth, conf, filled)


class _Photos(NamedTuple):
    """The views as they are matched."""

    images: NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    grey: NDArray[np.uint8]
    """(N, H, W); beyond a smaller photo, its last row and column go on."""
    sizes: NDArray[np.int64]
    """(N, 2) width and height of each photo, which is the left upper part."""
    masks: NDArray[np.bool_] | None
    """(N, H, W) False where nothing is to be matched, or there is no photo; None: nowhere."""

    def own(self, view: int) -> tuple[int, slice, slice]:
        """Index of the pixels of a view's photo among those of all views."""
        width, height = self.sizes[view].tolist()
        return view, slice(height), slice(width)

    def wanted(self, view: int) -> NDArray[np.bool_] | None:
        """(h, w) of the view's photo."""
        return None if self.masks is None else np.ascontiguousarray(self.masks[self.own(view)])


def _photos(images: NDArray[np.uint8], cameras: Cameras, masks: NDArray[np.bool_] | None) -> _Photos:
    count, height, width = images.shape[:3]
    sizes = np.tile(np.array([width, height]), (count, 1)) if cameras.sizes is None else cameras.sizes
    grey = to_grey(images)
    if (sizes != (width, height)).any():
        masks = np.ones(grey.shape, np.bool_) if masks is None else masks.copy()
        repeat_borders(grey, sizes)
        for view, (w, h) in enumerate(sizes.tolist()):
            masks[view, h:] = masks[view, :, w:] = False
    return _Photos(images, grey, sizes, masks)


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
    if options.device == "cpu":
        return CpuMatcher(pool)
    try:
        import torch
    except ModuleNotFoundError:
        if options.device == "cuda":
            raise
        return CpuMatcher(pool)  # torch is for the GPU alone
    if torch.cuda.is_available():
        return TorchMatcher(torch.device("cuda"))
    if options.device == "cuda":
        raise InputError("device 'cuda' was asked for, and torch finds no CUDA device here; use 'cpu' or 'auto'")
    return CpuMatcher(pool)


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


def _match(
    view: int,
    photos: _Photos,
    cameras: Cameras,
    plan: ViewPlan,
    options: StereoOptions,
    matcher: Matcher,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inverse depth of one view, 0 where the score is too low, and correlation times uniqueness; both (h, w)."""
    assert cameras.intrinsics is not None
    height, width = photos.grey.shape[1:]
    own_width, own_height = photos.sizes[view].tolist()
    image = np.ascontiguousarray(photos.images[photos.own(view)])
    agreeing = min(2, max(1, len(plan.sources) - 1))
    levels = photos.grey[np.concatenate([[view], plan.sources])]
    half = shrink(levels, 2)
    repeat_borders(half, -(-photos.sizes[np.concatenate([[view], plan.sources])] // 2))
    half_reference = np.ascontiguousarray(half[0, : -(-own_height // 2), : -(-own_width // 2)])
    visible = half_visible = None
    if photos.masks is not None:
        visible = photos.masks[plan.sources]
        half_visible = np.stack([resize_mask(mask, (half.shape[2], half.shape[1])) for mask in visible])
    half_cameras = Cameras(
        cameras.world_to_camera, scaled_intrinsics(cameras.intrinsics, (height, width), half.shape[1:])
    )
    inverse_depths = np.linspace(*plan.inverse_depths, options.planes, dtype=np.float32)
    warp = warp_between(half_cameras, view, plan.sources)
    half_image = np.repeat(half_reference[..., None], 3, axis=2)
    half_matching = Matching(half_reference, half_image, half[1:], warp, agreeing, options.noise, visible=half_visible)
    peaks = matcher.sweep(half_matching, inverse_depths, _SWEEP_WINDOW)
    rows, columns = np.arange(own_height)[:, None] // 2, np.arange(own_width) // 2
    wanted = photos.wanted(view)
    matching = Matching(
        np.ascontiguousarray(levels[0, :own_height, :own_width]),
        image,
        levels[1:],
        warp_between(cameras, view, plan.sources),
        agreeing,
        options.noise,
        wanted,
        visible,
    )
    bounds = Bounds(
        unit=float(inverse_depths[1] - inverse_depths[0]),
        lowest=float(inverse_depths[0]),
        highest=float(inverse_depths[-1]),
        focal=float(cameras.intrinsics[view, 0, 0]),
    )
    start = peaks.inverse_depth[0][rows, columns]
    inverse_depth, scores = matcher.refine(matching, start, bounds, options.window, options.refinements)
    # A pixel that has taken over a neighbour's plane is as unique as its own two peaks.
    second = np.clip(peaks.score[1] / np.maximum(peaks.score[0], 1e-3), 0, 1)
    quality = np.maximum(scores, 0) * (1 - second / 2)[rows, columns]
    kept = scores > options.least_score
    return np.where(kept if wanted is None else kept & wanted, inverse_depth, 0), quality


def _confirmed(
    view: int,
    photos: _Photos,
    inverse_depth: NDArray[np.float32],
    cameras: Cameras,
    plan: ViewPlan,
    options: StereoOptions,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inverse depth (h, w), 0 where too few checking views agree, and the sum of their agreement."""
    there, back = warp_between(cameras, view, plan.checking_views), warp_back(cameras, view, plan.checking_views)
    found, wanted = np.ascontiguousarray(inverse_depth[photos.own(view)]), photos.wanted(view)
    visible = None if photos.masks is None else photos.masks[plan.checking_views]
    agreed = agreement(
        found, inverse_depth[plan.checking_views], there, back,
        options.tolerance, options.pixel_tolerance, pool, visible,
    )  # fmt: skip
    count = (agreed.with_each > 0).sum(axis=0)
    # Where a pixel lies in few checking views' images, all of them but one must agree, and at least one.
    needed = np.clip(agreed.within.astype(np.intp) - 1, 1, options.agreeing)
    kept = np.where(count >= needed, found, 0)
    remove_speckles(kept, options.smallest_patch, 2 * options.tolerance)
    extend(kept, np.where(count > 0, found, 0), options.tolerance)
    clear_contours(kept, photos.images[photos.own(view)], options.smallest_patch, wanted)
    remove_speckles(kept, options.smallest_patch, 2 * options.tolerance)
    return kept, agreed.with_each.sum(axis=0)
