"""Splats to begin with, and how far apart the cameras are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.choices import SplatOptimisation
from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.refine.depth_splats import DepthSplatOptions, from_depth
from recon.refine.far_splats import far_splats
from recon.types import Gaussians, Prediction

_NEAREST_EXTENT = 0.05
"""Cameras count as at least this far apart, as a fraction of the typical depth."""


def views_with_pixels(prediction: Prediction, views: Sequence[int]) -> list[int]:
    """The `views` whose mask leaves anything. Raises InputError where none is left."""
    if prediction.mask is None:
        return list(views)
    left = [view for view in views if prediction.mask[view].any()]
    if not left:
        raise InputError("masks leave nothing of any photo to fit splats to: they are white where a photo counts")
    return left


def start_from_depth(
    prediction: Prediction,
    views: Sequence[int],
    options: SplatOptimisation,
    from_depth_options: DepthSplatOptions,
) -> Gaussians:
    """Splats from the depth of `views`, and far ones where sky is known."""
    _, height, width = prediction.depth.shape
    prediction = _without_masked_colors(of_views(prediction, views))
    budget = options.gs_splats or from_depth_options.budget or height * width
    near = from_depth(prediction, replace(from_depth_options, budget=budget))
    far = far_splats(prediction)
    names = Gaussians.__dataclass_fields__
    return Gaussians(**{name: np.concatenate([getattr(near, name), getattr(far, name)]) for name in names})


def cameras_extent(world_to_camera: NDArray[np.float64], prediction: Prediction) -> float:
    """How far the (N, 4, 4) cameras are from their middle, at most, and a tenth more; never nothing."""
    centres = invert_rigid(world_to_camera)[:, :3, 3]
    apart = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).max())
    return max(1.1 * apart, _NEAREST_EXTENT * typical_depth(prediction), 1e-6)


def typical_depth(prediction: Prediction) -> float:
    """The median of the depth that was found; 0 without any."""
    known = prediction.depth[prediction.valid]
    return float(np.median(known)) if len(known) else 0.0


def _without_masked_colors(prediction: Prediction) -> Prediction:
    """With colours from around where masks exclude pixels: splats of the layer behind take some of them."""
    if prediction.mask is None or prediction.mask.all():
        return prediction
    import cv2

    photos = prediction.processed_images.copy()
    for view in range(len(photos)):
        area = view, *prediction.photo_area(view)
        mask = prediction.mask[area]
        if mask.any() and not mask.all():
            photos[area] = cv2.inpaint(
                np.ascontiguousarray(photos[area]), (~mask).astype(np.uint8), 3, cv2.INPAINT_TELEA
            )
    return replace(prediction, processed_images=photos)


def of_views(prediction: Prediction, views: Sequence[int]) -> Prediction:
    """The prediction of some of the photos alone."""
    views = list(views)
    if len(views) == len(prediction.depth):
        return prediction
    of_each = (
        "depth",
        "processed_images",
        "conf",
        "sky",
        "mask",
        "filled",
        "kept",
        "extrinsics",
        "intrinsics",
        "original_sizes",
        "processed_to_original",
        "photo_boxes",
    )
    parts = {name: getattr(prediction, name) for name in of_each}
    parts = {name: values[views] for name, values in parts.items() if values is not None}
    lenses = None if prediction.lenses is None else prediction.lenses[views]
    names = tuple(prediction.image_names[view] for view in views) if prediction.image_names else ()
    origins = tuple(prediction.extrinsics_origins[view] for view in views) if prediction.extrinsics_origins else ()
    return replace(
        prediction,
        **parts,
        lenses=lenses,
        image_names=names,
        extrinsics_origins=origins,
        gaussians=None,
        gaussian_source=None,
        ref_view=None,
        features={},
        originals=None,
    )
