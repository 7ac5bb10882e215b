"""Bundle adjustment of a finished model: with a camera for each photo, and against what wrong matches are left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pycolmap

_LOSS_SCALE = 0.5
"""Pixels of the small pictures, from which on an error counts less (Cauchy): features are placed to within 0.3."""
_TOLERANCE = 1e-6
"""Relative change of the cost at which adjustment ends; COLMAP's own takes three times as long for nothing."""


def adjust(
    model: pycolmap.Reconstruction,
    *,
    focal: bool = True,
    centre: bool = False,
    distortion: bool = True,
    iterations: int = 50,
    tolerance: float = _TOLERANCE,
) -> float:
    """Refine cameras and points of `model` in place, robustly (Cauchy loss), on one thread.

    Args:
        model: with at least two photos.
        focal: refine focal lengths.
        centre: refine principal points.
        distortion: refine distortion.
        iterations: at most.
        tolerance: relative change of the cost at which to end.

    Returns:
        the robust cost: half the sum over all coordinates, in squared pixels.
    """
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = focal
    options.refine_principal_point = centre
    options.refine_extra_params = distortion
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = _LOSS_SCALE
    options.ceres.solver_options.max_num_iterations = iterations
    options.ceres.solver_options.function_tolerance = tolerance
    options.ceres.solver_options.num_threads = 1
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    summary: Any = pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    model.update_point_3d_errors()
    return float(summary.ceres_summary.final_cost)


def with_own_cameras(model: pycolmap.Reconstruction, points: Iterable[int] | None = None) -> pycolmap.Reconstruction:
    """A copy of `model` in which each photo has a camera of its own, whose id is the photo's.

    Only features that see points are copied, with `points` only those that see the points with these ids.
    """
    import pycolmap

    chosen = [model.points3D[point_id] for point_id in (model.points3D if points is None else points)]
    features: dict[int, list[pycolmap.Point2D]] = {image_id: [] for image_id in model.reg_image_ids()}
    tracks = []
    for point in chosen:
        track = pycolmap.Track()
        for element in point.track.elements:
            seen_by = features[element.image_id]
            track.add_element(element.image_id, len(seen_by))
            seen_by.append(pycolmap.Point2D(model.images[element.image_id].points2D[element.point2D_idx].xy))
        tracks.append(track)

    copy = pycolmap.Reconstruction()
    for image_id in features:
        camera = pycolmap.Camera(model.cameras[model.images[image_id].camera_id].todict())
        camera.camera_id = image_id
        copy.add_camera_with_trivial_rig(camera)
    for image_id, seen in features.items():
        image = model.images[image_id]
        own = pycolmap.Image(
            name=image.name, points2D=pycolmap.Point2DList(seen), camera_id=image_id, image_id=image_id
        )
        copy.add_image_with_trivial_frame(own, image.cam_from_world())
    for point, track in zip(chosen, tracks, strict=True):
        copy.add_point3D(point.xyz, track, np.zeros(3, np.uint8))
    copy.update_point_3d_errors()
    return copy
