"""The synthetic scenes between four walls."""

from __future__ import annotations

import numpy as np

from .meshes import boulder, knot, lathe, torus
from .scene_builder import SceneBuilder, turn
from .scene_model import Lamp, Scene, Sky, Stage

ROOM_SKY = Sky(zenith=(0.5, 0.47, 0.42), horizon=(0.5, 0.47, 0.42), ground=(0.3, 0.25, 0.2))
_SKIRTING = 0.12

# Profiles for the lathe: radius and height, metres.
_VASE = (
    *((0.0, 0.0), (0.06, 0.0), (0.115, 0.1), (0.1, 0.2), (0.045, 0.27)),
    *((0.06, 0.33), (0.05, 0.33), (0.04, 0.28), (0.0, 0.26)),
)
_BOWL = ((0.0, 0.0), (0.07, 0.0), (0.15, 0.05), (0.18, 0.1), (0.17, 0.1), (0.13, 0.05), (0.0, 0.025))
_POT = ((0.0, 0.02), (0.18, 0.0), (0.27, 0.2), (0.3, 0.42), (0.26, 0.42), (0.0, 0.4))


def table(build: SceneBuilder) -> Scene:
    """A laid table in the middle of a room with books and pictures."""
    shell(build, (2.6, 2.6), 2.7, "floor oak", ("sand plaster", "green plaster", "sand plaster", "sand plaster"))
    build.box("rug", (-1.5, -1.3, 0), (1.5, 1.3, 0.015), build.material("red carpet", 0.8), turn(12))
    _bookshelf(build, -1.7, 2.58, 1.5, 4, 0.38)
    frame = build.material("dark wood", 0.05)
    for painting, x, z, width, height in (
        ("warm painting", 0.3, 1.15, 1.2, 0.8),
        ("cool painting", 1.75, 1.3, 0.55, 0.7),
    ):
        build.box("pictures", (x - 0.04, 2.55, z - 0.04), (x + width + 0.04, 2.59, z + height + 0.04), frame)
        build.box("pictures", (x, 2.54, z), (x + width, 2.58, z + height), build.material(painting, 0.4))
    build.box("pictures", (-2.59, -0.4, 1.1), (-2.55, 0.9, 1.9), frame)
    build.box("pictures", (-2.58, -0.36, 1.14), (-2.54, 0.86, 1.86), build.material("evening painting", 0.35))
    wood = build.material("cherry", 0.11)
    build.box("table", (-0.85, -0.6, 0.7), (0.85, 0.6, 0.74), wood)
    for x in (-0.75, 0.75):
        for y in (-0.5, 0.5):
            build.box("table", (x - 0.035, y - 0.035, 0), (x + 0.035, y + 0.035, 0.7), wood)
    build.box("runner", (-0.34, -0.66, 0.741), (0.34, 0.64, 0.745), build.material("runner", 0.3), turn(4))
    _lay_table(build, 0.745)
    lamp = Lamp((1.25, -1.35, 2.4), 0.22, (5.4, 4.75, 3.85), is_sun=False)
    stage = Stage((0, 0.05, 0.82), 1.5, 1.42, -92, 88, ((0.2, -2.3, 1.5), (-0.1, -1.1, 1.25)), 60)
    return build.finish(lamp, ROOM_SKY, stage)


def _lay_table(build: SceneBuilder, top: float) -> None:
    _flowers(build, -0.12, 0.22, top)
    build.mesh("bowl", (0.3, 0.02, top), lathe(_BOWL), build.material("white porcelain", 0.09))
    for fruit, x, y, height in (
        ("peach", 0.25, -0.03, 0.075),
        ("orange", 0.36, -0.01, 0.078),
        ("pear", 0.31, 0.08, 0.076),
        ("peach", 0.305, 0.01, 0.142),
    ):
        build.ball("fruit", (x, y, top + height), 0.047, build.material(fruit, 0.06))
    build.mesh("knot", (-0.42, -0.17, top + 0.135), knot(0.09, 0.034), build.material("gilt", 0.12), turn(75, "x"))
    height = top
    for index, thick in enumerate((0.035, 0.045, 0.03)):
        low, high = (-0.72 + 0.01 * index, 0.05, height), (-0.44, 0.45 - 0.03 * index, height + thick)
        build.box("book stack", low, high, build.book_cover(), turn(10 - 13 * index))
        height += thick
    build.mesh("ring", (-0.58, 0.25, height + 0.03), torus(0.075, 0.03), build.material("speckled ceramic", 0.03))
    build.pillar("mug", (0.12, -0.38, top), 0.042, 0.1, build.material("speckled ceramic", 0.02))
    build.box("casket", (0.46, -0.45, top), (0.7, -0.25, top + 0.14), build.material("mosaic", 0.045), turn(28))
    build.ball("globe", (0.6, 0.36, top + 0.105), 0.105, build.material("globe", 0.14))


def _flowers(build: SceneBuilder, x: float, y: float, foot: float) -> None:
    build.mesh("vase", (x, y, foot), lathe(_VASE), build.material("blue porcelain", 0.12))
    petals = ("orange petals", "yellow petals", "red petals", "white petals")
    for index in range(16):
        angle, lean = 2.4 * index, 0.05 + 0.08 * float(build.random.uniform())
        height = foot + 0.4 + 0.1 * float(build.random.uniform())
        blossom = (x + lean * np.cos(angle), y + lean * np.sin(angle), height)
        leaf = (x + 0.7 * lean * np.cos(angle + 1), y + 0.7 * lean * np.sin(angle + 1), height - 0.06)
        build.mesh("flowers", blossom, boulder(0.045, index, 2), build.material(petals[index % 4], 0.04))
        build.mesh("flowers", leaf, boulder(0.042, index + 50, 2), build.material("leaves", 0.05))


def room(build: SceneBuilder) -> Scene:
    """A living room: a sofa, a low table, a bookshelf, a plant."""
    shell(build, (3.2, 2.8), 2.8, "floor walnut", ("peach plaster", "red brick", "blue plaster", "peach plaster"))
    build.box("rug", (-1.4, -0.6, 0), (1.4, 1.5, 0.015), build.material("blue carpet", 0.9), turn(-6))
    cloth = build.material("mustard cloth", 0.4)
    build.box("sofa", (-1.1, 1.75, 0.12), (1.1, 2.65, 0.42), cloth)
    build.box("sofa", (-1.1, 2.4, 0.42), (1.1, 2.7, 0.9), cloth)
    for x in (-1.3, 1.1):
        build.box("sofa", (x, 1.75, 0.12), (x + 0.2, 2.7, 0.62), cloth)
    for x, cover in ((-0.8, "patchwork"), (0.75, "warm painting")):
        build.box(
            "cushions", (x - 0.24, 2.15, 0.43), (x + 0.24, 2.3, 0.85), build.material(cover, 0.25), turn(-18, "x")
        )
    _bookshelf(build, 1.5, 2.78, 1.5, 5, 0.4)
    build.box("pictures", (-0.9, 2.75, 1.25), (0.6, 2.8, 2.25), build.material("warm painting", 0.5))
    wood = build.material("walnut", 0.1)
    build.pillar("table", (0.1, 0.6, 0.38), 0.55, 0.05, wood)
    build.pillar("table", (0.1, 0.6, 0.0), 0.08, 0.38, wood)
    build.mesh("bowl", (0.2, 0.65, 0.43), lathe(_BOWL), build.material("white porcelain", 0.1))
    build.box("book stack", (-0.3, 0.35, 0.43), (0.0, 0.57, 0.47), build.book_cover(), turn(20))
    build.mesh("pot", (-2.3, 2.0, 0), lathe(_POT), build.material("terracotta", 0.3))
    for _ in range(12):
        place = build.random.normal((-2.3, 2.0, 0.85), (0.17, 0.17, 0.2))
        bush = boulder(0.17, int(build.random.integers(1 << 30)))
        build.mesh("plant", place, bush, build.material("leaves", 0.12))
    build.ball("ball", (1.3, 0.1, 0.2), 0.2, build.material("painted ball", 0.25))
    build.box("stool", (-1.9, 0.3, 0.0), (-1.45, 0.75, 0.45), build.material("pine", 0.09), turn(25))
    build.mesh("knot", (-1.68, 0.52, 0.66), knot(0.13, 0.05), build.material("jade", 0.15), turn(80, "x"))
    lamp = Lamp((1.6, -1.7, 2.45), 0.25, (11.0, 9.8, 7.9), is_sun=False)
    stage = Stage((0, 1.0, 0.75), 2.9, 1.5, -90, 62, ((0.1, -2.5, 1.5), (-0.1, -0.6, 1.4)), 66)
    return build.finish(lamp, ROOM_SKY, stage)


def plain_room(build: SceneBuilder) -> Scene:
    """A nearly empty room with walls and ceiling of one colour, a door, a picture, a carpet and three boxes."""
    shell(build, (2.6, 2.4), 2.6, "floor oak", ("paint", "paint", "paint", "paint"), "paint")
    build.box("door", (-2.62, -0.9, 0), (-2.55, 0.0, 2.0), build.material("white wood", 0.2))
    build.box("pictures", (0.5, 2.35, 1.1), (1.5, 2.4, 1.8), build.material("warm painting", 0.4))
    build.box("pictures", (-1.5, 2.37, 1.6), (-1.1, 2.4, 2.0), build.material("cool painting", 0.3))
    build.box("radiator", (1.2, 2.28, 0.15), (2.2, 2.4, 0.75), build.material("white wood", 0.12))
    build.box("boxes", (-1.3, 1.2, 0), (-0.6, 1.8, 0.5), build.material("pine", 0.12), turn(20))
    build.box("boxes", (-1.2, 1.3, 0.5), (-0.8, 1.7, 0.8), build.material("patchwork", 0.2), turn(-15))
    build.box("boxes", (0.6, 0.9, 0), (1.3, 1.5, 0.9), build.material("sand plaster", 0.5), turn(35))
    build.box("rug", (-0.9, -0.7, 0), (0.9, 0.7, 0.012), build.material("blue carpet", 0.6), turn(8))
    lamp = Lamp((0.4, -0.6, 2.35), 0.2, (5.0, 4.6, 4.0), is_sun=False)
    stage = Stage((0, 0.9, 1.0), 2.6, 1.4, -90, 62, ((0.1, -2.1, 1.4), (-0.1, -0.3, 1.3)), 70)
    return build.finish(lamp, ROOM_SKY, stage)


def shell(
    build: SceneBuilder,
    half: tuple[float, float],
    height: float,
    floor: str,
    walls: tuple[str, str, str, str],
    ceiling: str = "white plaster",
) -> None:
    """Floor, ceiling and walls (at +x, -x, +y, -y) with skirting boards, around z."""
    x, y = half
    build.box("floor", (-x, -y, -0.1), (x, y, 0), build.material(floor, 0.15))
    build.box("ceiling", (-x, -y, height), (x, y, height + 0.1), build.material(ceiling, 0.8))
    skirting = build.material("white wood", _SKIRTING)
    for wall, low, high, inwards in (
        (walls[0], (x, -y), (x + 0.1, y), (-0.02, 0)),
        (walls[1], (-x - 0.1, -y), (-x, y), (0.02, 0)),
        (walls[2], (-x, y), (x, y + 0.1), (0, -0.02)),
        (walls[3], (-x, -y - 0.1), (x, -y), (0, 0.02)),
    ):
        scale = 0.24 if wall == "red brick" else 0.8
        build.box("walls", (*low, 0), (*high, height), build.material(wall, scale))
        moved_low, moved_high = np.add(low, inwards), np.add(high, inwards)
        build.box("walls", np.array([*moved_low, 0]), np.array([*moved_high, _SKIRTING]), skirting)


def _bookshelf(build: SceneBuilder, x: float, y: float, width: float, rows: int, step: float) -> None:
    """A shelf along x from `x` on, its back at `y`, books facing -y."""
    wood = build.material("walnut", 0.15)
    for side in (x - 0.03, x + width):
        build.box("shelf", (side, y - 0.3, 0), (side + 0.03, y, 0.13 + rows * step), wood)
    for board in range(rows + 1):
        z = 0.1 + board * step
        build.box("shelf", (x, y - 0.3, z - 0.03), (x + width, y, z), wood)
        at = x + 0.02
        while board < rows and at < x + width - 0.08:
            thick, tall, deep = build.random.uniform((0.025, 0.6, 0.17), (0.06, 0.92, 0.25)).tolist()
            if build.random.uniform() < 0.9:
                top = z + tall * (step - 0.05)
                build.box("books", (at, y - deep - 0.02, z), (at + thick, y - 0.02, top), build.book_cover())
            at += thick + 0.002
