"""What a page shows, wherever it comes from: a prediction, a file of points, a model of cameras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.depth_vis import DEPTH_COLORS
from recon.export.packing import Packed
from recon.geometry.cameras import invert_rigid, to_4x4
from recon.geometry.located_depth import percentiles
from recon.geometry.up import estimate_up
from recon.types import FloatArray, Gaussians

_FIELD_OF_VIEW = 50.0
"""Degrees across, from where the page begins when there are no photos."""
_PLACED_BY = 100_000
"""At most this many points decide where the scene is."""


@dataclass(frozen=True)
class PageView:
    """A photo and its camera."""

    name: str
    world_to_camera: FloatArray
    """(3, 4)."""
    intrinsics: tuple[float, float, float, float]
    """fx, fy, cx, cy in pixels of `size`."""
    size: tuple[int, int]
    """Width and height."""
    distance: float
    """Median depth of what it shows: what a person turns about who stands there."""
    pictures: Mapping[str, Callable[[], NDArray[np.uint8]]] = field(default_factory=dict)
    """What gives RGB (H, W, 3), by name: `photo`, and `depth` in colours; those there are."""
    depths: Callable[[int], tuple[Packed, dict[str, Any]]] | None = None
    """Depth of every so many pixels, as `recon.export.page_layers.pack_depth` has it; None where there is none."""


@dataclass(frozen=True)
class PagePoints:
    """P coloured points."""

    positions: NDArray[np.float32]
    """(P, 3) in the world."""
    colors: NDArray[np.uint8]
    """(P, 3) sRGB."""
    views: NDArray[np.integer[Any]] | None = None
    """(P,) index of the view that each is from; None where that is not known."""
    confidence: FloatArray | None = None
    """(P,), higher is better."""

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: NDArray[np.integer[Any]] | slice) -> PagePoints:
        return PagePoints(
            self.positions[rows],
            self.colors[rows],
            None if self.views is None else self.views[rows],
            None if self.confidence is None else self.confidence[rows],
        )


@dataclass(frozen=True)
class PageLayer:
    """A mesh, or sparse points: what is in the page whole, or not at all."""

    make: Callable[[int], Mapping[str, Packed] | None]
    """Its quantised arrays, of at most so many bytes in the page; None where there is none, or none that fits."""
    counted: str
    """The array whose rows are counted."""
    share: float
    """Of the size that is left for it and what comes after it, at most this."""
    missed: str | None
    """What is said where it is left out; None: nothing."""


@dataclass(frozen=True)
class PageContent:
    """Everything a page shows. Positions share one world."""

    title: str
    unit: str
    """Of lengths, behind a number."""
    facts: Mapping[str, Any]
    """For programs: JSON values."""
    words: tuple[tuple[str, str], ...]
    """For a person: names and values."""
    views: tuple[PageView, ...] = ()
    points: PagePoints | None = None
    splats: Gaussians | None = None
    layers: Mapping[str, PageLayer] = field(default_factory=dict)
    """`mesh` and `sparse`, of those there are."""
    up: tuple[float, float, float] | None = None
    """Unit vector of the world; None: as the cameras were held."""
    depths: tuple[float, float] | None = None
    """The nearest and farthest depth that colours tell apart; None: of the scene as a whole."""
    placed_by: FloatArray | None = None
    """(P, 3) positions that tell where the scene is, where there are neither points nor splats."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        shown = (self.views, self.points, self.splats, self.layers)
        return not any(one is not None and len(one) for one in shown)


def describe(content: PageContent) -> dict[str, Any]:
    """The page's own description, before its data.

    Views, each with `world_to_camera` (3×4, row by row), `intrinsics` (fx, fy, cx, cy) in pixels of `size`, and the
    median depth there; `up`, `centre` and `size` of the scene in its world; `start`, where the page begins without any.
    """
    low, centre, high = _extent(content)
    size = float(np.linalg.norm(high - low)) or 1.0
    up = np.array(content.up) if content.up is not None else _up(content)
    near, far = (0.1 * size, 2 * size) if content.depths is None else content.depths
    return {
        "title": content.title,
        "unit": content.unit,
        "up": up.tolist(),
        "centre": centre.tolist(),
        "size": size,
        "disparities": [1 / far, 1 / min(near, far * 0.999)],
        "depth_colors": (DEPTH_COLORS[np.linspace(0, 255, 10).round().astype(int)] / 255).round(4).tolist(),
        "first": 0,
        "start": None if content.views else _view_from_outside(centre, size, up),
        "views": [_described(view) for view in content.views],
        "facts": list(content.words),
        "points": None,
        "splats": None,
        "mesh": None,
        "sparse": None,
        "left_out": [],
    }


def _up(content: PageContent) -> NDArray[np.float64]:
    if not content.views:
        return np.array([0.0, -1.0, 0.0])
    return estimate_up(np.stack([view.world_to_camera for view in content.views]))


def _extent(content: PageContent) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(3,) each: the 5th percentile, the median and the 95th percentile of what is shown, per axis."""
    if content.points is not None and len(content.points):
        shown: FloatArray = content.points.positions
    elif content.splats is not None and len(content.splats):
        shown = content.splats.means
    elif content.placed_by is not None and len(content.placed_by):
        shown = content.placed_by
    elif content.views:
        cameras = np.stack([view.world_to_camera for view in content.views]).astype(np.float64)
        shown = invert_rigid(to_4x4(cameras))[:, :3, 3]
    else:
        shown = np.zeros((1, 3))
    shown = shown[:: -(-len(shown) // _PLACED_BY)]
    low, centre, high = percentiles(np.ascontiguousarray(shown.T), [5, 50, 95])
    return low.astype(np.float64), centre.astype(np.float64), high.astype(np.float64)


def _described(view: PageView) -> dict[str, Any]:
    return {
        "name": view.name,
        "world_to_camera": np.asarray(view.world_to_camera, np.float64).ravel().tolist(),
        "intrinsics": list(view.intrinsics),
        "size": list(view.size),
        "distance": view.distance,
        "photo": None,
        "depth": None,
        "depths": None,
    }


def _view_from_outside(centre: NDArray[np.float64], size: float, up: NDArray[np.float64]) -> dict[str, Any]:
    """A view of the whole scene from its front, a little above, without a photo.

    The front is where cameras of these axes stand: behind -z of OpenCV's, y down, before +z of glTF's, y up.
    """
    ahead = np.array([0.0, 1.0, 0.0]) if abs(up[2]) > 0.9 else np.array([0.0, 0.0, -1.0 if up[1] > 0 else 1.0])
    level = np.cross(np.cross(up, ahead), up)
    forward = level / np.linalg.norm(level) - 0.25 * up
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    distance = 0.6 * size / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    world_to_camera = np.column_stack([rotation, -rotation @ (centre - distance * forward)])
    width, height = 640, 480
    focal = width / 2 / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    middle = (float(focal), float(focal), width / 2, height / 2)
    return _described(PageView("", world_to_camera, middle, (width, height), float(distance)))
