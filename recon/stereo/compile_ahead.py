"""Compile stereo's loops before there are photos to match, for example while their cameras are being found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.types.cameras import Cameras

_VIEWS, _SIDE, _FOCAL = 3, 48, 48.0


def compile_ahead(options: StereoOptions) -> None:
    """Find depth in three tiny views of a textured wall as `options` say: whatever that needs is ready afterwards."""
    wall = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE + 4 * _VIEWS), dtype=np.uint8)
    # Each view is a step of two pixels to the right of the one before: the wall is _FOCAL / 2 steps away.
    images = np.stack([np.repeat(wall[:, 2 * i : 2 * i + _SIDE, None], 3, axis=2) for i in range(_VIEWS)])
    world_to_camera = np.tile(np.eye(4), (_VIEWS, 1, 1))
    world_to_camera[:, 0, 3] = -np.arange(_VIEWS)
    intrinsics = np.array([[_FOCAL, 0, _SIDE / 2], [0, _FOCAL, _SIDE / 2], [0, 0, 1]])
    cameras = Cameras(world_to_camera, np.tile(intrinsics, (_VIEWS, 1, 1)))
    depths = (_FOCAL / 4, _FOCAL)
    multi_view_depth(images, cameras, None, replace(options, planes=8, depth_range=depths))
