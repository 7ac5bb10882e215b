"""Which photos show the same things, and which of those pairs show them from different places.

A camera that only turns sees no depth, yet mapping can make a model of noise and lens distortion out of its photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.sfm.features import read_keypoints
from recon.sfm.pairs import Pair
from recon.sfm.photos import SfmPhoto

_LEAST_PARALLAX = 0.003
"""Distance, in units of the longer side, that turning must leave unexplained: 5 pixels of 1600."""
_NOISE = 1.0
"""Pixels of the small pictures added to that: matches are no better."""
_QUANTILE = 0.8
"""Of the matches, in order of that distance: what is near shows parallax, and it may be a small part of the picture."""
_MOST_MATCHES = 400
_SAMPLE = 100
"""Matches of a pair that are kept, to judge models by."""
_KNOWN_FOCALS = np.geomspace(0.85, 1.18, 5)
"""Factors on a focal length from EXIF that the test allows for."""
_UNKNOWN_FOCALS = np.geomspace(0.5, 2.0, 13)
"""The same where EXIF says nothing. Not larger: towards telephoto, turning looks like a step sideways."""
_ZOOMS = np.geomspace(0.94, 1.06, 7)
"""Factors on how much larger the second photo shows things, that the test of zooming allows for."""


@dataclass(frozen=True)
class Matches:
    """A sample of the verified matches of a pair, in pixels of the small pictures."""

    first: NDArray[np.float32]
    """(K, 2) in the photo with the lower index."""
    second: NDArray[np.float32]
    """(K, 2) in the other."""
    count: int
    """Of all, not only of the sample."""


@dataclass(frozen=True)
class Overlaps:
    """What geometric verification accepted."""

    pairs: frozenset[Pair]
    """Pairs (i, j), i < j, of photos that show the same things."""
    with_parallax: frozenset[Pair]
    """Those of them whose matches a turn of the camera alone does not explain."""
    beyond_zoom: frozenset[Pair]
    """Those of these that a turn with a change of the focal length does not explain either."""
    matches: Mapping[Pair, Matches] = field(default_factory=dict)
    """Of each pair, at most some hundred."""


def read_overlaps(database_path: Path, photos: Sequence[SfmPhoto]) -> Overlaps:
    """Find the verified pairs and judge their parallax.

    For each focal length allowed, the rotation between the rays of a pair is fitted (Kabsch 1976); the pair has
    parallax if the matches stay apart for all of them. Where EXIF does not say the focal lengths, the second may be
    another one than the first: so it is when a camera zooms.
    """
    import pycolmap

    pairs, with_parallax, beyond_zoom, samples = set(), set(), set(), {}
    with pycolmap.Database.open(database_path) as database:
        keypoints = [read_keypoints(database, index) for index in range(len(photos))]
        for pair_id, geometry in zip(*database.read_two_view_geometries(), strict=True):
            i, j = (image_id - 1 for image_id in pycolmap.pair_id_to_image_pair(pair_id))
            matches = np.asarray(geometry.inlier_matches)
            if len(matches) == 0:
                continue
            pairs.add((i, j))
            count = len(matches)
            matches = matches[:: -(-len(matches) // _MOST_MATCHES)]
            first, second = keypoints[i][matches[:, 0]], keypoints[j][matches[:, 1]]
            least = _LEAST_PARALLAX * max(photos[j].gray.shape) + _NOISE
            if _unexplained(first, second, photos[i], photos[j]) > least:
                with_parallax.add((i, j))
                if _unexplained(first, second, photos[i], photos[j], zooms=True) > least:
                    beyond_zoom.add((i, j))
            few = slice(None, None, -(-len(first) // _SAMPLE))
            samples[i, j] = Matches(first[few].astype(np.float32), second[few].astype(np.float32), count)
    return Overlaps(frozenset(pairs), frozenset(with_parallax), frozenset(beyond_zoom), samples)


def _unexplained(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_photo: SfmPhoto,
    second_photo: SfmPhoto,
    zooms: bool = False,
) -> float:
    """Pixels of the second small picture that the best turn leaves between matched points (K, 2).

    With `zooms`, the focal length may change, too, unless EXIF says both.
    """
    known = first_photo.focal_is_known and second_photo.focal_is_known
    factors = second_factors = _KNOWN_FOCALS if known else _UNKNOWN_FOCALS
    if zooms and not known:
        shown = _spread(second) / _spread(first) * first_photo.focal_guess / second_photo.focal_guess
        factors, second_factors = (
            one.ravel() for one in np.broadcast_arrays(factors[:, None], factors[:, None] * shown * _ZOOMS)
        )
    first_rays, second_rays = _rays(first, first_photo, factors), _rays(second, second_photo, second_factors)
    left, _, right = np.linalg.svd(second_rays.swapaxes(1, 2) @ first_rays)  # (F, 3, 3) each
    signs = np.ones((len(factors), 1, 3))
    signs[:, 0, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    first_to_second = (left * signs) @ right  # (F, 3, 3)
    turned = first_rays @ first_to_second.swapaxes(1, 2)
    angles = 2 * np.arcsin(np.clip(np.linalg.norm(turned - second_rays, axis=2) / 2, 0, 1))  # (F, K)
    pixels = np.quantile(angles, _QUANTILE, axis=1) * second_factors * second_photo.focal_guess
    return float(pixels.min())


def _spread(points: NDArray[np.float64]) -> float:
    """Median distance of points (K, 2) from their middle; those that move by themselves count little."""
    return max(float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1))), 1e-9)


def _rays(points: NDArray[np.float64], photo: SfmPhoto, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, K, 3) unit rays of pixel coordinates (K, 2), for focal lengths `factors` (F,) times the photo's guess."""
    centre = np.array(photo.original_size) * photo.scale / 2
    offsets = np.broadcast_to(points - centre, (len(factors), *points.shape))  # (F, K, 2)
    focals = np.broadcast_to((factors * photo.focal_guess)[:, None, None], (*offsets.shape[:2], 1))
    rays = np.concatenate([offsets, focals], axis=2)
    return rays / np.linalg.norm(rays, axis=2, keepdims=True)
