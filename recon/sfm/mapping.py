"""Models of matched photos: mapped in more than one way, until one is beyond doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from recon.sfm.bundle import refine
from recon.sfm.colmap import run_cancellable
from recon.sfm.fisheye_mapping import as_fisheye, of_fisheye, worth_a_fisheye
from recon.sfm.focal import (
    FAR_FROM_EXIF,
    copy_overlaps,
    correct_exif_of_pair,
    estimate_focals,
    exif_focals,
    forget_exif,
    start_from,
)
from recon.sfm.global_mapping import global_models, with_all_points
from recon.sfm.joining import Join, join_models
from recon.sfm.lens_choice import ChosenLenses, LensTrial, choose_lenses
from recon.sfm.mapping_trials import BENT, FIRST, MappingTrial, trial
from recon.sfm.merit import Merit, explains_more, leave_out_contradicted, makes_sense, merit_of
from recon.sfm.overlaps import Overlaps
from recon.sfm.separate_lenses import has_own_centres, lens_gains, off_middle, with_own_centres, with_shared_centres
from recon.sfm.weak_focals import hold_weak_focals

if TYPE_CHECKING:
    import pycolmap

LensesAre = Literal["unknown", "start", "held"]
"""What is known of the lenses in the database: nothing, where to start from, or all."""
_ONE_THREAD_UP_TO = 32
"""Photos: sets of that size gain next to nothing from more threads, and one thread makes every run alike to the bit."""

_INITIAL_ANGLE = 2.0
"""Least angle, in degrees, at which the two photos that mapping starts from see their points."""
_INITIAL_FORWARD_MOTION = 1.0
"""Largest share of the motion between those two that may be along the view.

With COLMAP's own bounds, 16° and 0.95, videos that move forward start from pairs whose motion is estimated wrongly, for
the others are refused, and end in models that are consistent and false.
"""
_COMPLETING_ROUNDS, _COMPLETING_ITERATIONS, _COMPLETING_TOLERANCE = 2, 10, 1e-4
"""Of adjusting a model that is complete but for points, after which it is refined robustly anyway: COLMAP's own take
three times as long, and cameras come out the same."""


class Mapped(NamedTuple):
    """What mapping ends in."""

    models: list[pycolmap.Reconstruction]
    """Of at least two photos, from all ways, the best first and refined; none where no model makes sense."""
    centres: frozenset[int] = frozenset()
    """Cameras of the best whose principal points are estimated."""
    trials: Mapping[int, Sequence[LensTrial]] = {}
    """What was freed of the lenses of the best, or was not, by id of the camera."""
    held: frozenset[int] = frozenset()
    """Cameras of the best whose focal lengths are as EXIF says, for the photos do not tell them."""
    attempts: Sequence[MappingTrial] = ()
    """In the order in which they were made."""
    joins: Sequence[Join] = ()
    """Groups of photos apart from the best model, joined to it or not."""


class _Attempt(NamedTuple):
    focal: float | None
    """To start from, in units of the longer side; None: by EXIF or the overlaps."""
    hold_lenses: bool
    """Refine lenses only after all photos are placed."""
    all_at_once: bool = False
    """Complete what global mapping finds, rather than grow from two photos."""
    lenses_known: bool = False
    """Refine no lens at all."""
    fisheye: bool = False
    """Refine distortion only after all photos are placed."""
    wide_bounds: bool = False
    """Keep points that fit badly, as they do where lenses are wrong."""


_ATTEMPTS = (
    _Attempt(None, hold_lenses=False, all_at_once=True),
    _Attempt(None, hold_lenses=False),
    _Attempt(None, hold_lenses=True),
    _Attempt(0.75, hold_lenses=False),
    _Attempt(1.4, hold_lenses=False),
)
"""In this order: global mapping is the fastest, and seldom wrong, but it leaves out photos that connect weakly."""
_AS_FISHEYE = _Attempt(None, hold_lenses=False, fisheye=True)
_AS_CROPS = _Attempt(None, hold_lenses=False, all_at_once=True, wide_bounds=True)
LENS_FROM = 3
"""Photos that it takes to tell a lens; two photos keep what EXIF, or a guess, says."""
_PATIENCE = 100
"""Photos: larger sets are mapped again only if less than half the photos found a place, for it takes long."""
_SMALL_ERROR = 0.5
"""Mean reprojection error, in pixels of the small pictures, of a model beyond doubt; false ones have 0.6 and more."""
_UNCONFIRMED = 0.1
"""Share of photos that may be unconfirmed in a model that a second attempt does not better."""


def build_models(
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    count: int,
    seed: int,
    threads: int,
    report: Callable[[int], None],
    free_lenses: bool = True,
    lenses: LensesAre = "unknown",
) -> Mapped:
    """Place cameras and points; several models where photos fall into groups that do not connect.

    Mapping goes wrong where it begins with a wrong motion or focal length, and shows it by few photos, larger errors
    or an impossible lens. So it is done in more than one way, and the best model is taken.

    `report` is told how many of the `count` photos are placed. With `free_lenses`, what the photos determine of their
    lenses is freed in the end; otherwise focal lengths and distortion alone are refined. `lenses` that are held stay as
    they are in the database; those to start from are held while photos are placed.
    """
    candidates = _Candidates(overlaps)
    attempts_made: list[MappingTrial] = []
    joins: list[Join] = []
    lenses_tried = fisheye_tried = False
    by_fisheye: LensTrial | None = None
    attempts = [attempt for attempt in _ATTEMPTS if count >= LENS_FROM or (attempt.hold_lenses and not attempt.focal)]
    known = lenses != "unknown"
    if known:
        attempts = [attempt._replace(lenses_known=True) for attempt in attempts if not attempt.focal]
    elif count < LENS_FROM:
        correct_exif_of_pair(database_path, seed)
    exif = exif_focals(database_path)
    said = dict(exif)  # it is forgotten for a while where the photos speak against it
    for number, attempt in enumerate(attempts):
        if attempt.focal is not None:
            start_from(database_path, attempt.focal)
        elif count >= LENS_FROM and not attempt.all_at_once:
            estimate_focals(database_path, folder, seed)
        found = _map(database_path, folder, count, seed + number, threads, attempt, report)
        candidates.add(found)
        why = attempts_made[-1].doubt if attempts_made else FIRST
        if not candidates.models:
            attempts_made.append(trial(found, attempt.all_at_once, why, "no model makes sense"))
            continue
        if count >= LENS_FROM:
            whole, tried = join_models(
                candidates.models,
                database_path,
                folder,
                overlaps,
                seed,
                _threads(count, threads),
                lambda: report(count),
                joins,
            )
            joins += tried
            if whole is not candidates.models[0]:
                candidates.add([whole])
        best = candidates.models[0]
        if count >= LENS_FROM and not known and _is_against_exif(best, exif):
            exif.clear()
            forget_exif(database_path)
            estimate_focals(database_path, folder, seed)
            for again in _ATTEMPTS[:2]:
                candidates.add(_map(database_path, folder, count, seed, threads, again, report))
                if not candidates.doubt(count, first_attempt=True):
                    break
            best = candidates.models[0]
        doubt = candidates.doubt(count, first_attempt=number == 0)
        attempts_made.append(trial(found, attempt.all_at_once, why, doubt))
        good = not doubt
        if not known and free_lenses and not fisheye_tried and worth_a_fisheye(best, count <= _PATIENCE):
            fisheye_tried = True
            fisheye = as_fisheye(
                database_path,
                folder,
                overlaps,
                best,
                lambda path: _map(path, folder, count, seed, threads, _AS_FISHEYE, report),
                seed,
                _threads(count, threads),
                lambda: report(count),
            )
            attempts_made.append(trial(fisheye.found, False, BENT, fisheye.why))
            by_fisheye = fisheye.verdict
            if fisheye.model is not None:
                candidates.models.insert(0, fisheye.model)
                said.clear()
                break
        if count <= _PATIENCE and not known and (good or not lenses_tried):
            lenses_tried = True
            other_lenses = _with_lenses_of_their_own(database_path, folder, overlaps, best, good, seed, report)
            if other_lenses is not None:
                candidates.models.insert(0, other_lenses)
                said.clear()  # its cameras are others
                break
        if good:
            break
    report(count)
    models = candidates.models
    if not models:
        return Mapped([])
    leave_out_contradicted(models[0], overlaps)
    weak = {}
    if said and not known and count >= LENS_FROM:
        weak = _hold_weak_focals(models, said, overlaps, _threads(count, threads))
    if not known and has_own_centres(models[0]):
        return Mapped(models, frozenset(models[0].cameras), attempts=attempts_made, joins=joins)
    chosen = None
    if free_lenses and lenses != "held" and count >= LENS_FROM and not weak:
        chosen = run_cancellable(
            lambda token: choose_lenses(
                models[0], _threads(count, threads), () if known else off_middle(models[0]), fisheyes=not known
            ),
            lambda: report(count),
        )
    refine_lenses = lenses != "held" and count >= LENS_FROM
    refined = _refined(
        models[0], chosen, refine_lenses, not weak, overlaps, _threads(count, threads), lambda: report(count)
    )
    if refined is not None:
        models[0] = refined
    if weak:
        return Mapped(models, trials=weak, held=frozenset(weak), attempts=attempts_made, joins=joins)
    if refined is None:
        return Mapped(models, attempts=attempts_made, joins=joins)
    if chosen is None:
        return Mapped(models, attempts=attempts_made, joins=joins)
    trials = {
        camera_id: [*of_fisheye(by_fisheye, models[0].cameras[camera_id].model_name, of_lens), *of_lens]
        for camera_id, of_lens in chosen.tried.items()
    }
    return Mapped(models, frozenset(chosen.centres), trials, attempts=attempts_made, joins=joins)


def _hold_weak_focals(
    models: list[pycolmap.Reconstruction], exif: Mapping[int, float], overlaps: Overlaps, threads: int
) -> dict[int, list[LensTrial]]:
    """Put a model with the focal lengths of `exif` in the place of the first where its photos do not tell them.

    Returns what is to be said of each such lens, by id of the camera.
    """
    held = hold_weak_focals(models[0], exif, threads)
    if held is None or not makes_sense(held.model, overlaps):
        return {}
    models[0] = held.model
    return {
        camera_id: [LensTrial("focal length", 0.0, None, deviation, False, "these photos do not determine it")]
        for camera_id, deviation in held.deviations.items()
    }


def _refined(
    model: pycolmap.Reconstruction,
    chosen: ChosenLenses | None,
    refine_lenses: bool,
    refine_focals: bool,
    overlaps: Overlaps,
    threads: int,
    watch: Callable[[], None],
) -> pycolmap.Reconstruction | None:
    """`model` with what its few wrong matches have bent put right; None where that ends in nonsense."""
    refined = run_cancellable(
        lambda token: refine(
            model,
            lenses=refine_lenses,
            focal=refine_focals,
            start=None if chosen is None else chosen.part,
            centre=() if chosen is None else chosen.centres,
            threads=threads,
        ),
        watch,
    )
    return refined if makes_sense(refined, overlaps) else None


def _threads(count: int, threads: int) -> int:
    """Of the CPU, that mapping `count` photos takes."""
    return 1 if count <= _ONE_THREAD_UP_TO else threads


class _Candidates:
    """The models of all attempts so far that make sense, the best first."""

    def __init__(self, overlaps: Overlaps) -> None:
        self.models: list[pycolmap.Reconstruction] = []
        self._overlaps = overlaps
        self._merits: dict[int, Merit] = {}

    def add(self, models: Sequence[pycolmap.Reconstruction]) -> None:
        for model in models:
            if makes_sense(model, self._overlaps):
                self.models.append(model)
                self._merits[id(model)] = merit_of(model, self._overlaps)
        self.models.sort(key=lambda model: self._merits[id(model)], reverse=True)

    def doubt(self, count: int, first_attempt: bool) -> str:
        """Why a further attempt is needed for `count` photos; empty where none is.

        The first has to be better, for it leaves out more. A small error alone is no proof: it is that of the points
        that were kept.
        """
        merit, placed = self._merits[id(self.models[0])], self.models[0].num_reg_images()
        demanding = first_attempt and count <= _PATIENCE
        unconfirmed = placed - merit.confirmed
        if not merit.supported:
            return "few points support the cameras"
        if placed < (count if demanding else count / 2):
            return f"{placed} of {count} photos are placed"
        if unconfirmed > (0 if demanding else _UNCONFIRMED * placed):
            return f"{unconfirmed} of {placed} photos are not confirmed by their matches"
        if count <= _PATIENCE and -merit.negative_error > _SMALL_ERROR:
            return f"points are off by {-merit.negative_error:.2f} pixels"
        return ""


def _is_against_exif(model: pycolmap.Reconstruction, exif: Mapping[int, float]) -> bool:
    """Whether a camera has another focal length than EXIF says, by camera ids: it may have started too far away."""
    used = {model.images[image_id].camera_id for image_id in model.reg_image_ids()}
    return any(
        abs(np.log(model.cameras[camera_id].mean_focal_length() / exif[camera_id])) > np.log(FAR_FROM_EXIF)
        for camera_id in used & exif.keys()
    )


def _with_lenses_of_their_own(
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    model: pycolmap.Reconstruction,
    good: bool,
    seed: int,
    report: Callable[[int], None],
) -> pycolmap.Reconstruction | None:
    """A model in which lenses are not centred, or photos do not share them, where those shared and centred do not
    explain them; None where they do.

    Args:
        database_path: what `model` is made from.
        folder: for temporary files.
        overlaps: of its photos.
        model: with shared lenses.
        good: there is no doubt about `model` but this.
        seed: of everything random.
        report: told how many photos are placed.
    """
    import pycolmap

    gains = lens_gains(model)
    shared = len({model.images[image_id].camera_id for image_id in model.reg_image_ids()}) < model.num_reg_images()
    try_focals = shared and (gains.needs_focals or not (good or gains.needs_centres))
    if not try_focals and not gains.needs_centres:
        return None
    centred = with_shared_centres(model) if shared else None
    if centred is not None and makes_sense(centred, overlaps) and explains_more(centred, model, overlaps):
        return centred
    apart = folder / "apart.db"
    better = None
    try:
        with pycolmap.Database.open(database_path) as database:
            copy_overlaps(database, apart, own_cameras=True)
        count = len({index for pair in overlaps.pairs for index in pair})
        if try_focals:
            for found in _map(apart, folder, count, seed, 1, _ATTEMPTS[0], report):
                if makes_sense(found, overlaps) and explains_more(found, better or model, overlaps):
                    better = found
            if better is not None:
                gains = lens_gains(better)
        if gains.needs_centres:
            # Points that fit badly with the wrong lenses say most of the right ones.
            starts = [better] if better is not None else _map(database_path, folder, count, seed, 1, _AS_CROPS, report)
            for found in starts or [model]:
                centred = with_own_centres(found)
                if makes_sense(centred, overlaps) and explains_more(centred, better or model, overlaps):
                    better = centred
    finally:
        apart.unlink(missing_ok=True)
    return better


def _map(
    database_path: Path,
    folder: Path,
    count: int,
    seed: int,
    threads: int,
    attempt: _Attempt,
    report: Callable[[int], None],
) -> list[pycolmap.Reconstruction]:
    """The models that one attempt ends in."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = _threads(count, threads)
    options.random_seed = seed
    options.extract_colors = False
    options.min_model_size = 2
    options.mapper.init_min_tri_angle = _INITIAL_ANGLE
    options.mapper.init_max_forward_motion = _INITIAL_FORWARD_MOTION
    options.triangulation.ignore_two_view_tracks = count > 2
    placed = 0

    def note(photos: int) -> None:
        nonlocal placed
        placed = min(placed + photos, count)

    def run(continued: Path | str) -> list[pycolmap.Reconstruction]:
        models = run_cancellable(
            lambda token: pycolmap.incremental_mapping(
                database_path,
                folder,
                folder,
                options,
                continued,
                initial_image_pair_callback=lambda: note(2),
                next_image_callback=lambda: note(1),
                cancellation_token=token,
            ),
            watch=lambda: report(placed),
        )
        return list(models.values())

    pycolmap.set_random_seed(seed)
    if attempt.lenses_known:
        _refine_lenses(options, False)
    if attempt.all_at_once:
        models = run_cancellable(
            lambda token: [
                with_all_points(model, database_path, folder, options)
                for model in global_models(
                    database_path, folder, seed, options.num_threads, attempt.lenses_known, attempt.wide_bounds
                )
            ],
            watch=lambda: report(placed),
        )
        options.ba_global_max_refinements = _COMPLETING_ROUNDS
        options.ba_global_max_num_iterations = _COMPLETING_ITERATIONS
        options.ba_global_function_tolerance = _COMPLETING_TOLERANCE
        return [completed for model in models for completed in run(_written(model, folder / "begun"))]
    _refine_lenses(options, not (attempt.hold_lenses or attempt.lenses_known))
    if attempt.fisheye:
        options.ba_refine_extra_params = options.mapper.abs_pose_refine_extra_params = False
    models = run(continued="")
    if (attempt.hold_lenses or attempt.fisheye) and count >= LENS_FROM and not attempt.lenses_known:
        _refine_lenses(options, True)
        models = [refined for model in models for refined in run(_written(model, folder / "begun"))]
    return models


def _refine_lenses(options: pycolmap.IncrementalPipelineOptions, refine: bool) -> None:
    options.ba_refine_focal_length = options.mapper.abs_pose_refine_focal_length = refine
    options.ba_refine_extra_params = options.mapper.abs_pose_refine_extra_params = refine


def _written(model: pycolmap.Reconstruction, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    model.write(folder)
    return folder
