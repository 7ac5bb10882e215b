"""Do the photos agree with the cameras that the user gave? If not: which other convention do they agree with?

Cameras come in many conventions: camera-to-world instead of world-to-camera, axes of OpenGL instead of OpenCV,
intrinsics of another image size or normalised. Read wrongly they are cameras all the same, of which nothing fits.
The photos tell: features that neighbouring photos have in common must lie on each other's epipolar lines, in front of
both cameras (Hartley and Zisserman, Multiple View Geometry, 2nd edition, chapters 9 and 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid, warn_if_camera_to_world
from recon.messages import warn
from recon.sources.camera_conventions import Reading, another_size, are_normalised, finer_sizes, readings, usual_lenses
from recon.sources.camera_matches import Features, Matches, few_pairs, find_matches, neighbouring_pairs
from recon.sources.fitting import Views

_TIE = 0.02
"""Of two readings that differ by less, the more usual one counts."""
_FEWEST = 60
"""Matches that a verdict needs."""
_SLACK = 3.0
"""Pixels of a view: how far from its epipolar line a match is as good as half."""
_ROUNDING = 3e-7
"""Cameras nearer to each other than this share of their distance from the origin are in one place: float32 tells no
more."""
_GOOD = 0.8
"""Agreement from which on cameras are right: nothing else is looked for."""
_SUSPECT = 0.35
"""Agreement below which cameras that no other convention explains are said to be wrong."""
_NAMED, _AHEAD = 0.6, 0.2
"""How well another convention must agree, and by how much better than the cameras as given, to be named."""


def check_given_cameras(views: Views) -> None:
    """Warn where the cameras that the user gave for `views` seem to be in another convention, and say in which.

    Where the photos have too little in common to tell, the numbers themselves are looked at.

    Raises:
        InputError: a principal point outside its photo.
    """
    intrinsics, sizes = views.original_cameras.intrinsics, views.original_sizes
    hint = None if intrinsics is None else doubt_of_intrinsics(intrinsics, sizes, views.names)
    verdict = judge_cameras(views)
    if verdict is None:
        if views.cameras.world_to_camera is not None:
            warn_if_camera_to_world(views.cameras.world_to_camera)
        if hint is not None:
            warn(hint)
    elif verdict.doubt is not None:
        warn(verdict.doubt)


def doubt_of_intrinsics(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64], names: Sequence[str]) -> str | None:
    """What intrinsics (N, 3, 3) for photos of `sizes` (N, 2) seem to be instead, by themselves; None: nothing.

    Raises:
        InputError: a principal point outside its photo.
    """
    hint = another_size(intrinsics, sizes)
    places = intrinsics[:, :2, 2]
    outside = ((places < 0) | (places > sizes)).any(axis=1)
    if outside.any() and not are_normalised(intrinsics, sizes):
        index = int(np.argmax(outside))
        (x, y), (width, height) = places[index].tolist(), sizes[index].tolist()
        raise InputError(
            f"intrinsics of '{names[index]}': the principal point ({x:.6g}, {y:.6g}) lies outside the photo of "
            f"{width}×{height} pixels; {hint or 'intrinsics are to be in pixels of the upright original'}"
        )
    return None if hint is None else f"{hint}, if so"


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
    lenses = usual_lenses(views.pixels) if cameras.intrinsics is None else [cameras.intrinsics]
    given = [Reading("", cameras.world_to_camera, intrinsics) for intrinsics in lenses]
    extreme = None if originals.intrinsics is None else another_size(originals.intrinsics, views.original_sizes)
    features = Features(views.pixels, views.masks)
    for pairs in (few_pairs(len(views)), neighbouring_pairs(len(views))):
        matches = find_matches(features, pairs)
        enough = sum(len(pair.first_points) for pair in matches) >= _FEWEST
        agreement = max(_agreement(reading, matches) for reading in given) if enough else 0.0
        if agreement >= _GOOD and extreme is None:
            return Verdict(agreement, None)
    if not enough:
        return None

    best, best_agreement = given[0], agreement
    for reading in readings(views, lenses):
        found = _agreement(reading, matches)
        if found > best_agreement + _TIE:
            best, best_agreement = reading, found
    if best.scale != 1:
        best = max([best, *finer_sizes(best, views)], key=lambda reading: _agreement(reading, matches))
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


def _agreement(reading: Reading, matches: list[Matches]) -> float:
    """Mean over all pairs: how near matches lie to their epipolar lines, 0 where they lie behind a camera."""
    return float(np.mean([_pair_agreement(reading, pair) for pair in matches]))


def _pair_agreement(reading: Reading, pair: Matches) -> float:
    first_intrinsics, second_intrinsics = reading.intrinsics[[pair.first, pair.second]]
    first, second = reading.world_to_camera[[pair.first, pair.second]]
    motion = second @ invert_rigid(first)
    rotation, translation = motion[:3, :3], motion[:3, 3]
    first_rays = _rays(pair.first_points, first_intrinsics)  # (M, 3), z = 1
    turned = first_rays @ rotation.T
    length = float(np.linalg.norm(translation))
    if length <= _ROUNDING * max(np.linalg.norm(first[:3, 3]), np.linalg.norm(second[:3, 3])):
        # In one place, as on a tripod: there are no epipolar lines, and each match has one place where it must be.
        ahead = turned[:, 2] > 1e-9
        seen = turned[ahead] @ second_intrinsics.T
        errors = np.linalg.norm(seen[:, :2] / seen[:, 2:] - pair.second_points[ahead], axis=1)
        return float((1 / (1 + (errors / _SLACK) ** 2)).sum() / len(turned))
    second_rays = _rays(pair.second_points, second_intrinsics)
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
