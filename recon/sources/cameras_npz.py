"""Cameras from NumPy's `.npz`: arrays that the user saved, or the results of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.sources.camera_entries import SCALE_OF_UNITS, SHAPES, CamerasFile, origin_and_scale, per_image
from recon.sources.cameras_json import read_json_cameras
from recon.sources.matrix_convention import MatrixConvention
from recon.sources.names import normalise_name
from recon.sources.photo_change import PhotoChange, with_change
from recon.types.arrays import read_arrays

_BULKY = frozenset({"depth", "conf", "sky", "image", "valid", "filled", "kept", "mask"})
"""Arrays of a run's results that say nothing about cameras."""
_BULKY_PREFIXES = ("feat_layer_", "gaussian_")


def _load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], bool]:
    """The arrays that say something about cameras, and whether they are the results of a run."""
    names: set[str] = set()

    def wanted(name: str) -> bool:
        names.add(name)
        return name not in _BULKY and not name.startswith(_BULKY_PREFIXES)

    return read_arrays(path, wanted), "depth" in names


def read_npz_cameras(path: Path, convention: str | None = None) -> tuple[CamerasFile, bool]:
    """The cameras, in the order of the images unless the file says otherwise, and whether they are plain matrices that
    are read by `convention`: those of a run are not.

    Raises InputError: damaged, of another layout, or without cameras.
    """
    arrays, is_result = _load_arrays(path)
    columns: dict[str, NDArray[Any]] = {}
    for key, keys in (("world_to_camera", ("extrinsics", "exts")), ("intrinsics", ("intrinsics", "ixts"))):
        found = next((name for name in keys if name in arrays), None)
        if found is not None:
            columns[key] = per_image(arrays[found], key, f"{found} in '{path}'")
    if not is_result and "world_to_camera" in columns:
        matrices = MatrixConvention.of(convention).world_to_camera(
            columns["world_to_camera"], f"extrinsics of '{path}'"
        )
        columns["world_to_camera"] = matrices
    if is_result and "intrinsics" in columns:
        if "processed_to_original" not in arrays and (recorded := _record_beside(path, columns)) is not None:
            return recorded, False
        columns["intrinsics"] = _original_intrinsics(columns["intrinsics"], arrays, path)
    if "distortion" in arrays:
        columns["distortion"] = per_image(arrays["distortion"], "distortion", f"distortion in '{path}'")
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
    present = [key for key in (*SHAPES, "width", "height") if key in columns]
    rows = zip(*(columns[key].tolist() if key in ("width", "height") else columns[key] for key in present), strict=True)
    entries = [dict(zip(present, row, strict=True)) for row in rows]
    if "photo_changes" in arrays:
        changes = _photo_changes(arrays["photo_changes"], images, path)
        entries = [with_change(entry, change) for entry, change in zip(entries, changes, strict=True)]
    said: dict[str, str | None] = {"scale": SCALE_OF_UNITS.get(str(arrays.get("units")))}
    for name in ("intrinsics_origin", "extrinsics_origin"):  # the last counts
        if name in arrays:
            said["origin"] = str(arrays[name])
    return CamerasFile(path, names, entries, *origin_and_scale(said, path)), not is_result


def _photo_changes(texts: NDArray[Any], count: int, path: Path) -> list[PhotoChange]:
    label = f"photo_changes in '{path}'"
    if texts.shape != (count,):
        raise InputError(f"{label} must be one text per image, got {texts.shape}")
    try:
        return [PhotoChange.of_entry(json.loads(str(text)), label) for text in texts]
    except json.JSONDecodeError as error:
        raise InputError(f"{label} must be JSON: {error}") from error


def _record_beside(path: Path, columns: Mapping[str, NDArray[Any]]) -> CamerasFile | None:
    """The cameras in the `run.json` of the run that wrote a mini_npz file, which says itself only those of the
    processed images; None where there is none, or it is of another run."""
    record = path.absolute().parents[2] / "run.json" if len(path.absolute().parents) > 2 else path
    if path.absolute().parents[1].name != "exports" or not record.is_file():
        return None
    try:
        recorded = read_json_cameras(record)
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
        return per_image(arrays["original_intrinsics"], "intrinsics", f"original_intrinsics in '{path}'")
    to_original = arrays.get("processed_to_original")
    if to_original is None or to_original.shape != processed.shape:
        raise InputError(
            f"'{path}' is the result of a run, with intrinsics of its resized images and no map back to the "
            "originals; give intrinsics of the original images"
        )
    return to_original.astype(np.float64) @ processed
