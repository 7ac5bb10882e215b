"""Single photos to predictions, each on its own, with a torch network or an ONNX file: the part that both share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.estimate.mono_cameras import PhotoCamera, metres_per_unit, warn_if_assumed
from recon.messages import warn
from recon.models.conventions import Conventions
from recon.sources.fitting import FittedPhoto, fit_photo, map_intrinsics
from recon.sources.photo import Photo
from recon.types import DepthKind, MadeBy, Prediction, Units

_FEW_PIXELS = 10
"""Up to this many pixels say nothing."""
_FAR_QUANTILE = 0.99


class DepthMaps(NamedTuple):
    """What a network says of B photos of one size."""

    depth: NDArray[np.float32]
    """(B, H, W), near is small; in the scale that the network's `Conventions` name."""
    sky: NDArray[np.bool_] | None = None
    """(B, H, W) True where there is sky; None from a network that does not tell."""


class SingleViewModel(Protocol):
    """A network that looks at each photo alone."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def kind(self) -> DepthKind:
        """What it is."""

    @property
    def conventions(self) -> Conventions:
        """What it expects and gives."""

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Width and height of the only input it takes; None where any multiple of 14 will do."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was warned of while it was made ready."""

    def depth_maps(self, images: NDArray[np.uint8]) -> DepthMaps:
        """Depth of (B, H, W, 3) RGB photos, sides multiples of 14 and at most those of `fixed_size`."""

    def describe(self) -> dict[str, object]:
        """For `run.json`."""


@dataclass(frozen=True)
class FittedSingle:
    """One photo at the size the network sees it, and its camera."""

    photo: FittedPhoto
    camera: PhotoCamera


def fit_single(
    model: SingleViewModel, photo: Photo, process_res: int | None = None, method: str | None = None
) -> FittedPhoto:
    """Resize `photo` for `model`, by default as its network was trained; otherwise as `fit_photo`.

    For a network of fixed size the photo gets as large as fits: its proportions are those that networks are trained
    with, and what it leaves free is for `depth_maps` to fill.
    """
    check_fit(model, process_res, method)
    usual = model.conventions
    if model.fixed_size is None:
        return fit_photo(
            photo,
            usual.process_res if process_res is None else process_res,
            usual.process_res_method if method is None else method,
        )
    width, height = model.fixed_size
    # The longest side at which the other one fits, too. Both limits are multiples of 14, so that rounding to
    # multiples does not exceed them.
    longest = max(photo.width, photo.height)
    return fit_photo(photo, int(min(longest * width / photo.width, longest * height / photo.height)))


def check_fit(model: SingleViewModel, process_res: int | None, method: str | None) -> None:
    """Raise InputError where there is nothing to choose."""
    if model.fixed_size is not None and (process_res is not None or method is not None):
        width, height = model.fixed_size
        raise InputError(f"process_res: {model.name} has a fixed input of {width}×{height} pixels")


def predict_singles(model: SingleViewModel, photos: Sequence[FittedSingle]) -> list[Prediction]:
    """A prediction (N = 1) of each photo, in order; those of equal size go through the network together.

    Depth stays at the size the network saw. It is in metres where the network gives metres, or gives them for a known
    focal length and it is known; else relative.
    """
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, single in enumerate(photos):
        by_size.setdefault(single.photo.pixels.shape, []).append(index)
    predictions: dict[int, Prediction] = {}
    for indices in by_size.values():
        maps = model.depth_maps(np.stack([photos[index].photo.pixels for index in indices]))
        for place, index in enumerate(indices):
            sky = None if maps.sky is None else maps.sky[place]
            predictions[index] = _to_prediction(model, photos[index], maps.depth[place], sky)
    return [predictions[index] for index in range(len(photos))]


def fill_sky(depth: NDArray[np.float32], sky: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) depth with sky at the far end (99 %) of the rest; what `fill_single_view_sky` of `recon.models.sky` does.

    A photo that is (nearly) all sky or (nearly) without it stays as it is.
    """
    if not _FEW_PIXELS < np.count_nonzero(sky) < sky.size - _FEW_PIXELS:
        return depth
    return np.where(sky, np.float32(np.quantile(depth[~sky], _FAR_QUANTILE)), depth)


def _to_prediction(
    model: SingleViewModel, single: FittedSingle, depth: NDArray[np.float32], sky: NDArray[np.bool_] | None
) -> Prediction:
    photo, camera = single.photo, single.camera
    intrinsics = map_intrinsics(camera.intrinsics, photo.processed_to_original)
    units: Units = "metric" if model.conventions.depth_scale == "metric" else "relative"
    factor = None
    if model.conventions.depth_scale == "canonical":
        if camera.source == "assumed":
            warn(f"{model.name} gives metres only with a focal length; without one its depth is relative")
        else:
            units, factor = "metric", metres_per_unit(intrinsics)
            depth = depth * np.float32(factor)
    warn_if_assumed(camera)
    measured = np.isfinite(depth)
    if not measured.all():
        warn(f"{model.name} gives no number for {1 - measured.mean():.1%} of '{photo.name}': there is no depth there")
    return Prediction(
        depth=np.where(measured, depth, np.float32(0))[None],
        processed_images=photo.pixels[None],
        sky=None if sky is None else sky[None],
        made_by=MadeBy(model.kind, model.name),
        intrinsics=intrinsics[None].astype(np.float32),
        units=units,
        scale_factor=factor,
        image_names=(photo.name,),
        original_sizes=np.array([photo.original_size], np.int64),
        processed_to_original=photo.processed_to_original[None],
    )
