"""Which photos to match with which, and matching them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.sfm.colmap import run_cancellable
from recon.sfm.features import file_name

Pair = tuple[int, int]

_SEQUENCE_NEIGHBOURS = 3
"""Photos before and after one, in the order given, that it is matched with besides those that look alike."""
_LOOP_NEIGHBOURS = 4
"""Photos of a video that look alike, which each is matched with besides its neighbours in time: they close loops."""

_WORDS = 64
_SAMPLES_PER_PHOTO = 1024
_TRAINING_SAMPLES = 50_000
_LLOYD_ROUNDS = 12


def all_pairs(count: int) -> list[Pair]:
    """Every pair (i, j) with i < j."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def neighbour_pairs(count: int, reach: int, powers: bool) -> list[Pair]:
    """Pairs up to `reach` apart in the order of photos; with `powers`, those 2, 4, 8, … apart too."""
    steps = set(range(1, min(reach, count - 1) + 1))
    if powers:
        steps |= {2**k for k in range(count.bit_length()) if 2**k < count}
    return sorted((i, i + step) for step in steps for i in range(count - step))


def look_alike_pairs(similarity: NDArray[np.float32], neighbours: int) -> list[Pair]:
    """Each photo with the `neighbours` that are most similar to it, by (N, N) `similarity`."""
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, : min(neighbours, len(others) - 1)]  # (N, k)
    return sorted({(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row})


def choose_pairs(
    database_path: Path, count: int, ordered: bool, exhaustive_up_to: int, neighbours: int, overlap: int, seed: int
) -> list[Pair]:
    """All pairs of a small set; neighbours in time and look-alikes in a video; look-alikes in a large set.

    Args:
        database_path: holds the features of photos 0 … count - 1.
        count: number of photos.
        ordered: the photos are frames of a video, in order.
        exhaustive_up_to: largest unordered set that is matched completely.
        neighbours: look-alikes of each photo in a large set.
        overlap: neighbours in time of each frame of a video; frames 2, 4, 8, … apart are matched too.
        seed: of the codebook that look-alikes are found with.
    """
    if not ordered and count <= exhaustive_up_to:
        return all_pairs(count)
    similarity = photo_similarity(database_path, count, seed)
    near = neighbour_pairs(count, overlap if ordered else _SEQUENCE_NEIGHBOURS, powers=ordered)
    return sorted({*near, *look_alike_pairs(similarity, _LOOP_NEIGHBOURS if ordered else neighbours)})


def photo_similarity(database_path: Path, count: int, seed: int) -> NDArray[np.float32]:
    """(N, N) cosine similarity of the photos' pooled SIFT descriptors.

    Vectors of locally aggregated descriptors (Jégou et al., CVPR 2010) with intra-normalisation (Arandjelović and
    Zisserman, CVPR 2013), over a codebook of these photos' own descriptors: nothing to download.
    """
    generator = np.random.default_rng(seed)
    samples = _sample_descriptors(database_path, count, generator)
    pool = np.concatenate(samples)
    if len(pool) == 0:
        return np.zeros((count, count), np.float32)
    if len(pool) > _TRAINING_SAMPLES:
        pool = pool[generator.choice(len(pool), _TRAINING_SAMPLES, replace=False)]
    words = _codebook(pool, min(_WORDS, len(pool)), generator)
    pooled = np.stack([_vlad(descriptors, words) for descriptors in samples])  # (N, words * 128)
    return pooled @ pooled.T


def _sample_descriptors(database_path: Path, count: int, generator: np.random.Generator) -> list[NDArray[np.float32]]:
    """For each photo, some of its descriptors (K, 128), of unit length."""
    import pycolmap

    samples = []
    with pycolmap.Database.open(database_path) as database:
        for index in range(count):
            if not database.exists_descriptors(index + 1):
                samples.append(np.zeros((0, 128), np.float32))
                continue
            data = np.asarray(database.read_descriptors(index + 1).data)
            if len(data) > _SAMPLES_PER_PHOTO:
                data = data[generator.choice(len(data), _SAMPLES_PER_PHOTO, replace=False)]
            descriptors = data.reshape(-1, 128).astype(np.float32)
            samples.append(descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6))
    return samples


def _codebook(descriptors: NDArray[np.float32], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """(count, 128) centres of `descriptors` (K, 128) by Lloyd's algorithm, from a random start."""
    words = descriptors[generator.choice(len(descriptors), count, replace=False)]
    for _ in range(_LLOYD_ROUNDS):
        nearest = _nearest(descriptors, words)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, descriptors)
        sizes = np.bincount(nearest, minlength=count)[:, None]
        words = np.where(sizes > 0, sums / np.maximum(sizes, 1), words).astype(np.float32)
    return words


def _nearest(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.intp]:
    """(K,) index of the word nearest to each descriptor."""
    return np.argmax(descriptors @ words.T - (words**2).sum(axis=1) / 2, axis=1)


def _vlad(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """(words * 128,) residuals summed per word, each word's of unit length, the whole of unit length."""
    residuals = np.zeros_like(words)
    if len(descriptors):
        nearest = _nearest(descriptors, words)
        np.add.at(residuals, nearest, descriptors - words[nearest])
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-6)
    return (residuals / max(float(np.linalg.norm(residuals)), 1e-6)).ravel()


def match_pairs(
    database_path: Path, pairs: list[Pair], folder: Path, threads: int, report: Callable[[int], None]
) -> None:
    """Match the features of each pair, in the database; which matches one motion explains is left to `verify_pairs`."""
    import pycolmap

    listing = folder / "pairs.txt"
    listing.write_text("".join(f"{file_name(i)} {file_name(j)}\n" for i, j in pairs), encoding="ascii")
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = threads
    matching.skip_geometric_verification = True
    with pycolmap.Database.open(database_path) as database:
        run_cancellable(
            lambda token: pycolmap.match_image_pairs(
                database_path,
                matching_options=matching,
                pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listing),
                device=pycolmap.Device.cpu,
                cancellation_token=token,
            ),
            watch=lambda: report(database.num_matched_image_pairs()),
        )
    report(len(pairs))


def verify_pairs(database_path: Path, seed: int, threads: int, watch: Callable[[], None]) -> None:
    """Keep, as the geometry of each pair that is matched, what one motion explains of its matches."""
    import pycolmap

    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    verifier = pycolmap.GeometricVerifierOptions()
    verifier.num_threads = threads
    run_cancellable(
        lambda token: pycolmap.geometric_verification(
            database_path,
            verifier_options=verifier,
            two_view_geometry_options=verification,
            cancellation_token=token,
        ),
        watch=watch,
    )
