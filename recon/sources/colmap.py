"""COLMAP models: cameras, and points that their images see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.geometry.sparse_points import SparsePoints
from recon.sources.camera_entries import CamerasFile
from recon.sources.colmap_binary import check_binary
from recon.sources.colmap_log import quiet_colmap
from recon.sources.colmap_text import unreadable_line
from recon.sources.lenses import Lens, lens_entry
from recon.sources.model_files import MODEL_FILES
from recon.sources.names import natural_key, normalise_name
from recon.types.cameras import Cameras

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True)
class ColmapModel:
    """What a COLMAP model says about its N registered images."""

    names: tuple[str, ...]
    """N names as the model has them (NFC), relative to its image folder; in natural order."""
    world_to_camera: NDArray[np.float64]
    """(N, 4, 4)"""
    lenses: tuple[Lens, ...]
    """N: those of one camera are one object."""
    sparse: SparsePoints

    @property
    def cameras(self) -> Cameras:
        """Of the originals as they were taken, lens included. Raises InputError for a lens that OpenCV's polynomial
        cannot express, such as a fisheye."""
        return Cameras(
            self.world_to_camera,
            np.stack([lens.intrinsics for lens in self.lenses]),
            np.array([lens.size for lens in self.lenses], np.int64),
            _opencv_coefficients(self.lenses),
        )


def read_colmap(folder: Path) -> ColmapModel:
    """Read a COLMAP model from its `.bin` or `.txt` files.

    Raises:
        InputError: files missing or damaged, no registered image, or cameras that are none.
    """
    model = open_colmap(folder)
    images = sorted(
        (model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(normalise_name(image.name))
    )
    if not images:
        raise InputError(f"the COLMAP model '{folder}' has no registered image")
    lenses = {index: Lens.of(camera) for index, camera in model.cameras.items()}
    for index in sorted({image.camera_id for image in images}):
        lenses[index].check(f"camera {index} of the COLMAP model '{folder}'")
    poses = np.stack([world_to_camera(image) for image in images])
    wrong = ~np.isfinite(poses).all(axis=(1, 2))
    if wrong.any():
        name = images[int(np.argmax(wrong))].name
        raise InputError(f"the COLMAP model '{folder}': the pose of image '{name}' holds NaN or infinity; remove it")
    return ColmapModel(
        names=tuple(normalise_name(image.name) for image in images),
        world_to_camera=poses,
        lenses=tuple(lenses[image.camera_id] for image in images),
        sparse=sparse_points(model, images, np.ones(len(images))),
    )


def read_colmap_cameras(folder: Path) -> CamerasFile:
    """The cameras and points of a COLMAP model, to be put to photos by name; errors as `read_colmap`."""
    model = read_colmap(folder)
    entries = [
        {**lens_entry(lens, f"the COLMAP model '{folder}'"), "world_to_camera": pose}
        for lens, pose in zip(model.lenses, model.world_to_camera, strict=True)
    ]
    return CamerasFile(folder, model.names, entries, points=model.sparse, as_stored=True)


def open_colmap(folder: Path) -> pycolmap.Reconstruction:
    """The COLMAP model of the `.bin` or `.txt` files in `folder`; InputError where they are missing or damaged."""
    import pycolmap

    if (missing := missing_files(folder)) is not None:
        raise InputError(missing)
    if all((folder / f"{name}.bin").is_file() for name in MODEL_FILES):
        check_binary(folder)
    with quiet_colmap():
        try:
            return pycolmap.Reconstruction(folder)
        except Exception as error:  # a parser of damaged files raises what it likes
            line = unreadable_line(folder)
            if line is not None:
                raise InputError(f"'{folder}' is not a readable COLMAP model: {line}") from error
            raise InputError(
                f"'{folder}' is not a readable COLMAP model; are its files whole, and of one model (rigs and frames "
                f"among them, where it has them)? COLMAP says: {_first_line(error)}"
            ) from error


def missing_files(folder: Path) -> str | None:
    """What `folder` lacks to be a COLMAP model; None where it is one."""
    lacking = {
        suffix: [f"{name}{suffix}" for name in MODEL_FILES if not (folder / f"{name}{suffix}").is_file()]
        for suffix in (".bin", ".txt")
    }
    if not all(lacking.values()):
        return None
    fewest = min(lacking.values(), key=len)
    if len(fewest) == len(MODEL_FILES):
        return f"'{folder}' holds no COLMAP model: cameras, images and points3D, all .bin or all .txt"
    return f"the COLMAP model '{folder}' lacks {' and '.join(fewest)}; copy it with all its files"


def world_to_camera(image: pycolmap.Image) -> NDArray[np.float64]:
    """(4, 4) extrinsics of a registered image."""
    return to_4x4(np.asarray(image.cam_from_world().matrix(), np.float64))


def distortion_coefficients(cameras: Sequence[pycolmap.Camera]) -> NDArray[np.float64] | None:
    """(N, 8) k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them; None where all are zero.

    Raises InputError for a camera model that OpenCV's polynomial cannot express.
    """
    return _opencv_coefficients([Lens.of(camera) for camera in cameras])


def _opencv_coefficients(lenses: Sequence[Lens]) -> NDArray[np.float64] | None:
    found = []
    for lens in lenses:
        if lens.opencv is None:
            raise InputError(f"OpenCV's polynomial cannot express the lens {lens.model}; undistort the images first")
        found.append(lens.opencv)
    coefficients = np.array(found)
    return coefficients if coefficients.any() else None


def sparse_points(
    model: pycolmap.Reconstruction, images: Sequence[pycolmap.Image], scales: NDArray[np.float64] | None = None
) -> SparsePoints:
    """The points of `model`, and which of `images` see them; with the `scales` (N,) of the images, in pixels of theirs
    for each of the originals', also where in the originals."""
    points = dict(model.points3D.items())
    ids = np.array(sorted(points), np.int64)
    observed, pixels = [], []
    for image in images:
        seen = {point.point3D_id: point.xy for point in image.get_observation_points2D()}
        observed.append(np.searchsorted(ids, np.array(sorted(seen), np.int64)))
        pixels.append(np.array([seen[point] for point in sorted(seen)], np.float64).reshape(-1, 2))
    in_order: list[Any] = [points[i] for i in ids.tolist()]
    errors = np.array([point.error for point in in_order], np.float64)
    return SparsePoints(
        points=np.array([point.xyz for point in in_order], np.float64).reshape(-1, 3),
        observed=tuple(observed),
        errors=errors if (errors >= 0).all() else None,
        pixels=None if scales is None else tuple(xy / scale for xy, scale in zip(pixels, scales, strict=True)),
    )


def _first_line(error: Exception) -> str:
    """Of what COLMAP says, without the place in its own source."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[\S+:\d+\] (Check failed: )?", "", said)
