"""Predictions as compressed numpy archives: `mini_npz` for depth and cameras, `npz` for everything, and its reader.

Arrays are stored exactly, so that exporting again from a file equals exporting from the prediction itself. Keys:

| key | in | contents |
| --- | --- | --- |
| depth, conf | both | (N, H, W); conf where the model gives one |
| extrinsics, exts | both | (N, 3, 4) world-to-camera, the same under two names |
| intrinsics, ixts | both | (N, 3, 3) pixels of the processed image, the same under two names |
| units | both | a string: relative, aligned or metric |
| image | npz | (N, H, W, 3) uint8 RGB |
| sky, mask, filled | npz | (N, H, W) bool |
| made_by | npz | two strings: kind (network, onnx or stereo) and name |
| original_sizes, processed_to_original, image_names | npz | as in `Prediction` |
| original_intrinsics | npz | (N, 3, 3) of the upright originals as they were taken |
| distortion | npz | (N, 8) OpenCV's coefficients of their lenses; left out for pinhole cameras |
| extrinsics_origin, intrinsics_origin | npz | strings: where they come from, as `Cameras.origin` has it |
| scale_factor, ref_view | npz | scalars |
| feat_layer_K | npz | (N, h, w, C) features of block K |
| gaussian_means, _scales, _rotations, _harmonics, _opacities | npz | as in `Gaussians` |
| gaussian_source | npz | a string: head or depth |

Keys of what a prediction does not have are left out. No value needs pickle.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.cameras import Cameras
from recon.errors import InputError
from recon.export.exporter import Exported, Exporter, NoOptions
from recon.files import atomic_write, check_readable
from recon.messages import warn
from recon.types import FEATURE_PREFIX, Gaussians, MadeBy, Prediction

Arrays = dict[str, NDArray[Any]]
_FEATURE_NAME = re.compile(FEATURE_PREFIX + "(0|[1-9][0-9]*)")
MINI_NPZ_PATH = Path("exports") / "mini_npz" / "results.npz"
NPZ_PATH = Path("exports") / "npz" / "results.npz"
"""Below the folder of a run."""
GAUSSIAN_PREFIX = "gaussian_"
_UNREADABLE = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy and zipfile raise on damaged files; the last for a compression that zipfile does not know."""


def write_mini(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `exports/mini_npz/results.npz`: depth, confidence, cameras, units."""
    return _write(folder / MINI_NPZ_PATH, _mini_arrays(prediction))


def write_full(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `exports/npz/results.npz`: everything needed to export again without a model."""
    return _write(folder / NPZ_PATH, _full_arrays(prediction))


MINI_NPZ = Exporter("mini_npz", NoOptions, write_mini)
NPZ = Exporter("npz", NoOptions, write_full)


def read_npz(path: str | Path) -> Prediction:
    """Read the prediction that `write_full` stored; files of the reference package, which have fewer keys, also load.

    Raises InputError naming the file where it is missing, not an npz, damaged, without images, or inconsistent.
    """
    path = Path(path)
    arrays = load_arrays(path)
    for key in ("depth", "image"):
        if key not in arrays:
            hint = "; a mini_npz file holds no images, export again from the npz one" if key == "image" else ""
            raise InputError(f"{path}: has no array {key!r}{hint}")
    for key in ("depth", "conf", "extrinsics", "exts", "intrinsics", "ixts", "processed_to_original"):
        if key in arrays and not np.issubdtype(arrays[key].dtype, np.floating):
            raise InputError(f"{path}: array {key!r} must hold floating-point numbers, not {arrays[key].dtype}")
    if "units" not in arrays:
        warn(f"{path} names no units: taken as relative")
    try:
        return _prediction(arrays)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a consistent result: {error}") from error


def _write(path: Path, arrays: Arrays) -> Exported:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return Exported((path,))


def _mini_arrays(prediction: Prediction) -> Arrays:
    cameras = (("extrinsics", "exts", prediction.extrinsics), ("intrinsics", "ixts", prediction.intrinsics))
    arrays: Arrays = {"depth": prediction.depth}
    if prediction.conf is not None:
        arrays["conf"] = prediction.conf
    for name, short_name, value in cameras:
        if value is not None:
            arrays[name] = arrays[short_name] = value
    arrays["units"] = np.array(prediction.units)
    return arrays


def _full_arrays(prediction: Prediction) -> Arrays:
    arrays = {"image": prediction.processed_images, **_mini_arrays(prediction)}
    for name in ("sky", "mask", "filled", "original_sizes", "processed_to_original", "scale_factor", "ref_view"):
        value = getattr(prediction, name)
        if value is not None:
            arrays[name] = np.asarray(value)
    if prediction.lenses is not None and prediction.lenses.intrinsics is not None:
        arrays["original_intrinsics"] = prediction.lenses.intrinsics
        arrays["intrinsics_origin"] = np.array(prediction.lenses.origin)
        if prediction.lenses.distortion is not None:
            arrays["distortion"] = prediction.lenses.distortion
    if prediction.extrinsics_origin is not None:
        arrays["extrinsics_origin"] = np.array(prediction.extrinsics_origin)
    if prediction.image_names:
        arrays["image_names"] = np.array(prediction.image_names)
    if prediction.made_by is not None:
        arrays["made_by"] = np.array([prediction.made_by.kind, prediction.made_by.name])
    arrays.update((f"{FEATURE_PREFIX}{layer}", value) for layer, value in prediction.features.items())
    if prediction.gaussians is not None:
        arrays.update((GAUSSIAN_PREFIX + f.name, getattr(prediction.gaussians, f.name)) for f in fields(Gaussians))
        arrays["gaussian_source"] = np.array(prediction.gaussian_source)
    return arrays


def load_arrays(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Arrays:
    """The arrays of an npz file whose names are `wanted`; no other is decoded.

    Raises InputError naming the file where it is missing, not an npz, or damaged.
    """
    check_readable(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not an npz file, or cut short")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if wanted(name)}
    except _UNREADABLE as error:
        raise InputError(f"{path}: damaged npz file: {error}") from error


def _lenses(arrays: Arrays) -> Cameras | None:
    if "original_intrinsics" not in arrays:
        return None
    return Cameras(
        None,
        arrays["original_intrinsics"],
        arrays.get("original_sizes"),
        arrays.get("distortion"),
        origin=arrays["intrinsics_origin"].item() if "intrinsics_origin" in arrays else "given",
    )


def _prediction(arrays: Arrays) -> Prediction:
    gaussians, source = None, None
    if any(name.startswith(GAUSSIAN_PREFIX) for name in arrays):
        gaussians = Gaussians(**{f.name: arrays[GAUSSIAN_PREFIX + f.name] for f in fields(Gaussians)})
        source = arrays["gaussian_source"].item()
    # These names become file names: anything but a number after the prefix is not ours.
    features = {int(match[1]): arrays[name] for name in arrays if (match := _FEATURE_NAME.fullmatch(name))}
    prediction = Prediction(
        depth=arrays["depth"],
        processed_images=arrays["image"],
        conf=arrays.get("conf"),
        sky=arrays.get("sky"),
        mask=arrays.get("mask"),
        filled=arrays.get("filled"),
        made_by=MadeBy(*arrays["made_by"].tolist()) if "made_by" in arrays else None,
        extrinsics=arrays.get("extrinsics", arrays.get("exts")),
        intrinsics=arrays.get("intrinsics", arrays.get("ixts")),
        gaussians=gaussians,
        gaussian_source=source,
        units=arrays["units"].item() if "units" in arrays else "relative",
        scale_factor=float(arrays["scale_factor"]) if "scale_factor" in arrays else None,
        image_names=tuple(arrays["image_names"].tolist()) if "image_names" in arrays else (),
        original_sizes=arrays.get("original_sizes"),
        processed_to_original=arrays.get("processed_to_original"),
        lenses=_lenses(arrays),
        extrinsics_origin=arrays["extrinsics_origin"].item() if "extrinsics_origin" in arrays else None,
        ref_view=int(arrays["ref_view"]) if "ref_view" in arrays else None,
        features=features,
    )
    for layer, value in features.items():
        if value.size == 0:
            raise ValueError(f"{FEATURE_PREFIX}{layer} is empty, of shape {value.shape}")
    return prediction
