"""A long walk around the courtyard: a closed loop that ends where it began and sees that place again.

    walk = Walk(600)
    walk.write(folder)                      # frames as files, for a run; those that are there stay
    walk.depth([0, 300], walk.intrinsics, walk.size)

The camera looks ahead, away from the middle except in the open south: halfway it sees nothing of what it saw first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.files import atomic_write
from recon.geometry.cameras import camera_centres
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import unproject_depth
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo
from recon.types.cameras import Cameras

from .camera_paths import Sway, look_at, pinhole
from .casting import cast_depth
from .render import render_views
from .scene_model import Scene
from .scenes import make_scene

_MIDDLE = (0.1, -1.4)
_RADII = (3.9, 3.9)
"""Metres of the ellipse along x and y: within the walls, outside the fountain and the pots."""
_EYES = 1.65
"""Metres above the ground."""
_OUTWARD, _INWARD = 20.0, -50.0
"""Degrees that the camera looks away from the direction of walking, in the north and in the south."""
_SEEN_AGAIN = 0.06
"""Share of a lap that follows after the last: it sees what the first frames saw."""
_AT_ONCE = 50
"""Frames that are rendered in one go."""
_FRAME = re.compile(r"frame_(\d+)")


def _blocks(points: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """(...) from 0 to 1, of places (..., 3): the same within a cube of metres `size`, made up for each cube."""
    tilted = points @ look_at(np.zeros((1, 3)), np.array([[0.36, 0.48, 0.8]]), 0.7)[0, :3, :3].T  # not along walls
    x, y, z = np.moveaxis(np.floor(tilted / size).astype(np.int64), -1, 0)
    return ((x * 73856093 ^ y * 19349663 ^ z * 83492791) * 2654435761 % 2**32) / 2**32


@cache
def courtyard() -> Scene:
    """The scene of all walks, made once."""
    return make_scene("courtyard", 1)


@dataclass(frozen=True)
class Walk:
    """`count` frames of a camera that walks around the courtyard."""

    count: int = 600
    laps: float = 1.0
    """Closed loops; 6 % of one more follow. Laps after the first are a little narrower."""
    size: tuple[int, int] = (189, 252)
    """Height and width of the frames."""
    shaded: bool = True
    """Photos as `render_views` makes them; otherwise quick ones, of surfaces with a made-up pattern."""
    seed: int = 0
    """Of the sway of the hand."""

    @cached_property
    def world_to_camera(self) -> NDArray[np.float64]:
        """(N, 4, 4) in metres."""
        sway, turns = Sway(self.seed), np.linspace(0, self.laps + _SEEN_AGAIN, self.count)
        angle = 2 * np.pi * turns
        width = 1 - 0.1 * (1 - np.cos(2 * np.pi * np.maximum(turns - 1, 0) * 0.37)) / 2  # 1 all through the first lap
        along = np.stack([-_RADII[0] * np.sin(angle), _RADII[1] * np.cos(angle)], axis=1)
        centres = np.stack(
            [
                _MIDDLE[0] + _RADII[0] * width * np.cos(angle),
                _MIDDLE[1] + _RADII[1] * width * np.sin(angle),
                np.full(self.count, _EYES),
            ],
            axis=1,
        ) + 0.08 * sway(turns, 3) * (1, 1, 0.5)
        gaze = np.radians((_OUTWARD + _INWARD) / 2 + (_OUTWARD - _INWARD) / 2 * np.sin(angle))
        gaze = np.arctan2(along[:, 1], along[:, 0]) - gaze + np.radians(4) * sway(3 * turns + 3, 1)[:, 0]
        ahead = np.stack([np.cos(gaze), np.sin(gaze), -0.12 + 0.05 * sway(2 * turns + 7, 1)[:, 0]], axis=1)
        return look_at(centres, centres + ahead, np.radians(2) * sway(turns + 13, 1)[:, 0])

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3) in pixels of the frames, of all."""
        return pinhole(self.size, 68)

    @property
    def extent(self) -> float:
        """Metres of the diagonal of the box around the path."""
        return float(np.linalg.norm(np.ptp(camera_centres(self.world_to_camera), axis=0)))

    def name(self, frame: int) -> str:
        """Of the photo of a frame, and of its file in `write`."""
        return f"frame_{frame:06d}.png"

    def frames(self, names: Sequence[str]) -> list[int]:
        """Of photos of these names, also where a video was made of the frames."""
        found = [_FRAME.search(name) for name in names]
        return [int(match[1]) for match in found if match is not None]

    def depth(
        self, frames: Sequence[int], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """(N, H, W) true metres, 0 for the sky, in pictures of `size` with `intrinsics` (3, 3) or (N, 3, 3)."""
        lenses = np.broadcast_to(intrinsics, (len(frames), 3, 3))
        return cast_depth(courtyard(), self.world_to_camera[list(frames)], lenses, size)[0]

    def pixels(self, frames: Sequence[int]) -> NDArray[np.uint8]:
        """(N, H, W, 3) the photos of `frames`."""
        cameras = self.world_to_camera[list(frames)]
        if self.shaded:
            return render_views(courtyard(), cameras, self.intrinsics, self.size, 1).images
        lenses = np.tile(self.intrinsics, (len(cameras), 1, 1))
        depth, objects = cast_depth(courtyard(), cameras, lenses, self.size)
        points = unproject_depth(depth, lenses, cameras[:, :3]).astype(np.float64)
        colours = np.random.default_rng(5).uniform(100, 255, (objects.max() + 1, 3))[objects]
        pattern = np.where(depth > 0, 0.3 + 0.35 * _blocks(points, 0.45) + 0.35 * _blocks(points, 0.13), 1)
        return (colours * pattern[..., None]).astype(np.uint8)

    def write(self, folder: Path, frames: Sequence[int] | None = None) -> Path:
        """Write the photos of `frames`, all by default, as PNG; those that are there stay. Returns `folder`."""
        wanted = [frame for frame in frames or range(self.count) if not (folder / self.name(frame)).exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for first in range(0, len(wanted), _AT_ONCE):
            batch = wanted[first : first + _AT_ONCE]
            for frame, pixels in zip(batch, self.pixels(batch), strict=True):
                with atomic_write(folder / self.name(frame)) as temporary:
                    Image.fromarray(pixels).save(temporary, "PNG", compress_level=1)
        return folder

    def source(self) -> WalkSource:
        """The frames as a source, rendered as they are read."""
        return WalkSource(self)


@dataclass(frozen=True)
class WalkSource:
    """See `recon.sources.source.Source`; no frame is kept."""

    walk: Walk
    ordered: bool = True
    cameras: Cameras | None = None
    points: SparsePoints | None = None
    depths: Sequence[NDArray[Any]] | None = None
    folders: tuple[Path, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.walk.name(frame) for frame in range(self.walk.count))

    @property
    def paths(self) -> tuple[Path | None, ...]:
        return (None,) * self.walk.count

    def content(self, index: int) -> str:
        return f"{self.walk!r} {index}"

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        admit(self.walk.size[0] * self.walk.size[1])
        return Photo(self.names[index], self.walk.pixels([index])[0])
