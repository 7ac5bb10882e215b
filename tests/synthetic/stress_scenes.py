"""Synthetic scenes with something that stereo cannot know."""

from __future__ import annotations

from .meshes import knot
from .outdoor_scenes import DAYLIGHT
from .scene_builder import SceneBuilder, turn
from .scene_model import Lamp, Scene, Stage
from .textures import Texture


def textureless_wall(build: SceneBuilder) -> Scene:
    """A back wall of one colour."""
    return _corner(build, build.material("bare", 1.0))


def repeated_texture(build: SceneBuilder) -> Scene:
    """A back wall with a chequered pattern that repeats exactly."""
    return _corner(build, build.material("even tiles", 0.15))


def moving_object(build: SceneBuilder) -> Scene:
    """A ball that rolls 8 cm from one view to the next."""
    build.ball("ball", (0.1, 0.1, 0.33), 0.33, build.material("painted ball", 0.25))
    return _corner(build, build.material("peach plaster", 0.8), {"ball": (0.06, -0.05, 0.0)})


def _corner(build: SceneBuilder, wall: Texture, motion: dict[str, tuple[float, float, float]] | None = None) -> Scene:
    """A floor between two walls, with things on it."""
    build.box("floor", (-3, -3.2, -0.1), (3, 1.6, 0), build.material("flagstones", 0.4))
    build.box("wall", (-3, 1.6, 0), (3, 1.7, 2.8), wall)
    build.box("side wall", (-3.1, -3.2, 0), (-3, 1.6, 2.8), build.material("red brick", 0.24))
    build.box("crate", (-1.3, 0.2, 0), (-0.6, 0.9, 0.7), build.material("pine", 0.12), turn(25))
    build.pillar("drum", (1.1, 0.7, 0), 0.35, 0.9, build.material("patchwork", 0.3))
    build.mesh("knot", (-0.95, 0.55, 1.0), knot(0.2, 0.075), build.material("jade", 0.15), turn(80, "x"))
    sun = Lamp((0.5, -0.8, 1.0), 0.05, (0.95, 0.9, 0.8))
    stage = Stage((0, 0.8, 0.8), 2.9, 1.4, -90, 70, ((0.2, -3.0, 1.4), (0.0, -1.0, 1.3)), 60)
    return build.finish(sun, DAYLIGHT, stage, motion)
