"""What the maps of a network that looks at each view alone mean, in torch as in an ONNX file: depth, sky and metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_3x4
from recon.geometry.disparity import depth_from_disparity
from recon.messages import warn
from recon.models.conventions import Conventions
from recon.models.single_view import CANONICAL_FOCAL, SKY_THRESHOLD
from recon.sources.fitting import Views
from recon.types import FloatArray, MadeBy, Prediction, Units

_FEW_PIXELS = 10
"""Up to this many pixels say nothing."""
_FAR_QUANTILE = 0.99


@dataclass(frozen=True)
class SingleViewMaps:
    """What a network gives of N views, as it gives it."""

    values: NDArray[np.float32]
    """(N, H, W) depth or disparity, as the network's `Conventions` say."""
    sky_score: NDArray[np.float32] | None = None
    """(N, H, W); None from a network that does not tell."""
    features: Mapping[int, FloatArray] = field(default_factory=dict)
    """(N, h, w, C) of each block asked for."""


def single_view_prediction(maps: SingleViewMaps, made_by: MadeBy, conventions: Conventions, views: Views) -> Prediction:
    """The prediction that `maps` of `views` amount to, no view knowing of another.

    Depth is in metres where the network gives metres, or gives them for a known focal length and the cameras have one
    that is not assumed; else relative. Sky is put at the far end of its view. Where the network gives no number, depth
    is NaN (`recon.estimate.depth_check` deals with it). Cameras pass through.
    """
    name, cameras = made_by.name, views.cameras
    depth = maps.values
    if conventions.output_kind == "disparity":
        depth = depth_of_disparity(depth)
    sky = None
    if maps.sky_score is not None:
        sky = maps.sky_score >= SKY_THRESHOLD
        depth = np.stack([fill_sky(*view) for view in zip(depth, sky, strict=True)])
    units: Units = "metric" if conventions.metres == "always" else "relative"
    scale_factor = None
    if conventions.metres == "with focal":
        if cameras.intrinsics is None or cameras.origin == "assumed":
            warn(f"{name} gives metres only with a focal length (intrinsics, or EXIF); without one depth is relative")
        else:
            factors = metres_per_unit(cameras.intrinsics)  # (N,)
            depth = depth * factors[:, None, None].astype(np.float32)
            units = "metric"
            scale_factor = float(factors[0]) if np.allclose(factors, factors[0], rtol=1e-6) else None
    if cameras.world_to_camera is not None:
        warn(
            f"{name} gives metres: the given extrinsics are taken to be in metres too"
            if units == "metric"
            else f"{name} looks at each view alone: the given cameras are passed on, and depth is not in their scale"
        )
    return Prediction(
        depth=depth,
        processed_images=views.pixels,
        sky=sky,
        made_by=made_by,
        extrinsics=None if cameras.world_to_camera is None else to_3x4(cameras.world_to_camera).astype(np.float32),
        intrinsics=None if cameras.intrinsics is None else cameras.intrinsics.astype(np.float32),
        units=units,
        scale_factor=scale_factor,
        image_names=tuple(views.names),
        original_sizes=views.original_sizes,
        processed_to_original=views.processed_to_original,
        features=dict(maps.features),
    )


def depth_of_disparity(disparity: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, H, W) relative depth; disparity below zero counts as zero, and where it is no number depth is none (NaN)."""
    known = np.isfinite(disparity)
    disparity = np.where(known, disparity, np.float32(0)).clip(0, None)
    depth = depth_from_disparity(disparity, disparity.max(axis=(-2, -1), keepdims=True))
    return np.where(known, depth, np.float32(np.nan))


def fill_sky(depth: NDArray[np.float32], sky: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) depth with sky at the far end (99 %) of the rest, as `recon.models.postprocess.fill_single_view_sky`.

    A view that is (nearly) all sky or (nearly) without it stays as it is.
    """
    seen = depth[~sky & np.isfinite(depth)]
    if np.count_nonzero(sky) <= _FEW_PIXELS or len(seen) <= _FEW_PIXELS:
        return depth
    return np.where(sky, np.float32(np.quantile(seen, _FAR_QUANTILE)), depth)


def metres_per_unit(intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) what depth of a metric network of Depth Anything 3 is multiplied by, from the processed images' (N, 3, 3)
    intrinsics: focal / 300 (arXiv 2511.10647)."""
    return np.asarray((intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2 / CANONICAL_FOCAL)
