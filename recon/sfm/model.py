"""A model as arrays: its cameras and points in pixels of the photos themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sfm.fisheyes import fisheye_of, seen_in_pinhole
from recon.sfm.lenses import Lenses
from recon.sfm.merit import is_supported, mean_error, photos_of
from recon.sfm.photos import SfmPhoto
from recon.sources.colmap import distortion_coefficients, sparse_points, world_to_camera
from recon.sources.lenses import Lens, pinhole_view

if TYPE_CHECKING:
    import pycolmap

_DOUBTFUL_ERROR = 0.75
"""Mean reprojection error, in pixels of the small pictures, from which on a model is said to be doubtful."""


@dataclass(frozen=True)
class SfmModel:
    """One model: M of the N photos, placed in a frame and scale of their own."""

    registered: NDArray[np.intp]
    """(M,) indices of its photos, ascending."""
    extrinsics: NDArray[np.float64]
    """(M, 4, 4) world-to-camera."""
    lenses: Lenses
    sparse: SparsePoints
    reprojection_errors: NDArray[np.float64]
    """(M,) mean distance of observed from projected points, in pixels of the originals; NaN for views without."""
    doubtful: bool
    """Errors are so large, or points so few, that the model may be wrong as a whole."""
    still_matches: float = 0.0
    """Share of all matches that was left out because it stands still in the pictures (`recon.sfm.still_matches`)."""


def read_model(model: pycolmap.Reconstruction, photos: Sequence[SfmPhoto], still_matches: float = 0.0) -> SfmModel:
    """Cameras and points of a model, in pixels of the originals; of a fisheye's, in those of its pinhole photos."""
    registered = photos_of(model)
    images = [model.images[index + 1] for index in registered]
    scales = np.array([photos[index].scale for index in registered])
    cameras = [model.cameras[image.camera_id] for image in images]
    fisheyes = [fisheye_of(camera, photos[index]) for camera, index in zip(cameras, registered, strict=True)]
    lenses = _lenses(cameras, fisheyes, scales, [photos[index].original_size for index in registered])
    sparse = sparse_points(model, images, scales)
    in_original_pixels = SparsePoints(
        sparse.points,
        sparse.observed,
        None if sparse.errors is None else sparse.errors * _mean_magnification(sparse, 1 / scales),
        sparse.pixels,
    )
    errors = np.array(
        [
            _reprojection_error(image, sparse, view, scale)
            for view, (image, scale) in enumerate(zip(images, scales.tolist(), strict=True))
        ]
    )
    return SfmModel(
        np.array(registered, np.intp),
        np.stack([world_to_camera(image) for image in images]),
        lenses,
        seen_in_pinhole(in_original_pixels, fisheyes),
        errors,
        doubtful=mean_error(model) > _DOUBTFUL_ERROR or not is_supported(model),
        still_matches=still_matches,
    )


def _lenses(
    cameras: Sequence[pycolmap.Camera],
    fisheyes: Sequence[Lens | None],
    scales: NDArray[np.float64],
    sizes: Sequence[tuple[int, int]],
) -> Lenses:
    """Of photos of `sizes`, that are 1 / `scales` (M,) times as large as the pictures of their `cameras`."""
    intrinsics, distortion = np.zeros((len(cameras), 3, 3)), np.zeros((len(cameras), 8))
    for view, (camera, fisheye) in enumerate(zip(cameras, fisheyes, strict=True)):
        if fisheye is not None:
            intrinsics[view] = pinhole_view(fisheye).intrinsics
            continue
        intrinsics[view] = camera.calibration_matrix()
        intrinsics[view, :2] /= scales[view]
        coefficients = distortion_coefficients([camera])
        if coefficients is not None:
            distortion[view] = coefficients[0]
    return Lenses(intrinsics, distortion, np.array(sizes, np.int64))


def _mean_magnification(sparse: SparsePoints, per_view: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) mean of `per_view` (M,) over the views that see each point."""
    sums = np.zeros(len(sparse))
    for indices, value in zip(sparse.observed, per_view.tolist(), strict=True):
        sums[indices] += value
    return sums / np.maximum(sparse.track_lengths, 1)


def _reprojection_error(image: pycolmap.Image, sparse: SparsePoints, view: int, scale: float) -> float:
    """Mean distance between the observed and the projected points of a view, in pixels of its original."""
    if not len(sparse.observed[view]):
        return float("nan")
    assert sparse.pixels is not None
    assert image.camera is not None
    world_to_image = world_to_camera(image)
    in_camera = sparse.points[sparse.observed[view]] @ world_to_image[:3, :3].T + world_to_image[:3, 3]
    projected = np.asarray(image.camera.img_from_cam(in_camera), np.float64) / scale
    return float(np.linalg.norm(projected - sparse.pixels[view], axis=1).mean())
