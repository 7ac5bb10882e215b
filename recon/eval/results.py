"""What a run left behind, read for its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.gs_ply import GS_PLY, GS_PLY_PATH
from recon.export.npz import MINI_NPZ, MINI_NPZ_PATH, NPZ, NPZ_PATH, checked_arrays, read_npz
from recon.run.load import load_kept
from recon.run.record import DONE, FILE_NAME, listed_files, read_record, record_of_files, run_folder, state_of
from recon.types import FEATURE_PREFIX, FloatArray, Gaussians, Prediction, usable_pixels

_FILES = {NPZ.name: NPZ_PATH, MINI_NPZ.name: MINI_NPZ_PATH}
"""By format, the one that holds more first."""


@dataclass(frozen=True)
class Result:
    """N views as a run stored them, at the processed size H × W."""

    path: Path
    """The file."""
    depth: FloatArray
    """(N, H, W) in `units`."""
    valid: NDArray[np.bool_]
    """(N, H, W) True where there is depth, filled-in depth among it, and no sky."""
    units: str
    """relative, aligned or metric."""
    cameras_from: str | None = None
    """Where the extrinsics come from by `run.json`: given, predicted or sfm; None where it does not say."""
    image_names: tuple[str, ...] = ()
    """N names; empty where the file and its `run.json` have none."""
    conf: FloatArray | None = None
    """(N, H, W), higher is better."""
    sky: NDArray[np.bool_] | None = None
    """(N, H, W) True where the depth is a placeholder."""
    extrinsics: FloatArray | None = None
    """(N, 3, 4) world-to-camera."""
    intrinsics: FloatArray | None = None
    """(N, 3, 3) in pixels of the processed images."""
    lens_intrinsics: FloatArray | None = None
    """(N, 3, 3) of the photos as their lenses made them, in pixels of the originals, by `run.json`; NaN where a photo
    was made a pinhole photo when it was opened."""
    original_sizes: NDArray[np.int64] | None = None
    """(N, 2) width and height of the originals."""
    processed_to_original: FloatArray | None = None
    """(N, 3, 3) affine maps of pixels."""
    photo_boxes: NDArray[np.int64] | None = None
    """(N, 4) left, top, width and height of the photo within each processed image; None: it fills it."""
    gaussians: Gaussians | None = None
    """Splats of the scene, in the frame of the extrinsics."""
    dropped: tuple[str, ...] = ()
    """Images that the run was given and left out, unregistered ones among them."""


def read_result(path: str | Path) -> Result:
    """A run's result, from its folder or from its `results.npz`; files of the reference package load as well.

    A folder without such a file gives what its run keeps to go on from.

    Raises:
        InputError: nothing there, a damaged file, or arrays that do not fit together.
    """
    given = Path(path).expanduser()
    file = _file_of_run(given) if given.is_dir() else given
    arrays = None
    if file is None and given.is_dir() and (kept := load_kept(given)) is not None:
        file, arrays = given / FILE_NAME, _arrays_of(kept)
    if file is None or not file.is_file():
        if not given.is_dir():
            raise InputError(f"no such result: {given}; run with --export mini_npz")
        where = f"'{given}' holds no exports/npz/results.npz and no exports/mini_npz/results.npz"
        record = read_record(given)
        if record is not None and state_of(record) != DONE:
            raise InputError(f"{where} of its last run, which is not complete ({state_of(record)}): run it again")
        raise InputError(f"{where}; run with --export mini_npz")
    arrays = _load(file) if arrays is None else arrays
    folder = run_folder(file)
    record = record_of_files(folder) or {}
    if record and state_of(record) != DONE and file.name != FILE_NAME and not _lists(record, folder, file):
        record = {}  # of another result
    images = [image for image in record.get("images", []) if isinstance(image, dict)]
    try:
        return _result(file, arrays, images, record, folder)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{file}: not a consistent result: {error}") from error


def _arrays_of(kept: Prediction) -> dict[str, NDArray[Any]]:
    """As `results.npz` has them."""
    maps = ("depth", "conf", "sky", "mask")
    names = (*maps, "extrinsics", "intrinsics", "original_sizes", "processed_to_original", "photo_boxes")
    arrays = {name: value for name in names if (value := getattr(kept, name)) is not None}
    named = {"image_names": np.array(kept.image_names)} if kept.image_names else {}
    return {**arrays, **named, "units": np.array(kept.units)}


def _file_of_run(folder: Path) -> Path | None:
    """The fullest `results.npz` of the last run into `folder`."""
    record = record_of_files(folder)
    written = (folder / name for format_name, name in _FILES.items() if _is_of_run(format_name, record))
    return next((file for file in written if file.is_file()), None)


def _is_of_run(format_name: str, record: Mapping[str, Any] | None) -> bool:
    """Whether files of that format belong to the run of the record, rather than to an earlier one; True without one."""
    return record is None or format_name in record["exports"]


def _lists(record: Mapping[str, Any], folder: Path, file: Path) -> bool:
    return any((folder / one["path"]).resolve() == file.resolve() for one in listed_files(record, of_earlier=False))


def _load(file: Path) -> dict[str, NDArray[Any]]:
    return checked_arrays(file, lambda name: name != "image" and not name.startswith(FEATURE_PREFIX))  # of no use here


def _result(
    file: Path, arrays: dict[str, NDArray[Any]], images: list[dict[str, Any]], record: dict[str, Any], folder: Path
) -> Result:
    views = len(arrays["depth"])
    recorded = len(images) == views
    names = tuple(str(name) for name in arrays["image_names"]) if "image_names" in arrays else ()
    if not names and recorded and all(image.get("name") for image in images):
        names = tuple(image["name"] for image in images)
    sizes, affines = arrays.get("original_sizes"), arrays.get("processed_to_original")
    if sizes is None and recorded and all(image.get("original_size") for image in images):
        sizes = np.array([image["original_size"] for image in images], np.int64)
    if affines is None and recorded and all(image.get("processed_to_original") for image in images):
        affines = np.array([image["processed_to_original"] for image in images], np.float64)
    boxes = arrays.get("photo_boxes")
    if boxes is None and recorded and all(image.get("photo_box") for image in images):
        boxes = np.array([image["photo_box"] for image in images], np.int64)
    extrinsics = arrays.get("extrinsics", arrays.get("exts"))
    result = Result(
        path=file,
        depth=arrays["depth"],
        valid=usable_pixels(arrays["depth"], arrays.get("conf"), arrays.get("sky"), arrays.get("mask")),
        units=str(arrays["units"]) if "units" in arrays else "relative",
        cameras_from=cameras.get("extrinsics") if isinstance(cameras := record.get("cameras"), dict) else None,
        image_names=names,
        conf=arrays.get("conf"),
        sky=arrays.get("sky"),
        extrinsics=None if extrinsics is None else extrinsics[:, :3],
        intrinsics=arrays.get("intrinsics", arrays.get("ixts")),
        lens_intrinsics=_lens_intrinsics(images) if recorded else None,
        original_sizes=sizes,
        processed_to_original=affines,
        photo_boxes=boxes,
        gaussians=_gaussians(file, arrays, record, folder),
        dropped=tuple(str(image["name"]) for image in record.get("dropped_images", [])),
    )
    height, width = result.depth.shape[1:]
    shapes = {
        "conf": (views, height, width),
        "sky": (views, height, width),
        "extrinsics": (views, 3, 4),
        "intrinsics": (views, 3, 3),
        "lens_intrinsics": (views, 3, 3),
        "original_sizes": (views, 2),
        "processed_to_original": (views, 3, 3),
        "photo_boxes": (views, 4),
    }
    for name, shape in shapes.items():
        value = getattr(result, name)
        if value is not None and value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
    if names and len(names) != views:
        raise ValueError(f"image_names must have {views} names, got {len(names)}")
    return result


def _lens_intrinsics(images: list[dict[str, Any]]) -> FloatArray | None:
    cameras = [image.get("camera") or {} for image in images]
    if not all("intrinsics" in camera for camera in cameras):
        return None
    unknown = np.full((3, 3), np.nan)
    return np.array([unknown if "photo_change" in camera else camera["intrinsics"] for camera in cameras], np.float64)


def _gaussians(file: Path, arrays: dict[str, NDArray[Any]], record: dict[str, Any], folder: Path) -> Gaussians | None:
    if "gaussian_means" in arrays:
        return read_npz(file).gaussians
    if _is_of_run(GS_PLY.name, record or None) and (folder / GS_PLY_PATH).is_file():
        from recon.splats.ply import read_ply

        return read_ply(folder / GS_PLY_PATH)
    return None
