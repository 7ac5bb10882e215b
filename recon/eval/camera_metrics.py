"""How far predicted cameras are from true ones: relative poses over all pairs, AUC, absolute trajectory error.

Both sets of cameras may live in any world frame and at any scale: nothing here depends on either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import camera_centres, invert_rigid, to_4x4
from recon.geometry.similarity import umeyama
from recon.types import FloatArray

AUC_THRESHOLDS = (3, 5, 15, 30)
"""Degrees."""
EXACT_AUC_THRESHOLDS = (0.3, 1.0, 3.0)
"""Degrees."""
_COINCIDENT = 1e-6
"""Two true cameras closer than this share of the whole extent have no direction between them."""
_ROUNDING = 16
"""Cameras whose extent is below this many roundings of their distance from the origin are in one place."""
_NO_DIRECTION = 90.0
"""Degrees that a predicted pair without a baseline is off where the truth has one."""


@dataclass(frozen=True)
class PairErrors:
    """Errors of the relative poses of P = N (N - 1) / 2 pairs of cameras, in degrees."""

    rotation: NDArray[np.float64]
    """(P,) angle of the rotation that is left between the predicted and the true relative rotation, 0 to 180."""
    translation: NDArray[np.float64]
    """(P,) angle between the predicted and the true direction from one camera to the other, 0 to 180; NaN where the
    true cameras of the pair are in one place."""

    @property
    def combined(self) -> NDArray[np.float64]:
        """(P,) the larger of both; the rotation's alone where there is no true direction."""
        return np.fmax(self.rotation, self.translation)


@dataclass(frozen=True)
class CameraScores:
    """What `camera_scores` finds; None where the cameras cannot tell."""

    views: int
    """Cameras with ground truth, the failed ones included."""
    failed: int
    """Cameras that the prediction has none for."""
    rotation_median: float | None
    """Degrees, over all pairs."""
    translation_median: float | None
    """Degrees, over all pairs that have a baseline."""
    rotation_accuracy: dict[int, float] | None
    """Share of pairs whose rotation is off by less than so many degrees (RRA of PoseDiffusion, Wang et al. 2023)."""
    translation_accuracy: dict[int, float] | None
    """The same for the direction of the translation (RTA)."""
    auc: dict[int, float] | None
    """Area under the curve of the larger of both errors, up to so many degrees."""
    rotation_auc: dict[int, float] | None
    """The same for the rotation alone."""
    exact_auc: dict[float, float] | None
    """Area under the curve of the larger of both errors, without bins, for cameras that are nearly right."""
    ate_rmse: float | None
    """Absolute trajectory error in units of the ground truth."""
    ate_percent: float | None
    """The same in percent of the diagonal of the true centres' bounding box."""
    focal_error: float | None
    """Median of |predicted / true focal length - 1|, both axes."""


def camera_scores(
    predicted: FloatArray,
    truth: FloatArray,
    predicted_intrinsics: FloatArray | None = None,
    true_intrinsics: FloatArray | None = None,
    thresholds: Sequence[int] = AUC_THRESHOLDS,
) -> CameraScores:
    """Every camera metric. A failed view counts as wrong in every pair it is part of, and is left out of the ATE.

    Args:
        predicted: (N, 3, 4) or (N, 4, 4) world-to-camera; NaN for views without a camera.
        truth: the same cameras, in the same order, finite.
        predicted_intrinsics: (N, 3, 3) in pixels of any images, or None.
        true_intrinsics: (N, 3, 3) in pixels of the same images.
        thresholds: whole degrees, of accuracies and AUC.
    """
    known = np.isfinite(predicted).all(axis=(1, 2))
    focal_error = None
    if predicted_intrinsics is not None and true_intrinsics is not None:
        focal_error = _focal_error(predicted_intrinsics, true_intrinsics)
    ate, percent = trajectory_error(predicted[known], truth[known])
    if len(truth) < 2:
        nothing = (None,) * 7
        return CameraScores(len(truth), int((~known).sum()), *nothing, ate, percent, focal_error)
    errors = pair_errors(predicted, truth)
    has_baseline = np.isfinite(errors.translation)
    directions = errors.translation[has_baseline]
    return CameraScores(
        views=len(truth),
        failed=int((~known).sum()),
        rotation_median=float(np.median(errors.rotation)),
        translation_median=float(np.median(directions)) if len(directions) else None,
        rotation_accuracy={t: float((errors.rotation < t).mean()) for t in thresholds},
        translation_accuracy={t: float((directions < t).mean()) for t in thresholds} if len(directions) else None,
        auc={t: area_under_curve(errors.combined, t) for t in thresholds},
        rotation_auc={t: area_under_curve(errors.rotation, t) for t in thresholds},
        exact_auc={t: exact_area_under_curve(errors.combined, t) for t in EXACT_AUC_THRESHOLDS},
        ate_rmse=ate,
        ate_percent=percent,
        focal_error=focal_error,
    )


def pair_errors(predicted: FloatArray, truth: FloatArray) -> PairErrors:
    """Compare the motions from camera i to camera j > i, world_to_j · i_to_world, of both sets.

    Jin et al., "Image Matching across Wide Baselines", IJCV 2021, section 4; Wang et al., "PoseDiffusion", ICCV 2023.
    Unlike in the code that DA3 and VGGT published, the motion is that between the two cameras of the pair alone, and a
    translation in the opposite direction is off by 180°, not 0°.

    Args:
        predicted: (N, 3, 4) or (N, 4, 4) world-to-camera; pairs with a camera that is not finite are off by 180°.
        truth: the same cameras.
    """
    first, second = np.triu_indices(len(truth), k=1)
    predicted_motion, true_motion = _motions(predicted, first, second), _motions(truth, first, second)
    rotation = rotation_angles(predicted_motion[:, :3, :3] @ true_motion[:, :3, :3].swapaxes(1, 2))
    translation = _angles_between(predicted_motion[:, :3, 3], true_motion[:, :3, 3])
    failed = ~np.isfinite(predicted_motion).all(axis=(1, 2))
    rotation[failed] = translation[failed] = 180
    baselines = np.linalg.norm(true_motion[:, :3, 3], axis=1)
    extent = _extent(camera_centres(np.asarray(truth, np.float64)))
    translation[baselines <= _COINCIDENT * extent] = np.nan
    return PairErrors(rotation, translation)


def area_under_curve(errors: NDArray[np.float64], threshold: int) -> float:
    """Mean, over the whole degrees t up to `threshold`, of the share of `errors` (P,) below t.

    The sum over bins of one degree is that of PoseDiffusion, VGGT and the DA3 benchmark, so that an error below one
    degree costs nothing.
    """
    return float(np.mean([(errors < t).mean() for t in range(1, threshold + 1)]))


def exact_area_under_curve(errors: NDArray[np.float64], threshold: float) -> float:
    """Mean, over all angles up to `threshold` degrees, of the share of `errors` (P,) below them.

    The integral itself, as COLMAP's benchmark takes it: each error costs what it is.
    """
    return float(np.clip(1 - errors / threshold, 0, None).mean())


def rotation_angles(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles (P,) in degrees of rotations (P, 3, 3), precise for the smallest too, where arccos of the trace is not."""
    sine = np.linalg.norm(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        axis=0,
    )
    cosine = np.trace(rotations, axis1=1, axis2=2) - 1
    return np.degrees(np.arctan2(sine, cosine))


def trajectory_error(predicted: FloatArray, truth: FloatArray) -> tuple[float | None, float | None]:
    """Root mean square distance between camera centres after the similarity that makes it least.

    ATE of Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems", IROS 2012, with the alignment of
    Umeyama, PAMI 1991, scale included.

    Args:
        predicted: (N, 3, 4) or (N, 4, 4) world-to-camera, finite.
        truth: the same cameras.

    Returns:
        The error in units of `truth`, and in percent of the diagonal of the true centres' bounding box. None for fewer
        than 3 cameras, which a similarity always fits, and where the cameras of either set are all in one place.
    """
    if len(truth) < 3:
        return None, None
    source, target = (camera_centres(np.asarray(cameras, np.float64)) for cameras in (predicted, truth))
    for cameras, centres in ((predicted, source), (truth, target)):
        if _extent(centres) <= _ROUNDING * np.finfo(cameras.dtype).eps * np.abs(centres).max():
            return None, None
    error = float(np.sqrt(((umeyama(target, source).apply(source) - target) ** 2).sum(axis=1).mean()))
    return error, 100 * error / _extent(target)


def _motions(world_to_camera: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float64]:
    """(P, 4, 4) from the frame of the first camera of each pair to that of the second."""
    cameras = to_4x4(np.asarray(world_to_camera, np.float64))
    return cameras[second] @ invert_rigid(cameras)[first]


def _angles_between(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between the directions (P, 3); 90 where one has no length. Precise for the smallest (Kahan 2006)."""
    lengths = [np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (left, right)]
    with np.errstate(invalid="ignore", divide="ignore"):
        unit_left, unit_right = left / lengths[0], right / lengths[1]
    angles = 2 * np.arctan2(
        np.linalg.norm(unit_left - unit_right, axis=1), np.linalg.norm(unit_left + unit_right, axis=1)
    )
    without = (lengths[0][:, 0] == 0) | (lengths[1][:, 0] == 0)
    return np.where(without, _NO_DIRECTION, np.degrees(angles))


def _extent(centres: NDArray[np.float64]) -> float:
    """Diagonal of the bounding box of (N, 3) points."""
    return float(np.linalg.norm(np.ptp(centres, axis=0)))


def _focal_error(predicted: FloatArray, truth: FloatArray) -> float | None:
    ratios = predicted[:, [0, 1], [0, 1]] / np.asarray(truth, np.float64)[:, [0, 1], [0, 1]]  # (N, 2)
    finite = ratios[np.isfinite(ratios)]
    return float(np.median(np.abs(finite - 1))) if len(finite) else None
