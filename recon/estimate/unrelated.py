"""Photos that have nothing to do with each other, each estimated as a scene of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recon.errors import InputError
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Estimator, Profile
from recon.estimate.network import profile_of
from recon.models.presets import load_preset, preset_names
from recon.sources.fitting import FittedPhoto, combine
from recon.sources.photo import Photo
from recon.sources.photo_cameras import PhotoCameras, together
from recon.sources.views import undistorted
from recon.types import Prediction
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class SinglePhoto:
    """One photo at the size the estimator sees it, and its camera."""

    photo: FittedPhoto
    camera: Cameras
    """N = 1; of the upright original."""


def check_single(profile: Profile) -> None:
    """Raise InputError for an estimator that takes views of one scene only."""
    if profile.abilities.several_views:
        others = [profile_of(load_preset(name)) for name in preset_names()]
        single = [other.name for other in others if other.abilities.sky and not other.abilities.several_views]
        raise InputError(
            f"{profile.name} looks at the views of one scene together; single photos are for {', '.join(single)} "
            "and the presets of Depth Anything 2 and 1"
        )


def fit_single(
    profile: Profile,
    photo: Photo,
    known: PhotoCameras,
    names: Sequence[str],
    index: int,
    process_res: int | None = None,
    method: str | None = None,
) -> SinglePhoto:
    """`photo`, number `index` of `names`, for an estimator of this profile. Errors as of its parts."""
    camera = known.of(photo, names, index)
    return SinglePhoto(profile.fit.photo(undistorted(photo, camera, 0), process_res, method), camera)


def estimate_each(estimator: Estimator, photos: Sequence[SinglePhoto]) -> list[Prediction]:
    """A prediction (N = 1) of each photo, in order; those alike in size and camera go through the estimator together.

    Depth is as the estimator gives it: see `recon.estimate.depth_check`.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for index, single in enumerate(photos):
        assert single.camera.intrinsics is not None
        # Of one camera, because the scale of a metric network is one number for all views that go together.
        key = (single.photo.pixels.shape, single.camera.origin, single.camera.intrinsics.tobytes())
        alike.setdefault(key, []).append(index)
    predictions: dict[int, Prediction] = {}
    for indices in alike.values():
        views = combine([photos[index].photo for index in indices])
        views = views.with_cameras(together([photos[index].camera for index in indices]))
        prediction = estimate_views(estimator, views)
        for place, index in enumerate(indices):
            predictions[index] = one_view(prediction, place)
    return [predictions[index] for index in range(len(photos))]


def one_view(prediction: Prediction, index: int) -> Prediction:
    """View number `index` (N = 1) of a prediction without Gaussians."""
    chosen = slice(index, index + 1)
    arrays = {
        name: getattr(prediction, name)[chosen]
        for name in (
            *("depth", "processed_images", "conf", "sky", "mask", "filled", "kept", "extrinsics", "intrinsics"),
            *("image_names", "original_sizes", "processed_to_original", "photo_boxes", "lenses"),
        )
        if getattr(prediction, name) is not None
    }
    features = {block: values[chosen] for block, values in prediction.features.items()}
    return replace(prediction, **arrays, features=features)
