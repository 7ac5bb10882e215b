"""Cameras that are given, made to agree with the photos: bundle adjustment of their poses, in their frame and scale.

Points are triangulated with the cameras as they are, in wide bounds, and the cameras adjusted to them; then again, in
narrower ones. A pose that is off by a degree moves points by some ten pixels, and matches by nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.errors import InputError
from recon.files import temporary_folder
from recon.geometry.cameras import camera_centres
from recon.geometry.similarity import Similarity, align_cameras, nearest_rotation
from recon.progress import TellPart
from recon.sfm.agreement import agreement
from recon.sfm.bundle import adjust, refine
from recon.sfm.colmap import colmap_seed, run_cancellable
from recon.sfm.lens_choice import choose_lenses
from recon.sfm.mapping import LENS_FROM, LensesAre, Mapped
from recon.sfm.matching import check_photos, match_photos
from recon.sfm.options import SfmOptions
from recon.sfm.photos import SfmPhoto
from recon.sfm.placed import placed_photos, triangulated
from recon.sfm.result import CameraChanges, SfmResult
from recon.sfm.structure_from_motion import lenses_are, result_of
from recon.sources.colmap_log import quiet_colmap
from recon.types.cameras import CameraScale

if TYPE_CHECKING:
    import pycolmap

_BOUNDS = (64.0, 16.0, 4.0)
"""Pixels of the small pictures within which points are made and kept, round by round."""
_LOSS_PER_BOUND = 1 / 16
"""Errors count less from this share of the bound on."""
_FEWEST_OBSERVATIONS = 12
"""That a camera is refined by."""
_ROUNDING = 1e-12
_AGREES = 0.6
"""Share of their matches that refined cameras explain, if all is well: it is 0.95 and more then."""


def refine_cameras(
    photos: Sequence[SfmPhoto],
    world_to_camera: NDArray[np.float64],
    options: SfmOptions = SfmOptions(),  # noqa: B008 (frozen)
    progress: TellPart | None = None,
    scale: CameraScale = "given",
) -> SfmResult:
    """Refine the cameras of photos of one scene.

    Args:
        photos: N photos, from `recon.sfm.photos.prepare_photo`. Intrinsics that they know are held, unless
            `options.refine_intrinsics`; others are found.
        world_to_camera: (N, 4, 4) their poses, about.
        options: as of `structure_from_motion`.
        progress: likewise.
        scale: what the unit of the poses is.

    Returns:
        All N cameras, in the frame and unit of those given. Those of photos that share too little with the others are
        as given.

    Raises:
        InputError: as `structure_from_motion`; cameras that explain next to nothing of the photos.
    """
    check_photos(photos)
    if len(world_to_camera) != len(photos):
        raise ValueError(f"{len(world_to_camera)} poses for {len(photos)} photos")
    lenses = lenses_are(photos, options)
    threads = options.threads or usable_cores()
    tell = progress or (lambda stage, done, total: None)
    count = len(photos)
    with quiet_colmap(), temporary_folder("recon-sfm-") as folder:
        database = folder / "database.db"
        overlaps, still_matches, pairing = match_photos(database, photos, options, threads, tell)
        model = placed_photos(database, dict(enumerate(world_to_camera)))
        for number, bound in enumerate(_BOUNDS):
            tell("refining", number, len(_BOUNDS) + 1)
            model = triangulated(model, database, folder, bound, colmap_seed(options.seed), threads)
            if model.num_points3D() < _FEWEST_OBSERVATIONS:
                break
            run_cancellable(_adjustment(model, lenses, bound, threads), lambda: None)
        shares = agreement(model, overlaps)
        if model.num_points3D() < _FEWEST_OBSERVATIONS or np.median(list(shares.values()) or [0.0]) < _AGREES:
            raise InputError(
                "the given cameras cannot be refined: they explain too little of what the photos have in common; are "
                "they of these photos, in their order and convention? cameras 'sfm' finds them anew"
            )
        mapped = _finished(model, lenses, count, threads)
        tell("refining", len(_BOUNDS) + 1, len(_BOUNDS) + 1)
        result = replace(result_of(photos, mapped, lenses, still_matches), pairing=pairing)
    return _in_given_frame(result, photos, world_to_camera, scale)


def _adjustment(
    model: pycolmap.Reconstruction, lenses: LensesAre, bound: float, threads: int
) -> Callable[[pycolmap.CancellationToken], float]:
    """Adjusts `model` in place, to within `bound` pixels; lenses that are not known too."""
    unknown = lenses == "unknown" and model.num_reg_images() >= LENS_FROM
    loss_scale = bound * _LOSS_PER_BOUND
    return lambda token: adjust(model, focal=unknown, distortion=unknown, loss_scale=loss_scale, threads=threads)


def _finished(model: pycolmap.Reconstruction, lenses: LensesAre, count: int, threads: int) -> Mapped:
    """The model as the last adjustment has it."""
    free = lenses != "held" and count >= LENS_FROM
    if not free:
        return Mapped([refine(model, lenses=False, threads=threads)])
    chosen = choose_lenses(model, threads, fisheyes=lenses == "unknown")
    refined = refine(model, lenses=True, start=chosen.part, centre=chosen.centres, threads=threads)
    return Mapped([refined], frozenset(chosen.centres), chosen.tried)


def frame_of(given: NDArray[np.float64], refined: NDArray[np.float64]) -> Similarity | None:
    """What moves, turns and scales `refined` cameras (N, 4, 4) to where they were `given`.

    Centres and orientations both say how to turn, each as far as they agree among themselves: centres near a line say
    little of the turn about it. None where centres coincide.
    """
    by_centres = align_cameras(given, refined)
    if by_centres is None:
        return None
    target, source = camera_centres(given), camera_centres(refined)
    target_middle, source_middle = target.mean(axis=0), source.mean(axis=0)
    target, source = target - target_middle, source - source_middle
    turns = given[:, :3, :3].swapaxes(1, 2) @ refined[:, :3, :3]  # (N, 3, 3) from the refined world to the given one
    apart = turns - nearest_rotation(turns.mean(axis=0))[0]
    turned = max(float((apart**2).sum(axis=(1, 2)).mean()) / 2, _ROUNDING)  # squared angles
    left = target - by_centres.scale * source @ by_centres.rotation.T
    extent = float((target**2).sum(axis=1).mean())
    moved = max(float((left**2).sum(axis=1).mean()), _ROUNDING * extent)
    rotation, _ = nearest_rotation(by_centres.scale * target.T @ source / moved + turns.sum(axis=0) / (2 * turned))
    scale = float((target * (source @ rotation.T)).sum() / (source**2).sum())
    return Similarity(scale, rotation, target_middle - scale * rotation @ source_middle)


def _in_given_frame(
    result: SfmResult, photos: Sequence[SfmPhoto], given: NDArray[np.float64], scale: CameraScale
) -> SfmResult:
    """The result moved, turned and scaled to where the cameras were, with those that nothing holds put back."""
    assert result.cameras.world_to_camera is not None
    poses = result.cameras.world_to_camera
    held = np.array([len(seen) >= _FEWEST_OBSERVATIONS for seen in result.sparse.observed])
    similarity = frame_of(given[held], poses[held]) if held.sum() >= 2 else None
    if similarity is None:
        raise InputError(
            "the given cameras cannot be refined: those that share enough with others stand in one place, which leaves "
            "the scale open; cameras 'sfm' finds them anew"
        )
    moved = similarity.apply_to_extrinsics(poses)
    moved[~held] = given[~held]
    cosines = (np.einsum("nij,nij->n", moved[:, :3, :3], given[:, :3, :3]) - 1) / 2
    changes = CameraChanges(
        np.degrees(np.arccos(np.clip(cosines, -1, 1))),
        np.linalg.norm(camera_centres(moved) - camera_centres(given), axis=1),
        tuple(photos[index].name for index in np.flatnonzero(~held).tolist()),
    )
    certainty = result.certainty
    if certainty is not None:
        rows = [view if kept else None for view, kept in enumerate(held.tolist())]
        certainty = certainty.rows(rows).scaled(similarity.scale)
    return replace(
        result,
        cameras=replace(result.cameras, world_to_camera=moved),
        sparse=replace(result.sparse, points=similarity.apply(result.sparse.points)),
        certainty=certainty,
        scale=scale,
        changes=changes,
    )
