"""Camera paths through synthetic scenes."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

from .scene_model import Scene

PathKind = Literal["orbit", "forward", "hand_held"]


def camera_path(scene: Scene, kind: PathKind, count: int, seed: int = 0) -> NDArray[np.float64]:
    """(count, 4, 4) world-to-camera along the stage of `scene`.

    `orbit` goes around the target on an arc, rising and sinking a little; `forward` drives along a line and looks
    ahead; `hand_held` is an orbit as a person walks it, uneven in place, height and direction.

    Raises:
        InputError: an unknown kind, or a count below 1.
    """
    if kind not in get_args(PathKind):
        raise InputError(f"the camera path must be one of {', '.join(get_args(PathKind))}, not '{kind}'")
    if count < 1:
        raise InputError(f"a camera path needs at least one camera, not {count}")
    return _at(scene, kind, np.linspace(0, 1, count) if count > 1 else np.array([0.5]), seed)


def held_out_cameras(scene: Scene, kind: PathKind, count: int, seed: int = 0) -> NDArray[np.float64]:
    """(count - 1, 4, 4) world-to-camera halfway between the cameras of `camera_path` with the same arguments."""
    if count < 2:
        raise InputError(f"held-out cameras lie between at least two cameras, not {count}")
    return _at(scene, kind, (np.arange(count - 1) + 0.5) / (count - 1), seed)


def pinhole(size: tuple[int, int], field_of_view: float = 60.0) -> NDArray[np.float64]:
    """(3, 3) intrinsics in pixels of a `size` (height, width) image, `field_of_view` degrees across its width."""
    height, width = size
    focal = width / 2 / np.tan(np.radians(field_of_view) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def look_at(
    centres: NDArray[np.float64], targets: NDArray[np.float64], roll: NDArray[np.float64] | float = 0.0
) -> NDArray[np.float64]:
    """(N, 4, 4) world-to-camera at centres (N, 3) that look at targets (N, 3), z up, rolled by (N,) radians."""
    forward = targets - centres
    forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    cosine, sine = (f(np.broadcast_to(roll, len(centres)))[:, None] for f in (np.cos, np.sin))
    right, down = cosine * right + sine * down, cosine * down - sine * right
    extrinsics = np.tile(np.eye(4), (len(centres), 1, 1))
    extrinsics[:, :3, :3] = np.stack([right, down, forward], axis=1)
    extrinsics[:, :3, 3] = -(extrinsics[:, :3, :3] @ centres[:, :, None])[:, :, 0]
    return extrinsics


def _at(scene: Scene, kind: PathKind, times: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """World-to-camera at `times` (N,) from 0 to 1 along a path; the same path whichever times are asked for."""
    stage = scene.stage
    target = np.array(stage.target)
    sway = Sway(seed)
    if kind == "forward":
        first, last = np.array(stage.forward)
        centres = first + times[:, None] * (last - first) + 0.02 * np.linalg.norm(last - first) * sway(times, 3)
        ahead = centres + (last - first) + 0.05 * np.linalg.norm(last - first) * sway(times + 5, 3)
        return look_at(centres, ahead, np.radians(1.0) * sway(times + 9, 1)[:, 0])
    strength = 1.0 if kind == "hand_held" else 0.0
    angle = np.radians(stage.start + stage.arc * (times - 0.5))
    radius = stage.radius * (1 + 0.06 * strength * sway(times, 1)[:, 0])
    angle = angle + np.radians(1.5) * strength * sway(times + 3, 1)[:, 0]
    rise = 0.08 * stage.radius * np.sin(2 * np.pi * times)
    if strength:
        rise = 0.09 * stage.radius * sway(times + 7, 1)[:, 0]
    centres = np.stack(
        [target[0] + radius * np.cos(angle), target[1] + radius * np.sin(angle), stage.height + rise], axis=1
    )
    aim = target + 0.05 * strength * stage.radius * sway(times + 11, 3)
    return look_at(centres, aim, np.radians(2.5) * strength * sway(times + 13, 1)[:, 0])


class Sway:
    """Smooth wandering of about unit size, the same for the same seed and time."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng([seed, 811])
        self.phases = generator.uniform(0, 2 * np.pi, (3, 3))
        self.rates = generator.uniform(0.6, 1.4, (3, 3)) * np.array([[1.0], [2.3], [4.1]]) * 2 * np.pi

    def __call__(self, times: NDArray[np.float64], axes: int) -> NDArray[np.float64]:
        waves = np.sin(times[:, None, None] * self.rates + self.phases) * np.array([[0.6], [0.35], [0.2]])
        return waves.sum(axis=1)[:, :axes]  # (N, axes)
