"""A moving camera, frame by frame, and how evenly it moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.geometry.cameras import invert_rigid
from recon.types import FloatArray
from recon.types.cameras import Cameras

LARGEST_RATIO = 2.99
"""Of a step to the one before or after it, above which it is a jump; 3 is what constant acceleration from rest has."""
STILL_SHARE = 0.1
"""Steps below this share of the mean step are as good as none: what is next to them is measured against it instead."""
_STILL_ANGLE = 1e-4
"""The same for paths that hardly move: radians of motion in the picture, a twentieth of a pixel in 500."""


@dataclass(frozen=True)
class CameraPath:
    """F frames of a moving camera."""

    centres: FloatArray
    """(F, 3) in the world."""
    rotations: FloatArray
    """(F, 4) unit quaternions (w, x, y, z), camera to world."""
    intrinsics: FloatArray
    """(F, 3, 3) in pixels of the pictures to render."""

    def __len__(self) -> int:
        return len(self.centres)

    def __getitem__(self, frames: slice | NDArray[np.intp]) -> CameraPath:
        return CameraPath(self.centres[frames], self.rotations[frames], self.intrinsics[frames])

    @staticmethod
    def of(cameras: Cameras) -> CameraPath:
        """One frame per camera; both parts of `cameras` must be known."""
        assert cameras.world_to_camera is not None
        assert cameras.intrinsics is not None
        camera_to_world = invert_rigid(cameras.world_to_camera)
        return CameraPath(
            camera_to_world[:, :3, 3], quaternions.from_matrix(camera_to_world[:, :3, :3]), cameras.intrinsics
        )

    @staticmethod
    def joined(parts: Sequence[CameraPath]) -> CameraPath:
        """The frames of all parts, one after the other."""
        return CameraPath(
            np.concatenate([part.centres for part in parts]),
            np.concatenate([part.rotations for part in parts]),
            np.concatenate([part.intrinsics for part in parts]),
        )

    def cameras(self) -> Cameras:
        """World-to-camera matrices and intrinsics of all frames."""
        camera_to_world = np.tile(np.eye(4), (len(self), 1, 1))
        camera_to_world[:, :3, :3] = quaternions.to_matrix(self.rotations)
        camera_to_world[:, :3, 3] = self.centres
        return Cameras(invert_rigid(camera_to_world), np.asarray(self.intrinsics, np.float64))

    def at(self, positions: FloatArray) -> CameraPath:
        """The path at (M,) frame numbers that need not be whole: straight between two frames."""
        before = np.clip(np.floor(positions).astype(np.intp), 0, max(len(self) - 2, 0))
        after = np.minimum(before + 1, len(self) - 1)
        share = positions - before
        return CameraPath(
            self.centres[before] + share[:, None] * (self.centres[after] - self.centres[before]),
            quaternions.slerp(self.rotations[before], self.rotations[after], share),
            self.intrinsics[before] + share[:, None, None] * (self.intrinsics[after] - self.intrinsics[before]),
        )

    def moved(self, offsets: FloatArray) -> CameraPath:
        """The path with its centres moved by (F, 3) offsets in the axes of each frame's camera."""
        in_world = (quaternions.to_matrix(self.rotations) @ offsets[:, :, None])[:, :, 0]
        return CameraPath(self.centres + in_world, self.rotations, self.intrinsics)


def translation_steps(path: CameraPath) -> FloatArray:
    """(F - 1,) distances between the centres of neighbouring frames."""
    distances: FloatArray = np.linalg.norm(np.diff(path.centres, axis=0), axis=1)
    return distances


def rotation_steps(path: CameraPath) -> FloatArray:
    """(F - 1,) radians between the rotations of neighbouring frames."""
    angles: FloatArray = quaternions.angle_between(path.rotations[:-1], path.rotations[1:])
    return angles


def jumps(path: CameraPath, distance: float, still_share: float = STILL_SHARE) -> NDArray[np.bool_]:
    """(F - 1,) True for steps, in place or in direction, far larger than one next to them.

    `distance` is how far away the scene typically is; it tells which motion is too small to see.
    """
    in_place = _jumps(translation_steps(path), still_share, _STILL_ANGLE * distance)
    return in_place | _jumps(rotation_steps(path), still_share, _STILL_ANGLE)


def _jumps(steps: FloatArray, still_share: float, invisible: float) -> NDArray[np.bool_]:
    if len(steps) < 2:
        return np.zeros(len(steps), bool)
    ends = np.pad(steps, 1, constant_values=np.inf)
    smaller_neighbour = np.minimum(ends[:-2], ends[2:])
    floor = max(still_share * float(steps.mean()), invisible)
    return steps > LARGEST_RATIO * np.maximum(smaller_neighbour, floor)
