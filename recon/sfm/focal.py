"""Focal lengths to start mapping from, where EXIF says nothing.

A start far from the truth can end in a model that is consistent and wrong, above all when the camera moves forward.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pycolmap

_BELIEVABLE = (0.5, 2.5)
"""Focal lengths, in units of the longer side, that an estimate from overlaps is trusted with: 90° to 23°."""


def estimate_focals(database_path: Path, folder: Path, seed: int) -> None:
    """Give cameras without EXIF the focal length that the fundamental matrices of their photos agree on, if any.

    Cameras that no agreement is found for keep theirs. After Sweeney et al., Optimizing the Viewing Graph for
    Structure-from-Motion, ICCV 2015. `folder` is for temporary files.
    """
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        if all(camera.has_prior_focal_length for camera in database.read_all_cameras()):
            return
        graph = folder / "overlaps.db"
        copy_overlaps(database, graph)
        options = pycolmap.ViewGraphCalibrationOptions()
        options.random_seed = seed
        options.reestimate_relative_pose = False
        try:
            if not pycolmap.calibrate_view_graph(graph, options):
                return
            with pycolmap.Database.open(graph) as calibrated:
                estimates = {camera.camera_id: camera.mean_focal_length() for camera in calibrated.read_all_cameras()}
        finally:
            graph.unlink()
        for camera in database.read_all_cameras():
            focal = estimates[camera.camera_id]
            least, most = (ratio * max(camera.width, camera.height) for ratio in _BELIEVABLE)
            if not camera.has_prior_focal_length and least <= focal <= most:
                _set_focal(camera, focal)
                database.update_camera(camera)


def copy_overlaps(database: pycolmap.Database, path: Path, own_cameras: bool = False) -> None:
    """Write everything but descriptors to a new database: calibration changes it, and they would make it large.

    With `own_cameras`, each photo gets a camera of its own, with the photo's id, that starts as the one it shared.
    """
    import pycolmap

    with pycolmap.Database.open(path) as copy:
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        images = sorted(database.read_all_images(), key=lambda image: image.image_id)
        frames, rigs = database.read_all_frames(), database.read_all_rigs()
        if own_cameras:
            cameras = {image.image_id: _copied(cameras[image.camera_id], image.image_id) for image in images}
            rigs = [_rig_of(camera) for camera in cameras.values()]
        for camera in cameras.values():
            copy.write_camera(camera, use_camera_id=True)
        for rig in rigs:
            copy.write_rig(rig, use_rig_id=True)
        for image in images:
            plain = pycolmap.Image(name=image.name, camera_id=image.image_id if own_cameras else image.camera_id)
            plain.image_id = image.image_id  # its frame follows
            copy.write_image(plain, use_image_id=True)
            if database.exists_keypoints(image.image_id):
                copy.write_keypoints(image.image_id, database.read_keypoints(image.image_id))
            if own_cameras:
                frame = pycolmap.Frame()
                frame.frame_id = frame.rig_id = image.image_id
                frame.add_data_id(plain.data_id)
                copy.write_frame(frame, use_frame_id=True)
        for frame in [] if own_cameras else frames:
            copy.write_frame(frame, use_frame_id=True)
        for pair_id, geometry in zip(*database.read_two_view_geometries(), strict=True):
            pair = pycolmap.pair_id_to_image_pair(pair_id)
            copy.write_two_view_geometry(*pair, geometry)
            copy.write_matches(*pair, database.read_matches(*pair))


def _copied(camera: pycolmap.Camera, camera_id: int) -> pycolmap.Camera:
    import pycolmap

    copy = pycolmap.Camera(camera.todict())
    copy.camera_id = camera_id
    return copy


def _rig_of(camera: pycolmap.Camera) -> pycolmap.Rig:
    import pycolmap

    rig = pycolmap.Rig()
    rig.rig_id = camera.camera_id
    rig.add_ref_sensor(camera.sensor_id)
    return rig


def start_from(database_path: Path, focal: float) -> None:
    """Give every camera `focal`, in units of its longer side, and a lens without distortion."""
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        for camera in database.read_all_cameras():
            _set_focal(camera, focal * max(camera.width, camera.height))
            camera.has_prior_focal_length = False
            database.update_camera(camera)


def _set_focal(camera: pycolmap.Camera, focal: float) -> None:
    parameters = np.array(camera.params)
    parameters[list(camera.focal_length_idxs())] = focal
    parameters[list(camera.extra_params_idxs())] = 0
    camera.params = parameters.tolist()
