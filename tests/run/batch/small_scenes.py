"""Scenes so small that the run of one takes a fraction of a second: photos with depth and cameras, no network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.seeds import numpy_random

OPTIONS = ("--model", "measured", "--export", "mini_npz", "--no-clean")
_WIDTH, _HEIGHT, _FOCAL = 32, 24, 30.0


def make_scene(folder: Path, seed: int, views: int = 2) -> Path:
    """A plane seen by cameras in a row, with its true depth, as a nerfstudio scene."""
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy_random(seed)
    frames = []
    for view in range(views):
        name = f"{view}.png"
        Image.fromarray(random.integers(0, 255, (_HEIGHT, _WIDTH, 3), dtype=np.uint8)).save(folder / name)
        np.save(folder / f"{view}.npy", np.full((_HEIGHT, _WIDTH), 2.0 + seed, np.float32))
        camera_to_world = np.eye(4)
        camera_to_world[0, 3] = 0.1 * view
        frames.append(
            {"file_path": name, "depth_file_path": f"{view}.npy", "transform_matrix": camera_to_world.tolist()}
        )
    lens = {"fl_x": _FOCAL, "fl_y": _FOCAL, "cx": _WIDTH / 2, "cy": _HEIGHT / 2, "w": _WIDTH, "h": _HEIGHT}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}), encoding="utf-8")
    return folder


def make_scenes(folder: Path, count: int) -> Path:
    """Scenes `a00`, `a01`, … in a folder."""
    for index in range(count):
        make_scene(folder / f"a{index:02d}", index)
    return folder


def make_bad_scenes(folder: Path) -> Path:
    """`empty` without photos, `broken` whose photos are none, and `unknown` without depth."""
    (folder / "empty").mkdir(parents=True)
    for photo in make_scene(folder / "broken", 0).glob("*.png"):
        photo.write_bytes(b"no photo")
    (folder / "unknown").mkdir()
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(folder / "unknown" / "0.png")
    return folder
