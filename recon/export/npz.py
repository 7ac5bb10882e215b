"""Predictions as compressed numpy archives: `mini_npz` for depth and cameras, `npz` for everything, and its reader.

Arrays are stored exactly, so that exporting again from a file equals exporting from the prediction itself. Those of a
long run are not compressed, so that they can be mapped into memory (`recon.types.mapped`). Keys:

| key | in | contents |
| --- | --- | --- |
| depth, conf | both | (N, H, W); conf where the model gives one |
| extrinsics, exts | both | (N, 3, 4) world-to-camera, the same under two names |
| intrinsics, ixts | both | (N, 3, 3) pixels of the processed image, the same under two names |
| units | both | a string: relative, aligned or metric |
| image | npz | (N, H, W, 3) uint8 RGB |
| sky, mask, filled, kept | npz | (N, H, W) bool; kept is False where cleaning left a pixel out |
| made_by | npz | two strings: kind (network, onnx, stereo, measured or fused) and name |
| made_by_parts | npz | (M, 2) the same of each part of depth that was joined |
| made_by_pixel | npz | (N, H, W) index of the part that gave the depth of a pixel; 255 for none |
| original_sizes, processed_to_original, photo_boxes, image_names | npz | as in `Prediction` |
| original_intrinsics | npz | (N, 3, 3) of the upright originals as they were taken |
| distortion | npz | (N, 8) OpenCV's coefficients of their lenses; left out for pinhole cameras |
| photo_changes | npz | (N,) JSON texts: of each photo that was undistorted or turned when it was opened, its lens and |
| | | orientation, as `photo_change` in `run.json`; `null` of others. Left out where there is none |
| extrinsics_origin, intrinsics_origin | npz | strings: where they come from, as `Cameras.origin` has it |
| extrinsics_origins | npz | (N,) strings: of each view, where they come from several |
| scale_factor, ref_view | npz | scalars |
| sparse_points | npz | (P, 3) points of structure from motion |
| sparse_views, sparse_seen | npz | (K,) view and point of each observation of one |
| sparse_pixels | npz | (K, 2) where the original, as it was taken, shows it |
| sparse_errors | npz | (P,) mean reprojection error in pixels of the originals |
| feat_layer_K | npz | (N, h, w, C) features of block K |
| gaussian_means, _scales, _rotations, _harmonics, _opacities | npz | as in `Gaussians` |
| gaussian_source | npz | a string: head, depth or optimised |

Keys of what a prediction does not have are left out. No value needs pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.export.exporter import Exported, Exporter, NoOptions
from recon.files import atomic_write
from recon.messages import warn
from recon.types import FEATURE_PREFIX, LARGEST_DEPTH, Gaussians, MadeBy, Prediction
from recon.types.arrays import Arrays, Layout, check_layouts, read_arrays
from recon.types.cameras import Cameras
from recon.types.mapped import is_mapped, row_pieces, write_npz
from recon.types.sparse_points import SparsePoints

_FEATURE_NAME = re.compile(FEATURE_PREFIX + "(0|[1-9][0-9]*)")
MINI_NPZ_PATH = Path("exports") / "mini_npz" / "results.npz"
NPZ_PATH = Path("exports") / "npz" / "results.npz"
"""Below the folder of a run."""
GAUSSIAN_PREFIX = "gaussian_"
_MAP = "N H W"
_finite = partial(Layout, "real", least=-LARGEST_DEPTH, most=LARGEST_DEPTH)
LAYOUTS = {
    "depth": Layout("real", _MAP),
    "image": Layout("byte", "N H W 3"),
    "conf": Layout("real", _MAP),
    **{name: Layout("flag", _MAP) for name in ("sky", "mask", "filled", "kept")},
    **{name: Layout("real", "N rows 4") for name in ("extrinsics", "exts")},  # a fourth row says nothing
    **{name: Layout("real", "N 3 3") for name in ("intrinsics", "ixts")},
    "original_sizes": Layout("whole", "N 2", least=1),
    "processed_to_original": _finite("N 3 3"),
    "photo_boxes": Layout("whole", "N 4", least=0),
    "original_intrinsics": _finite("N 3 3"),
    "distortion": _finite("N 8"),
    "image_names": Layout("text", "N"),
    "photo_changes": Layout("text", "N"),
    **{name: Layout("text", "") for name in ("units", "gaussian_source", "extrinsics_origin", "intrinsics_origin")},
    "extrinsics_origins": Layout("text", "N"),
    "made_by": Layout("text", "2"),
    "made_by_parts": Layout("text", "parts 2"),
    "made_by_pixel": Layout("byte", _MAP),
    "scale_factor": _finite(""),
    "ref_view": Layout("whole", "", least=0),
    "sparse_points": Layout("real", "P 3", may_be_empty=True),
    "sparse_views": Layout("whole", "K", least=0, may_be_empty=True),
    "sparse_seen": Layout("whole", "K", least=0, may_be_empty=True),
    "sparse_pixels": Layout("real", "K 2", may_be_empty=True),
    "sparse_errors": Layout("real", "P", may_be_empty=True),
    "gaussian_means": Layout("real", "G 3", may_be_empty=True),
    "gaussian_scales": Layout("real", "G 3", may_be_empty=True),
    "gaussian_rotations": Layout("real", "G 4", may_be_empty=True),
    "gaussian_harmonics": Layout("real", "G 3 coefficients", may_be_empty=True),
    "gaussian_opacities": Layout("real", "G", may_be_empty=True),
}
"""Of every array but the features. Depth, confidence, cameras, features and Gaussians may hold any number: what cannot
be used of them is no valid pixel, or refused by the formats that need it."""


def write_mini(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `exports/mini_npz/results.npz`: depth, confidence, cameras, units."""
    return _write(folder / MINI_NPZ_PATH, _mini_arrays(prediction))


def write_full(prediction: Prediction, folder: Path, options: NoOptions) -> Exported:
    """Write `exports/npz/results.npz`: everything needed to export again without a model."""
    return _write(folder / NPZ_PATH, _full_arrays(prediction))


MINI_NPZ = Exporter("mini_npz", NoOptions, write_mini, ("exports",), in_pieces=True)
NPZ = Exporter("npz", NoOptions, write_full, ("exports",), in_pieces=True)


def read_npz(path: str | Path) -> Prediction:
    """Read the prediction that `write_full` stored; files of the reference package, which have fewer keys, also load.

    Raises InputError naming the file where it is missing, not an npz, damaged, without images, or inconsistent.
    """
    path = Path(path)
    arrays = checked_arrays(path, needed=("depth", "image"))
    if "units" not in arrays:
        warn(f"{path} names no units: taken as relative")
    try:
        prediction = _prediction(arrays)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not a consistent result: {error}") from error
    parts = (prediction.depth[views] for views in row_pieces(prediction.depth))
    absurd = sum(int(((part > LARGEST_DEPTH) & np.isfinite(part)).sum()) for part in parts)
    if absurd:
        warn(f"{path}: {absurd} pixels are deeper than {LARGEST_DEPTH:g}: they count as without depth")
    return prediction


def checked_arrays(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, needed: tuple[str, ...] = ("depth",)
) -> Arrays:
    """The arrays of a run's result whose names are `wanted`, each of the type and shape that `LAYOUTS` says.

    Raises InputError naming the file and the array; where one is missing that is `needed`, too.
    """
    arrays = read_arrays(path, wanted)
    gaussian_names = tuple(GAUSSIAN_PREFIX + f.name for f in fields(Gaussians))
    if any(name in arrays for name in gaussian_names):
        needed = (*needed, *gaussian_names, "gaussian_source")
    if "sparse_points" in arrays:
        needed = (*needed, "sparse_views", "sparse_seen")
    for name in needed:
        if name not in arrays:
            hint = "; a mini_npz file holds no images, export again from the npz one" if name == "image" else ""
            raise InputError(f"{path}: has no array {name!r}{hint}")
    layers = [name for name in arrays if _FEATURE_NAME.fullmatch(name)]
    features = {name: Layout("real", f"N h{i} w{i} C{i}") for i, name in enumerate(layers)}
    try:
        check_layouts(arrays, {**LAYOUTS, **features})
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return arrays


def _write(path: Path, arrays: Arrays) -> Exported:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        if is_mapped(arrays["depth"]):
            write_npz(file, arrays)
        else:
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
    for name in (
        "sky",
        "mask",
        "filled",
        "kept",
        "original_sizes",
        "processed_to_original",
        "photo_boxes",
        "scale_factor",
        "ref_view",
    ):
        value = getattr(prediction, name)
        if value is not None:
            arrays[name] = np.asarray(value)
    if prediction.lenses is not None and prediction.lenses.intrinsics is not None:
        arrays["original_intrinsics"] = prediction.lenses.intrinsics
        arrays["intrinsics_origin"] = np.array(prediction.lenses.origin)
        if prediction.lenses.distortion is not None:
            arrays["distortion"] = prediction.lenses.distortion
    if prediction.originals is not None and any(prediction.originals.changes):
        arrays["photo_changes"] = np.array([json.dumps(change) for change in prediction.originals.changes])
    if prediction.extrinsics_origin is not None:
        arrays["extrinsics_origin"] = np.array(prediction.extrinsics_origin)
    if prediction.extrinsics_origins:
        arrays["extrinsics_origins"] = np.array(prediction.extrinsics_origins)
    if prediction.sparse is not None:
        arrays |= _sparse_arrays(prediction.sparse)
    if prediction.image_names:
        arrays["image_names"] = np.array(prediction.image_names)
    if prediction.made_by is not None:
        arrays["made_by"] = np.array([prediction.made_by.kind, prediction.made_by.name])
        if prediction.made_by.parts:
            arrays["made_by_parts"] = np.array([[part.kind, part.name] for part in prediction.made_by.parts])
    if prediction.made_by_pixel is not None:
        arrays["made_by_pixel"] = prediction.made_by_pixel
    arrays.update((f"{FEATURE_PREFIX}{layer}", value) for layer, value in prediction.features.items())
    if prediction.gaussians is not None:
        arrays.update((GAUSSIAN_PREFIX + f.name, getattr(prediction.gaussians, f.name)) for f in fields(Gaussians))
        arrays["gaussian_source"] = np.array(prediction.gaussian_source)
    return arrays


def _sparse_arrays(sparse: SparsePoints) -> Arrays:
    counts = [len(seen) for seen in sparse.observed]
    arrays: Arrays = {
        "sparse_points": sparse.points,
        "sparse_views": np.repeat(np.arange(len(counts)), counts),
        "sparse_seen": np.concatenate([np.zeros(0, np.intp), *sparse.observed]),
    }
    if sparse.pixels is not None:
        arrays["sparse_pixels"] = np.concatenate([np.zeros((0, 2)), *sparse.pixels])
    if sparse.errors is not None:
        arrays["sparse_errors"] = sparse.errors
    return arrays


def _sparse(arrays: Arrays) -> SparsePoints | None:
    if "sparse_points" not in arrays:
        return None
    of_view = [arrays["sparse_views"] == view for view in range(len(arrays["depth"]))]
    pixels = arrays.get("sparse_pixels")
    return SparsePoints(
        arrays["sparse_points"],
        tuple(arrays["sparse_seen"][chosen].astype(np.intp) for chosen in of_view),
        arrays.get("sparse_errors"),
        None if pixels is None else tuple(pixels[chosen] for chosen in of_view),
    )


def _made_by(arrays: Arrays) -> MadeBy | None:
    if "made_by" not in arrays:
        return None
    parts = (
        tuple(MadeBy(kind, name) for kind, name in arrays["made_by_parts"].tolist())
        if "made_by_parts" in arrays
        else ()
    )
    kind, name = arrays["made_by"].tolist()
    return MadeBy(kind, name, parts)


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
    if "gaussian_means" in arrays:
        gaussians = Gaussians(**{f.name: arrays[GAUSSIAN_PREFIX + f.name] for f in fields(Gaussians)})
        source = arrays["gaussian_source"].item()
    # These names become file names: anything but a number after the prefix is not ours.
    features = {int(match[1]): arrays[name] for name in arrays if (match := _FEATURE_NAME.fullmatch(name))}
    extrinsics = arrays.get("extrinsics", arrays.get("exts"))
    return Prediction(
        depth=arrays["depth"],
        processed_images=arrays["image"],
        conf=arrays.get("conf"),
        sky=arrays.get("sky"),
        mask=arrays.get("mask"),
        filled=arrays.get("filled"),
        kept=arrays.get("kept"),
        extrinsics_origins=tuple(arrays["extrinsics_origins"].tolist()) if "extrinsics_origins" in arrays else (),
        made_by=_made_by(arrays),
        made_by_pixel=arrays.get("made_by_pixel"),
        extrinsics=None if extrinsics is None else extrinsics[:, :3],
        intrinsics=arrays.get("intrinsics", arrays.get("ixts")),
        gaussians=gaussians,
        gaussian_source=source,
        units=arrays["units"].item() if "units" in arrays else "relative",
        scale_factor=float(arrays["scale_factor"]) if "scale_factor" in arrays else None,
        image_names=tuple(arrays["image_names"].tolist()) if "image_names" in arrays else (),
        original_sizes=arrays.get("original_sizes"),
        processed_to_original=arrays.get("processed_to_original"),
        photo_boxes=arrays.get("photo_boxes"),
        lenses=_lenses(arrays),
        sparse=_sparse(arrays),
        extrinsics_origin=arrays["extrinsics_origin"].item() if "extrinsics_origin" in arrays else None,
        ref_view=int(arrays["ref_view"]) if "ref_view" in arrays else None,
        features=features,
    )
