"""Hypersim (Roberts et al., ICCV 2021): rendered rooms, in metres.

    ai_001_001/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg
    ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5   distance to the camera's centre
    ai_001_001/_detail/cam_00/camera_keyframe_positions.hdf5                    (N, 3) in asset units
    ai_001_001/_detail/cam_00/camera_keyframe_orientations.hdf5                 (N, 3, 3) camera to world, OpenGL's axes
    ai_001_001/_detail/cam_00/camera_keyframe_frame_indices.hdf5                (N,) numbers of the frames
    ai_001_001/_detail/metadata_scene.csv                                       meters_per_asset_unit
    metadata_camera_parameters.csv                                              M_cam_from_uv of every scene, beside it

All cameras of a scene are read together. Some scenes were rendered with a lens that is tilted and shifted; the file of
camera parameters, which comes with the toolkit (contrib/mikeroberts3000 of github.com/apple/ml-hypersim), says how.
It is looked for in the scene's folder and in the two above. Each such camera is a pinhole camera whose axes are turned:
rays through pixels are M (u, v, 1), and M⁻¹ = K R gives its intrinsics and its turn. Without the file, all see 60
degrees across, as most do.
"""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, MissingExtraError
from recon.eval.layouts.layout import Layout, image_size
from recon.eval.truth import DepthFile, GroundTruth
from recon.geometry.cameras import invert_rigid
from recon.geometry.unprojection import pixel_centres
from recon.messages import warn

PARAMETERS = "metadata_camera_parameters.csv"
_SCENE = Path("_detail") / "metadata_scene.csv"
_FRAME = re.compile(r"frame\.(\d+)\.tonemap\.jpg")
_OPENGL_FROM_OPENCV = np.diag([1.0, -1, -1])
_FIELD_OF_VIEW = np.pi / 3
"""Radians, horizontally, of the cameras without tilt and shift."""


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if (folder / _SCENE).is_file() and (folder / "images").is_dir() else None


def read(folder: Path) -> GroundTruth:
    """The tonemapped images of all cameras."""
    metres = _metres_per_unit(folder / _SCENE)
    parameters = _parameters(folder)
    found: list[tuple[Path, NDArray[np.float64]]] = []
    for detail in sorted((folder / "_detail").glob("cam_*")):
        images = folder / "images" / f"scene_{detail.name}_final_preview"
        matrices = _camera_to_world(detail, metres)
        for path in sorted(images.glob("frame.*.tonemap.jpg")):
            match = _FRAME.fullmatch(path.name)
            if match and int(match[1]) in matrices:
                found.append((path, matrices[int(match[1])]))
    if not found:
        raise InputError(f"{folder}: no images/scene_cam_*_final_preview/frame.*.tonemap.jpg with a camera in _detail/")
    size = image_size(found[0][0])
    to_ray = _rays(parameters, size)
    intrinsics, axes = _pinhole(to_ray)
    depth = [_depth_file(path, to_ray, axes[2]) for path, _ in found]
    camera_to_world = np.stack([matrix for _, matrix in found])
    camera_to_world[:, :3, :3] = camera_to_world[:, :3, :3] @ axes.T
    return GroundTruth(
        layout="Hypersim",
        path=folder,
        units="m",
        image_names=tuple(path.relative_to(folder).as_posix() for path, _ in found),
        image_paths=tuple(path for path, _ in found),
        image_sizes=np.tile(size, (len(found), 1)),
        extrinsics=invert_rigid(camera_to_world),
        intrinsics=np.tile(intrinsics, (len(found), 1, 1)),
        depth_files=tuple(depth) if any(depth) else (),
    )


def _metres_per_unit(path: Path) -> float:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            values = dict(row[:2] for row in csv.reader(file) if len(row) >= 2)
        metres = float(values["meters_per_asset_unit"])
        if not (np.isfinite(metres) and metres > 0):
            raise ValueError(f"{metres} is no length")
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: does not say meters_per_asset_unit ({error!r})") from error
    return metres


def _camera_to_world(detail: Path, metres: float) -> dict[int, NDArray[np.float64]]:
    """(4, 4) of each frame, in OpenCV's axes and metres."""
    positions = read_array(detail / "camera_keyframe_positions.hdf5").astype(np.float64)
    rotations = read_array(detail / "camera_keyframe_orientations.hdf5").astype(np.float64)
    indices = detail / "camera_keyframe_frame_indices.hdf5"
    numbers = read_array(indices).astype(np.int64).ravel() if indices.is_file() else np.arange(len(positions))
    count = len(numbers)
    if positions.shape != (count, 3) or rotations.shape != (count, 3, 3):
        raise InputError(
            f"{detail}: positions {positions.shape}, orientations {rotations.shape} and {count} frames do not fit"
        )
    matrices = np.tile(np.eye(4), (count, 1, 1))
    matrices[:, :3, :3] = rotations @ _OPENGL_FROM_OPENCV
    matrices[:, :3, 3] = positions * metres
    return dict(zip(numbers.tolist(), matrices, strict=True))


def _parameters(folder: Path) -> dict[str, str] | None:
    """The row of the scene; None without the file, which is said."""
    place = folder.resolve()
    path = next((one / PARAMETERS for one in (place, *place.parents[:2]) if (one / PARAMETERS).is_file()), None)
    if path is None:
        warn(
            f"'{folder}': {PARAMETERS} is neither in it nor in the two folders above; its camera is taken as one of 60 "
            "degrees without tilt and shift, which some scenes have"
        )
        return None
    with path.open(newline="", encoding="utf-8") as file:
        row = next((row for row in csv.DictReader(file) if row.get("scene_name") == place.name), None)
    if row is None:
        raise InputError(f"{path}: has no scene {place.name}; the folder must have the name of its scene")
    return row


def _rays(parameters: dict[str, str] | None, size: tuple[int, int]) -> NDArray[np.float64]:
    """(3, 3) from pixels (x, y, 1) of an image of that size to rays in OpenCV's axes."""
    width, height = size
    if parameters is None:
        across = np.tan(_FIELD_OF_VIEW / 2)
        from_uv = np.diag([across, across * height / width, -1.0])
    else:
        try:
            from_uv = np.array([[float(parameters[f"M_cam_from_uv_{i}{j}"]) for j in range(3)] for i in range(3)])
        except (KeyError, ValueError) as error:
            raise InputError(f"{PARAMETERS}: M_cam_from_uv is not complete: {error!r}") from error
    # u goes from -1 to 1 from left to right, v from bottom to top.
    uv = np.array([[2 / width, 0, -1], [0, -2 / height, 1], [0, 0, 1.0]])
    return _OPENGL_FROM_OPENCV @ from_uv @ uv


def _pinhole(to_ray: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """K and R (3, 3), of K R = `to_ray`⁻¹ up to a factor: the camera whose axes are turned by R."""
    from scipy.linalg import rq

    triangular, turn = rq(np.linalg.inv(to_ray))
    signs = np.diag(np.sign(np.diag(triangular)))
    triangular, turn = triangular @ signs, signs @ turn
    return triangular / triangular[2, 2], turn * np.sign(np.linalg.det(turn))


def _depth_file(image: Path, to_ray: NDArray[np.float64], axis: NDArray[np.float64]) -> DepthFile | None:
    folder = image.parent.with_name(image.parent.name.replace("_final_preview", "_geometry_hdf5"))
    path = folder / image.name.replace(".tonemap.jpg", ".depth_meters.hdf5")
    return DepthFile(path, partial(_read_depth, path, image, to_ray, axis)) if path.is_file() else None


def _read_depth(path: Path, image: Path, to_ray: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float32]:
    """Distance times the cosine between the ray and the optical axis."""
    distance = read_array(path)
    if distance.ndim != 2 or distance.dtype.kind != "f":
        raise InputError(f"{path}: expected a map of distances, got {distance.dtype} {distance.shape}")
    height, width = distance.shape
    scale = np.array(image_size(image)) / (width, height)
    rays = np.c_[(pixel_centres(height, width) * scale).reshape(-1, 2), np.ones(height * width)] @ to_ray.T
    cosine = (rays @ axis / np.linalg.norm(rays, axis=1)).reshape(height, width)
    depth = distance.astype(np.float32) * cosine.astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_array(path: Path) -> NDArray[Any]:
    """What a file of HDF5 holds under the name `dataset`.

    Raises InputError naming the file, MissingExtraError without h5py.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"'{path}', a file of HDF5,", "h5py", "hypersim") from error
    try:
        with h5py.File(path, "r") as file:
            return np.asarray(file["dataset"])
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not a file of HDF5 with an array 'dataset' ({error})") from error


LAYOUT = Layout("Hypersim", "_detail/metadata_scene.csv and images/", find, read)
