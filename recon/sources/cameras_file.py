"""Known cameras from a file, and back to `.json`.

| file | holds |
| --- | --- |
| cameras `.json` | one entry per image, found by its name; any part else may be absent, from every entry used: |
| | `{"frames": [{"image": "0000.jpg", "width": 1208, "height": 680, "world_to_camera": [[…], […], […], […]],` |
| | `"intrinsics": [[…], […], […]], "distortion": [k1, k2, p1, p2, k3, k4, k5, k6]}], "origin": …, "scale": …}` |
| `run.json` | the cameras of a run, as its `images` (or `photos`, of `recon mono`) have them |
| `.npz` | `extrinsics` (N, 4, 4) or (N, 3, 4), `intrinsics` (N, 3, 3), `distortion` (N, 8), `original_sizes` (N, 2); |
| | in the order of the images unless `image_names` says otherwise. `exts` and `ixts` are the first two as well |
| `results.npz` | of a run: as `recon.export.npz` has it; a mini_npz file with the `run.json` that was written with it |

Extrinsics map world to camera; intrinsics and distortion (OpenCV's) are of the original upright image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.errors import InputError, why
from recon.files import atomic_write, read_json
from recon.geometry.cameras import to_4x4
from recon.sources.names import normalise_name
from recon.types.arrays import read_arrays
from recon.types.cameras import CameraOrigin, Cameras, CameraScale

_BULKY = frozenset({"depth", "conf", "sky", "image", "valid", "filled", "kept", "mask"})
"""Arrays of a run's results that say nothing about cameras."""
_BULKY_PREFIXES = ("feat_layer_", "gaussian_")
_SHAPES = {"world_to_camera": (4, 4), "intrinsics": (3, 3), "distortion": (8,)}
"""Of each part of one camera."""
_SCALE_OF_UNITS: dict[str, CameraScale] = {"relative": "free", "aligned": "given", "metric": "metric"}
"""What the units of a run say of its cameras."""


@dataclass(frozen=True)
class CamerasFile:
    """A file of cameras, read once: any number of images can be looked up in it."""

    path: Path
    names: tuple[str, ...] | None
    """Of its images (NFC); None: they are in the order of the images."""
    entries: Sequence[Mapping[str, Any]]
    """For each image, what there is of `width`, `height`, `world_to_camera`, `intrinsics`, `distortion`; matrices as
    lists or arrays, not checked yet, for entries that are not used may be anything."""
    origin: CameraOrigin = "given"
    scale: CameraScale = "given"

    @staticmethod
    def read(path: Path) -> CamerasFile:
        """Raises InputError: no such file, damaged, or of another layout."""
        readers = {".json": _read_json, ".npz": _read_npz}
        reader = readers.get(path.suffix.lower())
        if reader is None:
            raise InputError(f"cameras are read from a .json or .npz file, not '{path}'")
        if not path.is_file():
            raise InputError(f"the cameras file '{path}' does not exist")
        return reader(path)

    def of(
        self, image_names: Sequence[str], image_sizes: ArrayLike | None = None, kept: Sequence[int] | None = None
    ) -> Cameras:
        """The cameras of some images; arguments and errors as `read_cameras`."""
        wanted = list(range(len(image_names))) if kept is None else list(kept)
        chosen = [self.entries[i] for i in self._find(image_names, wanted)]
        labels = [image_names[i] for i in wanted]
        parts = {key: self._stack(chosen, labels, key) for key in _SHAPES}
        if parts["world_to_camera"] is None and parts["intrinsics"] is None:
            raise InputError(f"'{self.path}' holds neither extrinsics (world_to_camera) nor intrinsics")
        if parts["distortion"] is not None and parts["intrinsics"] is None:
            raise InputError(f"'{self.path}' holds distortion without intrinsics; give both or none")
        sizes = self._sizes(chosen, labels, None if image_sizes is None else np.asarray(image_sizes))
        return Cameras(
            parts["world_to_camera"], parts["intrinsics"], sizes, parts["distortion"], self.origin, self.scale
        )

    def missing(self, image_names: Sequence[str]) -> list[int]:
        """Indices of the images that the file has no camera for."""
        if self.names is None:
            return []
        return [index for index, name in enumerate(image_names) if normalise_name(name) not in self._index]

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
                _refuse_repeated(names, self.path)
            return wanted
        for i in wanted:
            if normalise_name(image_names[i]) not in self._index:
                known = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
                raise InputError(
                    f"'{self.path}' has no camera for the image '{image_names[i]}'; it has {len(names)}: {known}"
                )
        return [self._index[normalise_name(image_names[i])] for i in wanted]

    def _stack(self, entries: list[Mapping[str, Any]], labels: list[str], key: str) -> NDArray[np.float64] | None:
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
        self, entries: list[Mapping[str, Any]], labels: list[str], image_sizes: NDArray[Any] | None
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


def read_cameras(
    path: Path,
    image_names: Sequence[str],
    image_sizes: ArrayLike | None = None,
    kept: Sequence[int] | None = None,
) -> Cameras:
    """Read the cameras of the images kept, in their order, for the originals as they were taken.

    Args:
        path: see the module.
        image_names: names of all images, which matrices without names are one each for.
        image_sizes: (N, 2) width and height of the upright images kept, checked against those the file states.
        kept: indices of the N images whose cameras are wanted; all by default.

    Returns:
        Extrinsics, intrinsics, or both; sizes where they are known, and distortion where there is any.

    Raises:
        InputError: no such file, damaged, of another layout, without one of the images, or for images of another size.
    """
    return CamerasFile.read(path).of(image_names, image_sizes, kept)


def write_cameras(path: Path, image_names: Sequence[str], cameras: Cameras) -> None:
    """Write a `.json` file that `read_cameras` reads back exactly.

    Args:
        path: the file, written whole or not at all.
        image_names: N different names.
        cameras: of the N upright originals; what is None is left out.

    Raises:
        InputError: counts that differ, repeated names, numbers that are not finite, or a place that cannot be written
            to.
    """
    names = [normalise_name(name) for name in image_names]
    _refuse_repeated(names, path)
    columns: dict[str, Any] = {"image": names}
    if cameras.sizes is not None:
        columns["width"], columns["height"] = np.asarray(cameras.sizes).T.tolist()
    for key in _SHAPES:
        values = getattr(cameras, key)
        if values is None:
            continue
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if bad.any():
            name = names[int(np.argmax(bad))] if len(values) == len(names) else f"number {int(np.argmax(bad))}"
            raise InputError(f"{key} of '{name}' for '{path}' must be finite: it holds NaN or infinity")
        columns[key] = values.tolist()
    if any(len(column) != len(names) for column in columns.values()):
        counts = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"cameras for '{path}' must be as many as the images: {counts}")
    frames = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    said = {"origin": cameras.origin, "scale": cameras.scale}
    content = {"frames": frames} | {key: value for key, value in said.items() if value != "given"}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> CamerasFile:
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"'{path}' is not a readable JSON file: {why(error)}") from error
    if not isinstance(content, dict):
        content = {}
    frames = content.get("frames")
    if frames is None and "versions" in content:
        frames, content = _frames_of_run(content, path)
    if not isinstance(frames, list) or not all(isinstance(f, dict) and isinstance(f.get("image"), str) for f in frames):
        raise InputError(f'\'{path}\' must hold {{"frames": [{{"image": name, …}}, …]}}')
    names = tuple(normalise_name(frame["image"]) for frame in frames)
    _refuse_repeated(names, path)
    return CamerasFile(path, names, frames, *_origin_and_scale(content, path))


def _frames_of_run(record: Mapping[str, Any], path: Path) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The cameras in a `run.json`: entries as a cameras file has them, and where they come from."""
    frames = []
    images: Any = record.get("images") or record.get("photos")
    origins: Any = record.get("cameras") or {}
    for image in images if isinstance(images, list) else [None]:
        entry = image if isinstance(image, dict) else {}
        camera, size, name = entry.get("camera"), entry.get("original_size"), entry.get("name")
        if not isinstance(camera, dict) or not isinstance(name, str) or not isinstance(origins, dict):
            raise InputError(f"'{path}' is the record of a run that says no cameras of its photos; give another file")
        width, height = size if isinstance(size, list) and len(size) == 2 else (None, None)
        frames.append({**camera, "image": name, "width": width, "height": height})
    return frames, {"origin": origins.get("extrinsics"), "scale": _SCALE_OF_UNITS.get(str(record.get("units")))}


def _origin_and_scale(content: Mapping[str, Any], path: Path) -> tuple[CameraOrigin, CameraScale]:
    origin: Any = content.get("origin") or "given"
    scale: Any = content.get("scale") or "given"
    for name, value, known in (("origin", origin, CameraOrigin), ("scale", scale, CameraScale)):
        if value not in get_args(known):
            raise InputError(f"'{path}': {name} must be one of {', '.join(get_args(known))}, not {value!r}")
    return origin, scale


def _load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], bool]:
    """The arrays that say something about cameras, and whether they are the results of a run."""
    names: set[str] = set()

    def wanted(name: str) -> bool:
        names.add(name)
        return name not in _BULKY and not name.startswith(_BULKY_PREFIXES)

    return read_arrays(path, wanted), "depth" in names


def _read_npz(path: Path) -> CamerasFile:
    arrays, is_result = _load_arrays(path)
    columns: dict[str, NDArray[Any]] = {}
    for key, keys in (("world_to_camera", ("extrinsics", "exts")), ("intrinsics", ("intrinsics", "ixts"))):
        found = next((name for name in keys if name in arrays), None)
        if found is not None:
            columns[key] = _per_image(arrays[found], key, f"{found} in '{path}'")
    if is_result and "intrinsics" in columns:
        if "processed_to_original" not in arrays and (recorded := _record_beside(path, columns)) is not None:
            return recorded
        columns["intrinsics"] = _original_intrinsics(columns["intrinsics"], arrays, path)
    if "distortion" in arrays:
        columns["distortion"] = _per_image(arrays["distortion"], "distortion", f"distortion in '{path}'")
    sizes = arrays.get("original_sizes")
    if sizes is not None:
        if sizes.ndim != 2 or sizes.shape[1] != 2 or not np.issubdtype(sizes.dtype, np.integer):
            raise InputError(
                f"original_sizes in '{path}' must be whole numbers of shape (N, 2), width and height per image, got "
                f"{sizes.dtype} of shape {sizes.shape}"
            )
        columns["width"], columns["height"] = sizes[:, 0], sizes[:, 1]
    names: tuple[str, ...] | None = None
    if "image_names" in arrays:
        if arrays["image_names"].ndim != 1:
            raise InputError(f"image_names in '{path}' must be one name per image, got {arrays['image_names'].shape}")
        names = tuple(normalise_name(str(name)) for name in arrays["image_names"].tolist())
        columns["image"] = arrays["image_names"]
    if not len(columns.get("world_to_camera", ())) and not len(columns.get("intrinsics", ())):
        raise InputError(f"'{path}' holds neither extrinsics (world_to_camera) nor intrinsics")
    images = len(columns.get("image", next(iter(columns.values()))))
    for key, column in columns.items():
        if len(column) != images:
            what = "extrinsics" if key == "world_to_camera" else key
            raise InputError(f"'{path}' has {len(column)} {what} for {images} images; give one per image")
    present = [key for key in (*_SHAPES, "width", "height") if key in columns]
    rows = zip(*(columns[key].tolist() if key in ("width", "height") else columns[key] for key in present), strict=True)
    entries = [dict(zip(present, row, strict=True)) for row in rows]
    said: dict[str, str | None] = {"scale": _SCALE_OF_UNITS.get(str(arrays.get("units")))}
    for name in ("intrinsics_origin", "extrinsics_origin"):  # the last counts
        if name in arrays:
            said["origin"] = str(arrays[name])
    return CamerasFile(path, names, entries, *_origin_and_scale(said, path))


def _record_beside(path: Path, columns: Mapping[str, NDArray[Any]]) -> CamerasFile | None:
    """The cameras in the `run.json` of the run that wrote a mini_npz file, which says itself only those of the
    processed images; None where there is none, or it is of another run."""
    record = path.absolute().parents[2] / "run.json" if len(path.absolute().parents) > 2 else path
    if path.absolute().parents[1].name != "exports" or not record.is_file():
        return None
    try:
        recorded = _read_json(record)
        cameras = recorded.of(recorded.names or ())
    except InputError:
        return None
    if cameras.intrinsics is None or len(cameras) != len(columns["intrinsics"]):
        return None
    known, own = cameras.world_to_camera, columns.get("world_to_camera")
    if known is None or own is None:
        return replace(recorded, path=path) if known is own else None
    return replace(recorded, path=path) if np.array_equal(known, own) else None


def _original_intrinsics(
    processed: NDArray[np.float64], arrays: Mapping[str, NDArray[Any]], path: Path
) -> NDArray[np.float64]:
    """Those of the originals as taken, where a run says so; else those of its processed images mapped back."""
    if "original_intrinsics" in arrays:
        return _per_image(arrays["original_intrinsics"], "intrinsics", f"original_intrinsics in '{path}'")
    to_original = arrays.get("processed_to_original")
    if to_original is None or to_original.shape != processed.shape:
        raise InputError(
            f"'{path}' is the result of a run, with intrinsics of its resized images and no map back to the "
            "originals; give intrinsics of the original images"
        )
    return to_original.astype(np.float64) @ processed


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise InputError where a name stands twice."""
    index = {name: i for i, name in enumerate(names)}
    repeated = next((name for i, name in enumerate(names) if index[name] != i), None)
    if repeated is not None:
        raise InputError(f"cameras in '{path}' need one entry per image, but '{repeated}' is named twice")


def _one(values: Any, key: str, label: str) -> NDArray[np.float64]:
    """What one image has, as float64; (3, 4) is completed to (4, 4), fewer coefficients by zeros."""
    return _per_image([values], key, label)[0]


def _per_image(values: Any, key: str, label: str) -> NDArray[np.float64]:
    """(N, *shape) float64 of one part of N cameras."""
    shape = _SHAPES[key]
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
