"""Put a prediction and the cameras the user gave into one frame and one scale.

The network predicts its own cameras even when cameras are given, so there is always a pair of trajectories to compare:
a similarity maps the given world to the predicted one, and its scale is what depth differs by. The Gaussians of each
view move with its own camera, as the points of its depth map do, so that both go on lying on each other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_3x4, to_4x4
from recon.geometry.gaussians import move_with_cameras
from recon.geometry.similarity import Similarity, align_cameras
from recon.messages import warn
from recon.types import Gaussians, Prediction

_REFERENCE_SEED = 42
"""What the reference package's alignment is seeded with, and this one by default."""


def align_to_given_extrinsics(
    prediction: Prediction, extrinsics: NDArray[np.float64], to_input_scale: bool = True, seed: int = 0
) -> Prediction:
    """Bring `prediction`, which has cameras, and the given world-to-camera `extrinsics` (N, 4, 4) together.

    With `to_input_scale`, depth and Gaussians go to the given frame and scale (units `aligned`) and the given
    extrinsics are returned exactly. Without it, the given cameras are moved into the predicted frame, where depth,
    Gaussians and units stay as they are. Where the cameras cannot tell the scale (a single one, or all in one place),
    it is left at 1 with a warning, and the units stay what they were. `seed` is that of the search among many cameras.
    """
    if prediction.extrinsics is None:
        raise ValueError("the prediction has no cameras to align")
    predicted = to_4x4(prediction.extrinsics)
    given_to_predicted = align_cameras(
        target_world_to_camera=predicted, source_world_to_camera=extrinsics, seed=_REFERENCE_SEED + seed
    )
    scale_known = given_to_predicted is not None
    if given_to_predicted is None:
        warn(
            "the scale between the given cameras and the prediction is undetermined "
            f"({'one camera' if len(extrinsics) == 1 else 'the cameras coincide'}); depth keeps the scale of the model"
        )
        given_to_predicted = _rigid_through_first_camera(predicted[0].astype(np.float64), extrinsics[0])
    if not to_input_scale:
        moved = given_to_predicted.apply_to_extrinsics(extrinsics)
        return replace(
            prediction,
            extrinsics=to_3x4(moved).astype(np.float32),
            gaussians=_gaussians_before(prediction, predicted, moved, 1.0),
        )

    scale = 1 / given_to_predicted.scale
    gaussians = _gaussians_before(prediction, predicted, extrinsics, scale)
    scale_factor = prediction.scale_factor
    depth = prediction.depth
    if scale_known:
        depth = (depth * scale).astype(np.float32)
        scale_factor = (1.0 if scale_factor is None else scale_factor) * scale
    return replace(
        prediction,
        depth=depth,
        extrinsics=to_3x4(extrinsics).astype(np.float32),
        gaussians=gaussians,
        units="aligned" if scale_known else prediction.units,
        scale_factor=scale_factor,
    )


def _gaussians_before(
    prediction: Prediction, predicted: NDArray[Any], cameras: NDArray[np.float64], scale: float
) -> Gaussians | None:
    """Those of the head, where they lie before the `predicted` cameras (N, 4, 4), before other ones."""
    if prediction.gaussians is None:
        return None
    return move_with_cameras(prediction.gaussians, predicted, cameras, scale)


def _rigid_through_first_camera(target: NDArray[np.float64], source: NDArray[np.float64]) -> Similarity:
    """The motion at scale 1 from the source world to the target world that makes the first cameras coincide."""
    motion = np.linalg.inv(target) @ source  # camera_to_target_world @ source_world_to_camera
    return Similarity(scale=1.0, rotation=motion[:3, :3], translation=motion[:3, 3])
