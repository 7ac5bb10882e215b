"""Lenses of photos that one lens does not explain, though they have one size: zoomed, or cropped off the centre.

What photos share a lens is guessed from their sizes and EXIF. Where that guess is wrong, a model bends to fit it, and
freeing the lens of each photo lowers the errors of its points by far more than the free parameters do by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.sfm.bundle import adjust, by_track_length, enough_points, with_own_cameras, with_points

if TYPE_CHECKING:
    import pycolmap

FEWEST_PHOTOS = 4
"""Whose principal points and focal lengths can be told apart from how the cameras turn (4 for square pixels)."""
_GAIN = 0.15
"""Share of the robust cost that must go for lenses to be freed: it is 0.01 to 0.03 where one lens took all photos, and
0.5 where it did not."""
_TEST_POINTS = 800
"""Points that the test takes at most, those that most photos see."""
_TEST_POINTS_PER_PHOTO = 250
"""That each photo sees, if it sees so many."""
_TEST_ITERATIONS = 20
_ROUNDS = 300
"""Iterations for principal points: they are found slowly, along a valley in which the cameras turn with them."""
_BENT = 0.95
"""Factor on the cost from which on distortion is believed: it trades against the focal length, and misleads it."""
_AS_GOOD = 1.05
"""Factor on the cost up to which sharing focal lengths is right."""
_MIDDLE = 1.0
"""Pixels: how far a principal point not estimated may be from the middle, for small pictures are cut to whole ones."""
_SAME_FOCAL = 0.01
"""Neighbouring focal lengths, in order, that differ by less are of one lens setting."""


class LensGains(NamedTuple):
    """Shares of the robust cost of a model's points that disappear."""

    focal: float
    """Where each photo gets a focal length of its own, instead of one for all that seem of one camera."""
    centre: float
    """Where each photo gets a principal point of its own beside that."""

    @property
    def needs_focals(self) -> bool:
        return self.focal > _GAIN

    @property
    def needs_centres(self) -> bool:
        return self.centre > _GAIN


def lens_gains(model: pycolmap.Reconstruction) -> LensGains:
    """How much better lenses of their own would explain the photos of `model`; nothing for less than four photos."""
    if model.num_reg_images() < FEWEST_PHOTOS:
        return LensGains(0.0, 0.0)
    own = with_own_cameras(model, enough_points(model, _TEST_POINTS_PER_PHOTO)[:_TEST_POINTS])
    as_is = adjust(own, focal=False, distortion=False, iterations=_TEST_ITERATIONS)
    with_focals = adjust(own, distortion=False, iterations=_TEST_ITERATIONS)
    with_centres = adjust(own, centre=True, distortion=False, iterations=_TEST_ITERATIONS)
    return LensGains(1 - with_focals / as_is, 1 - with_centres / with_focals)


def with_shared_centres(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction | None:
    """A copy of `model` in which the principal point of each lens is estimated, and photos share lenses as before.

    None where that does not explain the photos: crops that are all cut alike need no lenses of their own.
    """
    import pycolmap

    if model.num_reg_images() < FEWEST_PHOTOS:
        return None
    part = with_points(model, by_track_length(model)[:_TEST_POINTS])
    before = adjust(part, iterations=_TEST_ITERATIONS)
    after = adjust(part, centre=True, iterations=_ROUNDS)
    if 1 - after / before < _GAIN:
        return None
    gains = lens_gains(part)
    if gains.needs_focals or gains.needs_centres:
        return None
    shared = pycolmap.Reconstruction(model)
    adjust(shared, centre=True, iterations=_ROUNDS)
    return shared


def off_middle(model: pycolmap.Reconstruction) -> set[int]:
    """Ids of the cameras whose principal points were estimated, and not taken to be the middle of the photo."""
    return {
        camera_id
        for camera_id, camera in model.cameras.items()
        if max(abs(camera.principal_point_x - camera.width / 2), abs(camera.principal_point_y - camera.height / 2))
        > _MIDDLE
    }


def has_own_centres(model: pycolmap.Reconstruction) -> bool:
    """Whether principal points of `model` were estimated of each photo by itself."""
    return bool(off_middle(model)) and len(model.cameras) >= model.num_reg_images()


def with_own_centres(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A copy of `model` in which the principal point of each photo is estimated.

    Crops of the same photo differ by next to nothing but a turn, so all that is known holds the rest: distortion, which
    is the same in all crops of one lens, and the focal length of photos whose focal lengths come out alike.
    """
    import pycolmap

    own = with_own_cameras(model)
    _set_distortion(own, 0.0)
    free = adjust(own, centre=True, distortion=False, iterations=_ROUNDS)
    bent = pycolmap.Reconstruction(own)
    adjust(bent, centre=True, iterations=_ROUNDS)
    _set_distortion(bent, None)
    cost = adjust(bent, centre=True, distortion=False, iterations=_ROUNDS)
    if cost < _BENT * free:
        own, free = bent, cost
    shared = pycolmap.Reconstruction(own)
    _share_focals(shared)
    cost = adjust(shared, focal=False, centre=True, distortion=False, iterations=_ROUNDS)
    return shared if cost < _AS_GOOD * free else own


def _set_distortion(model: pycolmap.Reconstruction, value: float | None) -> None:
    """Give all cameras the distortion `value`, or the median of what they have."""
    cameras = [model.cameras[camera_id] for camera_id in sorted(model.cameras)]
    indices = [list(camera.extra_params_idxs()) for camera in cameras]
    found = np.array([np.array(camera.params)[chosen] for camera, chosen in zip(cameras, indices, strict=True)])
    shared = np.median(found, axis=0) if value is None else np.full(found.shape[1:], value)
    for camera, chosen in zip(cameras, indices, strict=True):
        parameters = np.array(camera.params)
        parameters[chosen] = shared
        camera.params = parameters.tolist()


def _share_focals(model: pycolmap.Reconstruction) -> None:
    """Give cameras whose focal lengths, in units of the longer side, lie close together their mean."""
    cameras = [model.cameras[camera_id] for camera_id in sorted(model.cameras)]
    sides = np.array([max(camera.width, camera.height) for camera in cameras])
    focals = np.array([camera.mean_focal_length() for camera in cameras]) / sides
    for group in alike(focals):
        shared = float(np.exp(np.log(focals[group]).mean()))
        for index in group.tolist():
            parameters = np.array(cameras[index].params)
            chosen = list(cameras[index].focal_length_idxs())
            parameters[chosen] *= shared / focals[index]
            cameras[index].params = parameters.tolist()


def alike(focals: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Indices of focal lengths (N,), in groups whose members lie close together in order."""
    order = np.argsort(focals, kind="stable")
    steps = np.diff(np.log(focals[order]))
    return np.split(order, np.flatnonzero(steps > _SAME_FOCAL) + 1)
