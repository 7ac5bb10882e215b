"""What a page shows, wherever it comes from: a prediction, a file of points, a model of cameras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.export.depth_vis import DEPTH_COLORS
from recon.export.packing import Packed
from recon.geometry.cameras import camera_centres
from recon.geometry.located_depth import percentiles
from recon.geometry.up import estimate_up
from recon.types import FloatArray, Gaussians

_FIELD_OF_VIEW = 50.0
"""Degrees across, from where the page begins when it is not at a photo."""
_START_SIZE = (640, 480)
"""Pixels, likewise."""
_PLACED_BY = 100_000
"""At most this many points decide where the scene is."""
_FRUSTUM = 0.033
"""How far a photo stands in front of its camera, beside the size of the scene."""
_SHOWN_SHARE = 0.9
"""Of the picture that the page begins with, what photos alone take at most."""


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
    certainty: str = ""
    """How sure the camera is, in words; empty where nothing says so."""
    weak: bool = False
    """Whether the camera is not to be relied on: it is drawn in another colour."""


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
    splat_focal: float | None = None
    """Focal length, in pixels, of the pictures that the splats were fitted to; None where that is not known."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        shown = (self.views, self.points, self.splats, self.layers)
        return not any(one is not None and len(one) for one in shown)

    @property
    def has_photos_alone(self) -> bool:
        """Whether photos in their cameras are all there is to see."""
        others = (self.points, self.splats, self.layers)
        return bool(self.views) and not any(one is not None and len(one) for one in others)


def describe(content: PageContent) -> dict[str, Any]:
    """The page's own description, before its data.

    Views, each with `world_to_camera` (3×4, row by row), `intrinsics` (fx, fy, cx, cy) in pixels of `size`, the median
    depth there, and how sure the camera is (`certainty` in words, `weak`); `up`, `centre` and `size` of the scene in
    its world; `start`, where the page begins: at the first of the views where that is None. `frustum`: how far a photo
    stands in front of its camera.
    """
    low, centre, high = _extent(content)
    size = float(np.linalg.norm(high - low)) or 1.0
    up = np.array(content.up) if content.up is not None else _up(content)
    frustum = _FRUSTUM * size
    start = None if content.views else _view_from_outside(centre, size, up)
    if content.has_photos_alone:
        cameras = np.stack([view.world_to_camera for view in content.views]).astype(np.float64)
        frustum = _frustum_among(camera_centres(cameras), size)
        start = _view_of_photos(content.views, cameras, frustum, up)
    near, far = (0.1 * size, 2 * size) if content.depths is None else content.depths
    return {
        "title": content.title,
        "unit": content.unit,
        "up": up.tolist(),
        "centre": centre.tolist(),
        "size": size,
        "disparities": [1 / far, 1 / min(near, far * 0.999)],
        "depth_colors": (DEPTH_COLORS[np.linspace(0, 255, 10).round().astype(int)] / 255).round(4).tolist(),
        "frustum": frustum,
        "start": start,
        "views": [_described(view) for view in content.views],
        "facts": list(content.words),
        "points": None,
        "splats": None,
        "splat_focal": content.splat_focal,
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
        shown = camera_centres(cameras)
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
        "certainty": view.certainty,
        "weak": view.weak,
        "photo": None,
        "depth": None,
        "depths": None,
    }


def _frustum_among(centres: NDArray[np.float64], size: float) -> float:
    """How far photos stand in front of cameras at `centres` (N, 3): half of the median distance to the next camera.

    At least a fiftieth and at most a quarter of `size`, that of the scene.
    """
    from scipy.spatial import cKDTree

    if len(centres) == 1:
        return 0.25 * size
    nearest, _ = cKDTree(centres).query(centres, k=2)
    return float(np.clip(0.5 * np.median(nearest[:, 1]), 0.02 * size, 0.25 * size))


def _view_of_photos(
    views: tuple[PageView, ...], cameras: NDArray[np.float64], frustum: float, up: NDArray[np.float64]
) -> dict[str, Any]:
    """A view in which all frusta are, from behind the cameras (N, 3, 4) where most look one way, and from above."""
    shown = [camera_centres(cameras)]
    for view, camera in zip(views, cameras, strict=True):
        (fx, fy, cx, cy), (width, height) = view.intrinsics, view.size
        corners = np.array([[(x - cx) / fx, (y - cy) / fy, 1] for x in (0, width) for y in (0, height)]) * frustum
        shown.append((corners - camera[:, 3]) @ camera[:, :3])
    points = np.concatenate(shown)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    forward = cameras[:, 2, :3].mean(axis=0)
    level = forward - (forward @ up) * up
    ahead = level / np.linalg.norm(level) if np.linalg.norm(level) > 0.2 else _front(up)
    rotation = _rotation(ahead - 0.6 * up, up)
    x, y, z = ((points - middle) @ rotation.T).T
    tangent = _SHOWN_SHARE * np.tan(np.radians(_FIELD_OF_VIEW / 2))
    width, height = _START_SIZE
    reach = np.maximum(np.abs(x), np.abs(y) * width / height)
    return _described_start(rotation, middle, float((reach / tangent - z).max()))


def _view_from_outside(centre: NDArray[np.float64], size: float, up: NDArray[np.float64]) -> dict[str, Any]:
    """A view of the whole scene from its front, a little above, without a photo."""
    distance = 0.6 * size / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    return _described_start(_rotation(_front(up) - 0.25 * up, up), centre, float(distance))


def _front(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) the level direction in which cameras of these axes look: z of OpenCV's, y down, -z of glTF's, y up."""
    ahead = np.array([0.0, 1.0, 0.0]) if abs(up[2]) > 0.9 else np.array([0.0, 0.0, -1.0 if up[1] > 0 else 1.0])
    level = np.cross(np.cross(up, ahead), up)
    return level / np.linalg.norm(level)


def _rotation(forward: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) of the world to a camera that looks `forward`, of any length, with a level horizon."""
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _described_start(rotation: NDArray[np.float64], target: NDArray[np.float64], distance: float) -> dict[str, Any]:
    """The view of a camera of that rotation which has `target` (3,) in its middle, `distance` ahead."""
    world_to_camera = np.column_stack([rotation, -rotation @ target + (0, 0, distance)])
    width, height = _START_SIZE
    focal = width / 2 / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    middle = (float(focal), float(focal), width / 2, height / 2)
    return _described(PageView("", world_to_camera, middle, (width, height), distance))
