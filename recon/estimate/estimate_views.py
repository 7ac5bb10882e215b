"""Views through an estimator, and with the depth what the views themselves know: masks, lenses, origins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.estimate.estimator import Estimator, Wishes
from recon.estimate.own_sizes import estimate_at_own_sizes
from recon.progress import TellPart
from recon.sources.fitting import Views
from recon.types import Prediction
from recon.types.cameras import CameraOrigin, Cameras


def estimate_views(
    estimator: Estimator,
    views: Views,
    wishes: Wishes = Wishes(),
    progress: TellPart | None = None,
) -> Prediction:
    """`Estimator.estimate`, with the masks and the cameras of the originals, and where its cameras come from.

    Where a mask leaves a pixel out, depth is 0, confidence the lowest, nothing is sky or filled in, and a Gaussian of
    the head shows nothing.
    """
    prediction = estimate_at_own_sizes(estimator, views, wishes, progress)
    prediction = replace(_masked(prediction, views.masks), photo_boxes=views.photo_boxes)
    extrinsics_origin: CameraOrigin | None = None
    if prediction.extrinsics is not None:
        extrinsics_origin = "predicted" if views.cameras.world_to_camera is None else views.cameras.origin
    return replace(
        prediction,
        lenses=_lenses(prediction, views),
        extrinsics_origin=extrinsics_origin,
        extrinsics_origins=() if prediction.extrinsics is None else views.cameras.origins or (),
    )


def _masked(prediction: Prediction, masks: NDArray[np.bool_] | None) -> Prediction:
    """Without depth outside the (N, H, W) masks: also for who reads the depth alone."""
    if masks is None:
        return prediction

    gaussians = prediction.gaussians
    if gaussians is not None:  # of the head, one per pixel
        gaussians = replace(gaussians, opacities=np.where(masks.ravel(), gaussians.opacities, np.float32(0)))

    def kept(flags: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        return None if flags is None else flags & masks

    return replace(
        prediction,
        mask=masks,
        depth=np.where(masks, prediction.depth, np.float32(0)),
        conf=None if prediction.conf is None else np.where(masks, prediction.conf, np.float32(1)),
        sky=kept(prediction.sky),
        filled=kept(prediction.filled),
        gaussians=gaussians,
    )


def _lenses(prediction: Prediction, views: Views) -> Cameras | None:
    """Of the originals as they were taken, without extrinsics: known, or else predicted."""
    known = replace(views.original_cameras, world_to_camera=None, origins=None)
    if known.intrinsics is not None:
        return known
    if prediction.intrinsics is None:
        return None
    intrinsics = views.processed_to_original @ prediction.intrinsics.astype(np.float64)
    return Cameras(intrinsics=intrinsics, sizes=views.original_sizes, origin="predicted", scale="free")
