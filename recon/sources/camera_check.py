"""Do the photos agree with the cameras that the user gave? If not: which other convention do they agree with?

Cameras come in many conventions: camera-to-world instead of world-to-camera, axes of OpenGL instead of OpenCV,
intrinsics of another image size or normalised. Read wrongly they are cameras all the same, of which nothing fits.
The photos tell: features that neighbouring photos have in common must lie on each other's epipolar lines, in front of
both cameras (Hartley and Zisserman, Multiple View Geometry, 2nd edition, chapters 9 and 11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid, warn_if_camera_to_world
from recon.messages import warn
from recon.sources.fitting import Views

_FEATURES = 1500
"""Per photo; the strongest."""
_RATIO = 0.8
"""A match must be this much closer than the second best (Lowe, IJCV 2004)."""
_TIE = 0.02
"""Of two readings that differ by less, the more usual one counts."""
_FEW_PAIRS = 4
"""Pairs that are looked at first: where these agree, no others are."""
_TRIPLES = 8
"""Groups of three photos in a row that are looked at."""
_FEWEST_PAIR = 20
"""Matches that a pair of photos needs to count."""
_FEWEST = 60
"""Matches that a verdict needs."""
_MOST_PER_PAIR = 200
_SLACK = 3.0
"""Pixels of a view: how far from its epipolar line a match is as good as half."""
_RANSAC_PIXELS = 1.5
_GOOD = 0.8
"""Agreement from which on cameras are right: nothing else is looked for."""
_SUSPECT = 0.35
"""Agreement below which cameras that no other convention explains are said to be wrong."""
_NAMED, _AHEAD = 0.6, 0.2
"""How well another convention must agree, and by how much better than the cameras as given, to be named."""
_STATIONARY = 1.5
"""Pixels: what moves less from photo to photo may be a watermark, and tells nothing of cameras if it is not."""
_SCALE_STEP = 2.0**0.25
_SCALES = tuple(_SCALE_STEP**k for k in range(-16, 17) if k)
"""Sizes of other images, relative to the photos, that the intrinsics may be of."""
_EXTREME = 0.2
"""Principal points nearer to two borders than this share of the sides are those of another image."""


@dataclass(frozen=True)
class Matches:
    """M features that two views have in common, whatever their cameras."""

    first: int
    second: int
    first_points: NDArray[np.float64]
    """(M, 2) pixels, half-integer centres."""
    second_points: NDArray[np.float64]
    """(M, 2)"""


@dataclass(frozen=True)
class Reading:
    """One way to read the numbers given."""

    name: str
    """What is to be said of it; empty: as they are."""
    world_to_camera: NDArray[np.float64]
    """(N, 4, 4)"""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3) in pixels of the views."""
    scale: float = 1.0
    """Size of the images that the intrinsics given are of, relative to the photos."""
    whole: Reading | None = None
    """The same reading of the extrinsics with the intrinsics as given; None: this one."""

    @property
    def form(self) -> Reading:
        """The same reading of the extrinsics with the intrinsics as given."""
        return self if self.whole is None else self.whole


def check_given_cameras(views: Views) -> None:
    """Warn where the cameras that the user gave for `views` seem to be in another convention, and say in which.

    Where the photos have too little in common to tell, the numbers themselves are looked at.

    Raises:
        InputError: a principal point outside its photo.
    """
    intrinsics, sizes = views.original_cameras.intrinsics, views.original_sizes
    hint = None if intrinsics is None else another_size(intrinsics, sizes)
    if intrinsics is not None and not _are_normalised(intrinsics, sizes):
        _refuse_outside(intrinsics, sizes, views.names, hint)
    verdict = judge_cameras(views)
    if verdict is None:
        if views.cameras.world_to_camera is not None:
            warn_if_camera_to_world(views.cameras.world_to_camera)
        if hint is not None:
            warn(f"{hint}, if so")
    elif verdict.doubt is not None:
        warn(verdict.doubt)


def _refuse_outside(
    intrinsics: NDArray[np.float64], sizes: NDArray[np.int64], names: Sequence[str], hint: str | None
) -> None:
    places = intrinsics[:, :2, 2]
    outside = ((places < 0) | (places > sizes)).any(axis=1)
    if outside.any():
        index = int(np.argmax(outside))
        (x, y), (width, height) = places[index].tolist(), sizes[index].tolist()
        raise InputError(
            f"intrinsics of '{names[index]}': the principal point ({x:.6g}, {y:.6g}) lies outside the photo of "
            f"{width}×{height} pixels; {hint or 'intrinsics are to be in pixels of the upright original'}"
        )


@dataclass(frozen=True)
class Verdict:
    """What the photos say of cameras."""

    agreement: float
    """Of the cameras as given: 1 is perfect."""
    doubt: str | None
    """One line; None where they are right, or nothing better is known."""


def judge_cameras(views: Views) -> Verdict | None:
    """What the photos say of the cameras of `views`; None where they have too little in common, or there is nothing to
    judge: extrinsics of at least two views are needed. Without intrinsics, usual focal lengths are tried."""
    cameras, originals = views.cameras, views.original_cameras
    if len(views) < 2 or cameras.world_to_camera is None:
        return None
    lenses = _usual_intrinsics(views.pixels) if cameras.intrinsics is None else [cameras.intrinsics]
    given = [Reading("", cameras.world_to_camera, intrinsics) for intrinsics in lenses]
    extreme = None if originals.intrinsics is None else another_size(originals.intrinsics, views.original_sizes)
    features = _Features(views.pixels)
    for pairs in (_few_pairs(len(views)), _pairs(len(views))):
        matches = find_matches(features, pairs)
        enough = sum(len(pair.first_points) for pair in matches) >= _FEWEST
        agreement = max(_agreement(reading, matches) for reading in given) if enough else 0.0
        if agreement >= _GOOD and extreme is None:
            return Verdict(agreement, None)
    if not enough:
        return None

    best, best_agreement = given[0], agreement
    for index, (name, extrinsics) in enumerate(_forms(cameras.world_to_camera)):
        readings = [Reading(name, extrinsics, intrinsics) for intrinsics in lenses]
        if index <= _COMMON_FORMS and cameras.intrinsics is not None:
            readings += _other_sizes(readings[0], views)
        for reading in readings:
            found = _agreement(reading, matches)
            if found > best_agreement + _TIE:
                best, best_agreement = reading, found
    if best.scale != 1:
        steps = np.geomspace(best.scale / _SCALE_STEP, best.scale * _SCALE_STEP, 17).tolist()
        readings = [_of_another_size(best.form, views, scale) for scale in steps]
        best = max([best, *readings], key=lambda reading: _agreement(reading, matches))
        best_agreement = _agreement(best, matches)
    if extreme is not None and agreement >= _GOOD and best_agreement < agreement + _AHEAD:
        return Verdict(agreement, f"{extreme}, if so")
    if best_agreement > max(agreement + _AHEAD, _NAMED):
        return Verdict(
            agreement,
            f"the given cameras agree with {agreement:.0%} of what the photos have in common; with "
            f"{best_agreement:.0%} if {best.name}",
        )
    if agreement < _SUSPECT:
        return Verdict(
            agreement,
            f"the given cameras agree with {agreement:.0%} only of what the photos have in common, and no usual "
            "convention makes it more: are they of these photos, and in their order?",
        )
    return Verdict(agreement, None)


def _usual_intrinsics(pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Guesses of the intrinsics (N, 3, 3) of views, from wide-angle to telephoto lenses."""
    count, height, width = pixels.shape[:3]
    guesses = []
    for focal in np.geomspace(0.5, 3, 8) * max(height, width):
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        guesses.append(np.tile(matrix, (count, 1, 1)))
    return guesses


def another_size(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64]) -> str | None:
    """One line where intrinsics (N, 3, 3) can hardly be of images of `sizes` (N, 2), by themselves; else None."""
    if _are_normalised(intrinsics, sizes):
        return f"the intrinsics are normalised, not in pixels: {_PIXELS}"
    places = intrinsics[:, :2, 2] / sizes  # (N, 2), about 0.5 each
    place = np.median(places, axis=0)
    at_border = (place < _EXTREME).all() or (place > 1 - _EXTREME).all()
    if at_border and abs(place[0] - place[1]) < 0.1 * place.max():
        return _of_size(float(place.mean() * 2), sizes)
    return None


class _Features:
    """SIFT features of views (N, H, W, 3), found when they are first asked for."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self._detector: Any = cv2.SIFT.create(nfeatures=_FEATURES)
        self._found: dict[int, tuple[NDArray[np.float64], NDArray[np.float32]]] = {}

    def of(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """(K, 2) places with half-integer centres and (K, 128) descriptors (RootSIFT: Arandjelović, CVPR 2012)."""
        if view not in self._found:
            self._found[view] = self._detect(view)
        return self._found[view]

    def _detect(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        grey = cv2.cvtColor(self._pixels[view], cv2.COLOR_RGB2GRAY)
        keypoints, descriptors = self._detector.detectAndCompute(grey, None)
        if not keypoints:
            return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
        places = np.array([keypoint.pt for keypoint in keypoints], np.float64) + 0.5
        shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-7)
        return places, np.sqrt(shares).astype(np.float32)


def find_matches(features: _Features, pairs: list[tuple[int, int]]) -> list[Matches]:
    """What pairs of views have in common: features that one epipolar geometry explains."""
    found = (_match(first, second, *features.of(first), *features.of(second)) for first, second in pairs)
    return [matches for matches in found if matches is not None]


def _few_pairs(count: int) -> list[tuple[int, int]]:
    """A few neighbours in order, spread over all views: enough where all is right."""
    firsts = np.unique(np.linspace(0, count - 2, min(_FEW_PAIRS, count - 1)).astype(int))
    return [(first, first + 1) for first in firsts.tolist()]


def _pairs(count: int) -> list[tuple[int, int]]:
    """Neighbours in order, and those one apart: of all views, or of some triples among many."""
    if count <= 3 * _TRIPLES:
        return [(i, i + step) for step in (1, 2) for i in range(count - step)]
    starts = np.linspace(0, count - 3, _TRIPLES).astype(int).tolist()
    return [(start + i, start + j) for start in starts for i, j in ((0, 1), (1, 2), (0, 2))]


def _match(
    first: int,
    second: int,
    first_places: NDArray[np.float64],
    first_descriptors: NDArray[np.float32],
    second_places: NDArray[np.float64],
    second_descriptors: NDArray[np.float32],
) -> Matches | None:
    """Mutual best matches that are distinct and agree on some epipolar geometry; None where they are too few."""
    if min(len(first_places), len(second_places)) < _FEWEST_PAIR:
        return None
    likeness = first_descriptors @ second_descriptors.T  # (K, L); squared distance is 2 - 2 likeness
    order = np.argpartition(-likeness, 1, axis=1)[:, :2]
    two = np.take_along_axis(likeness, order, axis=1)
    best = order[np.arange(len(order)), two.argmax(axis=1)]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(two, axis=1), 0))  # second best, best
    distinct = distances[:, 1] < _RATIO * distances[:, 0]
    mutual = likeness.argmax(axis=0)[best] == np.arange(len(best))
    moved = np.linalg.norm(first_places - second_places[best], axis=1) > _STATIONARY
    chosen = np.flatnonzero(distinct & mutual & moved)
    if len(chosen) < _FEWEST_PAIR:
        return None
    a, b = first_places[chosen], second_places[best[chosen]]
    cv2.setRNGSeed(0)
    _, inliers = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, _RANSAC_PIXELS, 0.999, 2000)
    if inliers is None or inliers.sum() < _FEWEST_PAIR:
        return None
    kept = np.flatnonzero(inliers.ravel())
    kept = kept[np.linspace(0, len(kept) - 1, min(len(kept), _MOST_PER_PAIR)).astype(int)]
    return Matches(first, second, a[kept], b[kept])


def _agreement(reading: Reading, matches: list[Matches]) -> float:
    """Mean over all pairs: how near matches lie to their epipolar lines, 0 where they lie behind a camera."""
    return float(np.mean([_pair_agreement(reading, pair) for pair in matches]))


def _pair_agreement(reading: Reading, pair: Matches) -> float:
    first_intrinsics, second_intrinsics = reading.intrinsics[[pair.first, pair.second]]
    motion = reading.world_to_camera[pair.second] @ invert_rigid(reading.world_to_camera[pair.first])
    rotation, translation = motion[:3, :3], motion[:3, 3]
    first_rays = _rays(pair.first_points, first_intrinsics)  # (M, 3), z = 1
    second_rays = _rays(pair.second_points, second_intrinsics)
    turned = first_rays @ rotation.T
    length = float(np.linalg.norm(translation))
    if length == 0:
        return 0.5  # cameras in one place: nothing to tell
    essential = _cross(translation / length) @ rotation
    fundamental = np.linalg.inv(second_intrinsics).T @ essential @ np.linalg.inv(first_intrinsics)
    errors = _sampson(pair.first_points, pair.second_points, fundamental)
    # Depths along the two rays where they come nearest: d2 second = d1 turned + t.
    normal = np.cross(turned, second_rays)
    squared = np.maximum((normal**2).sum(axis=1), 1e-18)
    first_depth = -(np.cross(np.broadcast_to(translation, turned.shape), second_rays) * normal).sum(axis=1) / squared
    second_depth = -(np.cross(np.broadcast_to(translation, turned.shape), turned) * normal).sum(axis=1) / squared
    in_front = (first_depth > 0) & (second_depth > 0)
    return float((in_front / (1 + (errors / _SLACK) ** 2)).mean())


def _rays(points: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return homogeneous @ np.linalg.inv(intrinsics).T


def _cross(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = vector.tolist()
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def _sampson(
    first: NDArray[np.float64], second: NDArray[np.float64], fundamental: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(M,) first-order distance in pixels from the epipolar constraint (Hartley and Zisserman, 11.4.3)."""
    a = np.concatenate([first, np.ones((len(first), 1))], axis=1)
    b = np.concatenate([second, np.ones((len(second), 1))], axis=1)
    forward, backward = a @ fundamental.T, b @ fundamental
    residual = (b * forward).sum(axis=1)
    slope = (forward[:, :2] ** 2).sum(axis=1) + (backward[:, :2] ** 2).sum(axis=1)
    return np.abs(residual) / np.sqrt(np.maximum(slope, 1e-30))


_OPENGL = "in axes of OpenGL (x right, y up, z backward)"
_AXES: dict[tuple[tuple[int, int], ...], str] = {
    ((0, 1), (1, 1), (2, 1)): "",
    ((0, 1), (1, -1), (2, -1)): _OPENGL,
    ((0, -1), (1, -1), (2, 1)): "in axes of PyTorch3D (x left, y up, z forward)",
    ((1, 1), (0, 1), (2, -1)): "in axes of LLFF (x down, y right, z backward)",
    ((1, -1), (2, -1), (0, 1)): "in axes of ROS (x forward, y left, z up)",
}
"""For OpenCV's x, y and z: which axis of the camera it is, and with which sign."""
_COMMON_FORMS = 3
"""After those as given: the usual mistakes, first in `_forms`."""


def _forms(given: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every reading of extrinsics (N, 4, 4): what they may be, and world-to-camera in OpenCV's axes; the given one and
    the usual ones first."""
    inverted = invert_rigid(given)
    centre, turned = given.copy(), given.copy()
    centre[:, :3, 3] = -(given[:, :3, :3] @ given[:, :3, 3:])[..., 0]
    turned[:, :3, :3] = given[:, :3, :3].swapaxes(1, 2)
    kinds = {
        "": given,
        "camera-to-world": inverted,
        "world-to-camera rotations with the positions of the cameras": centre,
        "camera-to-world rotations with world-to-camera translations": turned,
    }
    axes = sorted(_all_axes(), key=lambda choice: list(_AXES).index(choice) if choice in _AXES else len(_AXES))
    order = [(kind, choice) for choice in axes for kind in kinds]
    usual = [("", axes[0]), ("camera-to-world", axes[0]), ("", axes[1]), ("camera-to-world", axes[1])]
    for kind, choice in [*usual, *(entry for entry in order if entry not in usual)]:
        to_opencv = np.zeros((4, 4))
        to_opencv[3, 3] = 1
        for row, (column, sign) in enumerate(choice):
            to_opencv[row, column] = sign
        what = _AXES.get(choice, "in other camera axes than OpenCV's")
        described = " ".join(part for part in (kind, what) if part)
        remedy = _remedy(kind, what)
        yield (f"they are {described}: {remedy}" if described else ""), to_opencv @ kinds[kind]


def _all_axes() -> list[tuple[tuple[int, int], ...]]:
    """The 24 ways to call right-handed axes."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(tuple(zip(order, signs, strict=True)))
    return found


def _remedy(kind: str, axes: str) -> str:
    steps = []
    if kind == "camera-to-world":
        steps.append("invert them")
    elif kind:
        steps.append("give [R | t] of world-to-camera matrices")
    if axes == _OPENGL:
        steps.append("negate the second and third row of the world-to-camera matrix")
    elif axes:
        steps.append("turn the camera to x right, y down, z forward")
    return ", then ".join(steps)


_PIXELS = "multiply them by the width and height of the photos"


def _are_normalised(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64]) -> bool:
    """Whether nothing of them is larger than a few pixels."""
    return bool(np.abs(intrinsics[:, :2]).max() < 0.05 * sizes.min())


def _of_size(scale: float, sizes: NDArray[np.int64]) -> str:
    width, height = (sizes[0] * scale).round().astype(int).tolist()
    return (
        f"the intrinsics are of images {scale:.3g} times the size of the photos, about {width}×{height} pixels: "
        f"divide them by {scale:.3g}"
    )


def _other_sizes(form: Reading, views: Views) -> list[Reading]:
    """Readings of the intrinsics: normalised, or of images of another size."""
    given, sizes = views.original_cameras.intrinsics, views.original_sizes.astype(np.float64)
    assert given is not None
    to_processed = np.linalg.inv(views.processed_to_original)
    joint = " and " if form.name else ""
    prefix = form.name + joint
    unit = np.zeros((len(given), 3, 3))
    unit[:, 0, 0], unit[:, 1, 1], unit[:, 2, 2] = sizes[:, 0], sizes[:, 1], 1
    centred = unit / [[2], [2], [1]]
    centred[:, 0, 2], centred[:, 1, 2] = sizes[:, 0] / 2, sizes[:, 1] / 2
    if _are_normalised(given, views.original_sizes):
        readings = []
        for matrix, span in ((unit, "0 to 1"), (centred, "-1 to 1")):
            name = f"{prefix}the intrinsics are normalised ({span}), not in pixels: {_PIXELS}"
            readings.append(replace(form, name=name, intrinsics=to_processed @ matrix @ given))
        return readings
    return [_of_another_size(form, views, scale) for scale in _SCALES]


def _of_another_size(form: Reading, views: Views, scale: float) -> Reading:
    """The intrinsics are of images `scale` times as large as the photos."""
    given = views.original_cameras.intrinsics
    assert given is not None
    scaled = np.linalg.inv(views.processed_to_original) @ np.diag([1 / scale, 1 / scale, 1]) @ given
    name = " and ".join(part for part in (form.name, _of_size(scale, views.original_sizes)) if part)
    return Reading(name, form.world_to_camera, scaled, scale, form)
