"""A camera fitted to its photo against splats: where the photo must have been taken for the splats to show it so.

Splats of cameras that were found stand in a world of their own, and one similarity does not bring a true camera into it
to the pixel: a focal length that is a third of a percent off bends it. Pose-free benchmarks therefore fit each camera
to its photo before they compare the two. Here by Gauss-Newton steps on the differences of colours, with derivatives
from pictures a fifth of a pixel to either side: a few steps of fifteen pictures each, with any rasterizer. (From one
side alone derivatives are so far off that focal length and distance end a percent or two beside the truth.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.splats.rasterizer import Renderer
from recon.types import FloatArray

_MOST_STEPS = 8
_DONE = 0.02
"""Pixels that a step moves the picture by, at most, when it is the last one."""
_ASIDE = 0.2
"""Pixels that a picture is moved by, to either side, to see how colours change."""
_FARTHEST = 4.0
"""Pixels that one step may move the picture by: farther, the derivatives say nothing."""
_EVEN = 0.05
"""Difference of colours, of 1, up to which it counts by its square; beyond, by itself: what moved, or has no splat."""
_DAMPING = 1e-2
"""Of the first step, relative to the diagonal, so that what hardly changes the picture waits for the rest; a tenth as
much after one that helped, ten times as much after one that did not."""
_DAMPINGS = 1e-6, 1e2


@dataclass(frozen=True)
class FittedCamera:
    """Where a camera is when its view is most like its photo."""

    world_to_camera: NDArray[np.float64]
    """(4, 4)."""
    intrinsics: NDArray[np.float64]
    """(3, 3), with both focal lengths scaled alike."""
    view: NDArray[np.float32]
    """(H, W, 3) the splats from there."""


def fit_camera(
    renderer: Renderer,
    world_to_camera: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    photo: NDArray[np.float64],
    distance: float,
) -> FittedCamera:
    """Fit rotation, position and focal length of one camera, seven numbers, to its photo.

    How bright the photo is does not count: views are compared after one gain for each channel.

    Args:
        renderer: of the splats, at the size of the photo.
        world_to_camera: (4, 4) where to begin, some pixels off at most.
        intrinsics: (3, 3) likewise.
        photo: (H, W, 3) from 0 to 1.
        distance: typical depth of what is seen, which sets the scale of steps in position.
    """
    units = _units(intrinsics, photo.shape[:2], distance)
    current = _render(renderer, world_to_camera, intrinsics)
    error = _error(current * gains(current, photo) - photo)
    damping, best = _DAMPING, FittedCamera(world_to_camera, intrinsics, current)
    normal: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    for _ in range(_MOST_STEPS):
        if normal is None:
            normal = _normal_equations(renderer, best, photo, units)
        matrix, vector = normal
        damped = matrix + np.diag(damping * np.diag(matrix) + 1e-12)
        step = -np.linalg.solve(damped, vector)
        length = float(np.abs(step).max())
        step *= min(1.0, _FARTHEST / max(length, 1e-12))
        moved = _moved(best.world_to_camera, best.intrinsics, step * units)
        view = _render(renderer, *moved)
        now = _error(view * gains(view, photo) - photo)
        if now < error:
            best, error, normal = FittedCamera(*moved, view), now, None
            damping = max(damping / 10, _DAMPINGS[0])
        else:
            damping *= 10
        if length < _DONE or damping > _DAMPINGS[1]:
            break
    return best


def gains(view: FloatArray, photo: FloatArray) -> NDArray[np.float64]:
    """(3,) what the channels of an (H, W, 3) view are multiplied by to be most like the photo, by least squares."""
    views, photos = view.reshape(-1, 3).astype(np.float64), photo.reshape(-1, 3).astype(np.float64)
    found: NDArray[np.float64] = (views * photos).sum(axis=0) / np.maximum((views * views).sum(axis=0), 1e-12)
    return found


def _units(intrinsics: NDArray[np.float64], size: tuple[int, ...], distance: float) -> NDArray[np.float64]:
    """(7,) changes that move the picture by about a pixel: three turns, three shifts, logarithm of the focal length."""
    focal = float(intrinsics[0, 0])
    outwards = math.hypot(*size) / 4  # pixels from the middle, of what zooms and rolls
    turns = [1 / focal, 1 / focal, 1 / outwards]
    shifts = [distance / focal, distance / focal, distance / outwards]
    return np.array([*turns, *shifts, 1 / outwards])


def _moved(
    world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], change: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The camera turned and shifted about its own axes, and zoomed, by (7,) small numbers."""
    turn = quaternions.to_matrix(quaternions.normalise(np.array([1, *change[:3] / 2])))
    moved, zoomed = world_to_camera.copy(), intrinsics.copy()
    moved[:3] = turn @ world_to_camera[:3]
    moved[:3, 3] += change[3:6]
    zoomed[[0, 1], [0, 1]] *= np.exp(change[6])
    return moved, zoomed


def _render(
    renderer: Renderer, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]
) -> NDArray[np.float32]:
    return renderer.render(world_to_camera, intrinsics).color.clip(0, 1)


def _normal_equations(
    renderer: Renderer, camera: FittedCamera, photo: NDArray[np.float64], units: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(7, 7) and (7,) of the weighted least squares, in pixels."""
    gain = gains(camera.view, photo).astype(np.float32)
    residual = (camera.view * gain - photo).ravel().astype(np.float32)
    changes = np.empty((len(units), residual.size), np.float32)
    for k, unit in enumerate(units):
        change = np.zeros(len(units))
        change[k] = _ASIDE * unit
        before, after = (
            _render(renderer, *_moved(camera.world_to_camera, camera.intrinsics, sign * change)) for sign in (-1, 1)
        )
        changes[k] = ((after - before) * gain).ravel() / np.float32(2 * _ASIDE)
    weighted = changes / np.maximum(np.abs(residual), np.float32(_EVEN))
    return (weighted @ changes.T).astype(np.float64), (weighted @ residual).astype(np.float64)


def _error(residual: NDArray[np.float64]) -> float:
    """Huber's: quadratic up to `_EVEN`, linear from there on."""
    size = np.abs(residual)
    return float(np.where(size < _EVEN, size * size / (2 * _EVEN), size - _EVEN / 2).mean())
