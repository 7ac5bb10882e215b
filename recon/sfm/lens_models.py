"""Lenses of a COLMAP model: which of their parameters are free, and the same lens in a model with more of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pycolmap

RICHER = {
    "SIMPLE_PINHOLE": ("SIMPLE_RADIAL", "RADIAL", "OPENCV"),
    "PINHOLE": ("OPENCV",),
    "SIMPLE_RADIAL": ("RADIAL", "OPENCV"),
    "RADIAL": ("OPENCV",),
}
"""For each camera model, those that can say the same and more, the next first."""
FISHEYE = "OPENCV_FISHEYE"
"""Of the angle to the axis, not of its tangent: a polynomial of the angle, whatever it is."""
_FISHEYE_BEND = 0.08
"""Share by which a lens draws the corner of its photo in, from which on a fisheye may say more of it: an equidistant
one does so by 0.08 at 54° across corners, by 0.21 at 90°; few lenses of wide cameras by more than 0.05."""
_SAMPLES = 65
"""From the middle of a photo to its corner."""
_SAME_PIXEL = 1e-2
_SAME_LENS = 1.0
"""Pixels of the small pictures that two descriptions of one lens may differ by."""
_WIDEST_PLAIN = np.radians(60)
"""From the axis to the corner: wider lenses are fisheyes."""
_SAME_FOCAL = 1e-9
"""Relative difference of the two focal lengths of a lens with one."""


def free_parameters(
    model: pycolmap.Reconstruction, centres: Iterable[int], constant: Iterable[int] = ()
) -> dict[int, list[int]]:
    """By id of the camera, the indices of the parameters that adjustment may change.

    Args:
        model: whose cameras they are.
        centres: cameras whose principal points are estimated.
        constant: cameras that are known.
    """
    of_centre, known = set(centres), set(constant)
    return {
        camera_id: []
        if camera_id in known
        else sorted(
            [
                *camera.focal_length_idxs(),
                *camera.extra_params_idxs(),
                *(camera.principal_point_idxs() if camera_id in of_centre else ()),
            ]
        )
        for camera_id, camera in model.cameras.items()
    }


def known_camera(
    intrinsics: NDArray[np.float64], distortion: NDArray[np.float64] | None, size: tuple[int, int], scale: float
) -> pycolmap.Camera:
    """The COLMAP camera of a lens, of the model with the fewest parameters that say it.

    Args:
        intrinsics: (3, 3) in pixels of the original.
        distortion: (8,) OpenCV's coefficients; None: none.
        size: width and height of the camera's picture.
        scale: its pixels per pixel of the original.
    """
    import pycolmap

    fx, fy, cx, cy = (intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]] * scale).tolist()
    k1, k2, p1, p2, *others = (np.zeros(8) if distortion is None else distortion).tolist()
    one_focal = abs(fx - fy) <= _SAME_FOCAL * fx
    if any(others):
        name, params = "FULL_OPENCV", [fx, fy, cx, cy, k1, k2, p1, p2, *others]
    elif p1 or p2 or ((k1 or k2) and not one_focal):
        name, params = "OPENCV", [fx, fy, cx, cy, k1, k2, p1, p2]
    elif k2:
        name, params = "RADIAL", [fx, cx, cy, k1, k2]
    elif k1:
        name, params = "SIMPLE_RADIAL", [fx, cx, cy, k1]
    elif one_focal:
        name, params = "SIMPLE_PINHOLE", [fx, cx, cy]
    else:
        name, params = "PINHOLE", [fx, fy, cx, cy]
    return pycolmap.Camera(model=name, width=size[0], height=size[1], params=params)


def may_be_fisheye(camera: pycolmap.Camera) -> bool:
    """Whether the lens, of a model of `RICHER`, draws its corners in as those of a fisheye are."""
    if camera.model_name not in {*RICHER, "OPENCV"}:
        return False
    pixels, rays = _along_diagonal(camera)
    radius = pixels[-1] / camera.mean_focal_length()
    return bool(radius <= (1 - _FISHEYE_BEND) * np.tan(rays[-1])) or len(pixels) < _SAMPLES


def to_fisheye(camera: pycolmap.Camera) -> None:
    """Describe the lens of `camera` in place as a fisheye that bends rays alike, as far as the model of it makes sense.

    The angle is drawn in by 1 + k1 θ² + k2 θ⁴, by least squares along the diagonal; the rest of the lens is lost.
    """
    import pycolmap

    pixels, angles = _along_diagonal(camera)
    pixels, angles = pixels[1:], angles[1:]
    focal = camera.mean_focal_length()
    powers = np.stack([angles**3, angles**5], axis=1)
    k1, k2 = np.linalg.lstsq(powers, pixels / focal - angles, rcond=None)[0].tolist() if len(angles) > 2 else (0.0, 0.0)
    centre = np.array(camera.params)[list(camera.principal_point_idxs())].tolist()
    camera.model = pycolmap.CameraModelId.OPENCV_FISHEYE
    camera.params = [focal, focal, *centre, k1, k2, 0.0, 0.0]


def to_plain(camera: pycolmap.Camera) -> bool:
    """Describe a fisheye in place by a focal length and one coefficient, where these say the same all over its photo.

    Returns whether they do, to within a pixel along the diagonal.
    """
    import pycolmap

    pixels, angles = _along_diagonal(camera)
    if len(pixels) < _SAMPLES or angles[-1] > _WIDEST_PLAIN:
        return False
    tangents = np.tan(angles)
    powers = np.stack([tangents, tangents**3], axis=1)
    focal, cubic = np.linalg.lstsq(powers, pixels, rcond=None)[0].tolist()
    if np.abs(powers @ (focal, cubic) - pixels).max() > _SAME_LENS:
        return False
    centre = np.array(camera.params)[list(camera.principal_point_idxs())].tolist()
    camera.model = pycolmap.CameraModelId.SIMPLE_RADIAL
    camera.params = [focal, *centre, cubic / focal]
    return True


def _along_diagonal(camera: pycolmap.Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances in pixels (K,) from the middle towards a corner, and the angles (K,) between their rays and the axis.

    As far as the lens keeps rays in order: where a polynomial turns back it is no lens any more.
    """
    shares = np.linspace(0, 1, _SAMPLES)[:, None]
    centre = np.array(camera.params)[list(camera.principal_point_idxs())]
    reach = np.array([camera.width, camera.height]) - centre
    places = centre + shares * reach
    rays = np.asarray(camera.cam_ray_from_img(places), np.float64)
    again = np.asarray(camera.img_from_cam(np.nan_to_num(rays, nan=-1.0)), np.float64)
    angles = np.arccos(np.clip(rays[:, 2], -1, 1))
    good = (np.linalg.norm(again - places, axis=1) < _SAME_PIXEL) & (np.diff(angles, prepend=-1.0) > 0)
    count = _SAMPLES if good.all() else int(good.argmin())
    return (shares[:, 0] * np.linalg.norm(reach))[:count], angles[:count]


def convert(camera: pycolmap.Camera, name: str) -> None:
    """Describe the lens of `camera` in place by the camera model `name`, one of those that say the same and more, or
    a fisheye."""
    import pycolmap

    if name == FISHEYE:
        to_fisheye(camera)
        return
    richer = pycolmap.Camera.create_from_model_name(
        camera_id=1, model_name=name, focal_length=1.0, width=camera.width, height=camera.height
    )
    params = np.zeros(len(richer.params))
    focal = np.array(camera.params)[list(camera.focal_length_idxs())]
    params[list(richer.focal_length_idxs())] = focal if len(focal) == len(richer.focal_length_idxs()) else focal.mean()
    params[list(richer.principal_point_idxs())] = np.array(camera.params)[list(camera.principal_point_idxs())]
    extra = np.array(camera.params)[list(camera.extra_params_idxs())]
    params[list(richer.extra_params_idxs())[: len(extra)]] = extra
    camera.model = richer.model
    camera.params = params.tolist()
