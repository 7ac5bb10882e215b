"""COLMAP models: cameras, and points that their images see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.geometry.sparse_points import SparsePoints
from recon.sources.colmap_log import quiet_colmap
from recon.sources.names import natural_key, normalise_name
from recon.types.cameras import Cameras

if TYPE_CHECKING:
    import pycolmap

MODEL_FILES = ("cameras", "images", "points3D")
"""Names, without suffix, of the files a COLMAP model is made of."""

_OPENCV_COEFFICIENTS = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": (0,),
    "RADIAL": (0, 1),
    "OPENCV": (0, 1, 2, 3),
    "FULL_OPENCV": (0, 1, 2, 3, 4, 5, 6, 7),
}
"""For each COLMAP camera model, where its distortion parameters go among k1, k2, p1, p2, k3, k4, k5, k6."""


@dataclass(frozen=True)
class ColmapModel:
    """What a COLMAP model says about its N registered images."""

    names: tuple[str, ...]
    """N names as the model has them (NFC), relative to its image folder; in natural order."""
    cameras: Cameras
    """Of the originals as they were taken, lens included."""
    sparse: SparsePoints


def read_colmap(folder: Path) -> ColmapModel:
    """Read a COLMAP model from its `.bin` or `.txt` files.

    Raises:
        InputError: files missing or damaged, no registered image, or a camera model other than the pinhole, radial and
            OpenCV ones (fisheye images are to be undistorted first).
    """
    model = open_colmap(folder)
    images = sorted(
        (model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(normalise_name(image.name))
    )
    if not images:
        raise InputError(f"the COLMAP model '{folder}' has no registered image")
    cameras = [model.cameras[image.camera_id] for image in images]
    try:
        distortion = distortion_coefficients(cameras)
    except InputError as error:
        raise InputError(f"'{folder}': {error}") from error
    return ColmapModel(
        names=tuple(normalise_name(image.name) for image in images),
        cameras=Cameras(
            np.stack([world_to_camera(image) for image in images]),
            np.stack([np.asarray(camera.calibration_matrix(), np.float64) for camera in cameras]),
            np.array([(camera.width, camera.height) for camera in cameras], np.int64),
            distortion,
        ),
        sparse=sparse_points(model, images),
    )


def open_colmap(folder: Path) -> pycolmap.Reconstruction:
    """The COLMAP model of the `.bin` or `.txt` files in `folder`; InputError where they are missing or damaged."""
    import pycolmap

    if not any(all((folder / f"{name}{suffix}").is_file() for name in MODEL_FILES) for suffix in (".bin", ".txt")):
        raise InputError(f"'{folder}' holds no COLMAP model: cameras, images and points3D, all .bin or all .txt")
    with quiet_colmap():
        try:
            return pycolmap.Reconstruction(folder)
        except Exception as error:  # a parser of damaged files raises what it likes
            raise InputError(f"'{folder}' is not a readable COLMAP model: {_first_line(error)}") from error


def world_to_camera(image: pycolmap.Image) -> NDArray[np.float64]:
    """(4, 4) extrinsics of a registered image."""
    return to_4x4(np.asarray(image.cam_from_world().matrix(), np.float64))


def distortion_coefficients(cameras: Sequence[pycolmap.Camera]) -> NDArray[np.float64] | None:
    """(N, 8) k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them; None where all are zero.

    Raises InputError for a camera model that OpenCV's polynomial cannot express.
    """
    coefficients = np.zeros((len(cameras), 8))
    for row, camera in zip(coefficients, cameras, strict=True):
        places = _OPENCV_COEFFICIENTS.get(camera.model_name)
        if places is None:
            known = ", ".join(_OPENCV_COEFFICIENTS)
            raise InputError(f"the camera model {camera.model_name} is not one of {known}; undistort the images first")
        row[list(places)] = np.asarray(camera.params)[camera.extra_params_idxs()]
    return coefficients if coefficients.any() else None


def sparse_points(model: pycolmap.Reconstruction, images: Sequence[pycolmap.Image]) -> SparsePoints:
    """The points of `model`, and which of `images` see them."""
    points = dict(model.points3D.items())
    ids = np.array(sorted(points), np.int64)
    observed = []
    for image in images:
        seen = {point.point3D_id for point in image.get_observation_points2D()}
        observed.append(np.searchsorted(ids, np.array(sorted(seen), np.int64)))
    in_order: list[Any] = [points[i] for i in ids.tolist()]
    errors = np.array([point.error for point in in_order], np.float64)
    return SparsePoints(
        points=np.array([point.xyz for point in in_order], np.float64).reshape(-1, 3),
        observed=tuple(observed),
        errors=errors if (errors >= 0).all() else None,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
