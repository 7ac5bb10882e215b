"""Focal lengths to start mapping from, where EXIF says nothing.

A start far from the truth can end in a model that is consistent and wrong, above all when the camera moves forward.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.sfm.photos import ASSUMED_FOCAL

if TYPE_CHECKING:
    import pycolmap

_BELIEVABLE = (0.5, 2.5)
"""Focal lengths, in units of the longer side, that an estimate from overlaps is trusted with: 90° to 23°."""
FAR_FROM_EXIF = 1.25
"""Factor between the focal lengths of EXIF and of the photos, beyond which they disagree."""
_FACTORS = 1.25 ** np.arange(-6.0, 7)
"""On the focal length by EXIF, that two photos are tried with: a quarter to fourfold."""
_DISAGREES = 1.2
"""Factor on the best cost, from which on a pair refutes EXIF."""
_FEWEST_FOR_FOCAL, _MOST_FOR_FOCAL = 50, 400
"""Matches of a pair that its focal length is told from."""
_LARGEST_ERROR = 4.0
"""Pixels from the epipolar line; larger errors count as this."""


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


def correct_exif_of_pair(database_path: Path, seed: int) -> None:
    """Give the cameras of two photos with EXIF the focal length that their matches tell, if EXIF's is far from it.

    A pair cannot refine its lenses while it is mapped. But where it sees depth, the motion that fits best explains its
    matches far less exactly with a focal length far off.
    """
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        if not all(camera.has_prior_focal_length for camera in cameras.values()):
            return
        if not database.exists_two_view_geometry(1, 2):
            return
        matches = np.asarray(database.read_two_view_geometry(1, 2).inlier_matches)
        if len(matches) < _FEWEST_FOR_FOCAL:
            return
        matches = matches[:: -(-len(matches) // _MOST_FOR_FOCAL)]
        pixels = [np.asarray(database.read_keypoints(i + 1), np.float64)[matches[:, i], :2] for i in range(2)]
        lenses = [cameras[database.read_image(i + 1).camera_id] for i in range(2)]
        costs = np.array([_motion_cost(pixels, lenses, factor, seed) for factor in _FACTORS])
        best, as_exif = int(costs.argmin()), float(costs[_FACTORS == 1][0])
        if as_exif < _DISAGREES * costs[best]:
            return
        factor = _lowest(np.log(_FACTORS), costs, best)
        for camera in cameras.values():
            _set_focal(camera, factor * camera.mean_focal_length())
            database.update_camera(camera)


def _motion_cost(pixels: list[NDArray[np.float64]], cameras: list[pycolmap.Camera], factor: float, seed: int) -> float:
    """Mean squared distance in pixels from epipolar lines, each at most 4, of the best motion between two cameras.

    Their focal lengths are `factor` times what they are, their lenses without distortion.
    """
    import pycolmap

    pinholes = [
        pycolmap.Camera(
            model="SIMPLE_PINHOLE",
            width=camera.width,
            height=camera.height,
            params=[factor * camera.mean_focal_length(), camera.principal_point_x, camera.principal_point_y],
        )
        for camera in cameras
    ]
    options = pycolmap.RANSACOptions(max_error=_LARGEST_ERROR, random_seed=seed)
    found = pycolmap.estimate_relative_pose(pinholes[0], pixels[0], pinholes[1], pixels[1], options)
    if found is None:
        return _LARGEST_ERROR**2
    motion = found["cam2_from_cam1"]
    refined = pycolmap.refine_relative_pose(
        motion, pinholes[0], pixels[0], pinholes[1], pixels[1], found["inlier_mask"]
    )
    if refined is not None:
        motion = refined["cam2_from_cam1"]
    first, second = (np.linalg.inv(pinhole.calibration_matrix()) for pinhole in pinholes)
    fundamental = second.T @ pycolmap.essential_matrix_from_pose(motion) @ first
    squared = np.asarray(pycolmap.compute_squared_sampson_error(pixels[0], pixels[1], fundamental))
    return float(np.minimum(squared, _LARGEST_ERROR**2).mean())


def _lowest(logarithms: NDArray[np.float64], costs: NDArray[np.float64], best: int) -> float:
    """Factor at the lowest point of the parabola through the best and its neighbours, `logarithms` evenly spaced."""
    if not 0 < best < len(costs) - 1:
        return float(np.exp(logarithms[best]))
    before, at, after = costs[best - 1 : best + 2]
    offset = (before - after) / (2 * (before - 2 * at + after))
    return float(np.exp(logarithms[best] + offset * (logarithms[1] - logarithms[0])))


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


def exif_focals(database_path: Path) -> dict[int, float]:
    """Focal lengths in pixels of the small pictures, by the ids of the cameras that EXIF says one of."""
    import pycolmap

    with pycolmap.Database.open(database_path) as database:
        cameras = database.read_all_cameras()
    return {camera.camera_id: camera.mean_focal_length() for camera in cameras if camera.has_prior_focal_length}


def forget_exif(database_path: Path) -> None:
    """Leave the focal lengths of all cameras to be estimated, from a common one on."""
    start_from(database_path, ASSUMED_FOCAL)


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
