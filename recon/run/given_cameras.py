"""What the user says about cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from recon.errors import InputError
from recon.options import meant

SFM = "sfm"
"""Stands for cameras found by structure from motion."""
EXIF = "exif"
"""Stands for intrinsics by each photo's EXIF, or of an assumed field of view where that says nothing."""

AUTO = "auto"
"""Stands for cameras by evidence: found where structure from motion finds them, else predicted."""
PREDICTED = "predicted"
"""Stands for those that the network predicts."""
WORDS = (SFM, EXIF, AUTO, PREDICTED)


@dataclass(frozen=True)
class GivenCameras:
    """What the user says about the cameras of all photos, those left out included; by default nothing."""

    extrinsics: ArrayLike | None = None
    """(N, 4, 4) or (N, 3, 4) world-to-camera."""
    intrinsics: ArrayLike | str | None = None
    """(N, 3, 3) in pixels of the upright originals; or, as text, one lens for all photos or a file
    (`recon.sources.given_lens.read_lens`)."""
    source: str | Path | None = None
    """Instead of the arrays: a file or folder, or one of `WORDS`. Intrinsics as text go with one that has none, any
    with `sfm`."""

    def __post_init__(self) -> None:
        array = self.intrinsics is not None and not isinstance(self.intrinsics, str)
        if self.source is not None and (self.extrinsics is not None or (array and self.source != SFM)):
            raise InputError("give cameras either as arrays or by `cameras`, not both")
        if self.source == EXIF and self.intrinsics is not None:
            raise InputError("intrinsics go with cameras from a file, or 'sfm', not with cameras 'exif'")


def check_spelling(source: str) -> None:
    """Raise InputError where `source` is no path that exists, and nearly one of `WORDS`."""
    path, hint = Path(source).expanduser(), meant(source, WORDS)
    if hint.startswith("did") and not path.suffix and not path.exists():
        raise InputError(f"cameras: there is no file or folder '{source}'; {hint}")
