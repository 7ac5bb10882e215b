"""Focal lengths that photos do not determine, as EXIF says them.

Cameras that all look one way, a drone's straight down or a car's ahead, see the same pictures with a longer focal
length from further away: what distinguishes them drowns in noise, and adjustment ends anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recon.sfm.bundle import LAST_LOSS_SCALE, adjust, enough_points, with_points
from recon.sfm.lens_models import free_parameters
from recon.sfm.linearised import POSE, Linearised

if TYPE_CHECKING:
    import pycolmap

_LARGEST_UNCERTAINTY = 0.02
"""Relative standard deviation: EXIF is that exact, for it rounds to millimetres of 35 mm film."""
_POINTS = (100, 1000)
"""Of each photo, that decide: few are enough where the focal length is sure, and more are asked where it is not."""
_ITERATIONS = 100
_LARGEST_LOSS = 1.05
"""Factor on the mean error, from which on the photos speak against EXIF."""


class HeldFocals(NamedTuple):
    """A model in which focal lengths are as EXIF says."""

    model: pycolmap.Reconstruction
    deviations: dict[int, float]
    """Standard deviation in pixels, by id of each camera whose focal length the photos do not determine."""


def hold_weak_focals(model: pycolmap.Reconstruction, exif: Mapping[int, float], threads: int = 1) -> HeldFocals | None:
    """A copy of `model` with the focal lengths of `exif` (pixels, by id of the camera) where the photos tell them less
    exactly; the others stay as they are. None where all are told better, EXIF is silent, or the photos speak against
    it."""
    import pycolmap

    used = {model.images[image_id].camera_id for image_id in model.reg_image_ids()}
    weak = dict.fromkeys(used & exif.keys(), 0.0)
    for points in _POINTS:
        if not weak:
            return None
        found = _deviations(with_points(model, enough_points(model, points)))
        weak = {
            camera_id: found[camera_id]
            for camera_id in weak
            if not found[camera_id] <= _LARGEST_UNCERTAINTY * model.cameras[camera_id].mean_focal_length()
        }
    if not weak:
        return None
    held = pycolmap.Reconstruction(model)
    ratios = []
    for camera_id in weak:
        camera = held.cameras[camera_id]
        ratios.append(exif[camera_id] / camera.mean_focal_length())
        parameters = np.array(camera.params)
        parameters[list(camera.focal_length_idxs())] = exif[camera_id]
        camera.params = parameters.tolist()
    _stretch(held, float(np.median(ratios)))
    adjust(held, focal=False, iterations=_ITERATIONS, loss_scale=LAST_LOSS_SCALE, threads=threads)
    worse = held.compute_mean_reprojection_error() > _LARGEST_LOSS * model.compute_mean_reprojection_error()
    return None if worse else HeldFocals(held, weak)


def _deviations(model: pycolmap.Reconstruction) -> dict[int, float]:
    """Standard deviation of the focal length in pixels, by id of the camera; infinite where it cannot be told."""
    free = free_parameters(model, ())
    linearised = Linearised.of(model, LAST_LOSS_SCALE, free)
    try:
        variances = np.diag(linearised.covariance())[POSE * len(linearised.image_ids) :]
    except np.linalg.LinAlgError:
        variances = np.full(linearised.lens_count, np.inf)
    found, first = {}, 0
    for camera_id in sorted(free):
        places = [first + free[camera_id].index(index) for index in model.cameras[camera_id].focal_length_idxs()]
        variance = float(variances[places].max())
        found[camera_id] = float(np.sqrt(variance)) if variance >= 0 else float("inf")
        first += len(free[camera_id])
    return found


def _stretch(model: pycolmap.Reconstruction, factor: float) -> None:
    """Make the scene `factor` times as deep along the mean view: that is what cameras that all look there see with
    focal lengths that much longer."""
    import pycolmap

    poses = {image_id: model.images[image_id].cam_from_world().matrix() for image_id in model.reg_image_ids()}
    centres = {image_id: -pose[:, :3].T @ pose[:, 3] for image_id, pose in poses.items()}
    view = np.sum([pose[2, :3] for pose in poses.values()], axis=0)
    view /= max(float(np.linalg.norm(view)), 1e-12)
    stretch = np.eye(3) + (factor - 1) * np.outer(view, view)
    middle = np.mean(list(centres.values()), axis=0)
    for point in model.points3D.values():
        point.xyz = middle + stretch @ (point.xyz - middle)
    for image_id, pose in poses.items():
        rotation = pose[:, :3]
        centre = middle + stretch @ (centres[image_id] - middle)
        moved = pycolmap.Rigid3d(np.column_stack([rotation, -rotation @ centre]))
        model.frame(model.images[image_id].frame_id).rig_from_world = moved
