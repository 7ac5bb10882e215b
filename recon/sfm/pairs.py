"""Which photos to match with which, and matching them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.sfm.colmap import run_cancellable
from recon.sfm.features import file_name
from recon.sfm.retrieval import LIKELY, LookAlikes, look_alikes, read_features

Pair = tuple[int, int]

PairsBy = Literal["all", "looks", "time and looks"]

_FEWEST_TRIALS = 30
"""Samples of a pair's matches that its motion is sought from, where nearly all agree: fewer agree, more are taken."""
_LOOP_NEIGHBOURS = 4
"""Moments of a video that look like that of a frame, which it is matched with besides its neighbours in time."""
_FURTHER = 4
"""Frames 16, 32, … apart are matched too, up to this many times the overlap: a slow camera needs them."""
_MAY_OVERLAP = 14
"""Shared features, with fewer of which photos of a large set are matched only where a photo has no better. On 102
rendered photos it saves 15 % of the pairs, and costs 1.5 % of those that overlap by 30 % or more."""
_ALWAYS = 6
"""Look-alikes that each photo of a large set is matched with, however few features they share."""
_SEQUENCE_NEIGHBOURS = 2
_IS_SEQUENCE = 0.3
"""Share of the photos that look like the next one, from which on the order of a set is taken for that of a walk."""


@dataclass(frozen=True)
class Pairing:
    """How the pairs of N photos were chosen."""

    by: PairsBy
    """All of a small set; those that look alike; or, of a video, neighbours in time and loops."""
    possible: int
    """N (N - 1) / 2."""
    chosen: int
    """Pairs that are matched."""
    alike: int
    """Those of them that were chosen because they look alike."""
    in_order: int
    """Those that were chosen as neighbours in order."""


def all_pairs(count: int) -> list[Pair]:
    """Every pair (i, j) with i < j."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def neighbour_pairs(count: int, reach: int, furthest: int = 0) -> list[Pair]:
    """Pairs up to `reach` apart in the order of photos, and those 2, 4, 8, … apart up to `furthest`."""
    steps = set(range(1, min(reach, count - 1) + 1))
    steps |= {2**k for k in range(furthest.bit_length()) if 2**k <= furthest and 2**k < count}
    return sorted((i, i + step) for step in steps for i in range(count - step))


def choose_pairs(
    database_path: Path, count: int, ordered: bool, exhaustive_up_to: int, neighbours: int, overlap: int, seed: int
) -> tuple[list[Pair], Pairing]:
    """All pairs of a small set; neighbours in time and look-alikes in a video; look-alikes in a large set.

    Args:
        database_path: holds the features of photos 0 … count - 1.
        count: number of photos.
        ordered: the photos are frames of a video, in order.
        exhaustive_up_to: largest unordered set that is matched completely.
        neighbours: look-alikes of each photo in a large set, at most.
        overlap: neighbours in time of each frame of a video; frames 16, 32, … apart are matched too.
        seed: of the codebook that look-alikes are found with.
    """
    possible = count * (count - 1) // 2
    if not ordered and count <= exhaustive_up_to:
        return all_pairs(count), Pairing("all", possible, possible, 0, 0)
    features = read_features(database_path, count)
    if ordered:
        loops = look_alikes(features, _LOOP_NEIGHBOURS, seed, apart=overlap, spaced=overlap)
        alike = {(i, j) for i, j, shared in loops if shared >= LIKELY}
        near = set(neighbour_pairs(count, overlap, _FURTHER * overlap))
    else:
        alike = likely_pairs(look_alikes(features, neighbours, seed))
        walk = sum((i, i + 1) in alike for i in range(count - 1)) >= _IS_SEQUENCE * count
        near = set(neighbour_pairs(count, _SEQUENCE_NEIGHBOURS)) if walk else set()
    chosen = sorted(near | alike)
    by: PairsBy = "time and looks" if ordered else "looks"
    return chosen, Pairing(by, possible, len(chosen), len(alike - near), len(near))


def likely_pairs(found: Sequence[LookAlikes]) -> set[Pair]:
    """Those that probably overlap, and the best few of each photo."""
    of_photo: dict[int, list[tuple[int, Pair]]] = {}
    for i, j, shared in found:
        for index in (i, j):
            of_photo.setdefault(index, []).append((-shared, (i, j)))
    best = {pair for own in of_photo.values() for _, pair in sorted(own)[:_ALWAYS]}
    return best | {(i, j) for i, j, shared in found if shared >= _MAY_OVERLAP}


def match_pairs(
    database_path: Path, pairs: Sequence[Pair], folder: Path, threads: int, report: Callable[[int], None]
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
    verification.ransac.min_num_trials = _FEWEST_TRIALS
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
