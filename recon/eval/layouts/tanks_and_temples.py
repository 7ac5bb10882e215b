"""Tanks and Temples (Knapitsch et al., ACM Transactions on Graphics 2017): photos, and a laser scan in metres.

    SCENE/*.jpg, SCENE/images/*.jpg or SCENE/image_set/SCENE/*.jpg
    SCENE/SCENE_COLMAP_SfM.log       camera to world of the photos in order, as COLMAP found them
    SCENE/SCENE_trans.txt            4×4, from that world to the scan's, scale included
    SCENE/SCENE.ply                  the scan
    SCENE/SCENE.json                 the region that counts: a polygon along an axis

The surface is compared as the data set's own evaluation does it: in the region alone, thinned to cells of half the
threshold, after iterative closest points have brought the result onto the scan. Nothing tells focal lengths.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts.layout import Layout, image_size, read_matrix
from recon.eval.truth import GroundTruth, Region, SurfaceDefaults, SurfaceFile
from recon.files import read_json, read_text
from recon.geometry.cameras import invert_rigid
from recon.geometry.similarity import Similarity
from recon.sources.images import list_images

THRESHOLDS = {
    "Barn": 0.01,
    "Caterpillar": 0.005,
    "Church": 0.025,
    "Courthouse": 0.025,
    "Ignatius": 0.003,
    "Meetingroom": 0.01,
    "Truck": 0.005,
}
"""Metres, of the data set's evaluation, by scene."""
_OTHER_THRESHOLD = 0.01


def find(folder: Path) -> Path | None:
    """`folder` itself."""
    return folder if folder.is_dir() and next(folder.glob("*_COLMAP_SfM.log"), None) is not None else None


def read(folder: Path) -> GroundTruth:
    """The photos that the trajectory has a camera for."""
    log = next(folder.glob("*_COLMAP_SfM.log"))
    scene = log.name.removesuffix("_COLMAP_SfM.log")
    numbers, matrices = _read_log(log)
    photos = _photos(folder, scene)
    if numbers.max() >= len(photos):
        raise InputError(f"{log}: has a camera for photo {numbers.max()}, and '{folder}' holds {len(photos)} photos")
    chosen = [photos[number] for number in numbers]
    to_scan = _similarity(folder / f"{scene}_trans.txt")
    threshold = THRESHOLDS.get(scene, _OTHER_THRESHOLD)
    scan, region = folder / f"{scene}.ply", folder / f"{scene}.json"
    return GroundTruth(
        layout="Tanks and Temples",
        path=folder,
        units="m",
        image_names=tuple(photo.name for photo in chosen),
        image_paths=tuple(chosen),
        image_sizes=np.array([image_size(photo) for photo in chosen]),
        extrinsics=to_scan.apply_to_extrinsics(invert_rigid(matrices)),
        intrinsics=np.full((len(chosen), 3, 3), np.nan),
        surface_files=(SurfaceFile(scan),) if scan.is_file() else (),
        surface_defaults=SurfaceDefaults(
            threshold,
            threshold / 2,
            threshold,
            region=_region(region) if region.is_file() else None,
            refined_by=(80 * threshold, 20 * threshold, 2 * threshold),
        ),
    )


def _photos(folder: Path, scene: str) -> list[Path]:
    for images in (folder / "images", folder / "image_set" / scene, folder / "images_reduced", folder):
        found = list_images(images, sub_folders=False) if images.is_dir() else []
        if found:
            return found
    raise InputError(f"'{folder}' holds no photos: they belong in '{folder / 'images'}'")


def _read_log(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers (N,) of the photos, counted from 0, and camera to world (N, 4, 4)."""
    try:
        values = np.array(read_text(path).split(), np.float64).reshape(-1, 19)  # three numbers and a matrix
        matrices = values[:, 3:].reshape(-1, 4, 4)
        if not len(values) or not np.allclose(matrices[:, 3], (0, 0, 0, 1)):
            raise ValueError("no matrices with 0 0 0 1 below")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a trajectory, three numbers and 4×4 for each photo: {error}") from error
    return values[:, 0].astype(np.int64), matrices


def _similarity(path: Path) -> Similarity:
    matrix = read_matrix(path, (4, 4))
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    if not scale > 0 or not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, scale**2 * np.eye(3), atol=1e-3 * scale**2):
        raise InputError(f"{path}: expected a rotation with a scale, and a translation")
    return Similarity(scale, matrix[:3, :3] / scale, matrix[:3, 3])


def _region(path: Path) -> Region:
    try:
        content = read_json(path)
        axis = "XYZ".index(content["orthogonal_axis"].upper())
        polygon = np.array(content["bounding_polygon"], np.float64).reshape(-1, 3)
        low, high = float(content["axis_min"]), float(content["axis_max"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a region (bounding_polygon, orthogonal_axis, axis_min, axis_max): {error!r}"
        ) from error
    return Region(axis, low, high, np.delete(polygon, axis, axis=1))


LAYOUT = Layout("Tanks and Temples", "SCENE_COLMAP_SfM.log, SCENE_trans.txt and SCENE.ply", find, read)
