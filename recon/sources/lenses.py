"""Lenses as COLMAP models them, and photos as a pinhole camera would have taken them with such a lens.

Where OpenCV's polynomial says the same, a lens becomes eight coefficients (`recon.types.lens`). Any other, such as a
fisheye, is evaluated by COLMAP itself, and its photos become pinhole photos before anything else sees them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

if TYPE_CHECKING:
    import pycolmap

_OPENCV_PLACES = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": (0,),
    "RADIAL": (0, 1),
    "OPENCV": (0, 1, 2, 3),
    "FULL_OPENCV": (0, 1, 2, 3, 4, 5, 6, 7),
}
"""For each COLMAP camera model that OpenCV's polynomial can express, where its distortion parameters go among k1, k2,
p1, p2, k3, k4, k5, k6."""
_WIDEST = math.radians(60)
"""Between the optical axis and the middle of each side of a pinhole photo: further out a pinhole stretches everything
to more than four times its size at the centre, and at 90 degrees without end."""
_ZOOM_RANGE = (0.05, 20.0)
_BISECTIONS = 40
_BORDER_SAMPLES = 65
_STEPS_ALONG_RAY = 16
_SAME_PIXEL = 1e-2
_ROWS_AT_ONCE = 512
"""Photos are warped in bands: a map of all pixels would take several times the memory of the photo."""
_LONGEST_SIDE = 32766
"""Pixels: OpenCV addresses those of a photo by 16 bits when it warps."""


@dataclass(frozen=True)
class Lens:
    """A camera as COLMAP models it: how it maps rays to pixels, and the size of its images."""

    model: str
    """As COLMAP calls it: `OPENCV_FISHEYE`."""
    params: tuple[float, ...]
    """In COLMAP's order, in pixels with half-integer centres."""
    size: tuple[int, int]
    """Width and height."""

    @staticmethod
    def of(camera: pycolmap.Camera) -> Lens:
        """The lens of a COLMAP camera."""
        return Lens(camera.model_name, tuple(np.asarray(camera.params).tolist()), (camera.width, camera.height))

    def check(self, label: str) -> None:
        """Raise InputError, beginning with `label`, where no photo can have been taken with it."""
        import pycolmap

        if self.model not in pycolmap.CameraModelId.__members__ or self.model == "INVALID":
            raise InputError(f"{label}: the camera model {self.model} is none that COLMAP knows")
        if not np.isfinite(self.params).all():
            raise InputError(f"{label}: the parameters of its lens hold NaN or infinity")
        if min(self.size) <= 0:
            raise InputError(f"{label}: its image of {self.size[0]}×{self.size[1]} pixels has no pixel")
        if not self._camera.verify_params():
            raise InputError(f"{label}: {len(self.params)} parameters are not what the camera model {self.model} takes")
        if self._camera.is_spherical():
            raise InputError(
                f"{label}: photos of the camera model {self.model} see all around, which no pinhole photo does; give "
                "the pinhole views that they were cut into, or the photos alone"
            )
        if min(self._camera.focal_length_x, self._camera.focal_length_y) <= 0:
            raise InputError(f"{label}: its focal length must be positive")

    @cached_property
    def _camera(self) -> pycolmap.Camera:
        import pycolmap

        width, height = self.size
        return pycolmap.Camera(model=self.model, width=width, height=height, params=list(self.params))

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3) focal lengths and principal point, which act on rays that the lens has bent."""
        return np.asarray(self._camera.calibration_matrix(), np.float64)

    @property
    def opencv(self) -> NDArray[np.float64] | None:
        """(8,) k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them; None where its polynomial is another."""
        places = _OPENCV_PLACES.get(self.model)
        if places is None:
            return None
        coefficients = np.zeros(8)
        coefficients[list(places)] = np.asarray(self.params)[self._camera.extra_params_idxs()]
        return coefficients

    def resized(self, size: tuple[int, int]) -> Lens:
        """The lens of its photos at another size."""
        import pycolmap

        width, height = self.size
        camera = pycolmap.Camera(model=self.model, width=width, height=height, params=list(self.params))
        camera.rescale(*size)
        return Lens.of(camera)

    def pixels_of(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, 2) pixels of rays (K, 3) with z > 0; NaN where the lens maps them to none."""
        return np.asarray(self._camera.img_from_cam(np.ascontiguousarray(rays, np.float64)), np.float64)

    def rays_of(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, 3) unit rays of pixels (K, 2); NaN where they are not ahead of the camera, or the lens has none."""
        rays = np.asarray(self._camera.cam_ray_from_img(np.ascontiguousarray(pixels, np.float64)), np.float64)
        # Of what it cannot undistort, as beyond 90 degrees from the axis, COLMAP gives the ray without a lens.
        again = self.pixels_of(np.nan_to_num(rays, nan=-1.0))
        wrong = ~(np.linalg.norm(again - pixels, axis=1) < _SAME_PIXEL)
        return np.where(wrong[:, None], np.nan, rays)


@dataclass(frozen=True)
class PinholeView:
    """What a pinhole camera shows of what a lens sees, at the same size and with the same principal point."""

    intrinsics: NDArray[np.float64]
    """(3, 3) in pixels."""
    share_cut: float
    """Share of the pixels of the lens's photo that the pinhole photo does not show."""
    degrees: float
    """Its angle of view, across or down, whichever is wider."""
    lens_degrees: float | None
    """The same of the lens; None: 180 or more."""


@lru_cache(maxsize=4096)
def pinhole_view(lens: Lens) -> PinholeView:
    """The widest pinhole photo without a pixel that has no content, as far as a pinhole photo of use can be.

    Raises InputError for a lens that maps nothing around its axis into its image.
    """
    own = lens.intrinsics
    focal, centre, size = own[[0, 1], [0, 1]], own[:2, 2], np.array(lens.size, np.float64)
    if ((centre <= 0) | (centre >= size)).any():
        raise InputError(f"the principal point {centre.tolist()} of the lens {lens.model} lies outside the image")
    border = _border(lens.size) - centre  # (K, 2)
    steps = np.linspace(0, 1, _STEPS_ALONG_RAY + 1)[1:]

    def has_content(zoom: float) -> bool:
        rays = border / (zoom * focal)
        along = rays[:, None] * steps[:, None]  # (K, S, 2)
        rays = np.concatenate([along, np.ones_like(along[..., :1])], axis=2).reshape(-1, 3)
        places = lens.pixels_of(rays).reshape(len(border), len(steps), 2)
        if not np.isfinite(places).all() or (places[:, -1] < 0).any() or (places[:, -1] > size).any():
            return False
        from_centre = np.linalg.norm(places - centre, axis=2)
        return bool((np.diff(from_centre, axis=1) > 0).all())  # where a polynomial turns back, it is no lens any more

    reach = np.maximum(centre, size - centre)  # (2,) from the principal point to the further side
    empty, full = max(_ZOOM_RANGE[0], float((reach / focal).max() / math.tan(_WIDEST))), _ZOOM_RANGE[1]
    if not has_content(full):
        raise InputError(f"the lens {lens.model} {lens.params} maps nothing around its axis into the image")
    if has_content(empty):
        full = empty
    for _ in range(_BISECTIONS if full > empty else 0):
        middle = (empty * full) ** 0.5
        empty, full = (empty, middle) if has_content(middle) else (middle, full)
    intrinsics = own.copy()
    intrinsics[[0, 1], [0, 1]] *= full
    return PinholeView(intrinsics, _share_cut(lens, intrinsics), *_degrees(lens, intrinsics))


def lens_entry(lens: Lens, label: str) -> dict[str, Any]:
    """What an entry of `recon.sources.camera_entries.CamerasFile` has of a lens. Errors as `pinhole_view`, beginning
    with `label`."""
    width, height = lens.size
    coefficients = lens.opencv
    if coefficients is not None:
        return {"width": width, "height": height, "intrinsics": lens.intrinsics, "distortion": coefficients}
    try:
        view = pinhole_view(lens)
    except InputError as error:
        raise InputError(f"{label}: {error}") from None
    return {"width": width, "height": height, "intrinsics": view.intrinsics, "distortion": np.zeros(8), "lens": lens}


def to_pinhole(pixels: NDArray[Any], lens: Lens, intrinsics: NDArray[np.float64]) -> NDArray[Any]:
    """A photo as a pinhole camera with `intrinsics` sees it, at the same size.

    Args:
        pixels: (H, W, 3) uint8, or (H, W): a mask (bool), or depth (float32), whose values stay as they are.
        lens: it was taken with.
        intrinsics: (3, 3) as of `pinhole_view`.

    Raises:
        InputError: a photo of another size than the lens's, or one that is too long.
    """
    import cv2

    width, height = lens.size
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"its camera is of an image of {width}×{height} pixels, but it has {pixels.shape[1]}×{pixels.shape[0]}"
        )
    if max(width, height) > _LONGEST_SIDE:
        raise InputError(f"a photo of {width}×{height} pixels cannot be undistorted: over {_LONGEST_SIDE} a side")
    is_mask = pixels.dtype == np.bool_
    image: NDArray[Any] = pixels.astype(np.uint8) if is_mask else pixels
    warped = np.empty_like(image)
    method = cv2.INTER_CUBIC if pixels.ndim == 3 else cv2.INTER_NEAREST
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    x = (np.arange(width) + 0.5 - centre[0]) / focal[0]
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, height - top)
        y = (np.arange(top, top + rows) + 0.5 - centre[1]) / focal[1]
        rays = np.stack(np.broadcast_arrays(x[None], y[:, None], np.ones((rows, width))), axis=2).reshape(-1, 3)
        places = np.nan_to_num(lens.pixels_of(rays) - 0.5).astype(np.float32)  # OpenCV's first pixel centre is (0, 0)
        x_map, y_map = places.reshape(rows, width, 2).transpose(2, 0, 1)
        warped[top : top + rows] = cv2.remap(
            image, np.ascontiguousarray(x_map), np.ascontiguousarray(y_map), method, borderMode=cv2.BORDER_REPLICATE
        )
    return warped.astype(np.bool_) if is_mask else warped


def _border(size: tuple[int, int]) -> NDArray[np.float64]:
    """(K, 2) points along the border of an image."""
    width, height = size
    x, y = np.linspace(0, width, _BORDER_SAMPLES), np.linspace(0, height, _BORDER_SAMPLES)
    sides = [(x, 0 * x), (x, 0 * x + height), (0 * y, y), (0 * y + width, y)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def _share_cut(lens: Lens, intrinsics: NDArray[np.float64]) -> float:
    width, height = lens.size
    x, y = np.meshgrid((np.arange(64) + 0.5) * width / 64, (np.arange(64) + 0.5) * height / 64)
    rays = lens.rays_of(np.stack([x.ravel(), y.ravel()], axis=1))
    places = rays @ intrinsics.T
    places = places[:, :2] / places[:, 2:]
    shown = ((places >= 0) & (places <= (width, height))).all(axis=1)  # False for NaN
    return float(1 - shown.mean())


def _degrees(lens: Lens, intrinsics: NDArray[np.float64]) -> tuple[float, float | None]:
    """Angle of view of the pinhole photo and of the lens."""
    width, height = lens.size
    focal, centre = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    ends = np.array([[0, centre[1]], [width, centre[1]], [centre[0], 0], [centre[0], height]])
    pinhole = np.degrees(np.arctan(np.abs((ends - centre) / focal).max(axis=1)))
    own = np.degrees(np.arccos(lens.rays_of(ends)[:, 2]))  # (4,)
    across = float((pinhole[[0, 2]] + pinhole[[1, 3]]).max())
    return across, float((own[[0, 2]] + own[[1, 3]]).max()) if np.isfinite(own).all() else None
