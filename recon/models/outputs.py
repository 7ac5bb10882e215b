"""What a network returns: tensors with a batch axis, before anything is turned into numpy or aligned."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class GaussianTensors:
    """G Gaussians per scene in the world frame of the predicted cameras; one for each pixel of each view.

    Those of sky pixels lie at the network's own depth there, not at the placeholder that depth maps get.
    """

    means: Tensor
    """(B, G, 3)"""
    scales: Tensor
    """(B, G, 3) standard deviations"""
    rotations: Tensor
    """(B, G, 4) unit quaternions (w, x, y, z)"""
    harmonics: Tensor
    """(B, G, 3, (degree + 1)²) in world directions"""
    opacities: Tensor
    """(B, G) in [0, 1]"""


@dataclass(frozen=True)
class NetworkOutput:
    """Raw prediction for B scenes of V views at H × W; the views are in the order they were given.

    `recon.models.postprocess.finish` makes of it what users are shown.
    """

    depth: Tensor | None = None
    """(B, V, H, W) depth along z; None of networks that give disparity"""
    disparity: Tensor | None = None
    """(B, V, H, W) near is large, shift unknown; None of networks that give depth"""
    depth_conf: Tensor | None = None
    """(B, V, H, W) confidence ≥ 1"""
    sky: Tensor | None = None
    """(B, V, H, W) sky score ≥ 0; see `recon.models.postprocess`"""
    extrinsics: Tensor | None = None
    """(B, V, 3, 4) world to camera"""
    intrinsics: Tensor | None = None
    """(B, V, 3, 3) in pixels"""
    gaussians: GaussianTensors | None = None
    features: dict[int, Tensor] = field(default_factory=dict)
    """(B, V, H / 14, W / 14, C) normalised patch tokens of each block asked for"""
    scale_factor: Tensor | None = None
    """(B,) what depth and camera positions were multiplied by to be metric, NaN for a scene that is not; None for
    networks that never are"""
    metric: NetworkOutput | None = None
    """Of the metric network beside an any-view one, for the same views; None after `finish`, and where there is none"""
    ref_view: Tensor | None = None
    """(B,) index of the reference view; None where none was chosen"""
