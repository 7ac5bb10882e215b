"""What a synthetic scene is made of: shapes with textures, one lamp, a sky, and where cameras go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .textures import Texture

ShapeKind = Literal["rectangle", "box", "sphere", "cylinder", "mesh"]


@dataclass(frozen=True)
class Shape:
    """One solid or surface, in its own frame."""

    kind: ShapeKind
    size: tuple[float, ...]
    """Metres. Rectangle: half sides along x and y, in the plane z = 0, lit as seen from +z. Box: half sides. Sphere:
    radius. Cylinder: radius and half height along z. Mesh: nothing."""
    shape_to_world: NDArray[np.float64]
    """(4, 4) rigid."""
    texture: Texture
    object_id: int
    """Which object it is a part of, from 1; `Scene.objects` has the names."""
    vertices: NDArray[np.float64] | None = None
    """(V, 3) of a mesh, in the frame of the shape."""
    faces: NDArray[np.int64] | None = None
    """(F, 3) of a mesh."""


@dataclass(frozen=True)
class Lamp:
    """The one light that casts shadows: the sun, or a ball somewhere in the room."""

    position: tuple[float, float, float]
    """Of a ball: its centre, metres. Of the sun: the direction towards it."""
    radius: float
    """Of a ball: metres. Of the sun: tangent of its angular radius; larger is softer."""
    color: tuple[float, float, float]
    """Linear RGB that a white surface facing the sun sends back; for a ball, at 1 m."""
    is_sun: bool = True
    """A sun is at infinity; a ball's light falls off with the square of the distance."""


@dataclass(frozen=True)
class Sky:
    """What is seen, and what lights the scene, where nothing is hit."""

    zenith: tuple[float, float, float]
    """Linear RGB overhead."""
    horizon: tuple[float, float, float]
    """Linear RGB at the horizon."""
    ambient: float = 1.0
    """Strength of its light on surfaces, relative to how bright it looks."""
    ground: tuple[float, float, float] = (0.2, 0.18, 0.15)
    """Linear RGB below the horizon, where nothing is hit."""
    clouds: float = 0.0
    """0 for none to 1 for many."""


@dataclass(frozen=True)
class Stage:
    """Where the cameras go. World z is up."""

    target: tuple[float, float, float]
    """Metres: what an orbit looks at."""
    radius: float
    """Metres from the target, horizontally."""
    height: float
    """Metres of the cameras above z = 0."""
    start: float
    """Degrees around z of the middle of the orbit, from x towards y."""
    arc: float
    """Degrees that an orbit covers."""
    forward: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Metres: first and last camera centre of a forward path, which looks along it."""
    field_of_view: float = 60.0
    """Degrees, horizontally."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene in metres, z up, that `render_views` renders."""

    name: str
    shapes: tuple[Shape, ...]
    objects: tuple[str, ...]
    """Names by object id; id 0 is the sky."""
    lamp: Lamp
    sky: Sky
    stage: Stage
    seed: int = 0
    motion: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """Metres by which an object moves from one view to the next, by object id."""
    light_spacing: float = 0.06
    """Metres between the samples of indirect light."""

    def object_id(self, name: str) -> int:
        """Id of the object `name`; ValueError where there is none."""
        return self.objects.index(name)
