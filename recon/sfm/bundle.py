"""Bundle adjustment of a finished model: with a camera for each photo, and against what wrong matches are left."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.sfm.linearised import Linearised

if TYPE_CHECKING:
    import pycolmap

_LOSS_SCALE = 0.5
"""Pixels of the small pictures, from which on an error counts less (Cauchy): features are placed to within 0.3."""
LAST_LOSS_SCALE = 0.35
"""The same, for a model that is near the truth: then what is further off than most is better trusted less."""
_TOLERANCE = 1e-6
"""Relative change of the cost at which adjustment ends; COLMAP's own takes three times as long for nothing."""
_ALL_POINTS_UP_TO = 100
"""Photos: cameras of larger sets are refined by some points of each photo, for it takes long."""
_ENOUGH_POINTS = 1000
"""Of each photo, those that most photos see first."""
_NEAR = 0.1
"""Share of the distance to the nearest camera that sees a point, within which it is moved without a further look."""
_FROM_ADJUSTED = 8
"""Iterations that end as near to the best as fifty do, where cameras start from those of a part of the points."""


def adjust(
    model: pycolmap.Reconstruction,
    *,
    focal: bool = True,
    centre: bool | Collection[int] = False,
    constant: Collection[int] = (),
    distortion: bool = True,
    placement: bool = True,
    iterations: int = 50,
    tolerance: float = _TOLERANCE,
    loss_scale: float = _LOSS_SCALE,
    threads: int = 1,
) -> float:
    """Refine cameras and points of `model` in place, robustly (Cauchy loss).

    Args:
        model: with at least two photos.
        focal: refine focal lengths.
        centre: refine principal points, or those of the cameras with these ids; other cameras are then as `constant`.
        constant: ids of cameras whose lenses stay as they are.
        distortion: refine distortion.
        placement: refine where photos were taken from, and which way they look.
        iterations: at most.
        tolerance: relative change of the cost at which to end.
        loss_scale: pixels of the small pictures, from which on an error counts less.
        threads: of the CPU.

    Returns:
        the robust cost: half the sum over all coordinates, in squared pixels.
    """
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = focal
    centres = set(model.cameras if centre is True else centre or ())
    options.refine_principal_point = bool(centres)
    options.refine_extra_params = distortion
    options.refine_rig_from_world = placement
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = loss_scale
    options.ceres.solver_options.max_num_iterations = iterations
    options.ceres.solver_options.function_tolerance = tolerance
    options.ceres.solver_options.num_threads = threads
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    for camera_id in {*constant, *(set(model.cameras) - centres if centres else ())}:
        config.set_constant_cam_intrinsics(camera_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    summary: Any = pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    model.update_point_3d_errors()
    return float(summary.ceres_summary.final_cost)


def refine(
    model: pycolmap.Reconstruction,
    *,
    lenses: bool,
    start: pycolmap.Reconstruction | None = None,
    focal: bool = True,
    centre: Collection[int] = (),
    constant: Collection[int] = (),
    threads: int = 1,
) -> pycolmap.Reconstruction:
    """A copy of `model` with cameras and points as the robust loss has them.

    Mapping minimises squared errors, by which the wrong matches that every model keeps weigh more than their number.
    Cameras of a part come close to those of the whole at a fraction of the time: from there on, few iterations are
    left. In large sets the cameras come from part of the points alone, and all points from the cameras.

    Args:
        model: what mapping found.
        lenses: refine these too, or keep them.
        start: a part of `model` whose cameras are adjusted, to start from.
        focal: refine focal lengths, where lenses are refined.
        centre: ids of cameras whose principal points are refined too; others then keep their lenses.
        constant: ids of cameras whose lenses are known.
        threads: of the CPU.
    """
    import pycolmap

    refined = pycolmap.Reconstruction(model)
    if start is not None:
        _take_cameras(refined, start)

    def finish(of: pycolmap.Reconstruction, iterations: int = 50) -> None:
        adjust(
            of,
            focal=lenses and focal,
            centre=centre if lenses else (),
            constant=constant,
            distortion=lenses,
            iterations=iterations,
            loss_scale=LAST_LOSS_SCALE,
            threads=threads,
        )

    if model.num_reg_images() <= _ALL_POINTS_UP_TO:
        if start is None:
            finish(refined)
        else:
            settle_points(refined, LAST_LOSS_SCALE)
            finish(refined, _FROM_ADJUSTED)
        return refined
    part = with_points(refined, enough_points(refined, _ENOUGH_POINTS))
    finish(part)
    _take_cameras(refined, part)
    settle_points(refined, LAST_LOSS_SCALE)
    refined.update_point_3d_errors()
    return refined


def settle_points(model: pycolmap.Reconstruction, loss_scale: float) -> None:
    """Move the points of `model` to where its cameras see them, robustly (Cauchy loss), and nothing else.

    Points that would go far stay: what is known of the slope of their errors holds nearby.
    """
    points = list(model.points3D.values())
    linearised = Linearised.of(model, loss_scale, {})
    places = np.array([point.xyz for point in points])
    change = linearised.points_alone(len(points))
    away = np.linalg.norm(places[linearised.point] - linearised.centres[linearised.image], axis=1)
    nearest = np.full(len(points), np.inf)
    np.minimum.at(nearest, linearised.point, away)
    near = np.linalg.norm(change, axis=1) <= _NEAR * nearest
    for row in np.flatnonzero(near).tolist():
        points[row].xyz = places[row] + change[row]


def _take_cameras(model: pycolmap.Reconstruction, source: pycolmap.Reconstruction) -> None:
    """Give the photos of `model` the lenses and poses that they have in `source`."""
    for camera_id, camera in source.cameras.items():
        model.cameras[camera_id].model = camera.model
        model.cameras[camera_id].params = camera.params
    for image_id in source.reg_image_ids():
        model.frame(model.images[image_id].frame_id).rig_from_world = source.images[image_id].cam_from_world()


def enough_points(model: pycolmap.Reconstruction, per_photo: int) -> list[int]:
    """Ids of points of `model` by which each photo sees at least `per_photo`, or all that it sees.

    Points that many photos see come first: they hold the cameras best.
    """
    seen = dict.fromkeys(model.reg_image_ids(), 0)
    chosen = []
    for point_id in by_track_length(model):
        photos = {element.image_id for element in model.points3D[point_id].track.elements}
        if min(seen[image_id] for image_id in photos) < per_photo:
            chosen.append(point_id)
            for image_id in photos:
                seen[image_id] += 1
    return chosen


def by_track_length(model: pycolmap.Reconstruction) -> list[int]:
    """Ids of the points of `model`, those that most photos see first."""
    return sorted(model.points3D, key=lambda point_id: (-model.points3D[point_id].track.length(), point_id))


def with_own_cameras(model: pycolmap.Reconstruction, points: Iterable[int] | None = None) -> pycolmap.Reconstruction:
    """A copy of `model` in which each photo has a camera of its own, whose id is the photo's.

    Only features that see points are copied, with `points` only those that see the points with these ids.
    """
    own = {image_id: image_id for image_id in model.reg_image_ids()}
    return copy_model(model, model.points3D if points is None else points, own)


def with_points(model: pycolmap.Reconstruction, points: Iterable[int]) -> pycolmap.Reconstruction:
    """A copy of `model` with only the points of these ids, and the features that see them."""
    return copy_model(model, points, {image_id: model.images[image_id].camera_id for image_id in model.reg_image_ids()})


def copy_model(
    model: pycolmap.Reconstruction, points: Iterable[int], camera_ids: dict[int, int]
) -> pycolmap.Reconstruction:
    """With some points, and with the camera of each photo under the id that `camera_ids` gives."""
    import pycolmap

    chosen = [model.points3D[point_id] for point_id in points]
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
    for image_id, camera_id in camera_ids.items():
        if camera_id not in copy.cameras:
            camera = pycolmap.Camera(model.cameras[model.images[image_id].camera_id].todict())
            camera.camera_id = camera_id
            copy.add_camera_with_trivial_rig(camera)
    for image_id, seen in features.items():
        image = model.images[image_id]
        own = pycolmap.Image(
            name=image.name, points2D=pycolmap.Point2DList(seen), camera_id=camera_ids[image_id], image_id=image_id
        )
        copy.add_image_with_trivial_frame(own, image.cam_from_world())
    for point, track in zip(chosen, tracks, strict=True):
        copy.add_point3D(point.xyz, track, np.zeros(3, np.uint8))
    copy.update_point_3d_errors()
    return copy
