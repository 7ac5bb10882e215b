"""From a source to the views that an estimator sees: read, undistort, resize, crop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from recon.choices import MixedSizes
from recon.errors import InputError
from recon.sources.depth_resize import fit_depths
from recon.sources.fitting import FittedPhoto, Views, combine
from recon.sources.loading import load_numbered
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.sources.undistortion import undistort
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class LoadedViews:
    """The usable photos of a source, ready for an estimator."""

    views: Views
    kept: tuple[int, ...]
    """For each view, its index in the source."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each photo left out, and why."""


def read_views(
    source: Source, fit: Callable[[Photo], FittedPhoto], mixed_sizes: MixedSizes = "crop", strict: bool = False
) -> LoadedViews:
    """Read the photos of a source, several at a time, and bring them to one size.

    Where the cameras of the source have lenses that bend, each photo is undistorted first.

    Args:
        source: whose cameras, if it has any, are of the upright originals.
        fit: resizes one photo, as `recon.sources.fitting.fit_photo`.
        mixed_sizes: as `recon.sources.fitting.combine`.
        strict: refuse a bad photo among several; otherwise it is left out with a warning that names it.

    Raises:
        InputError: nothing usable is left; cameras of images of another size; mixed sizes that are refused.
    """
    cameras = Cameras() if source.cameras is None else source.cameras

    def prepare(photo: Photo, index: int) -> FittedPhoto:
        return fit(undistorted(photo, cameras, index))

    loaded = load_numbered(source, prepare, strict)
    views = combine(loaded.photos, mixed_sizes)
    chosen = cameras[loaded.kept]
    if chosen.sizes is not None:
        wrong = (chosen.sizes != views.original_sizes).any(axis=1)
        if wrong.any():
            (stated, real), name = _first(wrong, chosen.sizes, views.original_sizes), views.names[int(np.argmax(wrong))]
            raise InputError(
                f"the cameras given for '{name}' are of an image of {stated[0]}×{stated[1]} pixels, but the upright "
                f"image is {real[0]}×{real[1]}; give the cameras of the images as they are"
            )
    points = None if source.points is None else source.points.select_views(loaded.kept)
    views = views.with_cameras(chosen, points)
    if source.depths is not None:
        depths = source.depths
        views = replace(views, depths=fit_depths([depths[index] for index in loaded.kept], views, chosen))
    return LoadedViews(views, tuple(loaded.kept), tuple(loaded.dropped))


def undistorted(photo: Photo, cameras: Cameras, index: int) -> Photo:
    """`photo` as the pinhole camera number `index` sees it.

    It stays as it is where the camera is of another size, which is for the caller to say.
    """
    if cameras.distortion is None:
        return photo
    camera, size = cameras[[index]], np.array([[photo.width, photo.height]])
    if camera.sizes is not None and (camera.sizes != size).any():
        return photo
    camera = replace(camera, sizes=size)
    pinhole = camera.pinhole()
    try:
        pixels = undistort(photo.pixels, camera, pinhole)
        mask = None if photo.mask is None else undistort(photo.mask, camera, pinhole)
    except InputError as error:
        raise InputError(f"'{photo.name}': {error}") from None
    return replace(photo, pixels=pixels, mask=mask)


def _first(wrong: np.ndarray, *columns: np.ndarray) -> tuple[list[int], ...]:
    return tuple(column[int(np.argmax(wrong))].tolist() for column in columns)
