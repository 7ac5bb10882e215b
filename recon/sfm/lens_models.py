"""Lenses of a COLMAP model: which of their parameters are free, and the same lens in a model with more of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pycolmap

RICHER = {"SIMPLE_RADIAL": ("RADIAL", "OPENCV"), "RADIAL": ("OPENCV",)}
"""For each camera model, those that can say the same and more, the next first."""


def free_parameters(
    model: pycolmap.Reconstruction, centres: Iterable[int], constant: Iterable[int] = ()
) -> dict[int, list[int]]:
    """By id of the camera, the indices of the parameters that adjustment may change.

    Args:
        model: whose cameras they are.
        centres: cameras whose principal points are estimated.
        constant: cameras that are known.
    """
    of_centre, known = set(centres), set(constant)
    return {
        camera_id: []
        if camera_id in known
        else sorted(
            [
                *camera.focal_length_idxs(),
                *camera.extra_params_idxs(),
                *(camera.principal_point_idxs() if camera_id in of_centre else ()),
            ]
        )
        for camera_id, camera in model.cameras.items()
    }


def convert(camera: pycolmap.Camera, name: str) -> None:
    """Describe the lens of `camera` in place by the camera model `name`, one of those that say the same and more."""
    import pycolmap

    richer = pycolmap.Camera.create_from_model_name(
        camera_id=1, model_name=name, focal_length=1.0, width=camera.width, height=camera.height
    )
    params = np.zeros(len(richer.params))
    params[list(richer.focal_length_idxs())] = camera.mean_focal_length()
    params[list(richer.principal_point_idxs())] = np.array(camera.params)[list(camera.principal_point_idxs())]
    extra = np.array(camera.params)[list(camera.extra_params_idxs())]
    params[list(richer.extra_params_idxs())[: len(extra)]] = extra
    camera.model = richer.model
    camera.params = params.tolist()
