"""Keeping the outcome of structure from motion, found again by what went into it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.files import atomic_write
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.sfm.lenses import Lenses
from recon.sfm.mapping import SfmModel
from recon.sfm.photos import SfmPhoto

_FORMAT = 5
"""To be raised with every change that makes equal input yield another outcome."""

Outcome = tuple[SfmModel, list[list[int]]]
"""The model used, and the photos of each of the others."""


def cache_key(photos: Sequence[SfmPhoto], settings: str) -> str:
    """Hash of all that decides the outcome: pixels, sizes and EXIF focal lengths in order, settings, versions."""
    import pycolmap

    digest = hashlib.sha256(f"{_FORMAT} {pycolmap.__version__} {settings}".encode())
    for photo in photos:
        digest.update(f"{photo.gray.shape} {photo.camera_key} {photo.scale!r}".encode())
        digest.update(np.ascontiguousarray(photo.gray).data)
    return digest.hexdigest()[:32]


def load_outcome(folder: Path, key: str) -> Outcome | None:
    """What `save_outcome` kept under `key`; None, with a warning where a file is there but damaged."""
    path = _path(folder, key)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _from_arrays({name: arrays[name] for name in arrays.files})
    except Exception as error:  # zipfile, zlib and numpy each raise their own on a damaged file
        warn(f"'{path}' is damaged ({type(error).__name__}): the cameras are computed again")
        return None


def save_outcome(folder: Path, key: str, outcome: Outcome) -> None:
    """Keep an outcome, whole or not at all; where the folder cannot be written to, warn and go on without."""
    path = _path(folder, key)
    try:
        with atomic_write(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **_to_arrays(outcome))
    except InputError as error:
        warn(f"the cameras are not cached: {error}")


def _path(folder: Path, key: str) -> Path:
    return folder / f"sfm-{key}.npz"


def _to_arrays(outcome: Outcome) -> dict[str, Any]:
    model, others = outcome
    sparse, lenses = model.sparse, model.lenses
    return {
        "registered": model.registered,
        "extrinsics": model.extrinsics,
        "reprojection_errors": model.reprojection_errors,
        "doubtful": np.array(model.doubtful),
        "still_matches": np.array(model.still_matches),
        "intrinsics": lenses.intrinsics,
        "distortion": lenses.distortion,
        "sizes": lenses.sizes,
        "points": sparse.points,
        "point_errors": np.zeros(0) if sparse.errors is None else sparse.errors,
        "observed": np.concatenate(sparse.observed),
        "observed_counts": np.array([len(indices) for indices in sparse.observed]),
        "others": np.array([index for photos in others for index in photos], np.intp),
        "other_counts": np.array([len(photos) for photos in others], np.intp),
    }


def _from_arrays(arrays: dict[str, Any]) -> Outcome:
    points, point_errors = arrays["points"], arrays["point_errors"]
    model = SfmModel(
        registered=arrays["registered"],
        extrinsics=arrays["extrinsics"],
        lenses=Lenses(arrays["intrinsics"], arrays["distortion"], arrays["sizes"]),
        sparse=SparsePoints(
            points,
            tuple(np.split(arrays["observed"], np.cumsum(arrays["observed_counts"])[:-1])),
            point_errors if len(point_errors) == len(points) else None,
        ),
        reprojection_errors=arrays["reprojection_errors"],
        doubtful=bool(arrays["doubtful"]),
        still_matches=float(arrays["still_matches"]),
    )
    others = np.split(arrays["others"], np.cumsum(arrays["other_counts"]))[:-1]
    return model, [photos.tolist() for photos in others]
