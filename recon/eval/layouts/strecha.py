"""Strecha's sets (CVPR 2008), fountain-P11 among them: photos of 6 megapixels with measured cameras, in metres.

    0000.png (or .jpg, .ppm), 0000.png.camera      in one folder, with K.txt, or
    images/0000.jpg, gt_dense_cameras/0000.jpg.camera

A camera file holds K (3×3), three numbers of distortion, the rotation R of the camera in the world (3×3), its centre c,
and width and height, so that x = K Rᵀ (X - c). The photos are free of distortion. Copies of another size than the
cameras are of are the same photos, resized.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout
from recon.eval.truth import GroundTruth
from recon.files import read_text
from recon.geometry.cameras import invert_rigid

SUFFIX = ".camera"
_FOLDERS = ("", "gt_dense_cameras", "gt")
"""Where cameras lie below a scene's folder."""
_NUMBERS = 26
"""In a camera file; some copies have the three rows of the camera's box of depth behind them."""


class _Camera(NamedTuple):
    intrinsics: NDArray[np.float64]
    camera_to_world: NDArray[np.float64]
    size: tuple[int, int]
    """Width and height."""


def find(folder: Path) -> Path | None:
    """The folder of the cameras, for a scene's folder, for that of its photos, or for itself."""
    above = [folder.parent] if folder.name == "images" else []
    candidates = [scene / name for scene in (folder, *above) for name in _FOLDERS]
    return next((one for one in candidates if one.is_dir() and any(one.glob(f"*{SUFFIX}"))), None)


def read(folder: Path) -> GroundTruth:
    """All cameras, with the photos that they are named after."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    names = [file.name.removesuffix(SUFFIX) for file in files]
    cameras = [_read_camera(file) for file in files]
    images = next((one for one in (folder.parent / "images", folder) if (one / names[0]).is_file()), folder)
    return GroundTruth(
        layout="Strecha",
        path=folder,
        units="m",
        image_names=tuple(names),
        image_paths=tuple(images / name for name in names),
        image_sizes=np.array([camera.size for camera in cameras]),
        extrinsics=invert_rigid(np.array([camera.camera_to_world for camera in cameras])),
        intrinsics=np.array([camera.intrinsics for camera in cameras]),
    )


def _read_camera(path: Path) -> _Camera:
    try:
        numbers = np.array(read_text(path).split(), np.float64)
        if len(numbers) < _NUMBERS:
            raise ValueError(f"{len(numbers)} numbers")
        rotation = numbers[12:21].reshape(3, 3)
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ValueError("no rotation")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a camera (K, distortion, R, centre, width and height): {error}") from error
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3], camera_to_world[:3, 3] = rotation, numbers[21:24]
    return _Camera(numbers[:9].reshape(3, 3), camera_to_world, (int(numbers[24]), int(numbers[25])))


LAYOUT = Layout("Strecha", f"*{SUFFIX} files beside the photos or in gt_dense_cameras/", find, read)
