"""The kinds of features that photos are matched by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recon.choices import FeaturesName
from recon.sfm.features import extract_features
from recon.sfm.learned_features import LearnedFeatures
from recon.sfm.pairs import Pair, match_pairs
from recon.sfm.photos import SfmPhoto


class Features(Protocol):
    """Finds features of photos and matches them, in a COLMAP database."""

    needs_colour: bool
    """Photos are to keep their colours (`prepare_photo`)."""

    def extract(
        self,
        database_path: Path,
        photos: Sequence[SfmPhoto],
        folder: Path,
        max_features: int,
        threads: int,
        report: Callable[[int], None],
    ) -> NDArray[np.int64]:
        """Write features, and return how many each photo has (`recon.sfm.features.extract_features`)."""
        ...

    def match(
        self,
        database_path: Path,
        pairs: Sequence[Pair],
        folder: Path,
        threads: int,
        report: Callable[[int], None],
    ) -> None:
        """Write the matches of each pair (`recon.sfm.pairs.match_pairs`)."""
        ...


class SiftFeatures:
    """COLMAP's SIFT, matched by their descriptors."""

    needs_colour = False
    extract = staticmethod(extract_features)
    match = staticmethod(match_pairs)


def open_features(name: FeaturesName, folder: Path | None) -> Features:
    """Features by name. `folder` holds the files of learned ones; None: they are downloaded once."""
    kinds: dict[FeaturesName, Callable[[], Features]] = {
        "sift": SiftFeatures,
        "aliked": lambda: LearnedFeatures(folder),
    }
    return kinds[name]()
