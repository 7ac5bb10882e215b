"""Small corrections of cameras that were found, by the derivatives of a loss of what they see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.refine.optimisation.adam import Adam

_TURN = 1e-4
"""Learning rate of rotations, radians, and of positions, as a fraction of the cameras' extent."""
_ZOOM = 1e-4
"""Learning rate of the logarithms of focal lengths."""


class CorrectedCameras:
    """Positions, rotations and focal lengths of N cameras, each moved a little whenever its view has been looked at.

    Cameras that begin with the same focal lengths and principal point keep the same focal lengths: it is one lens.
    """

    def __init__(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], extent: float) -> None:
        """Of (N, 4, 4) and (N, 3, 3), at most about `extent` apart."""
        self.world_to_camera = world_to_camera.copy()
        self.intrinsics = intrinsics.copy()
        _, self._lenses = np.unique(intrinsics.reshape(len(intrinsics), -1), axis=0, return_inverse=True)
        self._lenses = self._lenses.reshape(-1)
        rates = np.array([_TURN, _TURN, _TURN, *[_TURN * extent] * 3])
        self._motions = Adam((len(intrinsics), 6), rates)
        self._zooms = Adam((int(self._lenses.max(initial=0)) + 1, 1), np.array([_ZOOM]))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that changes, by name; to be changed in place."""
        return {
            "world_to_camera": self.world_to_camera,
            "intrinsics": self.intrinsics,
            **{f"motions.{name}": array for name, array in self._motions.arrays.items()},
            **{f"zooms.{name}": array for name, array in self._zooms.arrays.items()},
        }

    def step(
        self, view: int, of_world_to_camera: NDArray[np.float64], of_intrinsics: NDArray[np.float64], pace: float
    ) -> None:
        """Move one camera against the derivatives by its (4, 4) and (3, 3) entries, at `pace` times the usual rate."""
        # Turned by a small w about the camera's axes and shifted by s: d(world_to_camera) = [w]× world_to_camera + s.
        torque = of_world_to_camera[:3] @ self.world_to_camera[view, :3].T  # (3, 3)
        turn = [torque[2, 1] - torque[1, 2], torque[0, 2] - torque[2, 0], torque[1, 0] - torque[0, 1]]
        motion = -pace * self._motions.step(view, np.array([*turn, *of_world_to_camera[:3, 3]]))
        rotation = quaternions.to_matrix(quaternions.normalise(np.array([1, *motion[:3] / 2])))  # to first order
        self.world_to_camera[view, :3] = rotation @ self.world_to_camera[view, :3]
        self.world_to_camera[view, :3, 3] += motion[3:]
        focal = self.intrinsics[view][[0, 1], [0, 1]]
        of_zoom = float((focal * of_intrinsics[[0, 1], [0, 1]]).sum())
        lens = int(self._lenses[view])
        zoom = np.exp(-pace * self._zooms.step(lens, np.array([of_zoom]))[0])
        same = np.flatnonzero(self._lenses == lens)
        self.intrinsics[same[:, None], [0, 1], [0, 1]] *= zoom
