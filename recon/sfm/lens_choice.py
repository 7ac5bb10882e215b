"""How much of a lens a set of photos determines: its principal point, and one, two or four coefficients of distortion.

The principal point of a real lens lies some pixels beside the middle, and leaving it there turns the cameras. But in
photos from one direction it trades against how the cameras turn, and an estimate takes up what else the model of the
lens does not say. More data do not help against that, and errors of the photos that it was estimated from do not show
it. So each freedom has to explain photos better that it was not estimated from, and has to come out alike without any
of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.sfm.bundle import LAST_LOSS_SCALE, adjust, enough_points, with_points
from recon.sfm.lens_models import FISHEYE, RICHER, convert, free_parameters, may_be_fisheye
from recon.sfm.linearised import POSE, HeldOut, Linearised

if TYPE_CHECKING:
    import pycolmap


class Freedom(NamedTuple):
    """What may be freed of a lens together."""

    centre: bool
    """The principal point."""
    model: str | None = None
    """COLMAP's name of the camera model with the coefficients that are freed."""

    @property
    def name(self) -> str:
        """For `run.json`."""
        return " and ".join([*(["principal point"] if self.centre else []), *([self.model] if self.model else [])])


CENTRE = Freedom(centre=True)
_ALL = Freedom(centre=True, model="OPENCV")
_FISHEYE = Freedom(centre=False, model=FISHEYE)
_FEWEST_PHOTOS = 4
"""Of one lens: without one of them the others have to tell it still."""
_POINTS = 300
"""Of each photo, that decide: more cost time and decide the same."""
_MOST_GROUPS = 24
"""Photos are left out one by one, or where they are more in so many groups of neighbours."""
_LEAST_GAIN = 0.003
"""Share of the robust cost of photos left out that has to go: less is what small errors of any kind bring about."""
_CONFIDENCE = 0.995
"""That the gain is one, by Student's t over the photos or groups left out."""
_LARGEST_UNCERTAINTY = 0.003
"""Standard deviation of a principal point, in units of the longer side: real ones are that far beside the middle."""

_NOT_DETERMINED = "these photos do not determine it"


@dataclass(frozen=True)
class LensTrial:
    """One freedom that was tried with the lens of some photos."""

    freedom: str
    """`focal length`, `principal point`, the name of a camera model with more coefficients, or both of these."""
    gain: float
    """Share of the robust cost that goes: of photos left out, or of all, where that is so small already."""
    certainty: float | None
    """The gain in units of its standard error; None where it was not tested on photos left out."""
    uncertainty: float | None
    """Standard deviation of the focal length or the principal point, in pixels of the originals; None where that was
    not tested."""
    taken: bool
    why: str
    """In words."""

    def magnified(self, factor: float) -> LensTrial:
        """The same in pixels of photos that are `factor` times as large."""
        return self if self.uncertainty is None else replace(self, uncertainty=self.uncertainty * factor)


@dataclass(frozen=True)
class LensChoice:
    """What was made of one lens."""

    images: tuple[str, ...]
    """Names of its photos."""
    model: str
    """COLMAP's name."""
    principal_point: str
    """`estimated`, `middle` of the photo, or `given`."""
    lens: str
    """`estimated`; `focal length by EXIF`, for the photos do not tell it, and the rest estimated; `held` as it is
    known; or `refined` from that."""
    tried: tuple[LensTrial, ...] = ()

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {**asdict(self), "images": list(self.images), "tried": [asdict(one) for one in self.tried]}


@dataclass
class ChosenLenses:
    """A part of a model with the lenses that were chosen, and what was tried, by id of the camera."""

    part: pycolmap.Reconstruction
    """All photos and some of the points, adjusted."""
    centres: set[int] = field(default_factory=set)
    """Cameras whose principal points are estimated."""
    tried: dict[int, list[LensTrial]] = field(default_factory=dict)


def choose_lenses(
    model: pycolmap.Reconstruction, threads: int = 1, centres: Collection[int] = (), fisheyes: bool = True
) -> ChosenLenses:
    """Free what the photos of `model` determine of their lenses; principal points of `centres` are free already.

    A lens that still draws its corners in strongly is tried as a fisheye, with `fisheyes`.
    """
    part = with_points(model, enough_points(model, _POINTS))
    chosen = ChosenLenses(part, set(centres), tried={camera_id: [] for camera_id in part.cameras})
    cost = _adjusted(chosen, threads)
    eligible = {camera_id: views for camera_id, views in _photos_of(part).items() if len(views) >= _FEWEST_PHOTOS}
    moves = [] if not eligible else _moves(chosen, eligible, fisheyes)
    held_out: HeldOut | None = None
    groups = [group for views in eligible.values() for group in _groups(views)]
    while moves:
        freedom, cameras = moves.pop(0)
        trial = _with(chosen, freedom, cameras)
        lower = _adjusted(trial, threads)
        if 1 - lower / cost < _LEAST_GAIN:
            for camera_id in cameras:
                _note(
                    chosen, camera_id, LensTrial(freedom.name, 1 - lower / cost, None, None, False, "explains no more")
                )
            continue
        after = _linearised(trial)
        unsure = _uncertainties(trial, after, cameras) if freedom.centre else {}
        verdicts = {
            camera_id: LensTrial(freedom.name, 1 - lower / cost, None, formal, False, _NOT_DETERMINED)
            for camera_id, formal in unsure.items()
            if not _is_sure(formal, trial.part.cameras[camera_id])
        }
        if len(verdicts) < len(cameras):
            if held_out is None:
                held_out = _linearised(chosen).without(groups)
            left = [camera_id for camera_id in cameras if camera_id not in verdicts]
            verdicts |= _tests(freedom, left, held_out, after.without(groups), trial, unsure, groups, eligible)
        for camera_id, verdict in verdicts.items():
            _note(chosen, camera_id, verdict)
        taken = [camera_id for camera_id, verdict in verdicts.items() if verdict.taken]
        if not taken:
            continue
        if len(taken) < len(cameras):
            trial = _with(chosen, freedom, taken)
            lower = _adjusted(trial, threads)
        chosen.part, chosen.centres, cost, held_out = trial.part, trial.centres, lower, None
        moves = _moves(chosen, eligible, fisheyes)
    return chosen


def fisheye_verdict(plain: pycolmap.Reconstruction, fisheye: pycolmap.Reconstruction, threads: int = 1) -> LensTrial:
    """Whether a model with a fisheye explains photos left out better than one without that was mapped by itself.

    Each model has points of its own, so it is the cost of one observation that counts, of the photos that both place.
    """
    common = sorted(set(plain.reg_image_ids()) & set(fisheye.reg_image_ids()))
    groups = _groups(common)
    costs = np.stack([_held_out_costs(model, groups, threads) for model in (plain, fisheye)], axis=1)
    gains = (costs[:, 0] - costs[:, 1]) / max(float(costs[:, 0].mean()), 1e-300)
    return _verdict(_FISHEYE, np.asarray(gains, np.float64), None, next(iter(fisheye.cameras.values())))


def _held_out_costs(
    model: pycolmap.Reconstruction, groups: Sequence[Sequence[int]], threads: int
) -> NDArray[np.float64]:
    """(G,) robust cost of one observation of each group of images, by their ids, without which the lens is told."""
    chosen = ChosenLenses(with_points(model, enough_points(model, _POINTS)))
    _adjusted(chosen, threads)
    row = {image_id: view for view, image_id in enumerate(sorted(model.reg_image_ids()))}
    rows = [[row[image_id] for image_id in group] for group in groups]
    held_out = _linearised(chosen).without(rows)
    return np.array([held_out.cost[own].sum() / max(1, held_out.count[own].sum()) for own in rows])


def _moves(
    chosen: ChosenLenses, eligible: Mapping[int, Sequence[int]], fisheyes: bool
) -> list[tuple[Freedom, list[int]]]:
    """What may be freed next, and of which cameras.

    Coefficients of a lens that is not centred come with the principal point, for either stands in for the other. Where
    a lens needs both, neither alone makes sense of the photos, so that they are tried together in the end. A fisheye
    comes last, for it has to say more than all polynomials.
    """
    models = dict.fromkeys(name for names in RICHER.values() for name in names)
    moves = []
    for freedom in (CENTRE, *(Freedom(False, name) for name in models), _ALL):
        cameras = [
            camera_id
            for camera_id in eligible
            if (freedom.model is None or freedom.model in RICHER.get(chosen.part.cameras[camera_id].model_name, ()))
            and (camera_id not in chosen.centres if freedom.centre else True)
            and (camera_id in chosen.centres if freedom == Freedom(False, "OPENCV") else True)
        ]
        if cameras:
            moves.append((freedom, cameras))
    bent = [camera_id for camera_id in eligible if fisheyes and may_be_fisheye(chosen.part.cameras[camera_id])]
    if bent:
        moves.append((_FISHEYE, bent))
    return moves


def _with(chosen: ChosenLenses, freedom: Freedom, cameras: Sequence[int]) -> ChosenLenses:
    """A copy in which `cameras` have a further freedom, not adjusted yet."""
    import pycolmap

    part = pycolmap.Reconstruction(chosen.part)
    if freedom.model is not None:
        for camera_id in cameras:
            convert(part.cameras[camera_id], freedom.model)
    return ChosenLenses(part, chosen.centres | set(cameras if freedom.centre else ()))


def _adjusted(chosen: ChosenLenses, threads: int) -> float:
    return adjust(chosen.part, centre=chosen.centres, loss_scale=LAST_LOSS_SCALE, iterations=100, threads=threads)


def _linearised(chosen: ChosenLenses) -> Linearised:
    return Linearised.of(chosen.part, LAST_LOSS_SCALE, free_parameters(chosen.part, chosen.centres))


def _places(trial: ChosenLenses) -> dict[int, dict[int, int]]:
    """By id of the camera, where each of its free parameters is among those of all lenses."""
    free = free_parameters(trial.part, trial.centres)
    found: dict[int, dict[int, int]] = {}
    first = 0
    for camera_id in sorted(free):
        found[camera_id] = {index: first + place for place, index in enumerate(free[camera_id])}
        first += len(free[camera_id])
    return found


def _centre_places(trial: ChosenLenses, camera_id: int) -> list[int]:
    return [_places(trial)[camera_id][index] for index in trial.part.cameras[camera_id].principal_point_idxs()]


def _uncertainties(trial: ChosenLenses, linearised: Linearised, cameras: Sequence[int]) -> dict[int, float]:
    """Standard deviation of the principal points of `cameras` by the scatter of the observations, in pixels."""
    variances = np.diag(linearised.covariance())[POSE * len(linearised.image_ids) :]
    return {camera_id: float(np.sqrt(variances[_centre_places(trial, camera_id)]).max()) for camera_id in cameras}


def _is_sure(uncertainty: float, camera: pycolmap.Camera) -> bool:
    return uncertainty <= _LARGEST_UNCERTAINTY * max(camera.width, camera.height)


def _tests(
    freedom: Freedom,
    cameras: Sequence[int],
    before: HeldOut,
    after: HeldOut,
    trial: ChosenLenses,
    unsure: Mapping[int, float],
    groups: Sequence[Sequence[int]],
    eligible: Mapping[int, Sequence[int]],
) -> dict[int, LensTrial]:
    """What photos left out say of a freedom, by id of the camera."""
    found = {}
    for camera_id in cameras:
        own = [number for number, group in enumerate(groups) if group[0] in eligible[camera_id]]
        gains = _gains([groups[number] for number in own], before, after)
        uncertainty = None
        if freedom.centre:
            changes = after.lens[own][:, _centre_places(trial, camera_id)]
            uncertainty = float(np.maximum(unsure[camera_id], _jackknife(changes).max()))
        found[camera_id] = _verdict(freedom, gains, uncertainty, trial.part.cameras[camera_id])
    return found


def _verdict(
    freedom: Freedom, gains: NDArray[np.float64], uncertainty: float | None, camera: pycolmap.Camera
) -> LensTrial:
    from scipy.special import stdtrit

    gain = float(gains.mean())
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5
    certainty = gain / error if error > 0 else 0.0
    needed = float(stdtrit(len(gains) - 1, _CONFIDENCE))
    if uncertainty is not None and not _is_sure(uncertainty, camera):
        why = _NOT_DETERMINED
    elif gain < _LEAST_GAIN:
        why = "explains photos left out no better"
    elif certainty < needed:
        why = "explains some photos left out better, and others worse"
    else:
        return LensTrial(freedom.name, gain, certainty, uncertainty, True, "explains photos left out better")
    return LensTrial(freedom.name, gain, certainty, uncertainty, False, why)


def _gains(groups: Sequence[Sequence[int]], before: HeldOut, after: HeldOut) -> NDArray[np.float64]:
    """(G,) for each group of photos left out, how much lower their cost is, in units of the mean of all groups."""
    rows = [list(group) for group in groups]
    count = np.array([max(1, before.count[group].sum()) for group in rows])
    costs = np.array([(before.cost[group].sum(), after.cost[group].sum()) for group in rows]) / count[:, None]
    return np.asarray((costs[:, 0] - costs[:, 1]) / max(costs[:, 0].mean(), 1e-300), np.float64)


def _jackknife(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) standard deviation of parameters by what they change (G, K) without each group (Tukey 1958)."""
    groups = len(changes)
    spread = changes - changes.mean(axis=0)
    return np.asarray(np.sqrt((groups - 1) / groups * (spread**2).sum(axis=0)), np.float64)


def _groups(views: Sequence[int]) -> list[list[int]]:
    """Photos to leave out together: each by itself, or neighbours where they are many."""
    return [part.tolist() for part in np.array_split(np.array(views), min(len(views), _MOST_GROUPS))]


def _photos_of(model: pycolmap.Reconstruction) -> dict[int, list[int]]:
    """Rows of the photos of each camera."""
    found: dict[int, list[int]] = {}
    for row, image_id in enumerate(sorted(model.reg_image_ids())):
        found.setdefault(model.images[image_id].camera_id, []).append(row)
    return found


def _note(chosen: ChosenLenses, camera_id: int, trial: LensTrial) -> None:
    """In place of what the same freedom came to before something else was freed."""
    others = [one for one in chosen.tried[camera_id] if one.freedom != trial.freedom]
    chosen.tried[camera_id] = [*others, trial]
