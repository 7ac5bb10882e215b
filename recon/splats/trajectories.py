"""Camera paths for videos of a scene, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.splats.camera_path import CameraPath, jumps
from recon.splats.path_smoothing import low_pass
from recon.splats.path_spline import path_through
from recon.splats.path_steps import step_over
from recon.splats.splat_sample import NEAR_PERCENT, SplatSample
from recon.types import FloatArray
from recon.types.cameras import Cameras

SECONDS_PER_VIEW = 1 / 3
"""From one input camera to the next, unless the whole would be shorter or longer than this:"""
SHORTEST, LONGEST = 2.0, 18.0
"""Seconds of an interpolated path."""
LOOP_SECONDS = 5.0
"""Of `wander` and `dolly_zoom` on their own."""
INSERTED_LOOP_SECONDS = 2.5
"""Of each where `extend` inserts them."""
BRAKING_SECONDS = (1.0, 2.0)
"""`extend` comes to rest, and sets off again, within the first of these; or the next where the path is uneven there."""
WOBBLE_SECONDS = 1.25
"""Of one turn of `wobble_inter`."""

WANDER_RADIUS = 0.1
"""Of the near depth, as are the next two: the nearest things move by a tenth of the focal length."""
WOBBLE_RADIUS = 0.05
DOLLY_DISTANCE = 0.3

_BELL_END = 3.5
"""Standard deviations from the middle of the loops' Gaussian speed to their ends."""

CLEARANCE = 0.15
"""Share of the near depth of the input views to keep between camera and surfaces."""
BLOCKED = 0.1
"""A frame is blocked if surfaces nearer than that cover this share of it."""


def make_path(mode: str, cameras: Cameras, size: tuple[int, int], sample: SplatSample, fps: int = 24) -> Cameras:
    """The cameras of the frames of a video.

    Paths are smooth: no step, in place or in direction, is larger than one next to it by 3 times, still stretches
    aside; only `original` is as uneven as the input. How far a path strays from the input cameras depends on how near
    the splats are, and frames that splats close to the camera would fill are avoided.

    - `original`: the input cameras, one a frame.
    - `smooth`: as many frames on a smoothed path.
    - `interpolate`: through the input cameras in turn, a third of a second from one to the next, 2 to 18 seconds
      unless it must be slowed down to be smooth; around what they look at, where that is one point.
    - `interpolate_smooth`: the same, smoothed, so no longer exactly through the cameras.
    - `wander`: a loop sideways, up and back from the first camera.
    - `dolly_zoom`: back from the first camera while zooming in on the scene's middle, and forth again.
    - `extend`: `interpolate_smooth`, which half-way stops for `wander` and `dolly_zoom`.
    - `wobble_inter`: `interpolate`, circling about the path.

    Args:
        mode: one of the above; with a single camera all but `dolly_zoom` are `wander`.
        cameras: N ≥ 1 cameras, both parts known, intrinsics in pixels of the pictures to render.
        size: height and width of these pictures.
        sample: the splats to keep away from.
        fps: frames per second.

    Raises:
        InputError: an unknown mode.
    """
    check_mode(mode)
    return _MODES[used_mode(mode, cameras)](_Capture.of(cameras, size, sample, fps)).cameras()


def check_mode(mode: str) -> None:
    """Raise InputError for a mode that `make_path` does not know."""
    if mode not in TRAJECTORIES:
        raise InputError(f"unknown camera path {mode!r}; known: {', '.join(TRAJECTORIES)}")


def used_mode(mode: str, cameras: Cameras) -> str:
    """`mode`, or `wander` for a single camera where `mode` needs several."""
    assert cameras.world_to_camera is not None
    return mode if len(cameras.world_to_camera) > 1 or mode == "dolly_zoom" else "wander"


@dataclass(frozen=True)
class _Capture:
    """The input cameras and what they see."""

    cameras: CameraPath
    size: tuple[int, int]
    fps: int
    sample: SplatSample
    distances: FloatArray
    """(N,) typical depth of the scene in each input view."""
    near: float
    """Depth of what is near in the input views."""

    @staticmethod
    def of(cameras: Cameras, size: tuple[int, int], sample: SplatSample, fps: int) -> _Capture:
        path = CameraPath.of(cameras)
        near, distances = sample.depth_percentiles(path, size, (NEAR_PERCENT, 50)).T
        return _Capture(path, size, fps, sample, distances, float(np.median(near)))

    @property
    def distance(self) -> float:
        return float(np.median(self.distances))

    def blocked(self, path: CameraPath) -> NDArray[np.bool_]:
        """(F,) True for frames that surfaces close to the camera fill."""
        return self.sample.covered(path, self.size, CLEARANCE * self.near) > BLOCKED

    def first_sound(self, paths: Iterable[CameraPath]) -> CameraPath:
        """The first of `paths` without a blocked frame or a jump, else the one with the fewest; lazily."""
        best, fewest = None, 0
        for path in paths:
            faults = int(self.blocked(path).sum()) + int(jumps(path, self.distance).sum())
            if best is None or faults < fewest:
                best, fewest = path, faults
            if faults == 0:
                break
        assert best is not None
        return best


def _original(capture: _Capture) -> CameraPath:
    return capture.cameras


def _smooth(capture: _Capture) -> CameraPath:
    def paths() -> Iterable[CameraPath]:
        yield low_pass(capture.cameras, capture.distance)
        yield capture.cameras

    return capture.first_sound(paths())


def _interpolate(capture: _Capture) -> CameraPath:
    path = capture.first_sound(_through(capture, about_focus) for about_focus in (True, False))
    return step_over(path, capture.blocked(path))


def _interpolate_smooth(capture: _Capture) -> CameraPath:
    def paths() -> Iterable[CameraPath]:
        for about_focus in (True, False):
            yield low_pass(_through(capture, about_focus), capture.distance)
        for about_focus in (True, False):
            yield _through(capture, about_focus)

    path = capture.first_sound(paths())
    return step_over(path, capture.blocked(path))


def _through(capture: _Capture, about_focus: bool) -> CameraPath:
    count = len(capture.cameras)
    seconds = np.clip((count - 1) * SECONDS_PER_VIEW, SHORTEST, LONGEST)
    frames = max(round(seconds * capture.fps), count)
    return path_through(capture.cameras, capture.distances, frames, about_focus=about_focus)


def _wander(capture: _Capture) -> CameraPath:
    return _wander_from(capture, capture.cameras[:1], LOOP_SECONDS)


def _dolly_zoom(capture: _Capture) -> CameraPath:
    return _dolly_zoom_from(capture, capture.cameras[:1], LOOP_SECONDS)


def _extend(capture: _Capture) -> CameraPath:
    path = _interpolate_smooth(capture)
    return capture.first_sound(
        _with_loops(capture, path, round((len(path) - 1) * share), seconds, stop)
        for stop in (_stop_softly, _stop_by_one_factor)
        for seconds in BRAKING_SECONDS
        for share in (1 / 2, 3 / 8, 5 / 8, 1 / 4, 3 / 4)
    )


def _with_loops(
    capture: _Capture, path: CameraPath, halt: int, seconds: float, stop: Callable[[int, int], FloatArray]
) -> CameraPath:
    """The path, which within `seconds` comes to rest at frame `halt`, goes through both loops, and sets off again."""
    start, left = path[halt : halt + 1], len(path) - 1 - halt
    braking = min(round(seconds * capture.fps), halt, left)
    return CameraPath.joined(
        [
            path.at(stop(halt, braking)),
            _wander_from(capture, start, INSERTED_LOOP_SECONDS)[1:-1],
            _dolly_zoom_from(capture, start, INSERTED_LOOP_SECONDS),
            path.at(len(path) - 1 - stop(left, braking)[::-1])[1:],
        ]
    )


def _wobble_inter(capture: _Capture) -> CameraPath:
    straight = _interpolate(capture)
    turns = np.arange(len(straight)) / (WOBBLE_SECONDS * capture.fps)
    angle = 2 * np.pi * turns
    start_and_end = np.minimum(turns, turns[::-1]).clip(0, 1)  # the first and the last turn are spirals
    radius = start_and_end**2 * (3 - 2 * start_and_end)
    circle = np.stack([np.sin(angle), -np.cos(angle), np.zeros_like(angle)], axis=1) * radius[:, None]
    return capture.first_sound(
        straight.moved(WOBBLE_RADIUS * capture.near * size * circle) for size in (1, 0.5, 0.25, 0)
    )


_MODES: dict[str, Callable[[_Capture], CameraPath]] = {
    "original": _original,
    "smooth": _smooth,
    "interpolate": _interpolate,
    "interpolate_smooth": _interpolate_smooth,
    "wander": _wander,
    "dolly_zoom": _dolly_zoom,
    "extend": _extend,
    "wobble_inter": _wobble_inter,
}
TRAJECTORIES = tuple(_MODES)


def _wander_from(capture: _Capture, start: CameraPath, seconds: float) -> CameraPath:
    """An ellipse to the right, up and back, and to the left, from rest to rest at the one frame `start`."""
    near = _depth_at(capture, start, NEAR_PERCENT)
    gone = np.cumsum(np.exp(-(_bell(seconds, capture.fps) ** 2) / 2))
    angle = 2 * np.pi * (gone - gone[0]) / (gone[-1] - gone[0])
    loop = np.stack([np.sin(angle), (np.cos(angle) - 1) / 3, (np.cos(angle) - 1) / 3], axis=1)
    still = start[np.zeros(len(loop), np.intp)]
    return capture.first_sound(still.moved(WANDER_RADIUS * near * size * loop) for size in (1, 0.5, 0.25, 0))


def _dolly_zoom_from(capture: _Capture, start: CameraPath, seconds: float) -> CameraPath:
    """Back and forth again, from rest to rest at the one frame `start`.

    What is at the middle depth keeps its size: focal length / (depth + way back) stays the same.
    """
    near, middle = (_depth_at(capture, start, percent) for percent in (NEAR_PERCENT, 50))
    back = np.exp(-(_bell(seconds, capture.fps) ** 2) / 2)
    back = (back - back[0]) / (1 - back[0])
    still = start[np.zeros(len(back), np.intp)]

    def path(distance: float) -> CameraPath:
        moved = still.moved(-distance * back[:, None] * [0, 0, 1])
        intrinsics = moved.intrinsics.copy()
        intrinsics[:, :2, :2] *= ((middle + distance * back) / middle)[:, None, None]
        return CameraPath(moved.centres, moved.rotations, intrinsics)

    return capture.first_sound(path(DOLLY_DISTANCE * near * size) for size in (1, 0.5, 0.25, 0))


def _bell(seconds: float, fps: int) -> FloatArray:
    """Arguments of a Gaussian bell, one a frame, with 0 among them.

    Where it is as good as 0, at both ends, it grows by at most 2.6 times a frame even at 10 frames a second.
    """
    half = round(seconds * fps / 2)
    return _BELL_END * np.arange(-half, half + 1) / half


def _depth_at(capture: _Capture, frame: CameraPath, percent: float) -> float:
    """Percentile of the depth in view of one frame."""
    return float(capture.sample.depth_percentiles(frame, capture.size, (percent,))[0, 0])


def _stop_softly(end: int, braking: int) -> FloatArray:
    """Positions 0, 1, 2, … that slow down over the last `braking` frames, and stop at `end`.

    Meanwhile half as many frames of the path pass, so it is made even.
    """
    braking -= braking % 2
    cruising = np.arange(end - braking // 2)
    t = np.arange(braking + 1) / max(braking, 1)
    return np.append(cruising, end + braking * (t - t**3 + t**4 / 2 - 0.5))  # speed 1 - 3 t² + 2 t³


def _stop_by_one_factor(end: int, braking: int) -> FloatArray:
    """The same with steps that shrink by one factor, to a fiftieth: the best where a second has few frames."""
    steps = 0.02 ** (np.arange(1, braking + 1) / max(braking, 1))
    cruising = np.arange(max(int(end - steps.sum()), 0) + 1)
    return np.append(cruising, end - (end - cruising[-1]) * (1 - np.cumsum(steps) / steps.sum()))
