"""Camera files of MVSNet, which DTU's copies and BlendedMVS share (README of github.com/YoYo000/MVSNet).

extrinsic                           world to camera
four rows of four numbers

intrinsic                           with pixel centres at integers
three rows of three numbers

DEPTH_MIN DEPTH_INTERVAL …
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import read_text


def read_camera(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World to camera (4, 4), and intrinsics (3, 3) with pixel centres at half-integers."""
    try:
        words = read_text(path).split()
        extrinsic, intrinsic = words.index("extrinsic") + 1, words.index("intrinsic") + 1
        world_to_camera = np.array(words[extrinsic : extrinsic + 16], np.float64).reshape(4, 4)
        matrix = np.array(words[intrinsic : intrinsic + 9], np.float64).reshape(3, 3)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an MVSNet camera (extrinsic, 4×4, intrinsic, 3×3): {error}") from error
    matrix[:2, 2] += 0.5
    return world_to_camera, matrix
