"""The stage from photos to what the estimator sees: read, undistorted, resized, with the cameras that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from recon.cameras import Cameras
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import check_options
from recon.export.gs_video import check_skew
from recon.geometry.cameras import warn_if_camera_to_world, warn_if_float32_is_too_coarse
from recon.run.find_cameras import FoundCameras
from recon.run.plan import Plan
from recon.run.wishes import check_cameras_suffice
from recon.sources.cameras_file import read_cameras
from recon.sources.fitting import FittedPhoto, ProcessedViews, combine, map_intrinsics
from recon.sources.images import LoadedPhotos, Photo, load_each

if TYPE_CHECKING:
    from recon.sources.colmap import SparsePoints


@dataclass(frozen=True)
class LoadedViews:
    """What the estimator gets, and what could not be used."""

    views: ProcessedViews
    cameras: Cameras
    """Given or found; intrinsics in pixels of the processed images."""
    points: SparsePoints | None
    """Of the scene, in the frame of the cameras, where they were found."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each image left out, and why."""


def load_views(plan: Plan, profile: Profile, found: FoundCameras | None) -> LoadedViews:
    """The views of a run for an estimator of this profile, with the cameras given or `found`.

    Raises InputError where no photo is usable, or the cameras do not suffice.
    """
    options = plan.options

    def fit(photo: Photo) -> FittedPhoto:
        pinhole = photo if found is None else found.undistorted(photo)
        return profile.fit.photo(pinhole, options.process_res, options.process_res_method)

    loaded = load_each(plan.image, fit, options.strict)
    given = plan.cameras
    file = None if plan.finds_cameras else given.source
    cameras = _known_cameras(loaded, given.extrinsics, given.intrinsics, file, found)
    check_cameras_suffice(profile, cameras, len(loaded.photos), plan.formats)
    views = combine(loaded.photos, options.mixed_sizes)
    if cameras.intrinsics is not None:
        if "gs_video" in plan.formats:
            check_skew(cameras.intrinsics, check_options(plan.format_options)["gs_video"])
        cameras = Cameras(cameras.world_to_camera, map_intrinsics(cameras.intrinsics, views.processed_to_original))
    points = None if found is None else found.sparse_points(views.names)
    return LoadedViews(views, cameras, points, tuple(loaded.dropped))


def _known_cameras(
    loaded: LoadedPhotos[FittedPhoto],
    extrinsics: ArrayLike | None,
    intrinsics: ArrayLike | None,
    file: str | Path | None,
    found: FoundCameras | None,
) -> Cameras:
    """The cameras given or found for the photos that are kept; intrinsics still of the originals."""
    if found is not None:
        return found.cameras([photo.name for photo in loaded.photos])
    if file is not None:
        sizes = [photo.original_size for photo in loaded.photos]
        in_order = read_cameras(Path(file), loaded.names, sizes, loaded.kept)
        try:
            cameras = Cameras.from_arrays(*in_order, count=len(loaded.kept))
        except InputError as error:
            names = ", ".join(photo.name for photo in loaded.photos[:3])
            raise InputError(f"'{file}': {error} (counted along the photos: {names}, …)") from error
    else:
        everything = Cameras.from_arrays(extrinsics, intrinsics, count=len(loaded.names))
        cameras = Cameras(
            world_to_camera=None if everything.world_to_camera is None else everything.world_to_camera[loaded.kept],
            intrinsics=None if everything.intrinsics is None else everything.intrinsics[loaded.kept],
        )
    if cameras.world_to_camera is not None:
        warn_if_camera_to_world(cameras.world_to_camera)
        warn_if_float32_is_too_coarse(cameras.world_to_camera)
    return cameras
