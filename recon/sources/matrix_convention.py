"""What plain matrices of cameras mean: from which frame to which, and how the axes of the camera point."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

_DIRECTIONS = {"w2c": False, "c2w": True}
_AXES = {"opencv": False, "opengl": True}
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""From camera axes x right, y up, z backward to x right, y down, z forward; and back."""


@dataclass(frozen=True)
class MatrixConvention:
    """How matrices of cameras are to be read."""

    camera_to_world: bool = False
    """Else world-to-camera."""
    opengl: bool = False
    """Axes of the camera: x right, y up, z backward, as in OpenGL, Blender and nerfstudio; else OpenCV's."""

    @staticmethod
    def of(text: str | None, default: MatrixConvention | None = None) -> MatrixConvention:
        """`w2c` or `c2w`, `opencv` or `opengl`, or one of each joined with '-'; what is left out is as `default` says,
        else world-to-camera in OpenCV's axes. Raises InputError for anything else."""
        found = default or MatrixConvention()
        if text is None:
            return found
        parts = [part for part in re.split(r"[-_,x×\s]+", text.strip().lower()) if part]
        directions = [part for part in parts if part in _DIRECTIONS]
        axes = [part for part in parts if part in _AXES]
        if not parts or len(directions) + len(axes) < len(parts) or len(directions) > 1 or len(axes) > 1:
            raise InputError(
                f"convention must be w2c or c2w, opencv or opengl, or one of each as in c2w-opengl, got {text!r}"
            )
        return MatrixConvention(
            _DIRECTIONS[directions[0]] if directions else found.camera_to_world,
            _AXES[axes[0]] if axes else found.opengl,
        )

    def world_to_camera(self, matrices: NDArray[np.float64], label: str) -> NDArray[np.float64]:
        """(N, 4, 4) world-to-camera in OpenCV's axes, of (N, 4, 4) in this convention.

        Matrices that are no rigid motions are for `Cameras.from_arrays` to refuse, but for those without an inverse:
        InputError, beginning with `label` and the number of the matrix.
        """
        matrices = np.asarray(matrices, np.float64)
        if self.camera_to_world:
            check_invertible(matrices, lambda index: f"{label}[{index}]")
            matrices = np.linalg.inv(matrices).astype(np.float64)
        return np.asarray(OPENGL_TO_OPENCV @ matrices if self.opengl else matrices, np.float64)


def check_invertible(matrices: NDArray[np.float64], label: Callable[[int], str]) -> None:
    """Raise InputError for the first of (N, 4, 4) camera-to-world matrices that is singular or not finite."""
    for index, matrix in enumerate(matrices):
        if not np.isfinite(matrix).all():
            raise InputError(f"{label(index)} holds NaN or infinity; remove that camera or correct it")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise InputError(
                f"{label(index)} is singular, so no camera-to-world matrix; remove that camera or correct it"
            )
