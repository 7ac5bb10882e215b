"""Features of photos, their matches, and which of those one motion of the camera explains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.progress import TellPart
from recon.sfm.colmap import colmap_seed
from recon.sfm.feature_kinds import open_features
from recon.sfm.features import write_cameras
from recon.sfm.options import FEWEST_FEATURES, SfmOptions
from recon.sfm.overlaps import Overlaps, read_overlaps
from recon.sfm.pairs import Pairing, choose_pairs, verify_pairs
from recon.sfm.photos import SfmPhoto
from recon.sfm.result import STILL_THINGS
from recon.sfm.still_matches import move_with_the_scene, restore, take_out_still_matches

_PARALLAX = "move it sideways from photo to photo, or take a network (as model da3-base), which needs no parallax"


class Matched(NamedTuple):
    """What photos have in common."""

    overlaps: Overlaps
    still_matches: float
    """Share of all matches that was left out because it stands still in the pictures."""
    pairing: Pairing
    """Which pairs were matched, and why those."""


def match_photos(
    database: Path, photos: Sequence[SfmPhoto], options: SfmOptions, threads: int, tell: TellPart
) -> Matched:
    """Write cameras, features and verified matches of `photos` to a new database, in a folder for temporary files.

    Raises InputError for photos that are all the same, lack texture, do not overlap, or were taken from one place.
    """
    count, folder = len(photos), database.parent
    write_cameras(database, photos, options.camera_model, options.shared_intrinsics)

    tell("features", 0, count)
    kind = open_features(options.features, options.features_folder)
    features = kind.extract(
        database, photos, folder, options.max_features, threads, lambda done: tell("features", done, count)
    )
    _check_features(features)

    pairs, pairing = choose_pairs(
        database,
        count,
        options.ordered,
        options.exhaustive_up_to,
        options.neighbours,
        options.overlap,
        options.seed,
    )
    tell("matches", 0, len(pairs))
    seed = colmap_seed(options.seed)
    kind.match(database, pairs, folder, threads, lambda done: tell("matches", done, len(pairs)))

    def verify() -> None:
        verify_pairs(database, seed, threads, lambda: tell("matches", len(pairs), len(pairs)))

    still = take_out_still_matches(database, photos, pairs)
    verify()
    if still.count and move_with_the_scene(database, photos, still):
        restore(database, still)
        verify()
    overlaps = read_overlaps(database, photos)
    _check_overlaps(overlaps, count, still.share)
    return Matched(overlaps, still.share, pairing)


def check_photos(photos: Sequence[SfmPhoto]) -> None:
    if len(photos) < 2:
        raise InputError(
            f"cameras cannot be found from {len(photos)} photo{'' if len(photos) == 1 else 's'}: give at least 2, "
            "better 10 or more, of one scene from different places"
        )
    first = photos[0].gray
    if all(np.array_equal(photo.gray, first) for photo in photos[1:]):
        raise InputError(
            f"cameras cannot be found from the same picture {len(photos)} times: "
            "give photos of one scene from different places"
        )


def _check_features(features: NDArray[np.int64]) -> None:
    usable = int((features >= FEWEST_FEATURES).sum())
    if usable < 2:
        raise InputError(
            f"cameras cannot be found: {usable} of {len(features)} photos show enough texture; "
            "give sharp, well exposed photos with more than blank walls or sky"
        )


def _check_overlaps(overlaps: Overlaps, count: int, still_matches: float) -> None:
    beside = "" if not still_matches else f", beside {STILL_THINGS}"
    if not overlaps.pairs:
        raise InputError(
            f"cameras cannot be found: no two of the {count} photos show enough of the same things{beside}; "
            "give photos that overlap by half or more"
        )
    if not overlaps.with_parallax:
        raise InputError(
            f"cameras cannot be found: the {count} photos overlap{beside}, but differ as if the camera had stood still "
            f"or only turned on the spot; {_PARALLAX}"
        )
    if not overlaps.beyond_zoom:
        raise InputError(
            f"cameras cannot be found: the {count} photos overlap{beside}, but differ as if the camera had only turned "
            f"on the spot and zoomed; {_PARALLAX}"
        )
