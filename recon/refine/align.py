"""Put a prediction and the cameras the user gave into one frame and one scale.

The network predicts its own cameras even when cameras are given, so there is always a pair of trajectories to compare:
a similarity maps the given world to the predicted one, and its scale is what depth differs by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_3x4, to_4x4
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.similarity import Similarity, align_cameras
from recon.messages import warn
from recon.types import Prediction


def align_to_given_extrinsics(
    prediction: Prediction, extrinsics: NDArray[np.float64], to_input_scale: bool = True, seed: int = 42
) -> Prediction:
    """Bring `prediction`, which has cameras, and the given world-to-camera `extrinsics` (N, 4, 4) together.

    With `to_input_scale`, depth and Gaussians go to the given frame and scale (units `aligned`) and the given
    extrinsics are returned exactly. Without it, the given cameras are moved into the predicted frame, where depth,
    Gaussians and units stay as they are. Where the cameras cannot tell the scale (a single one, or all in one place),
    it is left at 1 with a warning, and the units stay what they were.
    """
    if prediction.extrinsics is None:
        raise ValueError("the prediction has no cameras to align")
    predicted = to_4x4(prediction.extrinsics)
    given_to_predicted = align_cameras(target_world_to_camera=predicted, source_world_to_camera=extrinsics, seed=seed)
    scale_known = given_to_predicted is not None
    if given_to_predicted is None:
        warn(
            "the scale between the given cameras and the prediction is undetermined "
            f"({'one camera' if len(extrinsics) == 1 else 'the cameras coincide'}); depth keeps the scale of the model"
        )
        given_to_predicted = _rigid_through_first_camera(predicted[0].astype(np.float64), extrinsics[0])
    if not to_input_scale:
        moved = given_to_predicted.apply_to_extrinsics(extrinsics)
        return replace(prediction, extrinsics=to_3x4(moved).astype(np.float32))

    gaussians = prediction.gaussians
    if gaussians is not None:
        gaussians = transform_gaussians(gaussians, given_to_predicted.inverse())
    scale_factor = prediction.scale_factor
    depth = prediction.depth
    if scale_known:
        depth = (depth / given_to_predicted.scale).astype(np.float32)
        scale_factor = (1.0 if scale_factor is None else scale_factor) / given_to_predicted.scale
    return replace(
        prediction,
        depth=depth,
        extrinsics=to_3x4(extrinsics).astype(np.float32),
        gaussians=gaussians,
        units="aligned" if scale_known else prediction.units,
        scale_factor=scale_factor,
    )


def _rigid_through_first_camera(target: NDArray[np.float64], source: NDArray[np.float64]) -> Similarity:
    """The motion at scale 1 from the source world to the target world that makes the first cameras coincide."""
    motion = np.linalg.inv(target) @ source  # camera_to_target_world @ source_world_to_camera
    return Similarity(scale=1.0, rotation=motion[:3, :3], translation=motion[:3, 3])
