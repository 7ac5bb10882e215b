"""Dense and sure depth of the same views brought to one scale and joined view by view (`recon.geometry.depth_fusion`).

The scale is that of the cameras, where there are some.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.estimate.estimator import Estimator, Wishes
from recon.estimate.own_sizes import estimate_at_own_sizes
from recon.estimate.sure_scale import Frame, Sure, in_scale_of, measured_maps
from recon.geometry.cameras import to_3x4, to_4x4
from recon.geometry.depth_fusion import FusedDepth, fuse_depth
from recon.geometry.scale_field import FEWEST, Line, blocks_of, fit_line
from recon.geometry.similarity import align_cameras
from recon.messages import warn
from recon.types import NOBODY, MadeBy, Prediction, usable_pixels

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views

_FAR_QUANTILE = 0.99
"""Of the depth of a view: where its sky is put."""
_AT_ONE_PERCENT = 0.01
"""The relative error at which confidence is 2."""
_STAGE = "join"


def joined_depth(
    dense_estimator: Estimator,
    sure_estimators: Sequence[Estimator],
    views: Views,
    wishes: Wishes,
    progress: TellPart | None,
) -> Prediction:
    """As `recon.estimate.fused.FusedEstimator.estimate`; `made_by` has the parts and no name."""
    if wishes.cameras_only:
        predicted = estimate_at_own_sizes(dense_estimator, views, wishes, progress)
        assert predicted.made_by is not None
        return replace(predicted, made_by=MadeBy("fused", "", _parts(predicted)[0]), made_by_pixel=None)
    dense, frame = _dense_depth(dense_estimator, views, wishes, progress)
    placed = _with_predicted_cameras(views, dense)
    found: list[Sure] = []
    for one in sure_estimators:
        if len(views) < one.profile.needs.least_views or (one.profile.needs.cameras and not placed.cameras.complete):
            warn(f"{one.profile.name} cannot help here: it needs cameras and {one.profile.needs.least_views} views")
            continue
        found.append(measured_maps(one.estimate(placed, Wishes(seed=wishes.seed), progress)))
    counting = usable_pixels(dense.depth, None, dense.sky, views.masks)
    depth = np.where(counting, dense.depth, np.float32(0)).astype(np.float32)
    scaled, to_result, units = in_scale_of(depth, found, views, frame, dense.units, _certain(dense, frame))
    joined = _join(views, depth, dense.conf, scaled, frame.one_scale, progress)
    to_metres = (
        _to_metres(depth / np.float32(frame.dense_unit or 1), joined, dense, found, scaled) if frame.free else None
    )
    if to_metres is not None and wishes.metres:
        to_result, units = to_metres, "metric"
    elif frame.dense_unit is not None and not wishes.given_scale:
        to_result, units = 1 / frame.dense_unit, dense.units
    result = _joined(dense, joined, scaled, to_result)
    extrinsics = dense.extrinsics
    if extrinsics is not None and to_result != 1 and (units != "aligned" or not frame.placed):
        extrinsics = extrinsics.copy()
        extrinsics[:, :, 3] *= to_result
    return replace(result, extrinsics=extrinsics, units=units)


def _to_metres(
    own: NDArray[np.float32],
    joined: Sequence[FusedDepth],
    dense: Prediction,
    found: Sequence[Sure],
    scaled: Sequence[Sure],
) -> float | None:
    """What joined depth is to be multiplied by to be in metres: by the first sure depth that is, or by the dense one.

    Args:
        own: (N, H, W) the dense depth in its own unit, 0 where it does not count.
        joined: depth of the N views.
        dense: the dense depth, in whatever scale.
        found, scaled: sure depth in its own units, and in the scale of the joined one.
    """
    for one, moved in zip(found, scaled, strict=True):
        both = (one.depth > 0) & (moved.depth > 0)
        if one.units == "metric" and both.any():
            return float(np.median(one.depth[both] / moved.depth[both]))
    result = np.stack([one.depth for one in joined])
    both = (own > 0) & (result > 0)
    if dense.units != "metric" or not both.any():
        return None
    return float(np.exp(np.median(np.log(own[both] / result[both]))))


def _dense_depth(
    estimator: Estimator, views: Views, wishes: Wishes, progress: TellPart | None
) -> tuple[Prediction, Frame]:
    """With the given cameras where there are some, and with depth in their scale where they tell it."""
    dense = estimate_at_own_sizes(estimator, views, wishes, progress)
    given, abilities = views.cameras.world_to_camera, estimator.profile.abilities
    if given is None:
        return dense, Frame(False, abilities.several_views, False, dense.units == "metric")
    known = dense.units == "aligned"
    depth, unit = dense.depth, None
    if not known and abilities.cameras and dense.extrinsics is not None:
        moved = align_cameras(given, to_4x4(dense.extrinsics))
        if moved is not None:
            depth, known, unit = (depth * np.float32(moved.scale)).astype(np.float32), True, moved.scale
    dense = replace(dense, depth=depth, extrinsics=to_3x4(given).astype(np.float32))
    scale = views.cameras.scale
    return dense, Frame(True, abilities.several_views, known, scale == "metric", scale == "free", unit)


def _joined(dense: Prediction, joined: Sequence[FusedDepth], sure: Sequence[Sure], to_result: float) -> Prediction:
    depth = np.stack([one.depth for one in joined]) * np.float32(to_result)
    error = np.stack([one.error for one in joined])
    parts, makers = _parts(dense)
    by = np.where(depth > 0, makers, NOBODY).astype(np.uint8)
    taken = np.stack([one.sure for one in joined])
    for place, maps in reversed(list(enumerate(sure))):  # the first one last, for it counts where there are several
        by[taken & (maps.depth > 0)] = len(parts) + place
    parts = (*parts, *(maps.made_by for maps in sure))
    sky = None
    if dense.sky is not None:
        sky = dense.sky & ~(depth > 0)
        depth = np.stack([_sky_far_off(*view) for view in zip(depth, sky, strict=True)])
    return replace(
        dense,
        depth=depth,
        conf=(1 + _AT_ONE_PERCENT / error).astype(np.float32),
        sky=sky,
        made_by=MadeBy("fused", "", parts),
        made_by_pixel=by,
        gaussians=None,
        gaussian_source=None,
    )


def _certain(dense: Prediction, frame: Frame) -> NDArray[np.bool_] | None:
    """(N, H, W) where stereo or a measurement gave the dense depth, in the scale of given cameras."""
    if not (frame.placed and frame.scale_known):
        return None
    parts, by = _parts(dense)
    certain = np.isin(by, [place for place, part in enumerate(parts) if part.kind in ("stereo", "measured")])
    return certain if dense.filled is None else certain & ~dense.filled


def _with_predicted_cameras(views: Views, dense: Prediction) -> Views:
    """With the cameras of the dense prediction, where none are given."""
    if views.cameras.world_to_camera is not None or dense.extrinsics is None or dense.intrinsics is None:
        return views
    cameras = replace(
        views.cameras,
        world_to_camera=to_4x4(dense.extrinsics).astype(np.float64),
        intrinsics=dense.intrinsics.astype(np.float64),
        origin="predicted",
    )
    return replace(views, cameras=cameras)


def _join(
    views: Views,
    dense: NDArray[np.float32],
    dense_conf: Any,
    sure: Sequence[Sure],
    one_scale: bool,
    progress: TellPart | None,
) -> list[FusedDepth]:
    """Each view's dense depth (N, H, W) and the sure ones that are in the scale of the result."""
    first = np.zeros_like(dense)
    conf: NDArray[np.float32] | None = None
    for maps in reversed(sure):
        here = maps.depth > 0
        first = np.where(here, maps.depth, first)
        if maps.conf is not None or conf is not None:
            conf = np.ones_like(dense) * 2 if conf is None else conf
            conf = np.where(here, 2 if maps.conf is None else maps.conf, conf).astype(np.float32)
    lines = _lines(views, dense, first, one_scale)
    tell = progress or (lambda stage, done, total: None)

    def join(view: int) -> FusedDepth:
        return fuse_depth(
            dense[view],
            first[view],
            views.pixels[view],
            lines[view],
            None if dense_conf is None else dense_conf[view],
            None if conf is None else conf[view],
        )

    joined = []
    with ThreadPoolExecutor(min(usable_cores(), len(dense))) as pool:
        for done, one in enumerate(pool.map(join, range(len(dense)))):
            joined.append(one)
            tell(_STAGE, done + 1, len(dense))
    return joined


def _lines(views: Views, dense: NDArray[np.float32], sure: NDArray[np.float32], one_scale: bool) -> list[Line | None]:
    """What brings the dense depth of each view near its sure one: its own, or where that cannot be told, the usual."""
    blocks = [blocks_of(*maps) for maps in zip(dense, sure, strict=True)]
    own = [fit_line(one) if len(one.counts) >= FEWEST else None for one in blocks]
    told = [line for line in own if line is not None]
    if not told:
        return [fit_line(one) for one in blocks]
    usual = Line(
        float(np.median([line.factor for line in told])),
        0.0 if one_scale else float(np.median([line.shift for line in told])),
        float(np.median([line.deviation for line in told])),
    )
    without = [f"'{name}'" for name, line in zip(views.names, own, strict=True) if line is None]
    if without and not one_scale:
        warn(f"{', '.join(without[:3])}: too little sure depth to tell the scale there; that of the others is taken")
    return [usual if line is None else line for line in own]


def _parts(dense: Prediction) -> tuple[tuple[MadeBy, ...], NDArray[np.uint8]]:
    """What made the dense depth, and which of them each pixel (N, H, W)."""
    assert dense.made_by is not None
    if dense.made_by_pixel is not None:
        return dense.made_by.parts, dense.made_by_pixel
    return (dense.made_by,), np.zeros(dense.depth.shape, np.uint8)


def _sky_far_off(depth: NDArray[np.float32], sky: NDArray[np.bool_]) -> NDArray[np.float32]:
    seen = depth[~sky & (depth > 0)]
    return np.where(sky, np.float32(np.quantile(seen, _FAR_QUANTILE)), depth) if len(seen) else depth
