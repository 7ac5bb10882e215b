"""A COLMAP model taken for the truth: its cameras, and the depth of its points in each image. The scale is unknown.

    images/   sparse/0/cameras, images, points3D (.txt or .bin)

Distortion is left out, as if the photos had been undistorted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, pinhole_part
from recon.eval.truth import GroundTruth, SparseDepth
from recon.geometry.cameras import to_4x4
from recon.sources.colmap import open_colmap

if TYPE_CHECKING:
    import pycolmap

_MODELS = (Path("sparse") / "0", Path("sparse"))


def find(folder: Path) -> Path | None:
    """The scene's folder, which holds the model."""
    return folder if _model(folder) is not None else None


def read(scene: Path) -> GroundTruth:
    """All images that are registered."""
    folder = _model(scene)
    assert folder is not None
    model = open_colmap(folder)
    images = sorted((i for i in model.images.values() if i.has_pose), key=lambda image: image.name)
    if not images:
        raise InputError(f"{folder}: no image is registered")
    cameras = [model.cameras[image.camera_id] for image in images]
    return GroundTruth(
        layout="COLMAP",
        path=scene,
        units="units",
        image_names=tuple(image.name for image in images),
        image_paths=tuple(scene / "images" / image.name for image in images),
        image_sizes=np.array([(camera.width, camera.height) for camera in cameras]),
        extrinsics=to_4x4(np.array([image.cam_from_world().matrix() for image in images])),
        intrinsics=np.array([pinhole_part(camera) for camera in cameras]),
        depth_files=tuple(_depth(model, image) for image in images),
    )


def _model(scene: Path) -> Path | None:
    endings = (".txt", ".bin")
    return next((scene / m for m in _MODELS if any((scene / m / f"images{e}").is_file() for e in endings)), None)


def _depth(model: pycolmap.Reconstruction, image: pycolmap.Image) -> SparseDepth | None:
    """Depth of the points seen in the image, at where the model puts them in it."""
    observed = [point.point3D_id for point in image.points2D if point.has_point3D()]
    if not observed:
        return None
    points = np.array([model.points3D[i].xyz for i in observed]) @ image.cam_from_world().matrix()[:, :3].T
    points += image.cam_from_world().matrix()[:, 3]
    homogeneous = points @ pinhole_part(model.cameras[image.camera_id]).T
    front = points[:, 2] > 0
    return SparseDepth(homogeneous[front, :2] / homogeneous[front, 2:], points[front, 2])


LAYOUT = Layout("COLMAP", "sparse/0/images.txt or .bin", find, read)
