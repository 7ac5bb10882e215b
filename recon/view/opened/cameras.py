"""Cameras with photos, and sparse points where there are some: a COLMAP model, a nerfstudio scene, a capture."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.page_content import PageContent, PagePoints, PageView
from recon.geometry.cameras import camera_centres
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.sources.cameras_file import read_cameras_file
from recon.sources.kinds import PHOTOS, kind_of
from recon.sources.open_source import open_source
from recon.sources.source import Source
from recon.sources.undistortion import undistort
from recon.sources.video_kind import VIDEO
from recon.types.cameras import Cameras
from recon.version import __version__
from recon.view.opened.kind import Viewable

_LONGEST_SIDE = 640
"""Pixels of the photos that are shown."""
_COLORED_BY = 40
"""At most so many photos are read before the page opens, for the colours of the points."""
_PLAIN = 160
_UNITS = {"metric": "m"}


def _recognises(path: Path) -> bool:
    return kind_of(path) not in (PHOTOS, VIDEO)


def _open(path: Path) -> PageContent:
    source: Source | None = None
    try:
        source = open_source(path)
        names, cameras, points = source.names, source.cameras, source.points
    except InputError as error:
        file = read_cameras_file(path)
        names = file.names or tuple(f"view {number}" for number in range(len(file.entries)))
        cameras, points = file.cameras(range(len(names)), names), file.points
        warn(f"{error}: the page is without photos")
    if cameras is None or cameras.world_to_camera is None or cameras.intrinsics is None or cameras.sizes is None:
        raise InputError(f"{path}: its photos have no cameras to stand in; `recon run {path}` finds them")
    photos = _Photos(source, cameras)
    cloud = None if points is None or not len(points) else PagePoints(*_colored(points, photos))
    distances = _distances(points, cameras)
    facts = {
        "photos": len(names),
        "points": 0 if cloud is None else len(cloud),
        "cameras": cameras.origin,
        "scale": cameras.scale,
        "version": __version__,
    }
    words = [("Cameras", f"{len(names):,}, {cameras.origin}"), ("Scale", cameras.scale)]
    words += [] if cloud is None else [("Sparse points", f"{len(cloud):,}")]
    centres = camera_centres(cameras.world_to_camera)
    return PageContent(
        f"recon: {path.name}",
        _UNITS.get(cameras.scale, "units"),
        facts,
        (*words, ("Shown with", f"recon {__version__}")),
        views=tuple(photos.view(number, name, distances[number]) for number, name in enumerate(names)),
        points=cloud,
        placed_by=centres,
    )


class _Photos:
    """Photos as pinhole cameras see them, at the size they are shown."""

    def __init__(self, source: Source | None, cameras: Cameras) -> None:
        assert cameras.sizes is not None
        assert cameras.world_to_camera is not None
        self._source, self._lenses = source, cameras
        pinhole = cameras.pinhole()
        assert pinhole.intrinsics is not None
        shrink = np.minimum(_LONGEST_SIDE / cameras.sizes.max(axis=1), 1)
        self.sizes = np.maximum(np.rint(cameras.sizes * shrink[:, None]), 1).astype(np.int64)
        scale = np.ones((len(shrink), 3, 1))
        scale[:, :2, 0] = self.sizes / cameras.sizes
        self.intrinsics: NDArray[np.float64] = pinhole.intrinsics * scale
        self.world_to_camera = cameras.world_to_camera[:, :3].astype(np.float64)

    def view(self, number: int, name: str, distance: float) -> PageView:
        """The view of that number."""
        k = self.intrinsics[number].tolist()
        width, height = self.sizes[number].tolist()
        pictures = {} if self._source is None else {"photo": partial(self.read, number)}
        middle = (k[0][0], k[1][1], k[0][2], k[1][2])
        return PageView(name, self.world_to_camera[number], middle, (width, height), distance, pictures)

    @property
    def readable(self) -> bool:
        """Whether there are any."""
        return self._source is not None

    def read(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB. Raises InputError where the photo cannot be read."""
        assert self._source is not None
        pixels = undistort(self._source.read(number).pixels, self._lenses[[number]])
        width, height = self.sizes[number].tolist()
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _colored(points: SparsePoints, photos: _Photos) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(P, 3) positions, and the colours of photos that see them; grey where none of those that are read does."""
    colors = np.full((len(points), 3), _PLAIN, np.uint8)
    count = len(photos.sizes)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _COLORED_BY)).astype(int)) if photos.readable else ()
    for view in chosen:
        seen = points.observed[view]
        camera = points.in_camera(view, photos.world_to_camera)
        in_front = camera[:, 2] > 0
        places = camera[in_front] @ photos.intrinsics[view].T
        x, y = np.floor(places[:, :2] / places[:, 2:]).astype(np.int64).T
        inside = (x >= 0) & (y >= 0) & (x < photos.sizes[view, 0]) & (y < photos.sizes[view, 1])
        if not inside.any():
            continue
        try:
            picture = photos.read(view)
        except InputError as error:
            warn(f"{error}: its points are grey")
            continue
        colors[seen[in_front][inside]] = picture[y[inside], x[inside]]
    return points.points.astype(np.float32), colors


def _distances(points: SparsePoints | None, cameras: Cameras) -> list[float]:
    """Of each view, the median depth of the points it sees; else how far the cameras are spread, or 1."""
    assert cameras.world_to_camera is not None
    centres = camera_centres(cameras.world_to_camera)
    usual = float(np.ptp(centres, axis=0).max()) or 1.0
    found = []
    for view in range(len(cameras)):
        depths = np.zeros(0) if points is None else points.depths(view, cameras.world_to_camera)
        depths = depths[depths > 0]
        found.append(float(np.median(depths)) if len(depths) else usual)
    return found


CAMERAS = Viewable("a COLMAP model, nerfstudio scene or other cameras with photos", _recognises, _open)
