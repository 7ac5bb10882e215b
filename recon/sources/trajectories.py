"""Trajectories and other files of plain matrices: TUM, KITTI, lines of 12 or 16 numbers, NumPy arrays.

| file | a line, or the array |
| --- | --- |
| TUM | `timestamp tx ty tz qx qy qz qw`: camera-to-world, seconds; photos called by their times are found by them |
| KITTI | 12 numbers, the first three rows of a camera-to-world matrix; in the order of the photos |
| 16 numbers a line | the same with the last row |
| `.npy` | (N, 3, 4) or (N, 4, 4), world-to-camera; in the order of the photos |

`#` begins a comment. A convention that is given replaces the one said here. None of them has intrinsics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, why
from recon.files import read_text
from recon.geometry.quaternions import to_matrix
from recon.sources.camera_entries import CamerasFile, per_image
from recon.sources.matrix_convention import MatrixConvention
from recon.sources.scene_json import check_length

_TO_WORLD = MatrixConvention(camera_to_world=True)
_FORMS = "8 numbers (TUM: timestamp tx ty tz qx qy qz qw), 12 (KITTI) or 16 in each line"


def read_trajectory(path: Path, convention: str | None) -> CamerasFile:
    """The cameras of a text file. Raises InputError naming the line that is none."""
    try:
        check_length(path)
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not readable as a trajectory: {why(error)}") from error
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split("#")[0].replace(",", " ").split()
        if not parts:
            continue
        try:
            values = [float(part) for part in parts]
        except ValueError as error:
            raise InputError(f"'{path}', line {number}: cameras are read from lines of {_FORMS}") from error
        if len(values) not in _READERS or (rows and len(values) != len(rows[0])):
            raise InputError(f"'{path}', line {number}: {len(values)} numbers; cameras are lines of {_FORMS}")
        if not np.isfinite(values).all():
            raise InputError(f"'{path}', line {number}: NaN or infinity; remove the line and its photo, or correct it")
        rows.append(values)
    if not rows:
        raise InputError(f"'{path}' holds no camera; lines of {_FORMS} are read")
    values_of_all = np.array(rows)
    matrices, times = _READERS[len(rows[0])](values_of_all, path)
    return _file(path, matrices, MatrixConvention.of(convention, _TO_WORLD), times)


def read_matrices(path: Path, convention: str | None) -> CamerasFile:
    """The cameras of a `.npy` file. Raises InputError for anything but (N, 3, 4) or (N, 4, 4) numbers."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"'{path}' cannot be read as a NumPy array: {why(error)}") from error
    if array.ndim != 3 or not len(array):
        raise InputError(f"'{path}' must hold matrices (N, 3, 4) or (N, 4, 4), got shape {array.shape}")
    return _file(path, per_image(array, "world_to_camera", f"'{path}'"), MatrixConvention.of(convention), None)


def _file(
    path: Path, matrices: NDArray[np.float64], convention: MatrixConvention, times: NDArray[np.float64] | None
) -> CamerasFile:
    world_to_camera = convention.world_to_camera(matrices, f"'{path}'")
    return CamerasFile(path, None, [{"world_to_camera": matrix} for matrix in world_to_camera], times=times)


def _of_tum(rows: NDArray[np.float64], path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lengths = np.linalg.norm(rows[:, 4:], axis=1)
    if (lengths < 1e-6).any():
        raise InputError(f"'{path}': camera {int(np.argmin(lengths)) + 1} has a quaternion of zeros, so no rotation")
    matrices = np.tile(np.eye(4), (len(rows), 1, 1))
    matrices[:, :3, :3] = to_matrix(rows[:, [7, 4, 5, 6]] / lengths[:, None])
    matrices[:, :3, 3] = rows[:, 1:4]
    return matrices, rows[:, 0]


def _of_rows(rows: NDArray[np.float64], path: Path) -> tuple[NDArray[np.float64], None]:
    return per_image(rows.reshape(len(rows), -1, 4), "world_to_camera", f"'{path}'"), None


_READERS: Mapping[int, Callable[[NDArray[np.float64], Path], tuple[NDArray[np.float64], NDArray[np.float64] | None]]]
_READERS = {8: _of_tum, 12: _of_rows, 16: _of_rows}
"""By how many numbers a line has."""
