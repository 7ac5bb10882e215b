"""What a run from photos to files takes, but for where its results go."""

from __future__ import annotations

from dataclasses import dataclass

from recon.choices.files import FormatKwargs, FormatsOption
from recon.choices.inference import InferenceOptions
from recon.choices.models import EstimatorOptions
from recon.choices.sources import FreshOption, InputsOption
from recon.options import option


@dataclass(frozen=True, kw_only=True)
class RunOptions(FreshOption, InferenceOptions, EstimatorOptions, FormatKwargs, FormatsOption, InputsOption):
    """Known cameras."""

    cameras: str | None = option(
        None,
        help="Known cameras: a COLMAP model, a transforms.json, a cameras.json, an earlier run's run.json "
        "or results.npz, .npz in image order (intrinsics of the upright originals), a trajectory (TUM, KITTI); or "
        "'sfm': found in the photos themselves, by structure from motion, as mvs does when none are given; 'auto': the "
        "same, and those that the network predicts for photos that this does not place, as networks do that predict "
        "cameras; 'predicted': the network's alone; or 'exif': intrinsics by EXIF (or assumed), as other networks do.",
        may_be_path=True,
        metavar="FILE",
    )
    intrinsics: str | None = option(
        None,
        help="Intrinsics of all photos, where their cameras come without: FX,FY,CX,CY in pixels of the upright "
        "originals, with K1,K2,P1,P2,… of OpenCV behind them for a lens that bends; or a file: these numbers, 3×3, "
        "KITTI's calib.txt, .npy.",
        may_be_path=True,
        metavar="LENS",
    )
