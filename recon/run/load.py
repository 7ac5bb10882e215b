"""`recon.load`: what a run left in its folder, as a prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.digests import digest
from recon.errors import InputError
from recon.export.gs_ply import GS_PLY, GS_PLY_PATH
from recon.export.npz import MINI_NPZ_PATH, NPZ_PATH, checked_arrays, read_npz
from recon.files import check_readable
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.options import build, options_of
from recon.run.found_depth import FoundDepth
from recon.run.joined_windows import JoinedWindows, WindowJoint, WindowLoop
from recon.run.record import CACHE_NAME, FILE_NAME, record_of_files, run_folder
from recon.run.scene_points import with_sparse_points
from recon.run.store import read_outcome
from recon.sources.source import Source
from recon.sources.stored_photos import StoredPhotos
from recon.sources.undistortion import undistort
from recon.types import Gaussians, GaussianSource, MadeBy, Prediction
from recon.types.cameras import Cameras
from recon.types.mapped import any_in

STORED_CLASSES = (
    FoundDepth,
    Prediction,
    Gaussians,
    MadeBy,
    Cameras,
    SparsePoints,
    JoinedWindows,
    WindowJoint,
    WindowLoop,
)
"""What the store's depth consists of."""


def load(path: str | os.PathLike[str], *, needs_images: bool = False) -> Prediction:
    """The result of a run, from the fullest that it left: `npz`, what it keeps to go on from, or `mini_npz`.

    Args:
        path: folder of the run, its `run.json`, or one of its `results.npz`.
        needs_images: refuse a result whose images cannot be had.

    Returns:
        The prediction, with the facts of `run.json` as its `run`, and its photos at hand where they still are. From
        `mini_npz`, images are made of the photos again, and are black where those are gone, with a warning.

    Raises:
        InputError: nothing there that a run has left, or something damaged.
    """
    given = Path(path).expanduser()
    if given.name == FILE_NAME:
        given = given.parent
    if given.is_dir():
        folder, record = given, record_of_files(given)
        prediction = _from_folder(given, record)
    else:
        check_readable(given)
        folder = run_folder(given)
        record = record_of_files(folder)
        prediction = _from_file(given, record)
    if record is not None:
        prediction = _with_facts(prediction, record, folder)
    if any_in(prediction.processed_images):
        return prediction
    images, missing = _images_again(prediction)
    if missing:
        said = f"{path}: holds no images, and {len(missing)} of the {len(images)} photos cannot be read ({missing[0]})"
        if needs_images:
            raise InputError(f"{said}: run again with --export npz among the formats")
        warn(f"{said}: their images are black")
    return replace(prediction, processed_images=images)


def _from_folder(folder: Path, record: Mapping[str, Any] | None) -> Prediction:
    for file in (folder / NPZ_PATH, folder / NPZ_PATH.name):
        if _is_of_run("npz", file, record):
            return read_npz(file)
    kept = _kept(folder, record)
    if kept is not None:
        return kept
    mini = folder / MINI_NPZ_PATH
    if _is_of_run("mini_npz", mini, record):
        return _from_mini(mini, record)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    raise InputError(
        f"{folder}: a folder without {NPZ_PATH.as_posix()} or {MINI_NPZ_PATH.as_posix()}, nor what a run keeps; "
        "run again with --export npz among the formats, or give an npz file"
    )


def _is_of_run(name: str, file: Path, record: Mapping[str, Any] | None) -> bool:
    """Whether `file` is there, and the run of the record, if there is one, wrote that format."""
    return file.is_file() and (record is None or name in record["exports"])


def _from_file(file: Path, record: Mapping[str, Any] | None) -> Prediction:
    if "image" in checked_arrays(file, lambda name: name in ("depth", "image")):
        return read_npz(file)
    return _from_mini(file, record)


def load_kept(folder: Path) -> Prediction | None:
    """What the last run into `folder` keeps to go on from, without photos or splats; None where it keeps nothing."""
    return _kept(folder, record_of_files(folder))


def _kept(folder: Path, record: Mapping[str, Any] | None) -> Prediction | None:
    """The depth that the run of the record keeps to go on from; None where there is none, or one of another result."""
    if record is None or "result" not in record:
        return None
    for file in sorted((folder / CACHE_NAME).glob("align-*.npz")):
        outcome = read_outcome(file, STORED_CLASSES)
        if outcome is not None and digest(outcome[0].prediction) == record["result"]:
            return _with_found_points(outcome[0].prediction, folder)
    return None


def _with_found_points(prediction: Prediction, folder: Path) -> Prediction:
    """With the points of structure from motion, where the run has kept those of its cameras."""
    from recon.run.find_cameras import kept_classes

    for file in (folder / CACHE_NAME).glob("cameras-*.npz"):
        outcome = read_outcome(file, kept_classes())
        if outcome is not None and prediction.sparse is None:
            result = outcome[0].result
            prediction = with_sparse_points(prediction, result.registered_names, result.original_cameras, result.sparse)
    return prediction


def _from_mini(file: Path, record: Mapping[str, Any] | None) -> Prediction:
    """Depth, confidence and cameras of the file; the rest as far as `run.json` tells it."""
    arrays = checked_arrays(file)
    depth = arrays["depth"]
    images = _images(record, len(depth))
    facts = {} if record is None else record
    made_by = (facts.get("quality") or {}).get("made_by")
    extrinsics = arrays.get("extrinsics", arrays.get("exts"))
    cameras = facts.get("cameras") or {}
    try:
        return Prediction(
            depth=depth,
            processed_images=np.zeros((*depth.shape, 3), np.uint8),
            conf=arrays.get("conf"),
            extrinsics=None if extrinsics is None else extrinsics[:, :3],
            intrinsics=arrays.get("intrinsics", arrays.get("ixts")),
            units=arrays["units"].item() if "units" in arrays else "relative",
            scale_factor=facts.get("scale_factor"),
            made_by=_made_by(made_by),
            image_names=tuple(str(image["name"]) for image in images) if _all(images, "name") else (),
            original_sizes=_array(images, "original_size", np.int64),
            processed_to_original=_array(images, "processed_to_original", np.float64),
            photo_boxes=_array(images, "photo_box", np.int64),
            lenses=_lenses(images, cameras.get("intrinsics")),
            extrinsics_origin=None if extrinsics is None else cameras.get("extrinsics"),
            ref_view=facts.get("ref_view"),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{file}: not a consistent result: {error}") from error


def _made_by(facts: Any) -> MadeBy | None:
    if not isinstance(facts, dict):
        return None
    return MadeBy(
        facts["kind"], facts["name"], tuple(MadeBy(one["kind"], one["name"]) for one in facts.get("parts", ()))
    )


def _images(record: Mapping[str, Any] | None, count: int) -> list[Mapping[str, Any]]:
    """What the record says of each view; empty where it says nothing, or of others."""
    images = [] if record is None else record.get("images", [])
    return images if len(images) == count else []


def _all(images: list[Mapping[str, Any]], name: str) -> bool:
    return bool(images) and all(image.get(name) is not None for image in images)


def _array(images: list[Mapping[str, Any]], name: str, dtype: Any) -> NDArray[Any] | None:
    return np.array([image[name] for image in images], dtype) if _all(images, name) else None


def _lenses(images: list[Mapping[str, Any]], origin: Any) -> Cameras | None:
    """Of the originals, as they were taken."""
    cameras = [image.get("camera") or {} for image in images]
    intrinsics, sizes = _array(cameras, "intrinsics", np.float64), _array(images, "original_size", np.int64)
    if intrinsics is None or origin is None:
        return None
    return Cameras(None, intrinsics, sizes, _array(cameras, "distortion", np.float64), origin=origin)


def _with_facts(prediction: Prediction, record: Mapping[str, Any], folder: Path) -> Prediction:
    """With the record, the photos, and splats where there are some beside it."""
    prediction = replace(prediction, run=record)
    images = _images(record, len(prediction.depth))
    if images and prediction.image_names:
        paths = tuple(Path(image["path"]) if image.get("path") else None for image in images)
        changes = tuple((image.get("camera") or {}).get("photo_change") for image in images)
        prediction = replace(
            prediction, originals=StoredPhotos(prediction.image_names, paths, _reopen(record), changes)
        )
    splats, file = record.get("gaussians"), folder / GS_PLY_PATH
    if prediction.gaussians is None and isinstance(splats, dict) and _is_of_run(GS_PLY.name, file, record):
        from recon.splats.ply import read_ply

        # Those of a head are fewer than one per pixel in a file.
        source: GaussianSource = "optimised" if splats["source"] == "optimised" else "depth"
        prediction = replace(prediction, gaussians=read_ply(file), gaussian_source=source)
    return prediction


def _reopen(record: Mapping[str, Any]) -> Any:
    """What opens the photos again that the run of the record was given; None where it does not say."""
    settings = record.get("settings") or {}
    inputs = settings.get("inputs")
    if not inputs:
        return None

    def open_again() -> Source:
        from recon.sources.cameras_file import CameraReading, read_cameras_file
        from recon.sources.open_source import open_source
        from recon.sources.put_cameras import put_cameras

        values = {name: settings[name] for name in options_of(SourceOptions) if name in settings}
        options = build(SourceOptions, values, of=FILE_NAME)
        source = open_source([Path(one) for one in inputs], options)
        cameras = settings.get("cameras")
        if not isinstance(cameras, str) or not Path(cameras).exists():
            return source
        # Cameras of lenses that no polynomial describes come with photos undistorted by them.
        file = read_cameras_file(Path(cameras), CameraReading(settings.get("convention")))
        return put_cameras(source, file, strict=False).source

    return open_again


def _images_again(prediction: Prediction) -> tuple[NDArray[np.uint8], list[str]]:
    """(N, H, W, 3) the photos at the processed size, black where they cannot be read; and why each of those cannot."""
    images = prediction.processed_images.copy()
    affines, cameras = prediction.processed_to_original, prediction.original_cameras
    height, width = prediction.depth.shape[1:]
    missing = []
    for view in range(len(images)):
        try:
            if prediction.originals is None or affines is None:
                raise InputError("where they were is not known")
            pixels, _ = prediction.originals.read(view)
            if cameras.intrinsics is not None and cameras.sizes is not None:
                pixels = undistort(pixels, cameras[[view]])
        except InputError as error:
            missing.append(str(error))
            continue
        scale = affines[view][[0, 1], [0, 1]]
        size = np.rint(pixels.shape[1::-1] / scale).astype(int)
        left, top = np.rint(affines[view][:2, 2] / scale).astype(int).tolist()
        small = cv2.resize(pixels, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
        cut = small[max(top, 0) : top + height, max(left, 0) : left + width]
        target = images[view, max(-top, 0) :, max(-left, 0) :]  # beyond a photo that was padded it is black
        target[: cut.shape[0], : cut.shape[1]] = cut
    return images, missing
