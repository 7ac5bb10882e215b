"""Cameras from the photos themselves: features, matches, incremental mapping (COLMAP), as one recipe.

    photos = load_each(folder, prepare_photo).photos
    result = structure_from_motion(photos)
    pinhole_photo = result.undistort(0, original_pixels)     # goes with result.cameras

Schönberger and Frahm, Structure-from-Motion Revisited, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.errors import InputError
from recon.files import temporary_folder
from recon.geometry.cameras import camera_centres
from recon.geometry.sparse_points import SparsePoints
from recon.progress import TellPart
from recon.sfm.certainty import certainty_of
from recon.sfm.colmap import colmap_seed
from recon.sfm.fisheyes import fisheyes_of
from recon.sfm.lens_choice import LensChoice
from recon.sfm.mapping import LENS_FROM, LensesAre, Mapped, build_models
from recon.sfm.matching import check_photos, match_photos
from recon.sfm.merit import groups_apart, photos_of
from recon.sfm.model import read_model
from recon.sfm.options import CameraModel, SfmOptions
from recon.sfm.photos import SfmPhoto, prepare_photo
from recon.sfm.result import SfmResult
from recon.sfm.rigs import rig_lenses, rig_poses
from recon.sources.colmap_log import quiet_colmap
from recon.types.cameras import Cameras

__all__ = ["CameraModel", "SfmOptions", "SfmPhoto", "SfmResult", "prepare_photo", "structure_from_motion"]


def structure_from_motion(
    photos: Sequence[SfmPhoto],
    options: SfmOptions = SfmOptions(),  # noqa: B008 (frozen)
    progress: TellPart | None = None,
) -> SfmResult:
    """Find the cameras of photos of one scene.

    Args:
        photos: N photos, from `prepare_photo`; their order matters for videos, and names neighbours in large sets.
        options: see `SfmOptions`.
        progress: told how far each part (`features`, `matches`, `mapping`) is, a few times a second, in the calling
            thread.

    Returns:
        The model with most photos. The same input gives the same result on the same machine with the same number of
        threads, as far as COLMAP's bundle adjustment does.

    Raises:
        InputError: fewer than 2 photos; photos that are all the same, lack texture, do not overlap, or were taken from
            one place.
    """
    check_photos(photos)
    lenses = lenses_are(photos, options)
    threads = options.threads or usable_cores()
    tell = progress or (lambda stage, done, total: None)
    count = len(photos)
    with quiet_colmap(), temporary_folder("recon-sfm-") as folder:
        database = folder / "database.db"
        overlaps, still_matches, pairing = match_photos(database, photos, options, threads, tell)
        tell("mapping", 0, count)
        mapped = build_models(
            database,
            folder,
            overlaps,
            count,
            colmap_seed(options.seed),
            threads,
            lambda done: tell("mapping", done, count),
            free_lenses=all(photo.rig is None for photo in photos),  # views of a rig are cut to measure
            lenses=lenses,
        )
        if not mapped.models:
            raise InputError(
                f"cameras cannot be found: {len(overlaps.pairs)} pairs of the {count} photos overlap, but no model of "
                "them makes sense: the camera may hardly move sideways, or zoom, or what it shows may move by itself; "
                "give more photos, in smaller steps around a scene that stands still"
            )
        result = replace(result_of(photos, mapped, lenses, still_matches), pairing=pairing)
    return _on_rigs(result, photos)


def lenses_are(photos: Sequence[SfmPhoto], options: SfmOptions) -> LensesAre:
    """What is known of the lenses of `photos`. Raises InputError where it is not the same of all."""
    known = [photo.intrinsics is not None for photo in photos]
    if any(known) and not all(known):
        raise InputError(
            f"intrinsics are known of {sum(known)} of {len(photos)} photos, but not of "
            f"'{photos[known.index(False)].name}'; give them for all or none"
        )
    return "unknown" if not known[0] else "start" if options.refine_intrinsics else "held"


def _lens_choices(photos: Sequence[SfmPhoto], mapped: Mapped, lenses: LensesAre) -> tuple[LensChoice, ...]:
    of_start = "middle" if lenses == "unknown" else "given"
    model, found = mapped.models[0], []
    for camera_id, camera in sorted(model.cameras.items()):
        own = [index for index in photos_of(model) if model.images[index + 1].camera_id == camera_id]
        if own:
            found.append(
                LensChoice(
                    tuple(photos[index].name for index in own),
                    camera.model_name,
                    "estimated" if camera_id in mapped.centres else of_start,
                    "focal length by EXIF"
                    if camera_id in mapped.held
                    else {"unknown": "estimated", "start": "refined", "held": "held"}[lenses],
                    tuple(one.magnified(1 / photos[own[0]].scale) for one in mapped.trials.get(camera_id, ())),
                )
            )
    return tuple(found)


def result_of(photos: Sequence[SfmPhoto], mapped: Mapped, lenses: LensesAre, still_matches: float = 0.0) -> SfmResult:
    """The first of the models that were made of `photos`, in pixels of the originals, and what can be said of it."""
    names = tuple(photo.name for photo in photos)
    best = mapped.models[0]
    model = read_model(best, photos, still_matches)
    fisheyes = fisheyes_of(best, photos)
    exif = [photos[index].exif_focal if fisheyes[index] is None else np.nan for index in model.registered.tolist()]
    known = best.cameras if lenses == "held" or len(photos) < LENS_FROM else ()
    result = SfmResult(
        image_names=names,
        registered=model.registered,
        cameras=Cameras(model.extrinsics, model.lenses.pinhole_intrinsics),
        lenses=model.lenses,
        sparse=model.sparse,
        reprojection_errors=model.reprojection_errors,
        doubtful=model.doubtful,
        still_matches=model.still_matches,
        exif_focals=np.array(exif),
        assumed_lens=len(photos) < LENS_FROM and not any(photo.focal_is_known for photo in photos),
        other_models=tuple(tuple(names[index] for index in indices) for indices in groups_apart(mapped.models)),
        lens_choices=_lens_choices(photos, mapped, lenses),
        certainty=certainty_of(best, mapped.centres, {*known, *mapped.held}),
        attempts=tuple(mapped.attempts),
        joins=tuple(mapped.joins),
        fisheyes=fisheyes if any(fisheyes) else (),
    )
    return result if result.unusual_focals is None else replace(result, doubtful=True)


def _on_rigs(result: SfmResult, photos: Sequence[SfmPhoto]) -> SfmResult:
    """With one pose for the views of each rig, and cameras for those of its views that had none; points only go
    along with the unit of length."""
    if all(photo.rig is None for photo in photos):
        return result
    assert result.cameras.world_to_camera is not None
    poses = rig_poses(photos, result.registered.tolist(), result.cameras.world_to_camera)
    chosen = sorted(poses)
    row = {index: view for view, index in enumerate(result.registered.tolist())}
    rows = [row.get(index) for index in chosen]
    lenses = rig_lenses(photos, chosen, result.lenses, rows)
    observed = tuple(np.zeros(0, np.intp) if at is None else result.sparse.observed[at] for at in rows)
    places = result.sparse.pixels
    pixels = None if places is None else tuple(np.zeros((0, 2)) if at is None else places[at] for at in rows)
    exif = [photos[index].exif_focal for index in chosen]
    placed = np.stack([poses[index] for index in chosen])
    unit = _spread(placed)  # mapping may have begun with two views of one place, and taken their distance for the unit
    placed[:, :3, 3] /= unit
    return replace(
        result,
        registered=np.array(chosen, np.intp),
        cameras=Cameras(placed, lenses.pinhole_intrinsics),
        lenses=lenses,
        sparse=SparsePoints(result.sparse.points / unit, observed, result.sparse.errors, pixels),
        reprojection_errors=np.array([np.nan if at is None else result.reprojection_errors[at] for at in rows]),
        exif_focals=np.array(exif),
        certainty=None if result.certainty is None else result.certainty.rows(rows).scaled(1 / unit),
    )


def _spread(world_to_camera: NDArray[np.float64]) -> float:
    """Mean distance of the camera centres from their middle; 1 where all are in one place."""
    centres = camera_centres(world_to_camera)
    spread = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean())
    return spread if spread > 1e-9 * max(1.0, float(np.abs(centres).max())) else 1.0
