"""Which photos look alike, by the features that structure from motion matches: nothing to download.

    features = [picture_features(gray) for gray in pictures]        # or read_features of a database
    pairs = look_alikes(features, neighbours=4, apart=30)           # loops of a video: the best first for each photo

Or in parts, for photos that come one after another: `Codebook.learn` from some, `describe` each, compare the
descriptions by their dot product, and look closer at a pair by `shared_features`.

The large features of a photo are those that other photos of the same things have too. So a few hundred of the largest
find more of the photos that overlap than a thousand at random, and in half the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.sources.colmap_log import quiet_colmap

LARGEST = 384
"""Features of a photo that are looked at, the largest."""
LIKELY = 16
"""Shared features of two photos, from which on they probably show the same things. On 102 rendered photos of one court,
1 in 50 of the pairs that show nothing in common has so many, and 9 in 10 of those that overlap by 30 % or more."""

_COUNTED = 256
"""Of the largest, that are matched to count what two photos share."""
_RATIO = 0.85
"""Of the distances to the nearest and second nearest feature (Lowe 2004), up to which a match counts."""
_FURTHEST = 0.8
"""Distance of descriptors of unit length, up to which a match counts."""
_WORDS = 64
_TRAINING_FEATURES = 30_000
_LLOYD_ROUNDS = 12
_CANDIDATES = 2
"""Photos with similar descriptions, per neighbour asked for, whose shared features are counted."""
_FEWEST_CANDIDATES = 20
_ROWS = 512
"""Photos compared with all others at a time."""
_PICTURE_SIDE = 640
"""Longer side, in pixels, of the pictures that `picture_features` searches: the largest features are still there."""


class LookAlikes(NamedTuple):
    """Two photos that look alike."""

    first: int
    second: int
    """Indices, the first is smaller."""
    shared: int
    """Features, out of some hundred of each, that match each other in both directions; see `LIKELY`."""


def picture_features(gray: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """(K, 128) SIFT descriptors of the largest features of a picture (h, w) in grey, at most `LARGEST`, largest first.

    Features where `mask` (h, w) is False are left out. The same picture gives the same descriptors.
    """
    import pycolmap

    scale = min(1.0, _PICTURE_SIDE / max(gray.shape))
    small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else gray
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = 1
    options.sift.first_octave = 0
    options.sift.max_num_features = LARGEST if mask is None else 4 * LARGEST
    with quiet_colmap():
        extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
        found, descriptors = extractor.extract_from_uint8_array(np.ascontiguousarray(small))
    if len(found) == 0:
        return np.zeros((0, 128), np.uint8)
    places = np.array([(one.x, one.y, one.compute_scale()) for one in found])
    keep = np.ones(len(places), bool)
    if mask is not None:
        columns, rows = (np.minimum(places[:, :2] / scale, np.array(mask.shape[::-1]) - 1)).astype(np.intp).T
        keep = mask[rows, columns]
    return _largest(np.asarray(descriptors.data, np.uint8)[keep], places[keep, 2])


def read_features(database_path: Path, count: int) -> list[NDArray[np.float32]]:
    """Of photos 0 … count - 1 in a COLMAP database, (K, D) descriptors of their largest features, largest first."""
    import pycolmap

    found = []
    with pycolmap.Database.open(database_path) as database:
        for index in range(count):
            if not database.exists_descriptors(index + 1):
                found.append(np.zeros((0, 128), np.float32))
                continue
            descriptors = database.read_descriptors(index + 1)
            data = np.asarray(descriptors.data)
            if descriptors.type != pycolmap.FeatureExtractorType.SIFT:  # others hold float32 in their bytes
                data = np.ascontiguousarray(data).view(np.float32)
            keypoints = np.asarray(database.read_keypoints(index + 1), np.float64)
            found.append(_largest(data, _scales(keypoints)).astype(np.float32))
    return found


def _scales(keypoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) scales of keypoints (K, 2), (K, 4) or (K, 6) as COLMAP's database has them; 1 where they have none."""
    if keypoints.shape[1] == 4:
        return keypoints[:, 2]
    if keypoints.shape[1] == 6:
        return np.sqrt(np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4]))
    return np.ones(len(keypoints))


def _largest(descriptors: NDArray, scales: NDArray[np.float64]) -> NDArray:
    return descriptors[np.argsort(-scales, kind="stable")[:LARGEST]]


def _unit(features: NDArray) -> NDArray[np.float32]:
    """Descriptors (K, D) of unit length."""
    descriptors = features.astype(np.float32)
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6)


@dataclass(frozen=True)
class Codebook:
    """Words that features are told apart by, to describe a photo by one vector."""

    words: NDArray[np.float32]
    """(W, D)"""

    @classmethod
    def learn(cls, features: Sequence[NDArray], seed: int = 0) -> Codebook:
        """From the features (K, D) of photos of all parts of what is to be told apart: words of one part tell the
        photos of others apart badly. Lloyd's algorithm from a random start."""
        generator = np.random.default_rng(seed)
        pool = np.concatenate([_unit(one) for one in features]) if features else np.zeros((0, 128), np.float32)
        if len(pool) > _TRAINING_FEATURES:
            pool = pool[generator.choice(len(pool), _TRAINING_FEATURES, replace=False)]
        count = min(_WORDS, len(pool))
        words = pool[generator.choice(len(pool), count, replace=False)] if count else pool
        for _ in range(_LLOYD_ROUNDS if count else 0):
            nearest = _nearest(pool, words)
            sizes = np.bincount(nearest, minlength=count)[:, None]
            words = np.where(sizes > 0, _sums(pool, nearest, count) / np.maximum(sizes, 1), words).astype(np.float32)
        return cls(words)

    def describe(self, features: NDArray) -> NDArray[np.float32]:
        """(W * D,) of unit length, or zero for a photo without features (K, D).

        Vector of locally aggregated descriptors (Jégou et al., CVPR 2010) with intra-normalisation (Arandjelović and
        Zisserman, CVPR 2013). The dot product of two says how much the photos look alike, up to 1.
        """
        residuals = np.zeros_like(self.words)
        if len(features) and len(self.words):
            descriptors = _unit(features)
            nearest = _nearest(descriptors, self.words)
            residuals = _sums(descriptors - self.words[nearest], nearest, len(self.words))
        residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-6)
        return (residuals / max(float(np.linalg.norm(residuals)), 1e-6)).ravel()


def _nearest(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.intp]:
    """(K,) index of the word nearest to each descriptor."""
    return np.argmax(descriptors @ words.T - (words**2).sum(axis=1) / 2, axis=1)


def _sums(descriptors: NDArray[np.float32], nearest: NDArray[np.intp], words: int) -> NDArray[np.float32]:
    """(words, D) sums of the descriptors (K, D) of each word."""
    of_word = np.argsort(nearest, kind="stable")
    present, first = np.unique(nearest[of_word], return_index=True)
    sums = np.zeros((words, descriptors.shape[1]), np.float32)
    sums[present] = np.add.reduceat(descriptors[of_word], first, axis=0)
    return sums


def shared_features(first: NDArray, second: NDArray) -> int:
    """How many of the largest features of two photos, (K, D) and (L, D), are each other's nearest, and by far."""
    return _shared(_unit(first[:_COUNTED]), _unit(second[:_COUNTED]))


def _shared(first: NDArray[np.float32], second: NDArray[np.float32]) -> int:
    if min(len(first), len(second)) < 2:
        return 0
    cosine = first @ second.T  # (K, L)
    nearest = cosine.argmax(axis=1)
    both_ways = cosine.argmax(axis=0)[nearest] == np.arange(len(first))
    two = np.partition(cosine[both_ways], -2, axis=1)[:, -2:]  # second nearest, nearest
    distance = np.sqrt(np.maximum(2 - 2 * two, 0))
    return int(((distance[:, 1] < _RATIO * distance[:, 0]) & (distance[:, 1] < _FURTHEST)).sum())


def look_alikes(
    features: Sequence[NDArray], neighbours: int, seed: int = 0, *, apart: int = 0, spaced: int = 0
) -> list[LookAlikes]:
    """For each photo those that look most like it.

    Args:
        features: (K, D) of each of N photos, largest first.
        neighbours: how many for each photo, at most.
        seed: of the codebook.
        apart: photos this close to each other in their order, or closer, are no pair.
        spaced: of photos this close to each other in their order, or closer, only the one that looks most like a
            photo is paired with it: otherwise the frames of one moment would take the places of all others.

    Returns:
        Pairs in the order of their indices; each has its count of shared features, which says whether the photos
        only look more alike than others, or show the same things (`LIKELY`).
    """
    count = len(features)
    if count < 2 or neighbours < 1:
        return []
    book = Codebook.learn(features, seed)
    described = np.stack([book.describe(one) for one in features])  # (N, W * D)
    few = min(max(_CANDIDATES * neighbours, _FEWEST_CANDIDATES), count - 1)
    candidates = []
    for first in range(0, count, _ROWS):
        cosine = described[first : first + _ROWS] @ described.T
        for row, own in enumerate(cosine, first):
            own[max(row - apart, 0) : row + apart + 1] = -np.inf
            candidates.append(_picked(own, few, spaced))
    counted = [_unit(one[:_COUNTED]) for one in features]
    shared: dict[tuple[int, int], int] = {}
    chosen = set()
    for index, own_candidates in enumerate(candidates):
        counts = np.full(count, -np.inf)
        for rank, other in enumerate(own_candidates):
            pair = (min(index, other), max(index, other))
            if pair not in shared:
                shared[pair] = _shared(counted[pair[0]], counted[pair[1]])
            counts[other] = shared[pair] - rank / count  # of those that share as many, the one described more alike
        chosen |= {(min(index, other), max(index, other)) for other in _picked(counts, neighbours, spaced)}
    return [LookAlikes(i, j, shared[i, j]) for i, j in sorted(chosen)]


def alike_between(
    features: Sequence[NDArray], first: Sequence[int], second: Sequence[int], most: int, seed: int = 0
) -> list[LookAlikes]:
    """Pairs of a photo of `first` and one of `second`, indices of `features`, that look most alike: at most `most`."""
    book = Codebook.learn([features[index] for index in {*first, *second}], seed)
    ours, theirs = (np.stack([book.describe(features[index]) for index in indices]) for indices in (first, second))
    found = []
    for flat in np.argsort(-(ours @ theirs.T), axis=None, kind="stable")[:most].tolist():
        i, j = first[flat // len(second)], second[flat % len(second)]
        if i != j:
            found.append(LookAlikes(min(i, j), max(i, j), shared_features(features[i], features[j])))
    return sorted(set(found))


def _picked(values: NDArray, most: int, spaced: int) -> list[int]:
    """Indices of the largest finite `values` (N,), that are further than `spaced` from each other."""
    picked: list[int] = []
    left = values.copy()
    while len(picked) < most:
        best = int(np.argmax(left))
        if left[best] == -np.inf:
            break
        picked.append(best)
        left[max(best - spaced, 0) : best + spaced + 1] = -np.inf
    return picked
