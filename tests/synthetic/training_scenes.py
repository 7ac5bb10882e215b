"""Scenes rendered ahead, or when they are needed, for networks to learn from and to be measured on.

    python -m tests.synthetic training FOLDER [--scenes 150] [--first-seed 0] [--views 8] [--size 126 168]

Every other scene is random; the rest are the named ones, with textures and clutter of their own. Each is a folder in
the layout of the sample scenes, without `held_out/`. The same seed gives the same scene; scenes to be measured on have
other seeds than those to learn from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.train.data.lookup import nearest
from recon.train.data.scene import Labels, Picture, Scene
from recon.types.cameras import Cameras

from .camera_paths import camera_path, pinhole
from .random_scenes import random_scene
from .render import SyntheticViews, render_views
from .sample_scenes import jpeg, png, write_cameras_of, write_file
from .scene_model import Scene as RenderedScene
from .scenes import make_scene

_STAGES = ("courtyard", "room", "table", "street", "plain_room")
_DEPTH_SCALE = 0.001
_FARTHEST = 65.0
"""Metres: what is farther does not fit 16 bits of millimetres, and counts as sky."""


def scene_to_learn_from(seed: int) -> RenderedScene:
    """Of an even seed, a random scene; of an odd one, one of `_STAGES` with textures and clutter of that seed."""
    if seed % 2 == 0:
        return random_scene(seed)
    return make_scene(_STAGES[seed // 2 % len(_STAGES)], seed)


def render_training_scene(seed: int, views: int, size: tuple[int, int], samples_per_pixel: int = 2) -> SyntheticViews:
    """Photos of the scene of that seed, by a camera that somebody holds, each exposed in its own way."""
    scene = scene_to_learn_from(seed)
    exposure = np.exp(np.random.default_rng([seed, 5]).uniform(-0.35, 0.35, views))
    return render_views(scene, *_cameras(scene, views, size), size, samples_per_pixel, exposure)


def _cameras(
    scene: RenderedScene, views: int, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 4, 4) world to camera, and (N, 3, 3) intrinsics."""
    matrix = pinhole(size, scene.stage.field_of_view)
    return camera_path(scene, "hand_held", views, scene.seed), np.tile(matrix, (views, 1, 1))


def rendered_scenes(seeds: Iterable[int], views: int, size: tuple[int, int], kept: int = 4) -> list[Scene]:
    """Scenes for `recon.train.data.training_data.open_data`, each rendered when a sample of it is wanted.

    The last `kept` stay in memory.
    """
    render = lru_cache(kept)(lambda seed: render_training_scene(seed, views, size))
    return [_rendered_when_needed(seed, views, size, render) for seed in seeds]


def _rendered_when_needed(
    seed: int, views: int, size: tuple[int, int], render: Callable[[int], SyntheticViews]
) -> Scene:
    scene = scene_to_learn_from(seed)
    extrinsics, intrinsics = _cameras(scene, views, size)

    def read_labels(view: int, shape: tuple[int, int], to_photo: NDArray[np.floating[Any]]) -> Labels:
        depth = render(seed).depth[view]
        depth = np.where(depth < _FARTHEST, depth, np.float32(0))
        return Labels(nearest(depth, shape, to_photo), nearest(depth == 0, shape, to_photo))

    return Scene(
        f"random {seed}",
        tuple(f"images/{view:04d}.jpg" for view in range(views)),
        lambda view: Picture(render(seed).images[view]),
        lambda view: f"{seed} {view} {size}",
        Cameras(extrinsics, intrinsics, np.tile(size[::-1], (views, 1)), scale="metric"),
        read_labels,
        knows_sky=True,
        metric=True,
    )


def write_training_scene(folder: Path, seed: int, views: int, size: tuple[int, int]) -> None:
    """Render the scene of a seed into `folder`; the last file says that it is whole."""
    if (folder / "scene.json").is_file():
        return
    rendered = render_training_scene(seed, views, size)
    names = [f"{index:04d}.jpg" for index in range(views)]
    for name, image, depth in zip(names, rendered.images, rendered.depth, strict=True):
        write_file(folder / "images" / name, jpeg(image))
        write_file(folder / "depth" / f"{Path(name).stem}.png", png(_steps(depth)))
    write_cameras_of(folder / "cameras.json", names, rendered.cameras, size)
    facts = {"name": scene_to_learn_from(seed).name, "units": "metric", "depth_scale": _DEPTH_SCALE, "seed": seed}
    write_file(folder / "scene.json", (json.dumps(facts) + "\n").encode())


def _steps(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.rint(np.where(depth < _FARTHEST, depth, 0).astype(np.float64) / _DEPTH_SCALE).astype(np.uint16)


def main(arguments: Sequence[str]) -> None:
    """Render scenes into `FOLDER/000000`, …; those that are there are left as they are."""
    parser = argparse.ArgumentParser(prog="python -m tests.synthetic training", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(126, 168), metavar=("HEIGHT", "WIDTH"))
    given = parser.parse_args(arguments)
    for seed in range(given.first_seed, given.first_seed + given.scenes):
        write_training_scene(given.folder / f"{seed:06d}", seed, given.views, tuple(given.size))
        print(f"\r{seed - given.first_seed + 1} of {given.scenes} scenes", end="", flush=True)
    print()
