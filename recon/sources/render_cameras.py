"""Cameras to render from, whose images need not exist, from a file of cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.sources.cameras_file import read_cameras_file


@dataclass(frozen=True)
class RenderCameras:
    """M cameras to render from."""

    extrinsics: NDArray[np.float64]
    """(M, 4, 4) world-to-camera."""
    intrinsics: NDArray[np.float64] | None
    """(M, 3, 3) in pixels of the rendered size; None where the file has none."""
    size: tuple[int, int] | None
    """Height and width to render at; None where nothing tells."""


def read_render_cameras(path: Path, size: tuple[int, int] | None = None) -> RenderCameras:
    """Read every camera of a file, in its order, to render from: their images need not exist.

    A lens that bends is rendered as the pinhole camera of the undistorted image.

    Args:
        path: as of `recon.sources.cameras_file`.
        size: height and width to render at, which intrinsics are scaled to; that of the file's images by default.

    Raises:
        InputError: as `read_cameras`; no extrinsics; or images of several sizes.
    """
    file = read_cameras_file(path)
    names = [str(index) for index in range(len(file.entries))] if file.names is None else list(file.names)
    if not file.entries:
        raise InputError(f"'{path}' holds no extrinsics (world_to_camera) to render from")
    cameras = file.of(names)
    if cameras.world_to_camera is None:
        raise InputError(f"'{path}' holds no extrinsics (world_to_camera) to render from")
    if cameras.sizes is None:
        return RenderCameras(cameras.world_to_camera, cameras.intrinsics, size)
    if (cameras.sizes != cameras.sizes[0]).any():
        raise InputError(f"'{path}' has cameras of images of several sizes; to render from it they must be one")
    width, height = cameras.sizes[0].tolist()
    size = (height, width) if size is None else size
    intrinsics = cameras.pinhole().intrinsics
    if intrinsics is not None:
        intrinsics = np.diag([size[1] / width, size[0] / height, 1]) @ intrinsics
    return RenderCameras(cameras.world_to_camera, intrinsics, size)
