"""Incremental mapping of matched photos, and what its models say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sfm.agreement import agreement
from recon.sfm.bundle import refine
from recon.sfm.colmap import run_cancellable
from recon.sfm.focal import (
    FAR_FROM_EXIF,
    copy_overlaps,
    correct_exif_of_pair,
    estimate_focals,
    exif_focals,
    forget_exif,
    start_from,
)
from recon.sfm.global_mapping import global_models
from recon.sfm.lenses import Lenses
from recon.sfm.overlaps import Overlaps
from recon.sfm.photos import SfmPhoto
from recon.sfm.separate_lenses import has_own_centres, lens_gains, with_own_centres
from recon.sources.colmap import distortion_coefficients, sparse_points, world_to_camera
from recon.sources.pixels import SHORTEST_FOCAL_35MM
from recon.types.lens import distort

if TYPE_CHECKING:
    import pycolmap

_ONE_THREAD_UP_TO = 32
"""Photos: sets of that size gain next to nothing from more threads, and one thread makes every run alike to the bit."""

_INITIAL_ANGLE = 2.0
"""Least angle, in degrees, at which the two photos that mapping starts from see their points."""
_INITIAL_FORWARD_MOTION = 1.0
"""Largest share of the motion between those two that may be along the view.

With COLMAP's own bounds, 16° and 0.95, videos that move forward start from pairs whose motion is estimated wrongly, for
the others are refused, and end in models that are consistent and false.
"""


class _Attempt(NamedTuple):
    focal: float | None
    """To start from, in units of the longer side; None: by EXIF or the overlaps."""
    hold_lenses: bool
    """Refine lenses only after all photos are placed."""
    all_at_once: bool = False
    """Complete what global mapping finds, rather than grow from two photos."""


_ATTEMPTS = (
    _Attempt(None, hold_lenses=False, all_at_once=True),
    _Attempt(None, hold_lenses=False),
    _Attempt(None, hold_lenses=True),
    _Attempt(0.75, hold_lenses=False),
    _Attempt(1.4, hold_lenses=False),
)
"""In this order: global mapping is the fastest, and seldom wrong, but it leaves out photos that connect weakly."""
LENS_FROM = 3
"""Photos that it takes to tell a lens; two photos keep what EXIF, or a guess, says."""
_PATIENCE = 100
"""Photos: larger sets are mapped again only if less than half the photos found a place, for it takes long."""
_SMALL_ERROR = 0.5
"""Mean reprojection error, in pixels of the small pictures, of a model beyond doubt; false ones have 0.6 and more."""
_DOUBTFUL_ERROR = 0.75
"""The same, from which on a model is said to be doubtful."""
_CONFIRMED = 0.75
"""Share of a photo's verified matches that a right camera explains at least: it is 0.95 and more of most."""
_CONTRADICTED = 0.5
"""The same, below which a camera is wrong."""
_UNCONFIRMED = 0.1
"""Share of photos that may be unconfirmed in a model that a second attempt does not better."""
_FAR_SMALLER = 0.9
"""Factor on the error by which lenses of their own must explain photos better."""
_FEW_POINTS_PER_VIEW = 10
"""Models with fewer points per photo are doubtful too, and worse than any others."""
_LARGE_ERROR = 2.0
"""Models with larger errors are discarded."""
_FEWEST_POINTS = 20
_SHORTEST_FOCAL, _LONGEST_FOCAL = SHORTEST_FOCAL_35MM / 36, 20.0
"""Of lenses that photos can tell, in units of the longer side: longer ones are parallel projection to them."""
_STRONGEST_BEND = 0.4
"""Largest displacement by distortion at the corner, as a share of its distance from the centre."""
_RADII = 65
"""From the centre to the corner, at which it is checked that distortion keeps rays in order."""


@dataclass(frozen=True)
class SfmModel:
    """One model: M of the N photos, placed in a frame and scale of their own."""

    registered: NDArray[np.intp]
    """(M,) indices of its photos, ascending."""
    extrinsics: NDArray[np.float64]
    """(M, 4, 4) world-to-camera."""
    lenses: Lenses
    sparse: SparsePoints
    reprojection_errors: NDArray[np.float64]
    """(M,) mean distance of observed from projected points, in pixels of the originals; NaN for views without."""
    doubtful: bool
    """Errors are so large, or points so few, that the model may be wrong as a whole."""
    still_matches: float = 0.0
    """Share of all matches that was left out because it stands still in the pictures (`recon.sfm.still_matches`)."""


def build_models(
    database_path: Path,
    folder: Path,
    overlaps: Overlaps,
    count: int,
    seed: int,
    threads: int,
    report: Callable[[int], None],
) -> list[pycolmap.Reconstruction]:
    """Place cameras and points; several models where photos fall into groups that do not connect.

    Mapping goes wrong where it begins with a wrong motion or focal length, and shows it by few photos, larger errors
    or an impossible lens. So it is done in more than one way, and the best model is taken.

    Returns models of at least two photos, from all ways, the best first; none where no model makes sense. `report` is
    told how many of the `count` photos are placed.
    """
    candidates = _Candidates(overlaps)
    lenses_tried = False
    attempts = [attempt for attempt in _ATTEMPTS if count >= LENS_FROM or (attempt.hold_lenses and not attempt.focal)]
    if count < LENS_FROM:
        correct_exif_of_pair(database_path, seed)
    exif = exif_focals(database_path)
    for number, attempt in enumerate(attempts):
        if attempt.focal is not None:
            start_from(database_path, attempt.focal)
        elif count >= LENS_FROM and not attempt.all_at_once:
            estimate_focals(database_path, folder, seed)
        candidates.add(_map(database_path, folder, count, seed + number, threads, attempt, report))
        if not candidates.models:
            continue
        best = candidates.models[0]
        if count >= LENS_FROM and _is_against_exif(best, exif):
            exif.clear()
            forget_exif(database_path)
            estimate_focals(database_path, folder, seed)
            for again in _ATTEMPTS[:2]:
                candidates.add(_map(database_path, folder, count, seed, threads, again, report))
                if candidates.is_good(count, first_attempt=True):
                    break
            best = candidates.models[0]
        good = candidates.is_good(count, first_attempt=number == 0)
        if count <= _PATIENCE and (good or not lenses_tried):
            lenses_tried = True
            other_lenses = _with_lenses_of_their_own(database_path, folder, overlaps, best, good, seed, report)
            if other_lenses is not None:
                candidates.models.insert(0, other_lenses)
                break
        if good:
            break
    report(count)
    models = candidates.models
    if models:
        leave_out_contradicted(models[0], overlaps)
        models[0] = _refined(models[0], overlaps, count, threads, lambda: report(count))
    return models


def _refined(
    model: pycolmap.Reconstruction, overlaps: Overlaps, count: int, threads: int, watch: Callable[[], None]
) -> pycolmap.Reconstruction:
    """`model` with what its few wrong matches have bent put right; as it is if that was done, or ends in nonsense."""
    if has_own_centres(model):
        return model
    refined = run_cancellable(
        lambda token: refine(model, lenses=count >= LENS_FROM, threads=_threads(count, threads)), watch
    )
    return refined if _makes_sense(refined, overlaps) else model


def _threads(count: int, threads: int) -> int:
    """Of the CPU, that mapping `count` photos takes."""
    return 1 if count <= _ONE_THREAD_UP_TO else threads


class _Candidates:
    """The models of all attempts so far that make sense, the best first."""

    def __init__(self, overlaps: Overlaps) -> None:
        self.models: list[pycolmap.Reconstruction] = []
        self._overlaps = overlaps
        self._merits: dict[int, _Merit] = {}

    def add(self, models: Sequence[pycolmap.Reconstruction]) -> None:
        for model in models:
            if _makes_sense(model, self._overlaps):
                self.models.append(model)
                self._merits[id(model)] = _merit(model, self._overlaps)
        self.models.sort(key=lambda model: self._merits[id(model)], reverse=True)

    def is_good(self, count: int, first_attempt: bool) -> bool:
        """Whether no further attempt is needed for `count` photos; the first has to be better, for it leaves out more.

        A small error alone is no proof: it is that of the points that were kept.
        """
        merit, placed = self._merits[id(self.models[0])], self.models[0].num_reg_images()
        demanding = first_attempt and count <= _PATIENCE
        if not merit.supported or placed < (count if demanding else count / 2):
            return False
        if placed - merit.confirmed > (0 if demanding else _UNCONFIRMED * placed):
            return False
        return count > _PATIENCE or -merit.negative_error <= _SMALL_ERROR


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
    """A model in which photos do not share lenses, where those shared do not explain them; None where they do.

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
    apart = folder / "apart.db"
    better = None
    try:
        with pycolmap.Database.open(database_path) as database:
            copy_overlaps(database, apart, own_cameras=True)
        if try_focals:
            count = len({index for pair in overlaps.pairs for index in pair})
            for found in _map(apart, folder, count, seed, 1, _ATTEMPTS[0], report):
                if _makes_sense(found, overlaps) and _explains_more(found, better or model, overlaps):
                    better = found
            if better is not None:
                gains = lens_gains(better)
        if gains.needs_centres:
            centred = with_own_centres(better or model)
            if _makes_sense(centred, overlaps) and _explains_more(centred, better or model, overlaps):
                better = centred
    finally:
        apart.unlink(missing_ok=True)
    return better


def _explains_more(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction, overlaps: Overlaps) -> bool:
    """Whether `model`, which has more parameters, explains more photos than `other`, or them far more exactly."""
    ours, theirs = _merit(model, overlaps), _merit(other, overlaps)
    if ours.supported and ours.confirmed == theirs.confirmed:
        return -ours.negative_error < _FAR_SMALLER * -theirs.negative_error
    return ours.supported and ours.confirmed > theirs.confirmed


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
    if attempt.all_at_once:
        models = run_cancellable(
            lambda token: global_models(database_path, folder, seed, options.num_threads), watch=lambda: report(placed)
        )
        return [completed for model in models for completed in run(_written(model, folder / "begun"))]
    _refine_lenses(options, not attempt.hold_lenses)
    models = run(continued="")
    if attempt.hold_lenses and count >= LENS_FROM:
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


def _makes_sense(model: pycolmap.Reconstruction, overlaps: Overlaps) -> bool:
    """Whether a model has two photos or more that see points from different places, and lenses that exist."""
    if model.num_reg_images() < 2 or model.num_points3D() < _FEWEST_POINTS or _error(model) > _LARGE_ERROR:
        return False
    placed = set(photos_of(model))
    if not any(i in placed and j in placed for i, j in overlaps.with_parallax):
        return False
    cameras = [model.cameras[model.images[image_id].camera_id] for image_id in model.reg_image_ids()]
    return all(_lens_exists(camera) for camera in cameras)


def _lens_exists(camera: pycolmap.Camera) -> bool:
    """Whether focal length and distortion are within what lenses on the market have."""
    side, focal = max(camera.width, camera.height), camera.mean_focal_length()
    if not _SHORTEST_FOCAL * side <= focal <= _LONGEST_FOCAL * side:
        return False
    coefficients = distortion_coefficients([camera])
    if coefficients is None:
        return True
    corner = np.array([camera.width / 2, camera.height / 2]) / focal
    outwards = np.linspace(0, 1, _RADII)[:, None] * corner
    bent = distort(outwards, coefficients[0])
    folds = bool((np.diff(np.linalg.norm(bent, axis=1)) <= 0).any())  # two rays would meet in one pixel
    return not folds and bool(np.linalg.norm(bent[-1] - corner) <= _STRONGEST_BEND * np.linalg.norm(corner))


class _Merit(NamedTuple):
    """Orders models: those with enough points are better, then those with more photos right, then smaller errors."""

    supported: bool
    confirmed: int
    """Photos whose verified matches the model explains."""
    negative_error: float


def _merit(model: pycolmap.Reconstruction, overlaps: Overlaps) -> _Merit:
    shares = agreement(model, overlaps)
    confirmed = sum(shares.get(index, 1.0) >= _CONFIRMED for index in photos_of(model))
    return _Merit(_is_supported(model), confirmed, -_error(model))


def leave_out_contradicted(model: pycolmap.Reconstruction, overlaps: Overlaps) -> None:
    """Take the photos out of a model whose matches say that their cameras are wrong, the worst first."""
    while model.num_reg_images() > 2:
        shares = agreement(model, overlaps)
        worst = min(shares, key=lambda index: shares[index], default=None)
        if worst is None or shares[worst] >= _CONTRADICTED:
            return
        # With a wrong one gone, the matches of its neighbours are explained better.
        model.deregister_frame(model.images[worst + 1].frame_id)


def _is_supported(model: pycolmap.Reconstruction) -> bool:
    """Whether there are enough points to hold the cameras; a few fit any."""
    return bool(model.num_points3D() >= _FEW_POINTS_PER_VIEW * model.num_reg_images())


def _error(model: pycolmap.Reconstruction) -> float:
    """Mean reprojection error, in pixels of the small pictures."""
    return float(model.compute_mean_reprojection_error())


def photos_of(model: pycolmap.Reconstruction) -> list[int]:
    """Indices of the photos that a model places, ascending."""
    return sorted(image_id - 1 for image_id in model.reg_image_ids())


def groups_apart(models: Sequence[pycolmap.Reconstruction]) -> list[list[int]]:
    """For each model after the first, its photos that none before it places; groups of one are no groups."""
    placed = set(photos_of(models[0]))
    groups = []
    for model in models[1:]:
        group = [index for index in photos_of(model) if index not in placed]
        if len(group) > 1:
            groups.append(group)
            placed.update(group)
    return groups


def read_model(model: pycolmap.Reconstruction, photos: Sequence[SfmPhoto], still_matches: float = 0.0) -> SfmModel:
    """Cameras and points of a model, in pixels of the originals."""
    registered = photos_of(model)
    images = [model.images[index + 1] for index in registered]
    scales = np.array([photos[index].scale for index in registered])
    cameras = [model.cameras[image.camera_id] for image in images]
    distortion = distortion_coefficients(cameras)
    intrinsics = np.stack([np.asarray(camera.calibration_matrix(), np.float64) for camera in cameras])
    intrinsics[:, :2] /= scales[:, None, None]
    lenses = Lenses(
        intrinsics,
        np.zeros((len(images), 8)) if distortion is None else distortion,
        np.array([photos[index].original_size for index in registered], np.int64),
    )
    sparse = sparse_points(model, images)
    in_original_pixels = SparsePoints(
        sparse.points,
        sparse.observed,
        None if sparse.errors is None else sparse.errors * _mean_magnification(sparse, 1 / scales),
    )
    errors = np.array([_reprojection_error(model, image) for image in images]) / scales
    return SfmModel(
        np.array(registered, np.intp),
        np.stack([world_to_camera(image) for image in images]),
        lenses,
        in_original_pixels,
        errors,
        doubtful=_error(model) > _DOUBTFUL_ERROR or not _is_supported(model),
        still_matches=still_matches,
    )


def _mean_magnification(sparse: SparsePoints, per_view: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) mean of `per_view` (M,) over the views that see each point."""
    sums = np.zeros(len(sparse))
    for indices, value in zip(sparse.observed, per_view.tolist(), strict=True):
        sums[indices] += value
    return sums / np.maximum(sparse.track_lengths, 1)


def _reprojection_error(model: pycolmap.Reconstruction, image: pycolmap.Image) -> float:
    """Mean distance between the observed and the projected points of an image, in its pixels."""
    observations = image.get_observation_points2D()
    if not observations:
        return float("nan")
    observed = np.array([point.xy for point in observations])
    points = np.array([model.points3D[point.point3D_id].xyz for point in observations])
    world_to_image = world_to_camera(image)
    in_camera = points @ world_to_image[:3, :3].T + world_to_image[:3, 3]
    projected = np.asarray(model.cameras[image.camera_id].img_from_cam(in_camera))
    return float(np.linalg.norm(projected - observed, axis=1).mean())
