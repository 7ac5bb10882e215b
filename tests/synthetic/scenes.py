"""The synthetic scenes by name."""

from __future__ import annotations

from collections.abc import Callable

from recon.errors import InputError

from .indoor_scenes import plain_room, room, table
from .outdoor_scenes import courtyard, street
from .scene_builder import SceneBuilder
from .scene_model import Scene
from .stress_scenes import moving_object, repeated_texture, textureless_wall

SCENES: dict[str, Callable[[SceneBuilder], Scene]] = {
    "courtyard": courtyard,
    "table": table,
    "room": room,
    "street": street,
    "plain_room": plain_room,
    "textureless_wall": textureless_wall,
    "repeated_texture": repeated_texture,
    "moving_object": moving_object,
}
"""How to build each scene."""


def make_scene(name: str, seed: int = 0) -> Scene:
    """A scene by name; the seed varies textures and clutter, never the stage.

    `courtyard` is outdoors with sky, `room` and `table` are indoors. For stress tests: `street`, made to be driven
    through, `plain_room`, whose walls are of one colour, `textureless_wall`, `repeated_texture`, and `moving_object`,
    in which a ball moves between the views.

    Raises:
        InputError: an unknown name, or a negative seed.
    """
    if name not in SCENES:
        raise InputError(f"the scene must be one of {', '.join(SCENES)}, not '{name}'")
    if seed < 0:
        raise InputError(f"the seed of a scene must not be negative, got {seed}")
    return SCENES[name](SceneBuilder(name, seed))
