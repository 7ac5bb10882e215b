"""A scene as the flat arrays that the compiled ray caster reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RECTANGLE, BOX, SPHERE, CYLINDER, MESH = range(5)
"""Kinds of shapes, as `SceneArrays.kinds` numbers them."""
KINDS = {"rectangle": RECTANGLE, "box": BOX, "sphere": SPHERE, "cylinder": CYLINDER, "mesh": MESH}
"""Their numbers by name."""


class SceneArrays(NamedTuple):
    """P shapes, T triangles, M nodes. A node holds its box, and either two children or a run of shapes (triangles)."""

    node_boxes: NDArray[np.float64]
    """(M, 6) lower and upper corner: of shapes in the world, of triangles in the frame of their shape."""
    node_links: NDArray[np.int64]
    """(M, 2) first entry and count of a leaf; the first child and 0 of an inner node, whose second child is next."""
    kinds: NDArray[np.int64]
    """(P,) RECTANGLE, BOX, SPHERE, CYLINDER or MESH."""
    sizes: NDArray[np.float64]
    """(P, 3)."""
    to_local: NDArray[np.float64]
    """(P, 3, 4) world to shape."""
    mesh_roots: NDArray[np.int64]
    """(P,) node a mesh starts at; -1 for other shapes."""
    object_ids: NDArray[np.int64]
    """(P,)."""
    patterns: NDArray[np.int64]
    """(P,) index in PATTERNS."""
    colors: NDArray[np.float64]
    """(P, 4, 3) linear RGB."""
    texture_values: NDArray[np.float64]
    """(P, 3) scale, detail, seed."""
    corners: NDArray[np.float64]
    """(T, 3, 3) of triangles."""
    normals: NDArray[np.float64]
    """(T, 3, 3) unit normals at the corners."""
    light: NDArray[np.float32]
    """(L, 3) linear RGB of the indirect light at the samples of all shapes."""
    light_starts: NDArray[np.int64]
    """(P,) first sample of each shape."""
    light_grids: NDArray[np.int64]
    """(P, 6, 2) samples along u and v of each face."""
    light_corners: NDArray[np.int64]
    """(T, 3) samples at the corners of triangles."""
    albedo: NDArray[np.float64]
    """(P, 3) linear RGB: about what a shape sends back of the light that it gets."""
    lamp: NDArray[np.float64]
    """(8,) position or direction, radius, RGB, 1 for a sun."""
    sky: NDArray[np.float64]
    """(11,) zenith, horizon, ambient, ground, clouds."""
    seed: int
