"""Scenes of which no two have the same walls, things or cameras: to learn from, and to be measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .camera_paths import camera_path
from .indoor_scenes import ROOM_SKY, shell
from .meshes import boulder, knot, lathe, torus
from .outdoor_scenes import DAYLIGHT
from .scene_builder import SceneBuilder, turn
from .scene_model import Lamp, Scene, Stage

_FLOORS = ("floor oak", "floor walnut", "flagstones", "blue carpet", "pine", "even tiles")
_INNER_WALLS = (
    *("sand plaster", "green plaster", "peach plaster", "blue plaster", "white plaster", "ochre plaster"),
    *("red brick", "pale brick", "cream plaster", "white wood"),
)
_OUTER_WALLS = ("red brick", "yellow brick", "pale brick", "cream plaster", "ochre plaster", "sandstone")
_GROUNDS = ("flagstones", "asphalt", "pavement", "sandstone", "leaves", "pale brick")
_THINGS = (
    *("pine", "cherry", "walnut", "dark wood", "blue wood", "green wood", "red carpet", "mustard cloth", "patchwork"),
    *("terracotta", "verdigris", "jade", "gilt", "blue porcelain", "speckled ceramic", "column marble", "mosaic"),
    *("painted ball", "globe", "leaves", "sandstone", "red lacquer", "silver lacquer", "warm painting"),
)
_VASE = ((0.0, 0.0), (0.24, 0.0), (0.46, 0.4), (0.4, 0.8), (0.18, 1.1), (0.24, 1.3), (0.2, 1.3), (0.0, 1.05))
"""Radius and height, of a thing about a metre high."""
_AROUND_CAMERAS = 0.5
"""Metres that things keep off the cameras."""
_LIGHT_SPACING = 0.3


def random_scene(seed: int) -> Scene:
    """The scene of a seed: more often a room than a place outdoors."""
    build = SceneBuilder("random", seed)
    return _room(build) if build.random.uniform() < 0.6 else _yard(build)


def _choice(build: SceneBuilder, names: tuple[str, ...]) -> str:
    return names[int(build.random.integers(len(names)))]


def _number(build: SceneBuilder, low: float, high: float) -> float:
    return float(build.random.uniform(low, high))


def _room(build: SceneBuilder) -> Scene:
    half = _number(build, 1.7, 3.6), _number(build, 1.7, 3.6)
    height = _number(build, 2.3, 3.3)
    walls = _choice(build, _INNER_WALLS), _choice(build, _INNER_WALLS), _choice(build, _INNER_WALLS)
    shell(build, half, height, _choice(build, _FLOORS), (*walls, _choice(build, _INNER_WALLS)))
    reach = min(half) - 0.4
    place = build.random.uniform(-0.25, 0.25, 2) * half
    radius = _number(build, 0.5, 1.0) * (reach - float(np.abs(place).max()))
    stage = Stage(
        (float(place[0]), float(place[1]), _number(build, 0.5, 1.3)),
        max(radius, 0.4),
        _number(build, 0.9, 1.9),
        _number(build, -180, 180),
        _number(build, 30, 80),
        ((0, 0, 1.5), (0.5, 0, 1.5)),
        _number(build, 55, 80),
    )
    centres = _centres(build, stage)
    for _ in range(int(build.random.integers(6, 16))):
        size = _number(build, 0.2, 1.1)
        where = build.random.uniform(-1, 1, 2) * (np.array(half) - 0.3 * size)
        _thing(build, where, 0.0, size, centres)
    for _ in range(int(build.random.integers(0, 6))):
        _on_a_wall(build, half, height)
    strength = 1.1 * (half[0] + half[1]) * _number(build, 0.8, 1.2)
    spot = build.random.uniform(-0.6, 0.6, 2) * half
    lamp = Lamp(
        (float(spot[0]), float(spot[1]), height - 0.3),
        0.22,
        (strength, 0.89 * strength, 0.74 * strength),
        is_sun=False,
    )
    return build.finish(lamp, ROOM_SKY, stage, light_spacing=_LIGHT_SPACING)


def _yard(build: SceneBuilder) -> Scene:
    ground = _choice(build, _GROUNDS)
    build.box("ground", (-40, -40, -0.4), (40, 40, 0), build.material(ground, 0.3 if ground == "leaves" else 0.6))
    stage = Stage(
        (_number(build, -1, 1), _number(build, -1, 1), _number(build, 0.6, 1.6)),
        _number(build, 2.5, 5.5),
        _number(build, 1.2, 2.2),
        _number(build, -180, 180),
        _number(build, 20, 60),
        ((0, -5, 1.6), (0, 0, 1.6)),
        _number(build, 50, 75),
    )
    centres = _centres(build, stage)
    _walls_around(build)
    for _ in range(int(build.random.integers(1, 5))):
        angle, distance = _number(build, 0, 2 * np.pi), _number(build, 6, 11)
        along, deep, high = _number(build, 1, 5), _number(build, 0.5, 3), _number(build, 1.5, 6)
        wall = _choice(build, _OUTER_WALLS)
        texture = build.material(wall, 0.3 if "brick" in wall else 1.2)
        middle = distance * np.array([np.cos(angle), np.sin(angle)])
        low, top = (*(middle - (along / 2, deep / 2)), 0.0), (*(middle + (along / 2, deep / 2)), high)
        facing = turn(np.degrees(angle) + 90 + _number(build, -35, 35))
        if np.linalg.norm(centres[:, :2] - middle, axis=1).min() > 0.5 * np.hypot(along, deep) + _AROUND_CAMERAS:
            build.box("houses", low, top, texture, facing)
    for _ in range(int(build.random.integers(6, 18))):
        size = _number(build, 0.3, 2.2)
        _thing(build, build.random.normal(0, 4.0, 2), 0.0, size, centres)
    angle = _number(build, 0, 2 * np.pi)
    sun = Lamp((np.cos(angle), np.sin(angle), _number(build, 0.5, 1.5)), 0.03, (1.3, 1.16, 0.94))
    sky = replace(DAYLIGHT, clouds=_number(build, 0, 1))
    return build.finish(sun, sky, stage, light_spacing=_LIGHT_SPACING)


def _walls_around(build: SceneBuilder) -> None:
    """Four walls of their own height each: ground that goes on for ever has no depth to speak of."""
    far = [_number(build, 8, 15) for _ in range(4)]
    for index, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        wall, high = _choice(build, _OUTER_WALLS), _number(build, 1.0, 6.0)
        middle = np.array([x, y]) * (far[index] + 0.25)
        half = np.where(np.array([x, y]) == 0, 16.0, 0.25)
        texture = build.material(wall, 0.3 if "brick" in wall else 1.2)
        build.box("walls", (*(middle - half), 0.0), (*(middle + half), high), texture)


def _centres(build: SceneBuilder, stage: Stage) -> NDArray[np.float64]:
    """(N, 3) of cameras along the path of the scene's seed."""
    bare = Scene("", (), ("sky",), Lamp((0, 0, 1), 0.1, (1, 1, 1)), DAYLIGHT, stage)
    matrices = camera_path(bare, "hand_held", 24, build.seed)
    return -(matrices[:, :3, :3].swapaxes(1, 2) @ matrices[:, :3, 3:])[..., 0]


def _thing(
    build: SceneBuilder, place: NDArray[np.float64], foot: float, size: float, centres: NDArray[np.float64]
) -> None:
    """Anything about as large as `size` that stands at `place`, unless a camera is there."""
    if np.linalg.norm(centres[:, :2] - place, axis=1).min() < 0.75 * size + _AROUND_CAMERAS:
        return
    x, y = place.tolist()
    texture = build.material(_choice(build, _THINGS), _number(build, 0.08, 0.5))
    kind = int(build.random.integers(8))
    spin = turn(_number(build, 0, 360))
    if kind < 3:
        sides = size * build.random.uniform(0.25, 0.7, 2)
        low, high = (
            (x - sides[0], y - sides[1], foot),
            (x + sides[0], y + sides[1], foot + size * _number(build, 0.3, 1.6)),
        )
        build.box("things", low, high, texture, spin)
    elif kind == 3:
        build.pillar("things", (x, y, foot), size * _number(build, 0.1, 0.45), size * _number(build, 0.5, 2.0), texture)
    elif kind == 4:
        build.ball("things", (x, y, foot + 0.45 * size), 0.45 * size, texture)
    elif kind == 5:
        mesh = boulder(0.5 * size, int(build.random.integers(1 << 30)))
        build.mesh("things", (x, y, foot + 0.35 * size), mesh, texture, spin)
    elif kind == 6:
        profile = [(radius * size, height * size) for radius, height in _VASE]
        build.mesh("things", (x, y, foot), lathe(profile, 24), texture)
    else:
        mesh = knot(0.3 * size, 0.1 * size) if build.random.uniform() < 0.5 else torus(0.35 * size, 0.12 * size)
        build.mesh("things", (x, y, foot + 0.5 * size), mesh, texture, spin @ turn(_number(build, 0, 90), "x"))


def _on_a_wall(build: SceneBuilder, half: tuple[float, float], height: float) -> None:
    """A picture, a door or a cupboard."""
    wide, tall, deep = _number(build, 0.3, 1.3), _number(build, 0.3, 1.6), _number(build, 0.02, 0.35)
    low = _number(build, 0, max(0.1, height - tall - 0.2))
    texture = build.material(_choice(build, ("warm painting", "cool painting", "evening painting", *_THINGS)), 0.3)
    side, across = int(build.random.integers(2)), 1 if build.random.uniform() < 0.5 else -1
    along = _number(build, -1, 1) * max(0.1, half[1 - side] - wide / 2)
    first = np.array([along - wide / 2, half[side] - deep, low])
    last = np.array([along + wide / 2, half[side] + 0.05, low + tall])
    if side == 0:
        first, last = first[[1, 0, 2]], last[[1, 0, 2]]
    ends = np.stack([first, last])
    ends[:, side] *= across
    build.box("on walls", ends.min(axis=0), ends.max(axis=0), texture)
