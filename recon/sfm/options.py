"""What structure from motion may be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.choices import CameraOptions, FeaturesName
from recon.options import Options, like, option

CameraModel = Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]

FEWEST_FEATURES = 50
"""A photo with fewer features cannot be matched."""


@dataclass(frozen=True, kw_only=True)
class SfmOptions(Options):
    """How cameras are found."""

    ordered: bool = option(
        False,
        help="The photos are frames of a video, in order: match neighbours in time, and look-alikes to close loops.",
    )
    shared_intrinsics: bool = option(
        True,
        help="Photos of one size and EXIF focal length share a camera; otherwise each photo has its own.",
    )
    camera_model: CameraModel = option(
        "SIMPLE_RADIAL",
        help="COLMAP's name of the lens to begin with; with any but the pinhole ones, photos are to be undistorted.",
    )
    refine_intrinsics: bool = option(False, help="Refine intrinsics that are known; otherwise they are held.")
    features: FeaturesName = like(CameraOptions, "features")
    features_folder: Path | None = like(CameraOptions, "features_folder")
    max_features: int = option(8192, help="Per photo; the largest ones stay.", least=FEWEST_FEATURES)
    exhaustive_up_to: int = option(
        60,
        help="Largest unordered set in which every photo is matched with every other.",
        least=2,
    )
    neighbours: int = option(20, help="Look-alikes that each photo of a larger set is matched with.", least=1)
    overlap: int = option(10, help="Neighbours in time that each frame of a video is matched with.", least=1)
    seed: int = option(0, help="Of everything random.", least=0, most=2**63 - 1)
    threads: int | None = option(None, help="CPU threads; None takes all.", least=1)
