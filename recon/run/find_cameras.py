"""Cameras of photos from the photos themselves, and the photos as a pinhole camera would have taken them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.cameras import Cameras
from recon.errors import InputError
from recon.messages import warn
from recon.sources.images import Photo, PhotoSource, load_each

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sfm.structure_from_motion import SfmResult
    from recon.sources.colmap import SparsePoints

CACHE_FOLDER = "cache"
"""Under the folder of a run: what structure from motion found, by the content of the photos."""


@dataclass(frozen=True)
class FoundCameras:
    """The outcome of structure from motion, by the names of the photos."""

    result: SfmResult

    def undistorted(self, photo: Photo) -> Photo:
        """`photo` as its pinhole camera sees it. Raises InputError for one whose camera was not found."""
        view = self._view(photo.name)
        try:
            pixels = self.result.undistort(view, photo.pixels)
        except InputError as error:
            raise InputError(f"'{photo.name}': {error}") from None
        return Photo(photo.name, pixels, photo.exif_focal_35mm)

    def cameras(self, names: Sequence[str]) -> Cameras:
        """World-to-camera extrinsics and pinhole intrinsics, in pixels of the originals, of the named photos."""
        views = [self._view(name) for name in names]
        found = self.result.cameras
        assert found.world_to_camera is not None
        assert found.intrinsics is not None
        return Cameras(found.world_to_camera[views], found.intrinsics[views])

    def sparse_points(self, names: Sequence[str]) -> SparsePoints:
        """The triangulated points, with the observations of the named photos."""
        return self.result.sparse.select_views([self._view(name) for name in names])

    def describe(self) -> dict[str, object]:
        """For `run.json`."""
        result = self.result
        return {
            "registered": list(result.registered_names),
            "unregistered": list(result.unregistered_names),
            "other_models": [list(names) for names in result.other_models],
            "points": len(result.sparse.points),
            "mean_reprojection_error": float(np.nanmean(result.reprojection_errors)),
            "doubtful": result.doubtful,
            "assumed_lens": result.assumed_lens,
            "from_cache": result.from_cache,
        }

    def _view(self, name: str) -> int:
        try:
            return self.result.registered_names.index(name)
        except ValueError:
            raise InputError(f"'{name}': its camera could not be found, it shares too little with the others") from None


def find_cameras(
    image: PhotoSource, *, strict: bool, seed: int, export_dir: Path | None, progress: TellPart | None = None
) -> FoundCameras:
    """Structure from motion of all usable photos.

    Args:
        image: what `load_each` takes.
        strict: stop at a photo that cannot be read, or whose camera is not found.
        seed: of everything random.
        export_dir: folder of the run, which keeps the outcome for the next run; None keeps nothing.
        progress: told how far each of its stages is.

    Raises:
        InputError: as `structure_from_motion`, or a photo that `strict` does not let pass.
    """
    from recon.sfm.structure_from_motion import SfmOptions, prepare_photo, structure_from_motion

    photos = load_each(image, prepare_photo, strict).photos
    cache_folder = None if export_dir is None else export_dir / CACHE_FOLDER
    result = structure_from_motion(photos, SfmOptions(seed=seed), cache_folder, progress)
    if strict and result.unregistered_names:
        names = ", ".join(result.unregistered_names)
        raise InputError(f"the cameras of some photos could not be found: {names}; without strict they are left out")
    for line in result.shortfalls():  # the photos left out are named as they are read again
        warn(line)
    return FoundCameras(result)
