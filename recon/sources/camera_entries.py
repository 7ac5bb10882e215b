"""Cameras as a file states them: one entry per image, checked when they are put to photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.geometry.sparse_points import SparsePoints
from recon.sources.name_matches import NameMatches, match_names
from recon.sources.names import normalise_name
from recon.sources.time_matches import match_times
from recon.types.cameras import CameraOrigin, Cameras, CameraScale

SHAPES = {"world_to_camera": (4, 4), "intrinsics": (3, 3), "distortion": (8,)}
"""Of each part of one camera."""
SCALE_OF_UNITS: dict[str, CameraScale] = {"relative": "free", "aligned": "given", "metric": "metric"}
"""What the units of a run say of its cameras."""


@dataclass(frozen=True)
class CamerasFile:
    """A file of cameras, read once: any number of images can be looked up in it."""

    path: Path
    names: tuple[str, ...] | None
    """Of its images (NFC); None: they are in the order of the images."""
    entries: Sequence[Mapping[str, Any]]
    """For each image, what there is of `width`, `height`, `world_to_camera`, `intrinsics`, `distortion`; matrices as
    lists or arrays, not checked yet, for entries that are not used may be anything. And `lens`, a
    `recon.sources.lenses.Lens` that OpenCV's coefficients do not express: the intrinsics are then those of the pinhole
    photo made with it. And `orientation`, EXIF's, where the camera is of the photo as its file stores it, which is
    turned so to be upright."""
    origin: CameraOrigin = "given"
    scale: CameraScale = "given"
    points: SparsePoints | None = None
    """Of the scene, and which of them each of the images sees."""
    times: NDArray[np.float64] | None = None
    """When the images without names were taken, in seconds: photos that are called by their times are found by them."""
    as_stored: bool = False
    """Whether photos are seen as their files store them, however EXIF says to turn them, as COLMAP sees them."""

    def of(
        self, image_names: Sequence[str], image_sizes: ArrayLike | None = None, kept: Sequence[int] | None = None
    ) -> Cameras:
        """The cameras of some images; arguments and errors as `read_cameras`."""
        wanted = list(range(len(image_names))) if kept is None else list(kept)
        sizes = None if image_sizes is None else np.asarray(image_sizes)
        return self.cameras(self._find(image_names, wanted), [image_names[i] for i in wanted], sizes)

    def match(self, image_names: Sequence[str]) -> NameMatches:
        """Which entry is whose. Raises InputError where they are in the order of the images, and not as many."""
        if self.times is not None and (matches := match_times(image_names, self.times)) is not None:
            return matches
        if self.names is None or len(self._index) != len(self.names):
            return NameMatches(tuple(self._find(image_names, list(range(len(image_names))))), ())
        return match_names(image_names, self.names, str(self.path))

    def cameras(
        self, chosen_entries: Sequence[int], labels: Sequence[str], image_sizes: NDArray[Any] | None = None
    ) -> Cameras:
        """Those of some entries, called by `labels` in errors; `image_sizes` and errors as `read_cameras`."""
        chosen = [self.entries[i] for i in chosen_entries]
        parts = {key: self._stack(chosen, labels, key) for key in SHAPES}
        if parts["world_to_camera"] is None and parts["intrinsics"] is None:
            raise InputError(f"'{self.path}' holds neither extrinsics (world_to_camera) nor intrinsics")
        if parts["distortion"] is not None and parts["intrinsics"] is None:
            raise InputError(f"'{self.path}' holds distortion without intrinsics; give both or none")
        if parts["distortion"] is not None and not parts["distortion"].any():
            parts["distortion"] = None
        sizes = self._sizes(chosen, labels, image_sizes)
        return Cameras(
            parts["world_to_camera"], parts["intrinsics"], sizes, parts["distortion"], self.origin, self.scale
        )

    @cached_property
    def _index(self) -> dict[str, int]:
        return {} if self.names is None else {name: i for i, name in enumerate(self.names)}

    def _find(self, image_names: Sequence[str], wanted: list[int]) -> list[int]:
        """Numbers of the entries of the wanted images."""
        names = self.names
        repeated = names is not None and len(self._index) != len(names)
        if names is None or repeated:
            if len(self.entries) != len(image_names):
                what = "extrinsics" if "world_to_camera" in self.entries[0] else "intrinsics"
                raise InputError(
                    f"'{self.path}' has {len(self.entries)} {what} for {len(image_names)} images; give one per image"
                )
            if names is not None and list(names) != [normalise_name(name) for name in image_names]:
                refuse_repeated(names, self.path)
            return wanted
        for i in wanted:
            if normalise_name(image_names[i]) not in self._index:
                known = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
                raise InputError(
                    f"'{self.path}' has no camera for the image '{image_names[i]}'; it has {len(names)}: {known}"
                )
        return [self._index[normalise_name(image_names[i])] for i in wanted]

    def _stack(self, entries: list[Mapping[str, Any]], labels: Sequence[str], key: str) -> NDArray[np.float64] | None:
        """One array per image, or None where no image has one."""
        missing = [label for entry, label in zip(entries, labels, strict=True) if entry.get(key) is None]
        if len(missing) == len(entries):
            return None
        if missing:
            raise InputError(f"'{self.path}' has {key} for some images but not for '{missing[0]}'; give all or none")
        return np.stack(
            [
                _one(entry[key], key, f"{key} of '{label}' in '{self.path}'")
                for entry, label in zip(entries, labels, strict=True)
            ]
        )

    def _sizes(
        self, entries: list[Mapping[str, Any]], labels: Sequence[str], image_sizes: NDArray[Any] | None
    ) -> NDArray[np.int64] | None:
        """(N, 2) width and height: those of the images, which the file must not contradict, else the file's."""
        stated = [(entry.get("width"), entry.get("height")) for entry in entries]
        for label, size in zip(labels, stated, strict=True):
            for name, side in zip(("width", "height"), size, strict=True):
                if side is not None and not (isinstance(side, int) and side > 0):
                    raise InputError(
                        f"{name} of '{label}' in '{self.path}' must be a whole number of pixels, not {side!r}"
                    )
        if image_sizes is None:
            known = all(side is not None for size in stated for side in size)
            return np.array(stated, np.int64).reshape(-1, 2) if known and stated else None
        for label, size, (width, height) in zip(labels, stated, image_sizes.tolist(), strict=True):
            said = (width if size[0] is None else size[0], height if size[1] is None else size[1])
            if said != (width, height):
                raise InputError(
                    f"'{self.path}' has cameras for '{label}' at {said[0]}×{said[1]} pixels, but the upright image is "
                    f"{width}×{height}; give the cameras of the images as they are"
                )
        return np.asarray(image_sizes, np.int64)


def origin_and_scale(content: Mapping[str, Any], path: Path) -> tuple[CameraOrigin, CameraScale]:
    origin: Any = content.get("origin") or "given"
    scale: Any = content.get("scale") or "given"
    for name, value, known in (("origin", origin, CameraOrigin), ("scale", scale, CameraScale)):
        if value not in get_args(known):
            raise InputError(f"'{path}': {name} must be one of {', '.join(get_args(known))}, not {value!r}")
    return origin, scale


def refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise InputError where a name stands twice."""
    index = {name: i for i, name in enumerate(names)}
    repeated = next((name for i, name in enumerate(names) if index[name] != i), None)
    if repeated is not None:
        raise InputError(f"cameras in '{path}' need one entry per image, but '{repeated}' is named twice")


def _one(values: Any, key: str, label: str) -> NDArray[np.float64]:
    """What one image has, as float64; (3, 4) is completed to (4, 4), fewer coefficients by zeros."""
    return per_image([values], key, label)[0]


def per_image(values: Any, key: str, label: str) -> NDArray[np.float64]:
    """(N, *shape) float64 of one part of N cameras."""
    shape = SHAPES[key]
    expected = "×".join(str(side) for side in shape)
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{label} must be {expected} numbers") from error
    if shape == (4, 4) and array.ndim == 3 and array.shape[1:] == (3, 4):
        array = to_4x4(array)
    if shape == (8,) and array.ndim == 2 and array.shape[1] in (4, 5):
        array = np.concatenate([array, np.zeros((len(array), 8 - array.shape[1]))], axis=1)
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        got = array.shape[1:] if array.ndim else "a single number"
        raise InputError(f"{label} must be {expected} per image, got {'' if not array.ndim else 'shape '}{got}")
    if key == "distortion" and not np.isfinite(array).all():  # of the matrices, `Cameras.from_arrays` says it
        raise InputError(f"{label} must be finite: it holds NaN or infinity")
    return array
