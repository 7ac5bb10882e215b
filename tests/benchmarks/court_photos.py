"""Photos of the courtyard from all sides, as many as one likes, for benchmarks of large sets.

Somebody walks around three times: looks at the fountain in the middle, at the walls around, and along the way. So most
pairs of photos show nothing in common.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.files import atomic_write
from tests.synthetic.camera_paths import look_at, pinhole
from tests.synthetic.render import render_views
from tests.synthetic.scenes import make_scene

SIZE = (480, 640)
"""Height and width."""
_AT_ONCE = 25


def court_cameras(count: int) -> NDArray[np.float64]:
    """(count, 4, 4) world-to-camera in metres."""
    generator = np.random.default_rng(5)
    centres, targets = [], []
    for turn, photos in enumerate((count // 3, count // 3, count - 2 * (count // 3))):
        angle = 2 * np.pi * np.arange(photos) / photos
        outwards, along = (
            np.stack([*direction, np.zeros(photos)], axis=1)
            for direction in ((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle)))
        )
        radius = (3.2, 2.2, 2.8)[turn] + 0.15 * generator.standard_normal(photos)
        places = radius[:, None] * outwards
        places[:, 2] = 1.65 + 0.12 * generator.standard_normal(photos)
        gaze = (-outwards, outwards, along + 0.5 * outwards)[turn] + 0.08 * generator.standard_normal((photos, 3))
        centres.append(places)
        targets.append(places + gaze - [0, 0, 0.06])
    return look_at(np.concatenate(centres), np.concatenate(targets))


def court_photos(count: int) -> Path:
    """A temporary folder with the photos, 0000.png …; those that are there already stay."""
    folder = Path(tempfile.gettempdir()) / f"recon-court-{count}"
    folder.mkdir(exist_ok=True)
    cameras, intrinsics = court_cameras(count), pinhole(SIZE, 65)
    missing = [index for index in range(count) if not (folder / name_of(index)).exists()]
    scene = make_scene("courtyard", 1) if missing else None
    for first in range(0, len(missing), _AT_ONCE):
        batch = missing[first : first + _AT_ONCE]
        assert scene is not None
        for index, image in zip(batch, render_views(scene, cameras[batch], intrinsics, SIZE, 1).images, strict=True):
            with atomic_write(folder / name_of(index)) as temporary:
                temporary.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return folder


def name_of(index: int) -> str:
    """Of a photo's file."""
    return f"{index:04d}.png"
