"""A smooth camera path through given cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.splats.camera_path import CameraPath, jumps
from recon.types import FloatArray

_STEEPEST = 1.5
"""A spline passes a camera at most this many times as fast as the slower of the two stretches beside it: from 3 on it
would swing past its cameras (Fritsch & Carlson 1980)."""
_PARALLEL = 0.01
"""Mean squared sine of the angles between optical axes below which where they meet counts as not known."""
_ROUNDS = 12
_LONGEST = 4
"""Slowing down where the path is uneven makes it at most about this many times longer."""


def path_through(cameras: CameraPath, distances: FloatArray, frames: int, *, about_focus: bool) -> CameraPath:
    """A path with continuous velocity from the first of N ≥ 2 cameras to the last, which passes all of them in turn.

    Each camera is one of the frames, except that cameras less than a frame's motion after another are left out. The
    time between two cameras follows how much the picture changes; where the path would be uneven, it takes longer.

    Args:
        cameras: N cameras to pass through.
        distances: (N,) how far away the scene in each camera's view is.
        frames: about how many frames, if the path need not be slowed down.
        about_focus: where the cameras look at one point, move around it; else straight from camera to camera.
    """
    distance = float(np.median(distances))
    kept = _cameras_apart(cameras, distance, frames)
    cameras, distances = cameras[kept], distances[kept]
    motion = picture_motion(cameras[:-1], cameras[1:], distance)
    share = motion / motion.sum() if motion.sum() > 0 else np.full(len(motion), 1 / len(motion))
    durations = np.maximum(np.rint(share * (frames - 1)), 1).astype(np.intp)  # (N - 1,) in frames
    focus = focus_distances(cameras, distances) if about_focus else np.zeros(len(cameras))
    path = _spline(cameras, focus, durations)
    for _ in range(_ROUNDS):
        uneven = jumps(path, distance)
        if not uneven.any() or durations.sum() > _LONGEST * frames:
            break
        slowed = np.unique(np.repeat(np.arange(len(durations)), durations)[uneven])
        durations[slowed] += (durations[slowed] + 1) // 2
        path = _spline(cameras, focus, durations)
    return path


def picture_motion(start: CameraPath, end: CameraPath, distance: float) -> FloatArray:
    """(N,) radians by which a picture of a scene at `distance` changes between the frames of two paths, roughly."""
    turned: FloatArray = quaternions.angle_between(start.rotations, end.rotations)
    return np.linalg.norm(end.centres - start.centres, axis=1) / distance + turned


def focus_distances(cameras: CameraPath, distances: FloatArray) -> FloatArray:
    """(N,) along each optical axis to the point all axes come near; 0 to `distances` (N,), 0 for parallel axes."""
    axes = quaternions.to_matrix(cameras.rotations)[:, :, 2]  # (N, 3)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # (N, 3, 3)
    middle = cameras.centres.mean(axis=0)
    offset = (across @ (cameras.centres - middle)[:, :, None]).mean(axis=0)[:, 0]
    point = middle + np.linalg.solve(across.mean(axis=0) + _PARALLEL * np.eye(3), offset)
    return np.clip(((point - cameras.centres) * axes).sum(axis=1), 0, distances)


def _cameras_apart(cameras: CameraPath, distance: float, frames: int) -> NDArray[np.intp]:
    """Indices of the first and the last of N cameras, and of those between that are a frame's motion apart."""
    last = len(cameras) - 1
    least = picture_motion(cameras[:-1], cameras[1:], distance).sum() / frames
    kept = [0]
    for camera in range(1, last):
        since, this = cameras[kept[-1] : kept[-1] + 1], cameras[camera : camera + 1]
        if picture_motion(since, this, distance)[0] > least:
            kept.append(camera)
    if len(kept) > 1 and picture_motion(cameras[kept[-1] : kept[-1] + 1], cameras[last:], distance)[0] <= least:
        kept.pop()
    return np.array([*kept, last])


def _spline(cameras: CameraPath, focus: FloatArray, durations: NDArray[np.intp]) -> CameraPath:
    """Cubic splines through the points (N, 3) at `focus` (N,) along the optical axes, rotations and intrinsics.

    With the points and the rotations the centres follow: on an arc where cameras look at one point, on the straight
    line where `focus` is 0. Stretch k takes durations[k] frames.
    """
    from scipy.interpolate import CubicHermiteSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    times = np.concatenate([[0], np.cumsum(durations)])  # (N,) in frames
    frames = np.arange(times[-1] + 1)

    def through(values: FloatArray) -> FloatArray:
        slopes = np.diff(values, axis=0) / durations[:, None]
        found: FloatArray = CubicHermiteSpline(times, values, _velocities(slopes, durations))(frames)
        return found  # (F, D)

    axes = quaternions.to_matrix(cameras.rotations)[:, :, 2]
    turning = RotationSpline(times, Rotation.from_quat(cameras.rotations, scalar_first=True))
    rotations = turning(frames).as_quat(scalar_first=True)  # (F, 4)
    points = through(cameras.centres + focus[:, None] * axes)
    centres = points - through(focus[:, None]) * quaternions.to_matrix(rotations)[:, :, 2]
    intrinsics = through(cameras.intrinsics.reshape(len(cameras), 9)).reshape(-1, 3, 3)
    return CameraPath(centres, rotations, intrinsics)


def _velocities(slopes: FloatArray, durations: NDArray[np.intp]) -> FloatArray:
    """(N, D) velocities at the cameras from the mean velocities (N - 1, D) of the stretches between them.

    At each the derivative of the parabola through it and its two neighbours, shortened where one stretch is slow.
    """
    velocities = np.concatenate([slopes[:1], np.empty_like(slopes[1:]), slopes[-1:]])
    before, after = durations[:-1, None], durations[1:, None]
    between = (after * slopes[:-1] + before * slopes[1:]) / (before + after)
    speeds = np.linalg.norm(slopes, axis=1, keepdims=True)
    limits = _STEEPEST * np.minimum(speeds[:-1], speeds[1:])
    lengths = np.linalg.norm(between, axis=1, keepdims=True)
    velocities[1:-1] = between * np.minimum(1, limits / np.maximum(lengths, np.finfo(np.float64).tiny))
    return velocities
