"""Models of photos whose cameras are known: placed as they are, and points made for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.sfm.colmap import run_cancellable
from recon.sfm.features import read_keypoints

if TYPE_CHECKING:
    import pycolmap

_ANGLE_PER_PIXEL = 1 / 16
"""Degrees of a ray that a pixel of a bound stands for."""
_LEAST_ANGLE = 2.0


def placed_photos(
    database_path: Path,
    world_to_camera: Mapping[int, NDArray[np.float64]],
    cameras: Mapping[int, pycolmap.Camera] | None = None,
) -> pycolmap.Reconstruction:
    """A model without points, of photos at given poses (4, 4), by index.

    Cameras are those of the database, or, by their ids, `cameras`.
    """
    import pycolmap

    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database_path) as database:
        for camera in database.read_all_cameras():
            model.add_camera_with_trivial_rig((cameras or {}).get(camera.camera_id, camera))
        for index, pose in sorted(world_to_camera.items()):
            stored = database.read_image(index + 1)
            features = [pycolmap.Point2D(place) for place in read_keypoints(database, index)]
            image = pycolmap.Image(
                name=stored.name,
                points2D=pycolmap.Point2DList(features),
                camera_id=stored.camera_id,
                image_id=index + 1,
            )
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    return model


def triangulated(
    model: pycolmap.Reconstruction,
    database: Path,
    folder: Path,
    bound: float,
    seed: int,
    threads: int,
    fewest_matches: int | None = None,
) -> pycolmap.Reconstruction:
    """`model` with new points, whose observations lie within `bound` pixels of them.

    Pairs with fewer verified matches than `fewest_matches` (by default COLMAP's bound, 15) make none. `folder` is for
    temporary files.
    """
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed, options.extract_colors = threads, seed, False
    options.ba_refine_focal_length = options.ba_refine_extra_params = False
    if fewest_matches is not None:
        options.min_num_matches = fewest_matches
    angle = max(_LEAST_ANGLE, bound * _ANGLE_PER_PIXEL)
    making = options.triangulation
    making.create_max_angle_error = making.continue_max_angle_error = angle
    making.re_max_angle_error = 2 * angle
    making.merge_max_reproj_error = making.complete_max_reproj_error = bound
    making.ignore_two_view_tracks = model.num_reg_images() > 2
    options.mapper.filter_max_reproj_error = bound
    pycolmap.set_random_seed(seed)
    made = folder / "points"
    made.mkdir(exist_ok=True)
    return run_cancellable(
        lambda token: pycolmap.triangulate_points(
            model, database, folder, made, True, options, False, cancellation_token=token
        ),
        lambda: None,
    )
