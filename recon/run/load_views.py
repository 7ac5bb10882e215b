"""The stage from photos to what the estimator sees: read, undistorted, resized, with the cameras that go with it."""

from __future__ import annotations

from dataclasses import replace

from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.export import EXPORTERS
from recon.run.find_cameras import KnownCameras
from recon.run.plan import Plan
from recon.run.wishes import check_cameras_suffice
from recon.sources.camera_check import check_given_cameras
from recon.sources.depth_priors import with_priors
from recon.sources.fitting import FittedPhoto
from recon.sources.photo import Photo
from recon.sources.photo_cameras import camera_of_photo, together
from recon.sources.views import LoadedViews, read_views
from recon.types.cameras import Cameras


def load_views(plan: Plan, profile: Profile, known: KnownCameras) -> LoadedViews:
    """The views of a run for an estimator of this profile, with the cameras that are known.

    Raises InputError where no photo is usable, or the cameras do not suffice.
    """
    options = plan.options
    own: dict[str, Cameras] = {}

    def fit(photo: Photo) -> FittedPhoto:
        if plan.reads_exif:
            if profile.abilities.cameras and photo.exif_focal_35mm is None:
                raise InputError(f"'{photo.name}': EXIF has no focal length; leave out cameras 'exif'")
            own[photo.name] = camera_of_photo(photo)
        return profile.fit.photo(photo, options.process_res, options.process_res_method)

    loaded = read_views(known.source, fit, options.mixed_sizes, options.strict)
    if plan.reads_exif:
        loaded = replace(loaded, views=loaded.views.with_cameras(together([own[name] for name in loaded.views.names])))
    if options.prior_folders:
        loaded = replace(loaded, views=with_priors(loaded.views, options.prior_folders, options.depth_prior_unit))
    cameras = loaded.views.cameras
    if cameras.origin == "given":
        check_given_cameras(loaded.views)
    check_cameras_suffice(profile, cameras, len(loaded.views), plan.formats)
    if cameras.intrinsics is not None:
        for name in plan.formats:
            EXPORTERS[name].check_intrinsics(cameras.intrinsics, plan.format_options[name])
    return replace(loaded, dropped=(*known.dropped, *loaded.dropped))
