"""Similarities of space, and the one that brings a set of cameras onto another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid, to_4x4
from recon.types import FloatArray

_RANSAC_VIEWS = 10
"""From this many views on, a few cameras may be far off without spoiling the alignment."""
_RANSAC_TRIES = 10
_COLLINEAR = 0.05
"""Cameras whose spread off their best line is below this share of the spread along it are on a line."""
_RANK_DEFICIENT = 1e-6
"""The same, for samples of cameras that are not all on a line: only an exact line leaves them without a rotation."""
_ROUNDING = 16
"""Cameras whose spread is below this many roundings of their distance from the origin are in one place."""
_SMALLEST_SPREAD = 1e-12


@dataclass(frozen=True)
class Similarity:
    """The map x -> scale · rotation · x + translation from a source world to a target world."""

    scale: float
    """Target units per source unit, positive."""
    rotation: NDArray[np.float64]
    """(3, 3) proper rotation."""
    translation: NDArray[np.float64]
    """(3,) in target units."""

    def apply(self, points: FloatArray) -> NDArray[np.float64]:
        """Map points (..., 3) of the source world into the target world."""
        return np.asarray(points, np.float64) @ (self.scale * self.rotation.T) + self.translation

    def inverse(self) -> Similarity:
        """The map from the target world back to the source world."""
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -(rotation @ self.translation) / self.scale)

    def compose(self, first: Similarity) -> Similarity:
        """The map that applies `first`, then this one."""
        return Similarity(
            self.scale * first.scale, self.rotation @ first.rotation, self.apply(first.translation[None])[0]
        )

    def apply_to_extrinsics(self, world_to_camera: FloatArray) -> NDArray[np.float64]:
        """Move cameras (..., 3, 4) or (..., 4, 4) with their world; returns (..., 4, 4) target world to camera.

        Lengths in the camera frame, depth among them, are to be multiplied by `scale`.
        """
        moved = to_4x4(np.asarray(world_to_camera, np.float64))
        moved[..., :3, :3] = moved[..., :3, :3] @ self.rotation.T
        moved[..., :3, 3] = self.scale * moved[..., :3, 3] - moved[..., :3, :3] @ self.translation
        return moved


def align_cameras(
    target_world_to_camera: FloatArray, source_world_to_camera: FloatArray, seed: int = 42
) -> Similarity | None:
    """The similarity that maps the source world to the target world, from the same cameras known in both.

    Least squares on the camera centres (Umeyama, PAMI 1991); from 10 views on with RANSAC, so that some cameras may be
    far off. Centres on a line (always so for 2 views) leave the rotation about it open: then the rotation is the mean
    of what the camera orientations say, and the scale is the ratio of the extents along the line.

    Args:
        target_world_to_camera: (N, 3, 4) or (N, 4, 4).
        source_world_to_camera: the same cameras, in the same order, in the source world.
        seed: of the RANSAC samples.

    Returns:
        None if the scale is undetermined: a single view, or cameras in either world that coincide to within the
        rounding of their number format (float32 and float64 are told apart).

    Raises:
        ValueError: the two sets differ in number.
    """
    target = _Cameras.from_extrinsics(target_world_to_camera)
    source = _Cameras.from_extrinsics(source_world_to_camera)
    if len(target.centres) != len(source.centres):
        raise ValueError(f"{len(target.centres)} target cameras cannot be aligned with {len(source.centres)}")
    on_a_line = min(_line_ratio(target.centres), _line_ratio(source.centres)) < _COLLINEAR
    tolerance = _COLLINEAR if on_a_line else _RANK_DEFICIENT
    everything = _fit(target, source, tolerance)
    if everything is None or len(target.centres) < _RANSAC_VIEWS:
        return everything
    return _ransac(target, source, everything, tolerance, seed)


@dataclass(frozen=True)
class _Cameras:
    rotations: NDArray[np.float64]
    """(N, 3, 3) camera to world."""
    centres: NDArray[np.float64]
    """(N, 3) in the world."""
    rounding: float
    """Relative rounding of the number format that they were given in."""

    @staticmethod
    def from_extrinsics(world_to_camera: FloatArray) -> _Cameras:
        camera_to_world = invert_rigid(np.asarray(world_to_camera, np.float64))
        rounding = float(np.finfo(np.asarray(world_to_camera).dtype).eps)
        return _Cameras(camera_to_world[:, :3, :3], camera_to_world[:, :3, 3], rounding)

    def __getitem__(self, index: NDArray[np.generic]) -> _Cameras:
        return _Cameras(self.rotations[index], self.centres[index], self.rounding)


def _spreads(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square spread (3,) along the principal axes, largest first, padded with 0 for fewer than 3 centres."""
    spreads = np.linalg.svd(centres - centres.mean(axis=0), compute_uv=False) / np.sqrt(len(centres))
    return np.pad(spreads, (0, 3 - len(spreads)))


def _line_ratio(centres: NDArray[np.float64]) -> float:
    """Spread off the best line over spread along it: 0 on a line, 1 for a sphere."""
    along, across, _ = _spreads(centres)
    return float(across / max(along, _SMALLEST_SPREAD))


def _coincident(cameras: _Cameras) -> bool:
    farthest = np.linalg.norm(cameras.centres, axis=1).max()
    return bool(_spreads(cameras.centres)[0] <= max(_ROUNDING * cameras.rounding * farthest, _SMALLEST_SPREAD))


def _fit(target: _Cameras, source: _Cameras, tolerance: float) -> Similarity | None:
    """The best similarity for all the cameras given; None if those of one world coincide."""
    if _coincident(target) or _coincident(source):
        return None
    if min(_line_ratio(target.centres), _line_ratio(source.centres)) < tolerance:
        return _fit_line(target, source)
    return umeyama(target.centres, source.centres)


def umeyama(
    target: NDArray[np.float64], source: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> Similarity:
    """Least-squares similarity from points `source` (N, 3) to `target`, not on a line (Umeyama 1991, eq. 38 to 43);
    squares count by their `weights` (N,)."""
    shares = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    target_mean, source_mean = shares @ target, shares @ source
    covariance = (shares[:, None] * (target - target_mean)).T @ (source - source_mean)  # (3, 3)
    rotation, scaled = nearest_rotation(covariance)
    scale = float(scaled / (shares @ ((source - source_mean) ** 2).sum(axis=1)))
    return Similarity(scale, rotation, target_mean - scale * (rotation @ source_mean))


def _fit_line(target: _Cameras, source: _Cameras) -> Similarity:
    """Rotation from the orientations (chordal L2 mean, Hartley et al. 2013), scale from the extents along the line."""
    between_worlds = target.rotations @ source.rotations.swapaxes(1, 2)  # (N, 3, 3) source to target
    rotation, _ = nearest_rotation(between_worlds.sum(axis=0))
    scale = float(_spreads(target.centres)[0] / _spreads(source.centres)[0])
    return Similarity(scale, rotation, target.centres.mean(axis=0) - scale * (rotation @ source.centres.mean(axis=0)))


def nearest_rotation(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The rotation R with the largest trace(Rᵀ matrix), and that trace."""
    left, singular_values, right = np.linalg.svd(matrix)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    return (left * signs) @ right, float(singular_values @ signs)


def _ransac(target: _Cameras, source: _Cameras, everything: Similarity, tolerance: float, seed: int) -> Similarity:
    """Fit seeded samples of half the cameras, keep the one most cameras agree with, and fit those again.

    A camera agrees if it comes within the median distance, after the fit of everything, from a moved source camera to
    the nearest target camera. Samples, threshold and order are those of the depth-anything-3 package.
    """
    count = len(target.centres)
    moved = everything.apply(source.centres)
    nearest = np.linalg.norm(moved[:, None] - target.centres, axis=2).min(axis=1)  # (N,)
    threshold = float(np.median(nearest))

    generator = np.random.default_rng(seed)
    best, best_agreeing, best_score = everything, np.zeros(count, bool), (-1, -np.inf)
    for _ in range(_RANSAC_TRIES):
        sample = generator.choice(np.arange(count), size=max(3, (count + 1) // 2), replace=False)
        candidate = _fit(target[sample], source[sample], tolerance)
        if candidate is None:
            continue
        errors = np.linalg.norm(candidate.apply(source.centres) - target.centres, axis=1)
        agreeing = errors <= threshold
        score = (int(agreeing.sum()), -float(errors[agreeing].mean()) if agreeing.any() else -np.inf)
        if score > best_score:
            best, best_agreeing, best_score = candidate, agreeing, score
    if best_agreeing.sum() < 3:
        return best
    return _fit(target[best_agreeing], source[best_agreeing], tolerance) or best
