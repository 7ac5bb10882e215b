"""Cameras of N images: where they stood, what they see, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import InputError
from recon.types.arrays import check_shape
from recon.types.lens import COEFFICIENTS, pinhole_zoom

CameraOrigin = Literal["given", "exif", "sfm", "predicted", "assumed"]
CameraScale = Literal["free", "given", "metric"]


MEASURED_ORIGINS: tuple[CameraOrigin, ...] = ("given", "sfm")
"""Of cameras that were measured, not guessed."""


class WorldMap(Protocol):
    """A map from one world to another, as `recon.geometry.similarity.Similarity` is."""

    def apply_to_extrinsics(self, world_to_camera: NDArray[Any]) -> NDArray[np.float64]:
        """Move cameras (N, 4, 4) with their world."""


@dataclass(frozen=True)
class Cameras:
    """Cameras of N images; any part may be unknown."""

    world_to_camera: NDArray[np.float64] | None = None
    """(N, 4, 4) rigid, in OpenCV axes: x right, y down, z forward."""
    intrinsics: NDArray[np.float64] | None = None
    """(N, 3, 3) in pixels of images of `sizes` (half-integer centres); they act on rays that `distortion` has bent."""
    sizes: NDArray[np.int64] | None = None
    """(N, 2) width and height of the upright images that the intrinsics go with."""
    distortion: NDArray[np.float64] | None = None
    """(N, 8) k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them; None: all are pinhole cameras."""
    origin: CameraOrigin = "given"
    """Where they come from: the user, EXIF, structure from motion, a network, or a guess. Of `world_to_camera` where
    the intrinsics have another origin."""
    scale: CameraScale = "given"
    """What the unit of length is: anything (`free`), whatever the user's cameras have (`given`), or a metre."""
    origins: tuple[CameraOrigin, ...] | None = None
    """Of each camera, where they come from several; None: all are as `origin` says."""

    def __post_init__(self) -> None:
        shapes = {"world_to_camera": (4, 4), "intrinsics": (3, 3), "sizes": (2,), "distortion": (COEFFICIENTS,)}
        count: int | None = None
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None:
                check_shape(array, name, (count, *shape))
                count = len(array)
        if self.origins is not None and len(self.origins) != (count or 0):
            raise ValueError(f"origins must be of {count or 0} cameras, got {len(self.origins)}")
        if self.distortion is not None and self.intrinsics is None:
            raise ValueError("distortion goes with intrinsics, and there are none")
        for name, value, known in (
            ("origin", self.origin, get_args(CameraOrigin)),
            ("scale", self.scale, get_args(CameraScale)),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")

    def __len__(self) -> int:
        """Number of cameras; 0 where nothing is known of any."""
        parts = (self.world_to_camera, self.intrinsics, self.sizes)
        return next((len(part) for part in parts if part is not None), 0)

    def __getitem__(self, indices: slice | Sequence[int] | NDArray[Any]) -> Cameras:
        """These cameras only, in this order."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices, np.intp)

        def take(part: NDArray[Any] | None) -> Any:
            return None if part is None else part[chosen]

        return replace(
            self,
            world_to_camera=take(self.world_to_camera),
            intrinsics=take(self.intrinsics),
            sizes=take(self.sizes),
            distortion=take(self.distortion),
            origins=None if self.origins is None else tuple(np.array(self.origins)[chosen].tolist()),
        )

    @property
    def complete(self) -> bool:
        """Whether both extrinsics and intrinsics are known."""
        return self.world_to_camera is not None and self.intrinsics is not None

    def mapped(self, to_original: NDArray[np.floating[Any]], sizes: ArrayLike) -> Cameras:
        """The cameras of resized and cropped images.

        Args:
            to_original: (N, 3, 3) affine maps from pixels of the new images to pixels of these.
            sizes: (N, 2) width and height of the new images, or one pair for all.
        """
        count = len(to_original)
        new_sizes = np.array(np.broadcast_to(np.asarray(sizes, np.int64), (count, 2)))
        if self.intrinsics is None:
            return replace(self, sizes=new_sizes)
        return replace(
            self, intrinsics=np.linalg.inv(np.asarray(to_original, np.float64)) @ self.intrinsics, sizes=new_sizes
        )

    def pinhole(self) -> Cameras:
        """The cameras of the undistorted images (`recon.sources.undistortion`), which have the size of these.

        Focal lengths are multiplied by one factor, so that a wide view is kept and no pixel is without content.
        """
        if self.distortion is None:
            return self
        if self.sizes is None:
            raise ValueError("the sizes of the images are needed to undistort them")
        assert self.intrinsics is not None
        pinholes = self.intrinsics.copy()
        known: dict[bytes, float] = {}  # photos of one camera have one lens
        for view in range(len(pinholes)):
            lens = (self.intrinsics[view], self.distortion[view], self.sizes[view])
            key = b"".join(part.tobytes() for part in lens)
            if key not in known:
                known[key] = pinhole_zoom(lens[0], lens[1], (int(lens[2][0]), int(lens[2][1])))
            pinholes[view, :2, :2] *= known[key]
        return replace(self, intrinsics=pinholes, distortion=None)

    def moved(self, similarity: WorldMap, scale: CameraScale | None = None) -> Cameras:
        """The same cameras in another world; `scale` says what its unit is, where that changes."""
        if self.world_to_camera is None:
            return self
        moved = similarity.apply_to_extrinsics(self.world_to_camera)
        return replace(self, world_to_camera=moved, scale=self.scale if scale is None else scale)

    @staticmethod
    def from_arrays(extrinsics: Any, intrinsics: Any, count: int) -> Cameras:
        """Check cameras given by a user for `count` images.

        Args:
            extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera, or None; arrays, nested lists or tensors.
            intrinsics: (N, 3, 3) in pixels, or None.
            count: number of images.

        Raises:
            InputError: wrong shape or count, numbers that are not finite, a rotation that is none or is mirrored, a
                focal length that is not positive, or last rows other than (0, 0, 0, 1) and (0, 0, 1).
        """
        return Cameras(
            None if extrinsics is None else _checked_extrinsics(extrinsics, count),
            None if intrinsics is None else _checked_intrinsics(intrinsics, count),
        )


def _checked_extrinsics(given: Any, count: int) -> NDArray[np.float64]:
    matrices = _finite_matrices(given, "extrinsics", ((4, 4), (3, 4)), count)
    extrinsics = np.tile(np.eye(4), (count, 1, 1))
    extrinsics[:, : matrices.shape[1]] = matrices
    last_row = np.abs(extrinsics[:, 3] - (0, 0, 0, 1)).max(axis=1) > 1e-5
    _refuse(last_row, "extrinsics[{}] must have the last row (0, 0, 0, 1): is it transposed?")
    rotation = extrinsics[:, :3, :3]
    error = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))  # (N,)
    _refuse(error > 1e-3, "extrinsics[{}] must hold a rotation: its first three rows and columns are not orthonormal")
    mirrored = np.linalg.det(rotation) < 0
    _refuse(mirrored, "extrinsics[{}] is mirrored: its rotation must have determinant +1, not -1 (one axis is flipped)")
    return extrinsics


def _checked_intrinsics(given: Any, count: int) -> NDArray[np.float64]:
    intrinsics = _finite_matrices(given, "intrinsics", ((3, 3),), count)
    last_row = np.abs(intrinsics[:, 2] - (0, 0, 1)).max(axis=1) > 1e-5
    _refuse(last_row, "intrinsics[{}] must have the last row (0, 0, 1): is it transposed?")
    focal = intrinsics[:, [0, 1], [0, 1]]  # (N, 2)
    _refuse((focal <= 0).any(axis=1), "intrinsics[{}] must have positive focal lengths at [0, 0] and [1, 1]")
    return intrinsics


def _finite_matrices(given: Any, name: str, shapes: tuple[tuple[int, int], ...], count: int) -> NDArray[np.float64]:
    """A float64 copy of `given` as (count, rows, columns), checked for shape, count and finiteness."""
    expected = " or ".join(f"({count}, {rows}, {columns})" for rows, columns in shapes)
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu().numpy()
        matrices = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers of shape {expected}: {error}") from error
    if matrices.ndim != 3 or matrices.shape[1:] not in shapes:
        raise InputError(f"{name} must have shape {expected}, got {matrices.shape}")
    if len(matrices) != count:
        raise InputError(f"{name} must hold one matrix per image: {len(matrices)} given for {count} images")
    _refuse((~np.isfinite(matrices)).any(axis=(1, 2)), name + "[{}] must be finite: it holds NaN or infinity")
    return matrices


def _refuse(wrong: NDArray[np.bool_] | np.bool_, message: str) -> None:
    """Raise for the first camera that is `wrong` (N,); `message` has a place for its index."""
    if wrong.any():
        raise InputError(message.format(int(np.argmax(wrong))))
