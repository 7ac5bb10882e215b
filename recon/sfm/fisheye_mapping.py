"""Models of photos whose lens may be a fisheye, mapped as such from the start.

From about 90° on, no polynomial of the tangent says what a fisheye does: models bend, or photos seem to be zoomed and
cropped each in its own way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recon.sfm.lens_choice import LensTrial, fisheye_verdict
from recon.sfm.lens_models import FISHEYE, may_be_fisheye, to_plain
from recon.sfm.merit import explains_more, makes_sense, mean_error, merit_of
from recon.sfm.overlaps import Overlaps
from recon.sfm.pairs import verify_pairs
from recon.sfm.separate_lenses import FEWEST_PHOTOS, lens_gains

if TYPE_CHECKING:
    import pycolmap

_STARTS = (115.0, 85.0, 150.0)
"""Degrees that an equidistant lens sees across the longer side, to start from; the focal length is refined."""
_SMALL_ERROR = 0.5
"""Mean error, in pixels of the small pictures, of a model that needs no other start."""

MapFrom = Callable[[Path], "Sequence[pycolmap.Reconstruction]"]
"""Models of what the database at a path holds."""


class FisheyeModel(NamedTuple):
    """What was mapped as taken with a fisheye."""

    model: pycolmap.Reconstruction | None
    """None where it explains no more."""
    found: list[pycolmap.Reconstruction]
    """All that was mapped."""
    why: str
    """It was not taken, or empty."""
    verdict: LensTrial | None = None
    """What photos left out say of it; None where it was not asked."""


def worth_a_fisheye(model: pycolmap.Reconstruction, small: bool) -> bool:
    """Whether photos with a model like this are worth mapping as those of a fisheye.

    Either a lens draws its corners in as a fisheye does, or, which is only asked of `small` sets, one lens does not
    explain all photos: that may be for another reason.
    """
    if model.num_reg_images() < FEWEST_PHOTOS:
        return False
    used = {model.images[image_id].camera_id for image_id in model.reg_image_ids()}
    if any(may_be_fisheye(model.cameras[camera_id]) for camera_id in used):
        return True
    gains = lens_gains(model) if small else None
    return gains is not None and (gains.needs_focals or gains.needs_centres)


def as_fisheye(
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    best: pycolmap.Reconstruction,
    map_from: MapFrom,
    seed: int,
    threads: int,
    watch: Callable[[], None],
) -> FisheyeModel:
    """The photos mapped with fisheye lenses: from several starts until one is right, then from the lens that was found.

    What one motion explains of the matches depends on the lens, so that is told anew each time.

    Args:
        database_path: of cameras, features and matches.
        folder: for temporary files.
        overlaps: of the photos.
        best: the model with other lenses that it has to explain more than.
        map_from: maps what a database holds; focal lengths and distortion are refined.
        seed: of everything random.
        threads: of the CPU.
        watch: called a few times a second.
    """
    import pycolmap

    found: list[pycolmap.Reconstruction] = []
    better: pycolmap.Reconstruction | None = None
    path = folder / "fisheye.db"

    def map_with(lenses: Callable[[pycolmap.Camera], None]) -> None:
        nonlocal better
        try:
            shutil.copyfile(database_path, path)
            with pycolmap.Database.open(path) as copy:
                for camera in copy.read_all_cameras():
                    lenses(camera)
                    camera.has_prior_focal_length = True  # COLMAP takes no fisheye otherwise
                    copy.update_camera(camera)
                copy.clear_two_view_geometries()
            verify_pairs(path, seed, threads, watch)
            for model in map_from(path):
                found.append(model)
                if makes_sense(model, overlaps) and (
                    better is None or merit_of(model, overlaps) > merit_of(better, overlaps)
                ):
                    better = model
        finally:
            path.unlink(missing_ok=True)

    for degrees in _STARTS:
        map_with(lambda camera, degrees=degrees: _set_equidistant(camera, degrees))  # type: ignore[misc]
        if better is not None and mean_error(better) < _SMALL_ERROR:
            break
    if better is None:
        return FisheyeModel(None, found, "no fisheye makes sense")
    lenses = dict(better.cameras.items())
    map_with(lambda camera: _take_lens(camera, lenses))
    if not explains_more(better, best, overlaps):
        return FisheyeModel(None, found, "a fisheye explains no more")
    verdict = fisheye_verdict(best, better, threads)
    if not verdict.taken and better.num_reg_images() > best.num_reg_images():
        verdict = replace(verdict, taken=True, why="places more photos")
    if not verdict.taken:
        return FisheyeModel(None, found, verdict.why, verdict)
    for camera in better.cameras.values():
        to_plain(camera)  # beside a fisheye, there may be other lenses
    return FisheyeModel(better, found, "", verdict)


def of_fisheye(verdict: LensTrial | None, model: str, tried: Sequence[LensTrial]) -> list[LensTrial]:
    """What is to be said of a fisheye for a lens that came out as COLMAP's `model`, beside what else was `tried` of it:
    nothing where the fisheye is that of other photos."""
    if verdict is None or verdict.taken != (model == FISHEYE) or any(one.freedom == FISHEYE for one in tried):
        return []
    return [verdict]


def _set_equidistant(camera: pycolmap.Camera, degrees: float) -> None:
    """An equidistant fisheye in place of the lens, that sees so much across the longer side, or as EXIF says."""
    import pycolmap

    focal = max(camera.width, camera.height) / 2 / float(np.radians(degrees / 2))
    if camera.has_prior_focal_length:
        focal = camera.mean_focal_length()
    centre = np.array(camera.params)[list(camera.principal_point_idxs())].tolist()
    camera.model = pycolmap.CameraModelId.OPENCV_FISHEYE
    camera.params = [focal, focal, *centre, 0.0, 0.0, 0.0, 0.0]


def _take_lens(camera: pycolmap.Camera, lenses: Mapping[int, pycolmap.Camera]) -> None:
    """The lens of the same camera of a model, or that of another where it has no photo there."""
    own = lenses.get(camera.camera_id) or next(iter(lenses.values()))
    camera.model, camera.params = own.model, np.array(own.params).tolist()
