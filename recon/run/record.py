"""`run.json`: how the files beside it came to be.

The file is written as a run begins and replaced as a whole, after each stage, until the run ends.

| key | contents |
| --- | --- |
| state | `running`, `done`, `failed` or `interrupted`; a run that was killed stays `running`. Before `done`, the keys |
| | below are there as far as they are known |
| error | of a run that failed or was interrupted: why |
| versions | of recon, torch, numpy and Python |
| model | preset, engine, weights (source, seed, file, sha256, repo, revision, licence), precision, device; of |
| | multi-view stereo instead: name and options |
| settings | everything that was chosen, defaults included |
| units, scale_factor | as in `Prediction` |
| ref_view | index of the reference view among `images`; null where none was chosen |
| gaussians | source (`head`, `depth` or `optimised`) and count; null where there are none |
| optimised | of splats made to look like the photos: start (what they were made of), iterations, seconds, ended_by, |
| | held_out (indices), before, after, held_out_before, held_out_after (psnr, psnr_fitted, ssim), gains, offsets and |
| | cameras found with them; null where they were not |
| not_optimised | why splats were left as they were made; null where they were not, or there are none |
| cameras | for extrinsics and intrinsics: `given`, `predicted`, `sfm`, or null where there are none; and with `sfm` |
| | under that name what structure from motion found, among it certainty: for each camera its standard |
| | deviations, degrees of its turn and distance of its centre in the unit of the cameras, and the points that |
| | hold it; changes: of cameras that were given and refined, how far each was turned and moved; and |
| | lenses: for each, the names of its images, its |
| | COLMAP model, its principal_point (`estimated`, `middle` of the photo, or `given`), lens (`estimated`, |
| | `focal length by EXIF` where the photos do not tell it, `held` as it is known, or `refined` from that), and |
| | what was tried: |
| | freedom, gain (share of the robust cost of photos left out that goes with it), certainty (the gain in |
| | standard errors), uncertainty (in pixels), taken, why; and georeference (null without |
| | GPS): frame (`east-north-up`: x east, y north, z up of origin, in metres; `metres`, turned freely; or `free`), |
| | origin (latitude, longitude, altitude), left_out (names of photos whose position does not go with the others), |
| | residuals (for each photo with a position: name, metres from there to its camera, used), scale (metres to a |
| | unit of before) and what is uncertain (standard deviations): scale_uncertainty (relative), north_uncertainty |
| | and tilt_uncertainty (degrees); extent of the positions and accuracy that EXIF says of them (metres) |
| known_distance | where one is given: points, metres, and scale (metres to a unit of before) |
| quality | the fields of `recon.run.quality.Quality`: made_by (kind and name of what made the depth, and |
| | of its parts); shares of the pixels: made_by_shares (of each part), valid, filled, sky and masked; how well |
| | the depth of the views agrees: depth_difference, depth_agreeing, depth_confirmed; of structure from motion: |
| | reprojection_error, the medians camera_degrees and camera_distance (standard deviations of turn and centre), |
| | weak_cameras; views_apart |
| windows | of a long input that went through in windows: size, overlap and count; parts (from and to: names of the |
| | first and last view) that could be joined, more than one where windows do not say how they lie to each other; |
| | joints: for each two windows that were compared their numbers, the views they share (from, to, views), points, |
| | residual (median distance between the two places of a point, relative to its depth), scale (of the second |
| | window's unit in the first's) and rotation_from (`points`, `cameras`, or `given`); and the median residual |
| cleaning | points: pixels with depth; removed: of those, how many each filter left out, by its name (edges, |
| | agreement, outliers, crop) for those that were applied; tolerance: relative difference of depth up to |
| | which views agreed |
| images | for each view: name, path (of the photo's file; null where it has none of its own), original_size and |
| | processed_size (width, height), processed_to_original (3 × 3), photo_box (left, top, width and height of a |
| | photo that is smaller than its view; else null), the shares `valid` and `masked`, and camera: world_to_camera |
| | (4 × 4), its origin, intrinsics and distortion of the original as it was taken; and photo_change, of a photo |
| | that was made a pinhole photo or turned when it was opened: its lens (COLMAP's model, params and size) and |
| | the EXIF orientation undone; the camera is of the photo so changed. This file can be given as known cameras |
| dropped_images | for each image left out: name and reason |
| warnings | every warning of the run, in order |
| seconds | how long each stage took, of those done |
| reused | names of the stages whose outcome was kept from before and taken over |
| result | hash of depth and cameras: exports of one result belong together |
| exports | for each format: its files (path, bytes), details (scale of 16-bit depth images, point counts), seconds |
| | and, where `recon export` made it later: source (the npz), options, warnings |
| earlier | before the first file of a run is written: the record of the complete run whose files lie there |
| earlier_files | until a run is done: files (path, bytes) of earlier runs that still lie there, which it replaces or |
| | removes as it ends |

Paths are relative to the file's folder where they lie in it. There is no NaN: a number that is not finite is null.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from recon.errors import InputError, why
from recon.export import EXPORTERS, Exported, TypedOptions
from recon.files import atomic_write, read_json
from recon.messages import warn
from recon.options import settings_entry
from recon.types import Prediction
from recon.types.mapped import row_pieces
from recon.version import __version__

FILE_NAME = "run.json"
DONE = "done"
"""The state of a run that is complete."""
EVALUATION_NAME = "eval.json"
"""Of the file that an evaluation puts beside it."""
JOURNAL_NAME = ".written.jsonl"
"""While a run writes files, it notes each in this file: a line of JSON with the keys of `FileEntry`."""
CACHE_NAME = "cache"
"""Of the folder beside it with the outcomes of stages."""


def names_in_folder() -> set[str]:
    """Files and folders that runs, of any format, and their evaluations put directly into their folder."""
    outputs = (name for exporter in EXPORTERS.values() for name in exporter.outputs)
    return {FILE_NAME, EVALUATION_NAME, CACHE_NAME, *outputs}


class FileEntry(TypedDict):
    """A file as `run.json` lists it."""

    path: str
    """Relative to the folder of the run where it lies in it."""
    bytes: int


def versions() -> dict[str, str]:
    """Versions that decide what a run yields. Torch is None where it is not installed, as for re-exports."""
    from importlib import metadata

    try:
        torch_version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch_version = None
    found = {"recon": __version__, "torch": torch_version, "numpy": np.__version__, "python": platform.python_version()}
    return {name: version for name, version in found.items() if version is not None}


def image_entries(prediction: Prediction) -> list[dict[str, Any]]:
    """What `run.json` says about each view."""
    count, height, width = prediction.depth.shape
    sizes, affines = prediction.original_sizes, prediction.processed_to_original
    none: tuple[Path | None, ...] = (None,) * count
    paths = none if prediction.originals is None else prediction.originals.paths
    changes = (None,) * count if prediction.originals is None else prediction.originals.changes
    cameras = prediction.original_cameras
    parts = {name: getattr(cameras, name) for name in ("world_to_camera", "intrinsics", "distortion")}
    origin = (prediction.extrinsics_origin,) * count
    areas = [(i, *prediction.photo_area(i)) for i in range(count)]
    valid = prediction.valid
    shares = [float(valid[areas[i]].mean()) for views in row_pieces(valid) for i in range(views.start, views.stop)]
    return [
        {
            "name": prediction.image_names[i] if prediction.image_names else None,
            "path": None if (path := paths[i]) is None else path.absolute(),
            "original_size": None if sizes is None else sizes[i],
            "processed_size": [width, height],
            "photo_box": None if prediction.photo_boxes is None else prediction.photo_boxes[i],
            "processed_to_original": None if affines is None else affines[i],
            "valid": shares[i],
            "masked": None if prediction.mask is None else float(1 - prediction.mask[areas[i]].mean()),
            "camera": {
                **{name: part[i] for name, part in parts.items() if part is not None},
                **({} if cameras.world_to_camera is None else {"origin": (cameras.origins or origin)[i]}),
                **({} if changes[i] is None else {"photo_change": changes[i]}),
            },
        }
        for i in range(count)
    ]


def export_entries(exported: Mapping[str, Exported], folder: Path) -> dict[str, Any]:
    """What `run.json` says about each format written under `folder`."""
    return {
        name: {
            "files": [{"path": _relative(path, folder), "bytes": path.stat().st_size} for path in result.files],
            "details": result.details,
            "seconds": result.seconds,
        }
        for name, result in exported.items()
    }


def run_folder(result: Path) -> Path:
    """The folder of the run that wrote the `results.npz` at `result`, else the folder it lies in."""
    folder = result.expanduser().absolute().parent
    return folder.parent.parent if folder.parent.name == "exports" else folder


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write `run.json` into `folder`, whole or not at all, and return its path."""
    path = folder / FILE_NAME
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for text in _ENCODER.iterencode(as_json(record)):  # of thousands of images, the whole text is large
            file.write(text)
        file.write("\n")
    return path


def discard_record(folder: Path) -> None:
    """Remove the `run.json` in `folder`; InputError where that cannot be done."""
    try:
        (folder / FILE_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot replace {folder / FILE_NAME}: {error.strerror or error}") from error


def state_of(record: Mapping[str, Any]) -> str:
    """What the record says of its run; records of before there were states are of complete runs."""
    return str(record.get("state", DONE))


def record_of_files(folder: Path) -> dict[str, Any] | None:
    """The record that the files in `folder` go by; None where there is none.

    Of a run that is not complete, with a warning: the complete one before it, as long as that one's files are all
    there; else what the run itself has written so far. Raises InputError as `read_record`.
    """
    record = read_record(folder)
    if record is None or state_of(record) == DONE:
        return record
    said = f"the last run into {folder} is not complete ({state_of(record)})"
    if isinstance(record.get("earlier"), dict):
        warn(f"{said}: the files there are those of the run before")
        return dict(record["earlier"])
    warn(f"{said}: of its files only those that run.json lists are its own; the same command again completes it")
    return record


def listed_files(record: Mapping[str, Any] | None, of_earlier: bool = True) -> Iterator[FileEntry]:
    """Every file that a record lists as written by its run; and `of_earlier` ones, whose files still lie there.

    Raises KeyError, TypeError or AttributeError where it is not the record of a run.
    """
    if record is None:
        return
    owners = [record, *record.get("photos", [])]
    lists = [entry.get("files", []) for owner in owners for entry in owner.get("exports", {}).values()]
    seen: set[tuple[str, int]] = set()
    for file in [
        *(file for files in lists for file in files),
        *(record.get("earlier_files", []) if of_earlier else []),
    ]:
        if (file["path"], file["bytes"]) not in seen:
            seen.add((file["path"], file["bytes"]))
            yield file


def read_record(folder: Path) -> dict[str, Any] | None:
    """The `run.json` of `folder`; None where there is none, InputError where it is not a run's record."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the record of a run ({why(error)}); move it away") from error
    if not isinstance(found, dict) or not isinstance(found.get("exports"), dict):
        raise InputError(f"{path}: not the record of a run; move it away or choose another folder")
    return found


def add_exports(
    folder: Path,
    record: Mapping[str, Any] | None,
    source: Path,
    exported: Mapping[str, Exported],
    options: TypedOptions,
    warnings: Sequence[str],
) -> Path:
    """Note further exports beside those of `record`, or start a record: what they were made of, and how."""
    entries = export_entries(exported, folder)
    for name, entry in entries.items():
        entry |= {
            "source": _relative(source, folder),
            "options": settings_entry(options[name]) if name in options else {},
            "warnings": list(warnings),
        }
    known = {"versions": versions(), "exports": {}} if record is None else record
    return write_record(folder, {**known, "exports": {**known["exports"], **entries}})


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def to_json(content: Mapping[str, Any]) -> str:
    """`content` as JSON text: arrays become lists, paths text, numbers that are not finite null."""
    return _ENCODER.encode(as_json(content)) + "\n"


_ENCODER = json.JSONEncoder(indent=2, allow_nan=False)


def as_json(value: Any) -> Any:
    """`value` as JSON types: arrays to lists, paths to text, numbers that are not finite to None."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int)) or value is None:
        return value
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in a run's record")
