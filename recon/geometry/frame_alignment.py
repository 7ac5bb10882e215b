"""How two cameras of different worlds lie to each other, from points that both see and whose depth each knows.

Each world has a unit of its own: the result is a similarity between the two camera frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry.rotation_vectors import from_rotation_vectors, rotation_vectors
from recon.geometry.similarity import Similarity

_SAMPLES = 400
_CLOSE = 3.0
"""Pixels at an image of `_USUAL_WIDTH`, within which a point agrees when it is moved into the other camera."""
_USUAL_WIDTH = 500.0
_CLOSE_DEPTH = 0.15
"""The same of the logarithm of depth."""
_PIXEL, _DEPTH = 1.0, 0.03
"""Deviations of matches in pixels and of the logarithm of depth, by which both are weighed."""
_ROUNDS = 10


@dataclass(frozen=True)
class SeenPoints:
    """K points as one camera sees them."""

    pixels: NDArray[np.float64]
    """(K, 2)."""
    depth: NDArray[np.float64]
    """(K,) along z in the unit of its world, positive."""
    intrinsics: NDArray[np.float64]
    """(3, 3)."""

    def __getitem__(self, chosen: NDArray[np.generic]) -> SeenPoints:
        return SeenPoints(self.pixels[chosen], self.depth[chosen], self.intrinsics)

    @property
    def points(self) -> NDArray[np.float64]:
        """(K, 3) in the frame of the camera."""
        rays = np.concatenate([self.pixels, np.ones((len(self.pixels), 1))], axis=1) @ np.linalg.inv(self.intrinsics).T
        return np.asarray(rays * self.depth[:, None])

    @property
    def _unit(self) -> float:
        """Pixels of this image for one of an image of usual width."""
        return max(2 * float(self.intrinsics[0, 2]) / _USUAL_WIDTH, 0.5)


@dataclass(frozen=True)
class FrameAlignment:
    """What `align_frames` finds."""

    second_to_first: Similarity
    """Between the frames of the cameras."""
    agreeing: NDArray[np.bool_]
    """(K,) points that bear it out."""
    deviations: tuple[float, float, float]
    """Of the rotation in radians, of the translation in units of the first, and of the logarithm of the scale: the
    largest of each."""


def align_frames(first: SeenPoints, second: SeenPoints, fewest: int, seed: int = 0) -> FrameAlignment | None:
    """The similarity that moves the points of the second camera onto those of the first, and onto their pixels.

    RANSAC over triples (Umeyama, PAMI 1991), then least squares on pixels in both images and on depths, robustly.

    Args:
        first, second: the same K points, in the same order.
        fewest: points that must agree.
        seed: of the samples.

    Returns:
        None where fewer agree, or they do not determine it.
    """
    if len(first.depth) < max(fewest, 3):
        return None
    found = _by_samples(first, second, seed)
    for _ in range(2):
        agreeing = _agreeing(found, first, second)
        if agreeing.sum() < max(fewest, 4):
            return None
        found, deviations = _least_squares(found, first[agreeing], second[agreeing])
        if not np.isfinite(deviations).all():
            return None
    agreeing = _agreeing(found, first, second)
    return FrameAlignment(found, agreeing, deviations) if agreeing.sum() >= fewest else None


def _by_samples(first: SeenPoints, second: SeenPoints, seed: int) -> Similarity:
    """The similarity of three points that most points agree with."""
    random = np.random.default_rng(seed)
    triples = np.argsort(random.random((_SAMPLES, len(first.depth))), axis=1)[:, :3]  # (S, 3)
    target, source = first.points[triples], second.points[triples]  # (S, 3, 3)
    target_middle, source_middle = target.mean(axis=1, keepdims=True), source.mean(axis=1, keepdims=True)
    left, sizes, right = np.linalg.svd((target - target_middle).swapaxes(1, 2) @ (source - source_middle))
    signs = np.ones((_SAMPLES, 3))
    signs[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotations = (left * signs[:, None, :]) @ right
    spread = np.maximum(((source - source_middle) ** 2).sum(axis=(1, 2)), 1e-12)
    scales = np.maximum((sizes * signs).sum(axis=1) / spread, 1e-6)
    best, most = Similarity(1.0, np.eye(3), np.zeros(3)), -1
    for scale, rotation, to, at in zip(scales, rotations, target_middle[:, 0], source_middle[:, 0], strict=True):
        candidate = Similarity(float(scale), rotation, to - scale * (rotation @ at))
        agreeing = int(_agreeing(candidate, first, second).sum())
        if agreeing > most:
            best, most = candidate, agreeing
    return best


def _errors(
    found: Similarity, first: SeenPoints, second: SeenPoints
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(K, 2) pixels in the first and in the second image, (K,) logarithm of the ratio of depths; of usual images."""
    moved, back = found.apply(second.points), found.inverse().apply(first.points)
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = np.log(moved[:, 2] / first.depth)
        in_first = (moved @ first.intrinsics.T)[:, :2] / moved[:, 2:] - first.pixels
        in_second = (back @ second.intrinsics.T)[:, :2] / back[:, 2:] - second.pixels
    wrong = ~(np.isfinite(ahead) & (back[:, 2] > 0))
    ahead[wrong], in_first[wrong], in_second[wrong] = 10, 1e3, 1e3
    return in_first / first._unit, in_second / second._unit, ahead


def _agreeing(found: Similarity, first: SeenPoints, second: SeenPoints) -> NDArray[np.bool_]:
    in_first, in_second, ahead = _errors(found, first, second)
    off = np.maximum(np.linalg.norm(in_first, axis=1), np.linalg.norm(in_second, axis=1))
    return np.asarray((off < _CLOSE) & (np.abs(ahead) < _CLOSE_DEPTH))


def _least_squares(
    found: Similarity, first: SeenPoints, second: SeenPoints
) -> tuple[Similarity, tuple[float, float, float]]:
    """The similarity of least squares, and the deviations of its turn, place and scale."""
    from scipy.optimize import least_squares

    distance = float(np.median(first.depth))
    begun = np.array([*rotation_vectors(found.rotation[None])[0], *(found.translation / distance), np.log(found.scale)])

    def similarity(numbers: NDArray[np.float64]) -> Similarity:
        turn = from_rotation_vectors(numbers[None, :3])[0]
        return Similarity(float(np.exp(numbers[6])), turn, numbers[3:6] * distance)

    def left(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        in_first, in_second, ahead = _errors(similarity(numbers), first, second)
        return np.concatenate([in_first.ravel() / _PIXEL, in_second.ravel() / _PIXEL, ahead / _DEPTH])

    ended = least_squares(left, begun, loss="soft_l1", max_nfev=_ROUNDS)
    information = ended.jac.T @ ended.jac
    freedom = max(len(ended.fun) - 7, 1)
    inflated = max(1.0, float((ended.fun**2).sum()) / freedom)
    try:
        variances = np.diag(np.linalg.inv(information)) * inflated
    except np.linalg.LinAlgError:
        return found, (np.inf, np.inf, np.inf)
    off = np.sqrt(np.maximum(variances, 0))
    return similarity(ended.x), (float(off[:3].max()), float(off[3:6].max()) * distance, float(off[6]))
