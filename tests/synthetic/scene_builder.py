"""Puts shapes together to objects and a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .materials import book_cover, material
from .meshes import Mesh
from .scene_model import Lamp, Scene, Shape, ShapeKind, Sky, Stage
from .textures import Texture

Vector: TypeAlias = tuple[float, float, float] | NDArray[np.float64]


def turn(degrees: float, axis: str = "z") -> NDArray[np.float64]:
    """(3, 3) rotation by `degrees` about x, y or z."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[first, first], matrix[first, second] = cosine, -sine
    matrix[second, first], matrix[second, second] = sine, cosine
    return matrix


class SceneBuilder:
    """Collects shapes; those of one name are one object."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.random = np.random.default_rng([seed, *name.encode()])
        self.shapes: list[Shape] = []
        self.objects = ["sky"]

    def material(self, name: str, scale: float) -> Texture:
        """A named texture; no two are alike."""
        return material(name, scale, self._new_seed())

    def book_cover(self) -> Texture:
        """Any book's."""
        return book_cover(self._new_seed())

    def _new_seed(self) -> int:
        return int(self.random.integers(1, 1 << 20))

    def add(
        self,
        name: str,
        kind: ShapeKind,
        size: Sequence[float],
        place: Vector,
        texture: Texture,
        rotation: NDArray[np.float64] | None = None,
        mesh: Mesh | None = None,
    ) -> None:
        """Add a shape with its origin at `place`, as a part of the object `name`."""
        if name not in self.objects:
            self.objects.append(name)
        to_world = np.eye(4)
        to_world[:3, :3] = np.eye(3) if rotation is None else rotation
        to_world[:3, 3] = place
        vertices, faces = mesh or (None, None)
        self.shapes.append(Shape(kind, tuple(size), to_world, texture, self.objects.index(name), vertices, faces))

    def box(
        self, name: str, low: Vector, high: Vector, texture: Texture, rotation: NDArray[np.float64] | None = None
    ) -> None:
        """A box between two corners, turned about its middle."""
        lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
        self.add(name, "box", ((upper - lower) / 2).tolist(), (lower + upper) / 2, texture, rotation)

    def ball(self, name: str, centre: Vector, radius: float, texture: Texture) -> None:
        """A sphere."""
        self.add(name, "sphere", (radius,), centre, texture, turn(float(self.random.uniform(0, 360)), "x"))

    def pillar(self, name: str, foot: Vector, radius: float, height: float, texture: Texture) -> None:
        """An upright cylinder that stands on `foot`."""
        centre = np.asarray(foot, np.float64) + (0, 0, height / 2)
        self.add(name, "cylinder", (radius, height / 2), centre, texture)

    def mesh(
        self, name: str, place: Vector, mesh: Mesh, texture: Texture, rotation: NDArray[np.float64] | None = None
    ) -> None:
        """A mesh with its origin at `place`."""
        self.add(name, "mesh", (), place, texture, rotation, mesh)

    def finish(
        self,
        lamp: Lamp,
        sky: Sky,
        stage: Stage,
        motion: Mapping[str, tuple[float, float, float]] | None = None,
        light_spacing: float = 0.06,
    ) -> Scene:
        """The scene of all shapes so far; `motion` is by name, see `Scene.motion`."""
        steps = {self.objects.index(name): step for name, step in (motion or {}).items()}
        return Scene(
            self.name, tuple(self.shapes), tuple(self.objects), lamp, sky, stage, self.seed, steps, light_spacing
        )
