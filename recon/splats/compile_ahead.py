"""Compile the loops that render splats before there are any, for example while photos are being matched."""

from __future__ import annotations

import numpy as np

from recon.choices import RasterizerName
from recon.splats.rendering import render
from recon.types import Gaussians
from recon.types.cameras import Cameras


def compile_ahead(rasterizer: RasterizerName) -> None:
    """Render one Gaussian with depth: whatever `rasterizer` needs for the first frame is ready afterwards."""
    one = Gaussians(
        means=np.array([[0, 0, 2]], np.float32),
        scales=np.full((1, 3), 0.1, np.float32),
        rotations=np.array([[1, 0, 0, 0]], np.float32),
        harmonics=np.zeros((1, 3, 1), np.float32),
        opacities=np.ones(1, np.float32),
    )
    intrinsics = np.array([[[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]])
    render(one, Cameras(np.eye(4)[None], intrinsics), (16, 16), "RGB+ED", rasterizer=rasterizer)
