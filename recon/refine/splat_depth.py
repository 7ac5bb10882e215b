"""The depth that splats show to the cameras of a prediction, for what is made of depth where nothing else gave any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.splats.rendering import render
from recon.types import Prediction

_LEAST_ALPHA = 0.5
"""Where splats cover less of a pixel than this, it has no depth."""


def with_depth_of_splats(prediction: Prediction) -> Prediction:
    """The prediction with the expected depth of its splats, rendered from its cameras; 0 where there is none."""
    assert prediction.gaussians is not None
    _, height, width = prediction.depth.shape
    rendered = render(prediction.gaussians, prediction.cameras, (height, width), "RGB+ED")
    assert rendered.depth is not None
    depth = np.where(rendered.alpha >= _LEAST_ALPHA, rendered.depth, 0).astype(np.float32)
    return replace(prediction, depth=depth)
