"""The values that travel between the parts: frozen, checked once, shapes and units on every field.

Conventions (everywhere in the package): camera frame x right, y down, z forward (OpenCV); `extrinsics` map world to
camera; intrinsics in pixels with pixel centres at half-integers; quaternions (w, x, y, z). No torch in this module, so
that a machine without it can still load, convert and export results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

Units = Literal["relative", "aligned", "metric"]
GaussianSource = Literal["head", "depth"]
FloatArray = NDArray[np.floating[Any]]


def _check(array: Any, name: str, shape: tuple[int | None, ...]) -> None:
    """Raise if `array` is not a numpy array of `shape`, where None stands for any length."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {array.shape}")


@dataclass(frozen=True)
class Gaussians:
    """G anisotropic 3D Gaussians in world space, the parameters of 3D Gaussian splatting (Kerbl et al. 2023)."""

    means: FloatArray
    """(G, 3) centres, in the units of the prediction."""
    scales: FloatArray
    """(G, 3) standard deviations along the local axes, in the units of the prediction; linear, not log."""
    rotations: FloatArray
    """(G, 4) unit quaternions (w, x, y, z), local axes to world."""
    harmonics: FloatArray
    """(G, 3, (degree + 1)²) spherical-harmonic coefficients per colour channel, in world directions."""
    opacities: FloatArray
    """(G,) in [0, 1]."""

    def __post_init__(self) -> None:
        _check(self.means, "means", (None, 3))
        count = len(self.means)
        _check(self.scales, "scales", (count, 3))
        _check(self.rotations, "rotations", (count, 4))
        _check(self.harmonics, "harmonics", (count, 3, None))
        _check(self.opacities, "opacities", (count,))
        bands = self.harmonics.shape[2]
        if bands == 0 or round(bands**0.5) ** 2 != bands:
            raise ValueError(f"harmonics must hold (degree + 1)² coefficients per channel, got {bands}")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics: 0 is a plain colour."""
        return round(self.harmonics.shape[2] ** 0.5) - 1


@dataclass(frozen=True)
class Cameras:
    """What the user knows about the cameras of N photos; either part may be unknown."""

    extrinsics: NDArray[np.float64] | None = None
    """(N, 4, 4) world-to-camera, in the user's units."""
    intrinsics: NDArray[np.float64] | None = None
    """(N, 3, 3) in pixels of whichever image they go with: the upright original, or its processed version."""

    def __post_init__(self) -> None:
        if self.extrinsics is not None:
            _check(self.extrinsics, "extrinsics", (None, 4, 4))
        if self.intrinsics is not None:
            _check(self.intrinsics, "intrinsics", (None if self.extrinsics is None else len(self.extrinsics), 3, 3))

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


@dataclass(frozen=True)
class Prediction:
    """What one run yields for N views of one scene, at the processed size H × W.

    Depth, cameras and Gaussians share one frame and one scale, named by `units`. Exporters read it and never change it.
    """

    depth: FloatArray
    """(N, H, W) float32 depth along the camera's z axis, in `units`."""
    processed_images: NDArray[np.uint8]
    """(N, H, W, 3) the RGB pixels the network saw."""
    conf: FloatArray | None = None
    """(N, H, W) float32 confidence ≥ 1, higher is better; None for models that give none (mono, metric)."""
    sky: NDArray[np.bool_] | None = None
    """(N, H, W) True where the model saw sky: its depth there is a placeholder, not measured. None: no sky head."""
    extrinsics: FloatArray | None = None
    """(N, 3, 4) float32 world-to-camera; None for single-view models without given cameras."""
    intrinsics: FloatArray | None = None
    """(N, 3, 3) float32 pixels of the processed image; None as above."""
    gaussians: Gaussians | None = None
    """Splats of the whole scene, in the frame of `extrinsics`; None unless asked for."""
    gaussian_source: GaussianSource | None = None
    """Where `gaussians` come from: `head` (the network: one per pixel, in the order of views, rows and columns) or
    `depth` (`recon.refine.from_depth`: only the pixels worth one). None without Gaussians."""
    units: Units = "relative"
    """`relative` (free scale), `aligned` (the scale of the given extrinsics) or `metric` (metres)."""
    scale_factor: float | None = None
    """What the model's own depth was multiplied by to reach `units`; None where nothing was rescaled."""
    image_names: tuple[str, ...] = ()
    """N names, for messages and files; empty when the images came without."""
    original_sizes: NDArray[np.int64] | None = None
    """(N, 2) width and height of the upright originals."""
    processed_to_original: FloatArray | None = None
    """(N, 3, 3) affine map from processed to original pixel coordinates (half-integer centres)."""
    ref_view: int | None = None
    """Index of the reference view the network chose; None where none was chosen."""
    aux: Mapping[str, Any] = field(default_factory=dict)
    """`feat_layer_K`: (N, h, w, C) float32 features of block K, for each layer asked for; and `gaussians`."""

    def __post_init__(self) -> None:
        _check(self.depth, "depth", (None, None, None))
        n, h, w = self.depth.shape
        _check(self.processed_images, "processed_images", (n, h, w, 3))
        if self.processed_images.dtype != np.uint8:
            raise TypeError(f"processed_images must be uint8, got {self.processed_images.dtype}")
        if self.conf is not None:
            _check(self.conf, "conf", (n, h, w))
        if self.sky is not None:
            _check(self.sky, "sky", (n, h, w))
            if self.sky.dtype != np.bool_:
                raise TypeError(f"sky must be bool, got {self.sky.dtype}")
        if self.extrinsics is not None:
            _check(self.extrinsics, "extrinsics", (n, 3, 4))
        if self.intrinsics is not None:
            _check(self.intrinsics, "intrinsics", (n, 3, 3))
        if self.original_sizes is not None:
            _check(self.original_sizes, "original_sizes", (n, 2))
        if self.processed_to_original is not None:
            _check(self.processed_to_original, "processed_to_original", (n, 3, 3))
        if self.image_names and len(self.image_names) != n:
            raise ValueError(f"image_names must have {n} names, got {len(self.image_names)}")
        sources = get_args(GaussianSource) if self.gaussians is not None else (None,)
        if self.gaussian_source not in sources:
            expected = " or ".join(repr(source) for source in sources)
            raise ValueError(f"gaussian_source must be {expected}, got {self.gaussian_source!r}")
        if self.gaussian_source == "head" and self.gaussians is not None and len(self.gaussians) != n * h * w:
            raise ValueError(f"Gaussians of the head must be one per pixel, {n * h * w}, got {len(self.gaussians)}")
        if self.units not in get_args(Units):
            raise ValueError(f"units must be one of {', '.join(get_args(Units))}, got {self.units!r}")

    @property
    def is_metric(self) -> bool:
        """Whether depth and camera positions are in metres."""
        return self.units == "metric"
