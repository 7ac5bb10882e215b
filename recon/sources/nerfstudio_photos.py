"""The photos of a nerfstudio scene, and what it has beside their cameras: masks, measured depth, points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.choices import MaskOptions
from recon.errors import InputError, why
from recon.geometry.sparse_points import SparsePoints
from recon.messages import warn
from recon.sources.calibrated import CalibratedSource
from recon.sources.images import ImageSource, list_images
from recon.sources.masked import MaskedSource
from recon.sources.masks import PhotoMasks
from recon.sources.names import normalise_name
from recon.sources.nerfstudio import NerfstudioScene
from recon.sources.point_visibility import visible_points
from recon.sources.source import Source

_DEPTH_UNIT = 1e-3
"""nerfstudio's depth files count in thousandths of the unit of the cameras (`depth_unit_scale_factor`)."""


def photos_of_scene(scene: NerfstudioScene, given: Path | None) -> Source:
    """The photos that the scene names, and others that lie in the folders of these; or those in the folder `given`;
    with the masks that the scene names.

    Raises InputError where there is none.
    """
    photos = _photos(scene, given)
    by_name = dict(zip(scene.cameras.names or (), scene.masks, strict=True))
    stated = [by_name.get(name) for name in photos.names]
    if not any(stated):
        return photos
    masks = [None if mask is None else scene.path.parent / mask for mask in stated]
    missing = [mask for mask in masks if mask is not None and not mask.is_file()]
    if missing:
        warn(f"'{scene.path}': {len(missing)} masks are missing, such as '{missing[0]}'; their photos are used whole")
    found = tuple(mask if mask is not None and mask.is_file() else None for mask in masks)
    return MaskedSource(photos, PhotoMasks(found), MaskOptions()) if any(found) else photos


def _photos(scene: NerfstudioScene, given: Path | None) -> Source:
    if given is not None:
        if not given.is_dir():
            raise InputError(f"images: '{given}' is no folder; give the folder that the photos of the scene are in")
        return ImageSource.of([given])
    folder = scene.path.parent
    named = {folder / f"{scene.root}{name}": name for name in scene.cameras.names or ()}
    found = {path: name for path, name in named.items() if path.is_file()}
    if not found:
        first = next(iter(named))
        raise InputError(
            f"'{scene.path}': none of its photos is there, such as '{first}'; give their folder with --images"
        )
    for place in dict.fromkeys(path.parent for path in found):
        for path in list_images(place, sub_folders=False):
            inside = path.relative_to(folder) if path.is_relative_to(folder) else path
            found.setdefault(path, normalise_name(inside.as_posix()).removeprefix(scene.root))
    return ImageSource.of_files(list(found), list(found.values()))


def points_of(scene: NerfstudioScene, source: CalibratedSource) -> SparsePoints | None:
    """Its points, in the frame of the cameras; which photo sees which is told by what lies before what."""
    if scene.points is None:
        return None
    import trimesh

    loaded: Any
    if not scene.points.is_file():
        warn(f"'{scene.path}': the file of its points, '{scene.points}', does not exist; the run goes on without")
        return None
    try:
        loaded = trimesh.load(scene.points, process=False)
        vertices = np.asarray(loaded.vertices, np.float64)
    except Exception as error:  # a parser of damaged files raises what it likes
        warn(f"'{scene.points}' cannot be read as points: {why(error)}; the run goes on without")
        return None
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if not len(vertices):
        return None
    return visible_points(vertices @ scene.to_original[:3, :3].T + scene.to_original[:3, 3], source.cameras)


def depths_of(scene: NerfstudioScene, source: CalibratedSource) -> Sequence[NDArray[np.float32]] | None:
    """Measured depth of the photos of `source`, read as it is wanted; None where the scene has none for one of them."""
    by_name = dict(zip(scene.cameras.names or (), scene.depths, strict=True))
    files = [by_name.get(name) for name in source.names]
    known = [scene.path.parent / file for file in files if file is not None]
    missing = [path for path in known if not path.is_file()]
    if known and any(entry.get("lens") is not None for entry in scene.cameras.entries):
        warn(f"'{scene.path}': its depth is of fisheye photos, and is not used with the pinhole ones made of them")
        return None
    if missing:
        warn(f"'{scene.path}': {len(missing)} files of depth are missing, such as '{missing[0]}'; it is not used")
    return None if missing or len(known) < len(files) or not known else DepthFiles(known)


class DepthFiles(Sequence[NDArray[np.float32]]):
    """Depth of photos from files: 16-bit pictures or `.npy`, in thousandths of a unit; NaN where there is none.

    Read anew each time. What is made of it is kept by its values (`recon.digests`), so this is no dataclass of paths.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return DepthFiles(self.paths[index])
        path = self.paths[index]
        try:
            if path.suffix.lower() == ".npy":
                values = np.load(path, allow_pickle=False)
            else:
                with Image.open(path) as picture:
                    values = np.asarray(picture)
        except Exception as error:  # decoders raise almost anything on a damaged file
            raise InputError(f"'{path}' cannot be read as depth: {why(error)}") from error
        if values.ndim != 2:
            raise InputError(f"'{path}' is no depth: it must have one channel, got shape {values.shape}")
        depth = values.astype(np.float32) * np.float32(_DEPTH_UNIT)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
