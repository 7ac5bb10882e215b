"""What a layout is, and the readers that several of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.truth import GroundTruth

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True)
class Layout:
    """How one data set arranges the ground truth of a scene."""

    name: str
    """What people call the data set."""
    holds: str
    """The files by which a folder is known, for messages."""
    find: Callable[[Path], Path | None]
    """Gives the folder to read for the one that a person named; None where the layout is another."""
    read: Callable[[Path], GroundTruth]
    """Reads what `find` found."""


def read_png(path: Path) -> NDArray[Any]:
    """(H, W) integers of a PNG with one channel; InputError where it cannot be read."""
    values = _read(path)
    if values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: expected one channel of 8 or 16 bits, got {values.shape} {values.dtype}")
    return values


def read_pfm(path: Path) -> NDArray[np.float32]:
    """(H, W) floats of a PFM with one channel, first row at the top; InputError where it cannot be read."""
    values = _read(path)
    if values.ndim != 2 or values.dtype != np.float32:
        raise InputError(f"{path}: expected one channel of floats, got {values.shape} {values.dtype}")
    return np.asarray(values, np.float32)


def read_millimetres(path: Path) -> NDArray[np.float32]:
    """(H, W) metres from a 16-bit PNG of millimetres; 0 where there is none (stored as 0 or 65535)."""
    stored = read_png(path)
    return np.where(stored == 65535, 0, stored).astype(np.float32) / np.float32(1000)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file as it is stored; InputError where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def read_matrix(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The numbers of a text file that holds one matrix."""
    try:
        return np.loadtxt(path, dtype=np.float64).reshape(shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {shape[0]}×{shape[1]} numbers ({error})") from error


def pinhole_part(camera: pycolmap.Camera) -> NDArray[np.float64]:
    """(3, 3) intrinsics of a COLMAP camera, distortion left out. COLMAP's pixel centres are at half-integers too."""
    intrinsics = np.eye(3)
    intrinsics[0, 0], intrinsics[1, 1] = camera.focal_length_x, camera.focal_length_y
    intrinsics[:2, 2] = camera.principal_point_x, camera.principal_point_y
    return intrinsics


def to_distorted(
    intrinsics: NDArray[np.float64], camera: pycolmap.Camera
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The map from pixels (..., 2) of an undistorted image to those of the original one taken by `camera`."""
    inverse = np.linalg.inv(intrinsics)

    def convert(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        rays = pixels @ inverse[:2, :2].T + inverse[:2, 2]
        homogeneous = np.concatenate([rays.reshape(-1, 2), np.ones((rays[..., 0].size, 1))], axis=1)
        return np.asarray(camera.img_from_cam(homogeneous)).reshape(pixels.shape)

    return convert


def _read(path: Path) -> NDArray[Any]:
    import cv2

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if values is None:
        raise InputError(f"{path}: {'damaged, or not an image' if path.is_file() else 'no such file'}")
    return np.asarray(values)
