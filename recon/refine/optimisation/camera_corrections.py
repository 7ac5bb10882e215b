"""Small corrections of cameras that were found, by the derivatives of a loss of what they see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.similarity import Similarity
from recon.geometry.view_alignment import align_views
from recon.refine.optimisation.adam import Adam
from recon.types import Gaussians

_TURN = 1e-4
"""Learning rate of rotations, radians, and of positions, as a fraction of the cameras' extent."""
_ZOOM = 1e-5
"""Learning rate of the logarithms of focal lengths, which every look moves. Ten times as fast, right ones drift away by
two tenths of a percent, together with everything else, and views held out lose 1 to 2 dB."""
_NO_DRIFT = Similarity(1.0, np.eye(3), np.zeros(3))


class CorrectedCameras:
    """Positions, rotations and focal lengths of N cameras, each moved a little whenever its view has been looked at.

    Cameras that begin with the same focal lengths and principal point keep the same focal lengths: it is one lens.
    Splats and cameras can drift away together, and no photo tells: `drift` says how far, and where other cameras,
    which are not looked at, have to stand to see the same.
    """

    def __init__(
        self,
        world_to_camera: NDArray[np.float64],
        intrinsics: NDArray[np.float64],
        extent: float,
        distance: float = 1.0,
        moved: Sequence[int] | None = None,
    ) -> None:
        """Of (N, 4, 4) and (N, 3, 3).

        Args:
            world_to_camera, intrinsics: where they begin.
            extent: how far apart they are, at most, about.
            distance: typical depth of what they see.
            moved: those that are going to be looked at; by default all.
        """
        self.world_to_camera = world_to_camera.copy()
        self.intrinsics = intrinsics.copy()
        self._given, self._distance = world_to_camera.copy(), distance
        self._moved = list(range(len(intrinsics)) if moved is None else moved)
        self._others = sorted(set(range(len(intrinsics))).difference(self._moved))
        _, self._lenses = np.unique(intrinsics.reshape(len(intrinsics), -1), axis=0, return_inverse=True)
        self._lenses = self._lenses.reshape(-1)
        rates = np.array([_TURN, _TURN, _TURN, *[_TURN * extent] * 3])
        self._motions = Adam((len(intrinsics), 6), rates)
        self._zooms = Adam((int(self._lenses.max(initial=0)) + 1, 1), np.array([_ZOOM]))

    @property
    def drift(self) -> Similarity:
        """From the world of the cameras as they were given to the one that those looked at are in by now.

        The one that moves what they see at the typical distance by the least.
        """
        now, given = self.world_to_camera[self._moved], self._given[self._moved]
        if np.array_equal(now, given):
            return _NO_DRIFT
        return align_views(now, given, _NO_DRIFT, self._distance)

    def take_others_along(self) -> None:
        """Move the cameras that are not looked at from where they were given to the world of those that are."""
        if self._others:
            self.world_to_camera[self._others] = self.drift.apply_to_extrinsics(self._given[self._others])

    def in_given_world(self) -> NDArray[np.float64]:
        """(N, 4, 4) the corrected cameras without the drift; those that are not looked at as they were given."""
        cameras = self.drift.inverse().apply_to_extrinsics(self.world_to_camera)
        cameras[self._others] = self._given[self._others]
        return cameras

    def splats_in_given_world(self, gaussians: Gaussians) -> Gaussians:
        """Splats likewise."""
        drift = self.drift
        return gaussians if drift is _NO_DRIFT else transform_gaussians(gaussians, drift.inverse())

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
