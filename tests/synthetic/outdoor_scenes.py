"""The synthetic scenes with a sky."""

from __future__ import annotations

import numpy as np

from .meshes import boulder, knot, lathe
from .scene_builder import SceneBuilder, turn
from .scene_model import Lamp, Scene, Sky, Stage
from .textures import Texture

DAYLIGHT = Sky(
    zenith=(0.16, 0.32, 0.68), horizon=(0.62, 0.74, 0.86), ambient=0.75, ground=(0.22, 0.19, 0.15), clouds=0.7
)

_POT = (
    *((0.0, 0.02), (0.2, 0.0), (0.3, 0.2), (0.34, 0.42), (0.3, 0.5)),
    *((0.36, 0.56), (0.3, 0.57), (0.26, 0.5), (0.0, 0.48)),
)
"""Radius and height, metres."""


def courtyard(build: SceneBuilder) -> Scene:
    """A paved court with a sculpture on a round fountain, between a colonnade and a house."""
    build.box("ground", (-9, -9, -0.4), (9, 9, 0), build.material("flagstones", 0.7))
    _walls(build)
    _colonnade(build)
    _fountain(build)
    for x, y in ((-3.4, -1.6), (2.9, 1.9), (-2.9, 2.3), (3.3, -2.2)):
        _potted_plant(build, x, y)
    build.box("crates", (3.0, -0.4, 0), (3.8, 0.4, 0.8), build.material("pine", 0.13), turn(17))
    build.box("crates", (3.15, -0.25, 0.8), (3.65, 0.25, 1.3), build.material("pine", 0.1), turn(-24))
    build.box("crates", (2.4, 0.7, 0), (2.9, 1.2, 0.5), build.material("pine", 0.1), turn(40))
    build.box("bench", (-3.2, 0.2, 0.42), (-2.7, 1.8, 0.5), build.material("walnut", 0.16), turn(8))
    for y in (0.5, 1.5):
        build.box("bench", (-3.15, y - 0.09, 0), (-2.75, y + 0.09, 0.42), build.material("sandstone", 0.9), turn(8))
    sun = Lamp((0.75, -0.62, 0.72), 0.03, (1.3, 1.16, 0.92))
    stage = Stage((0, 0.35, 1.15), 5.0, 1.75, -78, 88, ((0.3, -7.5, 1.6), (-0.8, -3.0, 1.7)), 62)
    return build.finish(sun, DAYLIGHT, stage, light_spacing=0.08)


def _walls(build: SceneBuilder) -> None:
    stone = build.material("sandstone", 0.9)
    build.box("brick wall", (-9, 4.6, 0), (9, 5.2, 3.6), build.material("red brick", 0.3))
    build.box("brick wall", (-9, 4.5, 3.6), (9, 5.3, 3.8), stone)
    build.box("stone wall", (5.4, -9, 0), (6.0, 4.6, 2.6), stone)
    build.box("plaster wall", (-5.6, -9, 0), (-5.0, 4.6, 4.2), build.material("ochre plaster", 1.3))
    build.box("plaster wall", (-5.8, -9, 4.2), (-4.8, 4.6, 4.4), build.material("roof tiles", 0.32))
    for y in (-3.0, -0.4, 2.2):
        build.box("windows", (-5.02, y - 0.55, 1.5), (-4.93, y + 0.55, 3.2), build.material("green wood", 0.14))
        build.box("windows", (-5.02, y - 0.7, 1.36), (-4.84, y + 0.7, 1.5), stone)
        build.box("windows", (-5.02, y - 0.7, 3.2), (-4.88, y + 0.7, 3.36), stone)
    build.box("door", (-0.75, 4.52, 0), (0.75, 4.62, 2.3), build.material("blue wood", 0.17))
    for x in (-0.95, 0.75):
        build.box("door", (x, 4.45, 0), (x + 0.2, 4.62, 2.5), stone)
    build.box("door", (-1.05, 4.42, 2.3), (1.05, 4.62, 2.52), stone)
    build.box("house", (-3.4, 8.2, 0), (2.4, 12.5, 5.6), build.material("cream plaster", 1.6))
    build.box("house", (-3.7, 7.9, 5.6), (2.7, 12.8, 5.85), build.material("roof tiles", 0.32))
    for x in (-2.2, -0.5, 1.2):
        build.box("house", (x - 0.35, 8.13, 4.2), (x + 0.35, 8.25, 5.2), build.material("green wood", 0.1))
    build.box("tower", (4.0, 9.5, 0), (6.2, 11.7, 7.4), build.material("yellow brick", 0.42))
    build.box("tower", (3.8, 9.3, 7.4), (6.4, 11.9, 7.65), stone)


def _colonnade(build: SceneBuilder) -> None:
    stone = build.material("sandstone", 0.9)
    for x in (-3.6, -1.75, 1.75, 3.6):
        build.pillar("columns", (x, 3.7, 0), 0.3, 0.25, stone)
        build.pillar("columns", (x, 3.7, 0.25), 0.2, 2.3, build.material("column marble", 0.5))
        build.pillar("columns", (x, 3.7, 2.55), 0.29, 0.2, stone)
    build.box("columns", (-4.2, 3.4, 2.75), (4.2, 4.6, 2.95), build.material("walnut", 0.2))


def _fountain(build: SceneBuilder) -> None:
    stone = build.material("sandstone", 0.9)
    build.pillar("fountain", (0, 0, 0), 1.35, 0.16, stone)
    build.pillar("fountain", (0, 0, 0.16), 1.1, 0.34, build.material("pale brick", 0.36))
    build.pillar("fountain", (0, 0, 0.5), 1.16, 0.08, stone)
    build.box("fountain", (-0.36, -0.36, 0.58), (0.36, 0.36, 1.25), build.material("pedestal marble", 0.6), turn(20))
    build.box("fountain", (-0.44, -0.44, 1.25), (0.44, 0.44, 1.33), stone, turn(20))
    build.mesh("sculpture", (0, 0, 1.85), knot(0.34, 0.12), build.material("verdigris", 0.3), turn(90, "x"))


def _potted_plant(build: SceneBuilder, x: float, y: float) -> None:
    build.mesh("pots", (x, y, 0), lathe(_POT), build.material("terracotta", 0.3))
    for _ in range(9):
        place = build.random.normal((x, y, 0.78), (0.13, 0.13, 0.11))
        bush = boulder(0.19, int(build.random.integers(1 << 30)))
        build.mesh("plants", place, bush, build.material("leaves", 0.12))


def street(build: SceneBuilder) -> Scene:
    """A street between two rows of houses, to be driven through: little to see from the side, all at a slant."""
    build.box("road", (-3.4, -6, -0.3), (3.4, 60, 0), build.material("asphalt", 0.25))
    for y in np.arange(-4, 60, 4.0):
        build.box("road", (-0.07, y, 0), (0.07, y + 2, 0.004), build.material("white plaster", 0.4))
    for side in (-1, 1):
        low, high = sorted((side * 3.4, side * 6.2))
        build.box("pavement", (low, -6, -0.3), (high, 60, 0.14), build.material("pavement", 0.5))
        _row_of_houses(build, side)
        for y in np.arange(6.0 + 2 * side, 44, 8.0):
            build.pillar("posts", (side * 3.8, y, 0.14), 0.07, 4.2, build.material("dark wood", 0.2))
    for x, y, paint in ((2.5, 9, "red"), (2.5, 21, "silver"), (-2.5, 15, "silver"), (-2.5, 32, "red")):
        _parked_car(build, x, y, build.material(f"{paint} lacquer", 1.0))
    build.box("end", (-9, 48, 0), (9, 52, 7), build.material("yellow brick", 0.4))
    build.box("end", (-9.3, 47.7, 7), (9.3, 52, 7.3), build.material("roof tiles", 0.32))
    sun = Lamp((0.5, -0.6, 0.9), 0.03, (1.25, 1.14, 0.95))
    stage = Stage((0, 12, 1.6), 5.0, 2.4, -90, 70, ((-0.5, -5.0, 1.6), (0.3, 12.0, 1.6)), 70)
    return build.finish(sun, DAYLIGHT, stage, light_spacing=0.4)


def _row_of_houses(build: SceneBuilder, side: int) -> None:
    stone = build.material("sandstone", 0.9)
    walls = ("red brick", "cream plaster", "yellow brick", "ochre plaster")
    y = -6.0
    for index in range(8):
        length, height = build.random.uniform((6.0, 5.5), (10.0, 9.0)).tolist()
        low, high = sorted((side * 6.2, side * 10.0))
        wall = walls[(index + (side > 0)) % 4]
        build.box(
            "houses", (low, y, 0), (high, y + length, height), build.material(wall, 0.3 if "brick" in wall else 1.2)
        )
        low, high = sorted((side * 6.0, side * 10.0))
        build.box("houses", (low, y, height), (high, y + length, height + 0.25), build.material("roof tiles", 0.32))
        low, high = sorted((side * 6.13, side * 6.3))
        for place in np.arange(y + 0.8, y + length - 1.4, 2.0):
            for floor in (0.9, 3.4):
                build.box(
                    "windows", (low, place, floor), (high, place + 1.1, floor + 1.5), build.material("glass", 1.0)
                )
                outer = sorted((side * 6.08, side * 6.3))
                build.box("windows", (outer[0], place - 0.1, floor - 0.1), (outer[1], place + 1.2, floor), stone)
        y += length


def _parked_car(build: SceneBuilder, x: float, y: float, paint: Texture) -> None:
    build.box("cars", (x - 0.85, y - 2.0, 0.3), (x + 0.85, y + 2.0, 0.9), paint)
    build.box("cars", (x - 0.75, y - 1.2, 0.9), (x + 0.75, y + 1.2, 1.45), build.material("glass", 1.0))
    for wheel_x in (x - 0.8, x + 0.6):
        for wheel_y in (y - 1.4, y + 1.1):
            build.box(
                "cars", (wheel_x, wheel_y, 0), (wheel_x + 0.2, wheel_y + 0.55, 0.55), build.material("dark wood", 0.1)
            )
