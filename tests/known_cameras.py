"""Cameras as tests write them to files."""

from __future__ import annotations

from typing import Any

import numpy as np

from recon.geometry.cameras import to_4x4
from recon.types.cameras import Cameras


def cameras_of(sizes: Any, extrinsics: Any, intrinsics: Any) -> Cameras:
    """Of images of these (N, 2) sizes; extrinsics (N, 3 | 4, 4) or None, intrinsics (N, 3, 3) or None."""
    return Cameras(
        None if extrinsics is None else to_4x4(np.asarray(extrinsics, np.float64)),
        None if intrinsics is None else np.asarray(intrinsics, np.float64),
        None if sizes is None else np.array([tuple(size) for size in sizes], np.int64),
    )
