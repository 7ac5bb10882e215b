"""How much of what was matched a model explains: errors of the points that it kept say nothing of those it dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.sfm.overlaps import Overlaps
from recon.sources.colmap import world_to_camera

if TYPE_CHECKING:
    import pycolmap

_AGREES = 4.0
"""Pixels from the epipolar line, as geometric verification allows."""


def agreement(model: pycolmap.Reconstruction, overlaps: Overlaps) -> dict[int, float]:
    """Share of the verified matches of each placed photo, with the others, that its camera explains.

    A match is explained if each point lies near the epipolar line of the other (Sampson's distance, Hartley and
    Zisserman, 11.4.3). Photos without matches are left out.
    """
    cameras = {
        image_id - 1: (world_to_camera(model.images[image_id]), model.cameras[model.images[image_id].camera_id])
        for image_id in model.reg_image_ids()
    }
    explained = dict.fromkeys(cameras, 0.0)
    total = dict.fromkeys(cameras, 0.0)
    for (i, j), matches in overlaps.matches.items():
        if i not in cameras or j not in cameras:
            continue
        (first_camera, first_lens), (second_camera, second_lens) = cameras[i], cameras[j]
        first_to_second = second_camera @ np.linalg.inv(first_camera)
        distance = _sampson(_rays(matches.first, first_lens), _rays(matches.second, second_lens), first_to_second)
        pixels = distance * (first_lens.mean_focal_length() + second_lens.mean_focal_length()) / 2
        share = float((pixels <= _AGREES).mean())  # NaN, for what a lens cannot see, is not explained
        for index in (i, j):
            explained[index] += share * matches.count
            total[index] += matches.count
    return {index: explained[index] / total[index] for index in cameras if total[index]}


def _rays(points: NDArray[np.float32], lens: pycolmap.Camera) -> NDArray[np.float64]:
    """(K, 3) rays at z = 1 of pixel coordinates (K, 2)."""
    plane = np.asarray(lens.cam_from_img(points.astype(np.float64)), np.float64)
    return np.concatenate([plane, np.ones((len(plane), 1))], axis=1)


def _sampson(
    first: NDArray[np.float64], second: NDArray[np.float64], first_to_second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(K,) distance of rays (K, 3) from each other's epipolar lines, at z = 1."""
    x, y, z = first_to_second[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ first_to_second[:3, :3]
    in_second, in_first = first @ essential.T, second @ essential
    residual = (second * in_second).sum(axis=1)
    return np.abs(residual) / np.sqrt(np.maximum((in_second[:, :2] ** 2 + in_first[:, :2] ** 2).sum(axis=1), 1e-300))
