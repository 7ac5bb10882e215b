"""Photos that are views of one rig, such as those cut from a panorama: one pose for all of them, and one centre.

Cameras are found of each view by itself first. Those of a rig then agree on its pose: the one most of them confirm, by
medians, averaged over the views that are close to it. Views whose own camera was not found get theirs from the rig.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recon.sfm.lenses import Lenses
from recon.sfm.photos import SfmPhoto
from recon.types.lens import COEFFICIENTS

_CLOSE = np.radians(2.0)
"""Turn of a view against the median of its rig, beyond which it was found in the wrong place."""


def rig_poses(
    photos: Sequence[SfmPhoto], registered: Sequence[int], world_to_camera: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    """World-to-camera (4, 4) by number of the photo: one pose for each rig that has a view with a camera.

    Args:
        photos: all N.
        registered: numbers of the M photos whose cameras were found.
        world_to_camera: (M, 4, 4) of these. Those that are on no rig are returned as they are.
    """
    poses = dict(zip(registered, world_to_camera, strict=True))
    rigs: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        if photo.rig is not None:
            rigs.setdefault(photo.rig.name, []).append(index)
    placed = dict(poses)
    for members in rigs.values():
        known = [index for index in members if index in poses]
        if not known:
            continue
        mounts = {index: mount.camera_from_rig for index in members if (mount := photos[index].rig) is not None}
        rotation, centre = _pose([mounts[index].T @ poses[index][:3, :3] for index in known], _centres(poses, known))
        for index in members:
            placed[index] = np.eye(4)
            placed[index][:3, :3] = mounts[index] @ rotation
            placed[index][:3, 3] = -placed[index][:3, :3] @ centre
    return placed


def rig_lenses(photos: Sequence[SfmPhoto], chosen: Sequence[int], found: Lenses, rows: Sequence[int | None]) -> Lenses:
    """Of the `chosen` photos: as found, in the row of `found` that `rows` says; of views on a rig, which are cut to
    measure, as they are known."""
    intrinsics, distortion = np.tile(np.eye(3), (len(chosen), 1, 1)), np.zeros((len(chosen), COEFFICIENTS))
    for view, (index, at) in enumerate(zip(chosen, rows, strict=True)):
        photo = photos[index]
        if photo.rig is None:
            assert at is not None
            intrinsics[view], distortion[view] = found.intrinsics[at], found.distortion[at]
            continue
        width, height = photo.original_size
        focal = photo.focal_guess / photo.scale
        intrinsics[view] = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    sizes = np.array([photos[index].original_size for index in chosen], np.int64)
    return Lenses(intrinsics, distortion, sizes)


def _pose(
    rotations: list[NDArray[np.float64]], centres: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) from the world to the rig, and its centre (3,): what most of (K) views say."""
    stacked = np.stack(rotations)
    cosines = (np.einsum("aij,bij->ab", stacked, stacked) - 1) / 2
    angles = np.arccos(np.clip(cosines, -1, 1))
    middle = int(np.argmin(np.median(angles, axis=1)))
    close = angles[middle] < _CLOSE
    u, _, vt = np.linalg.svd(stacked[close].mean(axis=0))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation, np.median(centres[close], axis=0)


def _centres(poses: dict[int, NDArray[np.float64]], indices: list[int]) -> NDArray[np.float64]:
    """(K, 3)."""
    return np.stack([-poses[index][:3, :3].T @ poses[index][:3, 3] for index in indices])
