"""What one run yields: depth, cameras, splats and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recon.types.arrays import FloatArray
from recon.types.arrays import check_shape as _check
from recon.types.cameras import MEASURED_ORIGINS, CameraOrigin, Cameras, CameraScale
from recon.types.gaussians import Gaussians
from recon.types.mapped import is_mapped, map_like, release, row_pieces
from recon.types.originals import Originals
from recon.types.showing import Shown, show
from recon.types.sparse_points import SparsePoints

Units = Literal["relative", "aligned", "metric"]
GaussianSource = Literal["head", "depth", "optimised"]
DepthKind = Literal["network", "onnx", "stereo", "measured", "fused"]
FEATURE_PREFIX = "feat_layer_"
"""Names of the features of a block, in `Prediction.aux` and in files: this and the number of the block."""
NOBODY = 255
"""In `Prediction.made_by_pixel`: a pixel without depth."""
LARGEST_DEPTH = 1e18
SMALLEST_DEPTH = 1e-18
"""Bounds of a usable depth: within them squares and reciprocals of depths, and of sums of some, fit float32."""


MAPS = ("depth", "processed_images", "conf", "sky", "mask", "filled", "kept", "made_by_pixel")
"""Fields of `Prediction` with a value or more for each pixel."""
_OF_VIEWS = (*MAPS, "extrinsics", "intrinsics", "original_sizes", "processed_to_original", "photo_boxes")


def usable_pixels(
    depth: FloatArray,
    conf: FloatArray | None,
    sky: NDArray[np.bool_] | None = None,
    mask: NDArray[np.bool_] | None = None,
    filled: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """(N, H, W) True where depth is a number that can be used, confidence is one, and no mask excludes it.

    Arguments are the fields of `Prediction` of the same names; `sky` and `filled` exclude, `mask` lets through.
    """
    depth = depth.astype(np.float32, copy=False) if depth.dtype.itemsize < 4 else depth
    usable: NDArray[np.bool_] = (depth >= SMALLEST_DEPTH) & (depth <= LARGEST_DEPTH)  # False for NaN
    if conf is not None:
        usable &= np.abs(conf) <= LARGEST_DEPTH
    if mask is not None:
        usable &= mask
    for excluded in (sky, filled):
        if excluded is not None:
            usable &= ~excluded
    return usable


@dataclass(frozen=True)
class MadeBy:
    """What made a depth map, which decides what its confidence means."""

    kind: DepthKind
    """`network` (torch), `onnx` (an ONNX file), `stereo` (multi-view stereo), `measured` (brought by the input) or
    `fused` (joined from several)."""
    name: str
    """Of the preset, of the file, or of the method."""
    parts: tuple[MadeBy, ...] = ()
    """Of what was joined: what made its parts; `Prediction.made_by_pixel` says which made which pixel."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(DepthKind):
            raise ValueError(f"made_by must be of kind {', '.join(get_args(DepthKind))}, got {self.kind!r}")

    @property
    def verified(self) -> bool:
        """Whether each depth has been checked against other views, so that no confidence threshold is needed."""
        return self.kind == "stereo"

    @property
    def calibrated(self) -> bool:
        """Whether the confidence says how far off depth is: 1 + 0.01 / (the relative error to be expected)."""
        return self.kind == "fused"


@dataclass(frozen=True)
class Prediction:
    """What one run yields for N views of one scene, at the processed size H × W.

    Photos of sizes of their own stand in the middle of it, as `photo_boxes` says; all arrays are of the whole size.

    Depth, cameras and Gaussians share one frame and one scale, named by `units`. Exporters read it and never change it.
    """

    depth: FloatArray
    """(N, H, W) float32 depth along the camera's z axis, in `units`."""
    processed_images: NDArray[np.uint8]
    """(N, H, W, 3) the RGB pixels the network saw."""
    conf: FloatArray | None = None
    """(N, H, W) float32 confidence ≥ 1, higher is better; None for models that give none (mono, metric)."""
    sky: NDArray[np.bool_] | None = None
    """(N, H, W) True where the model saw sky: its depth there is a placeholder, not measured. None: no sky head."""
    mask: NDArray[np.bool_] | None = None
    """(N, H, W) True where the pixel may be used, False where the user masked it out. None: no masks were given."""
    filled: NDArray[np.bool_] | None = None
    """(N, H, W) True where depth was not found and has been completed from the pixels around. None: nothing was."""
    kept: NDArray[np.bool_] | None = None
    """(N, H, W) False where cleaning left a pixel out: files of points, meshes and splats do without it. None: nothing
    was left out. `valid` does not depend on it."""
    made_by: MadeBy | None = None
    """What made the depth; None where nothing says so, as in files of the reference package."""
    made_by_pixel: NDArray[np.uint8] | None = None
    """(N, H, W) which of `made_by.parts` gave the depth of each pixel, `NOBODY` where there is none; None: one made
    all."""
    extrinsics: FloatArray | None = None
    """(N, 3, 4) float32 world-to-camera; None for single-view models without given cameras."""
    intrinsics: FloatArray | None = None
    """(N, 3, 3) float32 pixels of the processed image; None as above."""
    gaussians: Gaussians | None = None
    """Splats of the whole scene, in the frame of `extrinsics`; None unless asked for."""
    gaussian_source: GaussianSource | None = None
    """Where `gaussians` come from: `head` (the network: one per pixel, in the order of views, rows and columns),
    `depth` (`recon.refine.from_depth`: only the pixels worth one), or `optimised` (made to look like the photos from
    any of these). None without Gaussians."""
    units: Units = "relative"
    """`relative` (free scale), `aligned` (the scale of the given extrinsics) or `metric` (metres)."""
    scale_factor: float | None = None
    """What the model's own depth was multiplied by to reach `units`; None where nothing was rescaled."""
    image_names: tuple[str, ...] = ()
    """N names, for messages and files; empty when the images came without."""
    original_sizes: NDArray[np.int64] | None = None
    """(N, 2) width and height of the upright originals."""
    processed_to_original: FloatArray | None = None
    """(N, 3, 3) affine map from processed to original pixel coordinates (half-integer centres)."""
    photo_boxes: NDArray[np.int64] | None = None
    """(N, 4) left, top, width and height in processed pixels of the photo in each view; around it there is nothing, and
    `mask` is False. None: photos fill their views."""
    lenses: Cameras | None = None
    """Cameras of the N upright originals as they were taken: intrinsics, sizes, any distortion and where those come
    from, without extrinsics. `intrinsics` are those of the undistorted, resized and cropped photos. None: unknown."""
    extrinsics_origin: CameraOrigin | None = None
    """Where `extrinsics` come from; None: unknown, or without any."""
    extrinsics_origins: tuple[CameraOrigin, ...] = ()
    """N: where the extrinsics of each view come from, where they come from several; else empty."""
    ref_view: int | None = None
    """Index of the reference view the network chose; None where none was chosen."""
    features: Mapping[int, FloatArray] = field(default_factory=dict)
    """For each encoder block asked for: (N, h, w, C) float32 features."""
    sparse: SparsePoints | None = None
    """Points of structure from motion, or of a COLMAP model, in the frame of `extrinsics`; None: unknown."""
    originals: Originals | None = field(default=None, compare=False, repr=False)
    """The photos themselves, for what is made at their resolution; None: not at hand. No part of the result: hashes and
    what is kept of a prediction are without."""
    run: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Of one that `recon.load` has read: what `run.json` says; empty where nothing does. No part of the result."""

    def __post_init__(self) -> None:
        _check(self.depth, "depth", (None, None, None))
        n, h, w = self.depth.shape
        _check(self.processed_images, "processed_images", (n, h, w, 3))
        if self.processed_images.dtype != np.uint8:
            raise TypeError(f"processed_images must be uint8, got {self.processed_images.dtype}")
        if self.conf is not None:
            _check(self.conf, "conf", (n, h, w))
        for name in ("sky", "mask", "filled", "kept"):
            pixels = getattr(self, name)
            if pixels is not None:
                _check(pixels, name, (n, h, w))
                if pixels.dtype != np.bool_:
                    raise TypeError(f"{name} must be bool, got {pixels.dtype}")
        if self.made_by_pixel is not None:
            _check(self.made_by_pixel, "made_by_pixel", (n, h, w))
            parts = 0 if self.made_by is None else len(self.made_by.parts)
            if not is_mapped(self.made_by_pixel) and any(
                ((made >= parts) & (made != NOBODY)).any() for made in self.made_by_pixel
            ):
                raise ValueError("made_by_pixel must hold indices of made_by.parts")
        if self.extrinsics is not None:
            _check(self.extrinsics, "extrinsics", (n, 3, 4))
        if self.intrinsics is not None:
            _check(self.intrinsics, "intrinsics", (n, 3, 3))
        if self.original_sizes is not None:
            _check(self.original_sizes, "original_sizes", (n, 2))
        if self.processed_to_original is not None:
            _check(self.processed_to_original, "processed_to_original", (n, 3, 3))
        if self.photo_boxes is not None:
            _check(self.photo_boxes, "photo_boxes", (n, 4))
            ends = self.photo_boxes[:, :2] + self.photo_boxes[:, 2:]
            if (self.photo_boxes < (0, 0, 1, 1)).any() or (ends > (w, h)).any():
                raise ValueError(f"photo_boxes must lie within views of {w}×{h} pixels")
        if self.lenses is not None and len(self.lenses) != n:
            raise ValueError(f"lenses must be of {n} photos, got {len(self.lenses)}")
        if self.extrinsics_origins and len(self.extrinsics_origins) != n:
            raise ValueError(f"extrinsics_origins must be of {n} views, got {len(self.extrinsics_origins)}")
        if self.sparse is not None and len(self.sparse.observed) != n:
            raise ValueError(f"sparse must be seen by {n} views, got {len(self.sparse.observed)}")
        if self.image_names and len(self.image_names) != n:
            raise ValueError(f"image_names must have {n} names, got {len(self.image_names)}")
        sources = get_args(GaussianSource) if self.gaussians is not None else (None,)
        if self.gaussian_source not in sources:
            expected = " or ".join(repr(source) for source in sources)
            raise ValueError(f"gaussian_source must be {expected}, got {self.gaussian_source!r}")
        if self.gaussian_source == "head" and self.gaussians is not None and len(self.gaussians) != n * h * w:
            raise ValueError(f"Gaussians of the head must be one per pixel, {n * h * w}, got {len(self.gaussians)}")
        if self.units not in get_args(Units):
            raise ValueError(f"units must be one of {', '.join(get_args(Units))}, got {self.units!r}")
        for layer, features in self.features.items():
            _check(features, f"{FEATURE_PREFIX}{layer}", (n, None, None, None))

    def show(self, *, max_mb: float = 10.0, height: int = 600) -> Shown:
        """The page of this result for a cell of a notebook, as the last value there; `recon.export.notebook.show`.

        At most `max_mb` megabytes, in a frame `height` pixels high. Raises InputError where there is nothing to show.
        """
        return show(self, max_mb, height)

    @property
    def measured_views(self) -> list[int]:
        """The views whose cameras were given or found in the photos, not predicted or guessed."""
        count = len(self.depth)
        origins = self.extrinsics_origins or (self.extrinsics_origin,) * count
        return [view for view in range(count) if origins[view] in MEASURED_ORIGINS]

    def window(self, chosen: slice) -> Prediction:
        """These views only, in memory; without Gaussians, and without the photos' own files."""
        indices = range(len(self.depth))[chosen]

        def take(array: Any) -> Any:
            return None if array is None else np.array(array[chosen])

        reference = self.ref_view
        return replace(
            self,
            **{name: take(getattr(self, name)) for name in _OF_VIEWS},
            image_names=self.image_names[chosen],
            lenses=None if self.lenses is None else self.lenses[chosen],
            extrinsics_origins=self.extrinsics_origins[chosen],
            gaussians=None,
            gaussian_source=None,
            ref_view=None if reference is None or reference not in indices else indices.index(reference),
            features={layer: take(of_layer) for layer, of_layer in self.features.items()},
            sparse=None if self.sparse is None else self.sparse.select_views(indices),
            originals=None,
        )

    def photo_area(self, view: int) -> tuple[slice, slice]:
        """Rows and columns of the photo in a view."""
        if self.photo_boxes is None:
            return slice(0, self.depth.shape[1]), slice(0, self.depth.shape[2])
        left, top, width, height = self.photo_boxes[view].tolist()
        return slice(top, top + height), slice(left, left + width)

    @property
    def photo_pixels(self) -> NDArray[np.bool_]:
        """(N, H, W) True where a view shows its photo."""
        shown = np.zeros(self.depth.shape, np.bool_)
        for view in range(len(shown)):
            shown[view, *self.photo_area(view)] = True
        return shown

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(N, H, W) True where depth was found: not where it is the sky's or was filled in. Read-only."""
        return self.pixels_with_depth()

    @cached_property
    def valid_or_filled(self) -> NDArray[np.bool_]:
        """(N, H, W) True where depth was found or filled in, and is not the sky's. Read-only."""
        return self.valid if self.filled is None else self.pixels_with_depth(filled=True)

    def pixels_with_depth(self, *, filled: bool = False, sky: bool = False, cleaned: bool = False) -> NDArray[np.bool_]:
        """(N, H, W) True where depth is a number that can be used, confidence is a number, and no mask excludes it.

        Pixels that were filled in, and those of the sky, count only where asked for; where `cleaned`, those that
        cleaning left out do not. Read-only.
        """
        excluded = None if sky else self.sky, None if filled else self.filled
        kept = self.kept if cleaned else None
        usable = map_like(self.depth, np.bool_)

        def part(array: Any, views: slice) -> Any:
            return None if array is None else array[views]

        for views in row_pieces(self.depth):
            maps = (part(one, views) for one in (self.conf, excluded[0], self.mask, excluded[1]))
            usable[views] = usable_pixels(self.depth[views], *maps)
            if kept is not None:
                usable[views] &= kept[views]
            release(self.conf, self.sky, self.mask, self.filled, self.kept, usable)
        usable.setflags(write=False)
        return usable

    @property
    def aux(self) -> Mapping[str, Any]:
        """Read-only: `feat_layer_K`, the features of block K, for each layer asked for; and `gaussians` if any."""
        named: dict[str, Any] = {f"{FEATURE_PREFIX}{layer}": array for layer, array in self.features.items()}
        if self.gaussians is not None:
            named["gaussians"] = self.gaussians
        return MappingProxyType(named)

    @property
    def is_metric(self) -> bool:
        """Whether depth and camera positions are in metres."""
        return self.units == "metric"

    @property
    def cameras(self) -> Cameras:
        """Of the processed images."""
        count, height, width = self.depth.shape
        intrinsics = None if self.intrinsics is None else self.intrinsics.astype(np.float64)
        return self._cameras(intrinsics, np.tile(np.array([width, height], np.int64), (count, 1)), None)

    @property
    def original_cameras(self) -> Cameras:
        """Of the upright originals as they were taken: with these, and the photos, the same run starts again.

        Intrinsics are None where it is unknown how the processed images lie in the originals.
        """
        if self.lenses is not None:
            return self._cameras(self.lenses.intrinsics, self.lenses.sizes, self.lenses.distortion)
        if self.intrinsics is None or self.processed_to_original is None:
            return self._cameras(None, self.original_sizes, None)
        to_original = self.processed_to_original.astype(np.float64)
        return self._cameras(to_original @ self.intrinsics, self.original_sizes, None)

    def _cameras(
        self,
        intrinsics: NDArray[np.float64] | None,
        sizes: NDArray[np.int64] | None,
        distortion: NDArray[np.float64] | None,
    ) -> Cameras:
        lens_origin = "predicted" if self.lenses is None else self.lenses.origin
        scales: dict[Units, CameraScale] = {"relative": "free", "aligned": "given", "metric": "metric"}
        world_to_camera = None
        if self.extrinsics is not None:
            world_to_camera = np.tile(np.eye(4), (len(self.depth), 1, 1))
            world_to_camera[:, :3] = self.extrinsics
        return Cameras(
            world_to_camera,
            intrinsics,
            sizes,
            distortion,
            origin=self.extrinsics_origin or lens_origin,
            origins=self.extrinsics_origins or None,
            scale=scales[self.units],
        )
