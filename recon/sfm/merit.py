"""What makes one model of photos better than another, and which make no sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recon.sfm.agreement import agreement
from recon.sfm.lens_models import FISHEYE
from recon.sfm.overlaps import Overlaps
from recon.sources.colmap import distortion_coefficients
from recon.sources.pixels import SHORTEST_FOCAL_35MM
from recon.types.lens import distort

if TYPE_CHECKING:
    import pycolmap

_CONFIRMED = 0.75
"""Share of a photo's verified matches that a right camera explains at least: it is 0.95 and more of most."""
_CONTRADICTED = 0.5
"""The same, below which a camera is wrong."""
_FAR_SMALLER = 0.9
"""Factor on the error by which lenses of their own must explain photos better."""
_FEW_POINTS_PER_VIEW = 10
"""Models with fewer points per photo are doubtful too, and worse than any others."""
_LARGE_ERROR = 2.0
"""Models with larger errors are discarded."""
_FEWEST_POINTS = 20
_SHORTEST_FOCAL, _LONGEST_FOCAL = SHORTEST_FOCAL_35MM / 36, 20.0
"""Of lenses that photos can tell, in units of the longer side: longer ones are parallel projection to them."""
_STRONGEST_BEND = 0.4
"""Largest displacement by distortion at the corner, as a share of its distance from the centre."""
_WIDEST_FISHEYE = np.radians(115)
"""From the axis to the corner of a photo: 230°, as wide as fisheyes are made."""
_RADII = 65
"""From the centre to the corner, at which it is checked that distortion keeps rays in order."""


def makes_sense(model: pycolmap.Reconstruction, overlaps: Overlaps) -> bool:
    """Whether a model has two photos or more that see points from different places, and lenses that exist."""
    if model.num_reg_images() < 2 or model.num_points3D() < _FEWEST_POINTS or mean_error(model) > _LARGE_ERROR:
        return False
    placed = set(photos_of(model))
    if not any(i in placed and j in placed for i, j in overlaps.with_parallax):
        return False
    cameras = [model.cameras[model.images[image_id].camera_id] for image_id in model.reg_image_ids()]
    return all(_lens_exists(camera) for camera in cameras)


def _lens_exists(camera: pycolmap.Camera) -> bool:
    """Whether focal length and distortion are within what lenses on the market have."""
    side, focal = max(camera.width, camera.height), camera.mean_focal_length()
    if not _SHORTEST_FOCAL * side <= focal <= _LONGEST_FOCAL * side:
        return False
    if camera.model_name == FISHEYE:
        return _fisheye_exists(camera)
    coefficients = distortion_coefficients([camera])
    if coefficients is None:
        return True
    corner = np.array([camera.width / 2, camera.height / 2]) / focal
    outwards = np.linspace(0, 1, _RADII)[:, None] * corner
    bent = distort(outwards, coefficients[0])
    folds = bool((np.diff(np.linalg.norm(bent, axis=1)) <= 0).any())  # two rays would meet in one pixel
    return not folds and bool(np.linalg.norm(bent[-1] - corner) <= _STRONGEST_BEND * np.linalg.norm(corner))


def _fisheye_exists(camera: pycolmap.Camera) -> bool:
    """Whether the lens maps each angle further out than the last, up to the corner of the photo, and within reason."""
    focal = camera.mean_focal_length()
    corner = float(np.hypot(camera.width, camera.height)) / 2 / focal
    k1, k2, k3, k4 = np.array(camera.params)[list(camera.extra_params_idxs())].tolist()
    angles = np.linspace(0, _WIDEST_FISHEYE, _RADII)
    squared = angles**2
    bent = angles * (1 + squared * (k1 + squared * (k2 + squared * (k3 + squared * k4))))
    needed = bent[: int(np.argmax(bent >= corner)) + 1] if (bent >= corner).any() else bent
    return bool(needed[-1] >= corner and (np.diff(needed) > 0).all())


class Merit(NamedTuple):
    """Orders models: those with enough points are better, then those with more photos right, then smaller errors."""

    supported: bool
    confirmed: int
    """Photos whose verified matches the model explains."""
    negative_error: float


def merit_of(model: pycolmap.Reconstruction, overlaps: Overlaps) -> Merit:
    shares = agreement(model, overlaps)
    confirmed = sum(shares.get(index, 1.0) >= _CONFIRMED for index in photos_of(model))
    return Merit(is_supported(model), confirmed, -mean_error(model))


def leave_out_contradicted(model: pycolmap.Reconstruction, overlaps: Overlaps) -> None:
    """Take the photos out of a model whose matches say that their cameras are wrong, the worst first."""
    while model.num_reg_images() > 2:
        shares = agreement(model, overlaps)
        worst = min(shares, key=lambda index: shares[index], default=None)
        if worst is None or shares[worst] >= _CONTRADICTED:
            return
        # With a wrong one gone, the matches of its neighbours are explained better.
        model.deregister_frame(model.images[worst + 1].frame_id)


def is_supported(model: pycolmap.Reconstruction) -> bool:
    """Whether there are enough points to hold the cameras; a few fit any."""
    return bool(model.num_points3D() >= _FEW_POINTS_PER_VIEW * model.num_reg_images())


def mean_error(model: pycolmap.Reconstruction) -> float:
    """Mean reprojection error, in pixels of the small pictures."""
    return float(model.compute_mean_reprojection_error())


def photos_of(model: pycolmap.Reconstruction) -> list[int]:
    """Indices of the photos that a model places, ascending."""
    return sorted(image_id - 1 for image_id in model.reg_image_ids())


def groups_apart(models: Sequence[pycolmap.Reconstruction]) -> list[list[int]]:
    """For each model after the first, its photos that none before it places; groups of one are no groups."""
    placed = set(photos_of(models[0]))
    groups = []
    for model in models[1:]:
        group = [index for index in photos_of(model) if index not in placed]
        if len(group) > 1:
            groups.append(group)
            placed.update(group)
    return groups


def explains_more(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction, overlaps: Overlaps) -> bool:
    """Whether `model`, which has more parameters, explains more photos than `other`, or them far more exactly."""
    ours, theirs = merit_of(model, overlaps), merit_of(other, overlaps)
    if ours.supported and ours.confirmed == theirs.confirmed:
        return -ours.negative_error < _FAR_SMALLER * -theirs.negative_error
    return ours.supported and ours.confirmed > theirs.confirmed
