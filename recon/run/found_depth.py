"""What the stages from the photos to the aligned prediction give; the store keeps it as one."""

from __future__ import annotations

from dataclasses import dataclass

from recon.geometry.sparse_points import SparsePoints
from recon.run.joined_windows import JoinedWindows
from recon.types import Prediction
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class FoundDepth:
    """Depth and cameras, and which photos they are of."""

    prediction: Prediction
    cameras: Cameras
    """Given or found; intrinsics in pixels of the processed images."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each image left out, and why."""
    points: SparsePoints | None = None
    """Of the scene, where splats are to begin from them."""
    windows: JoinedWindows | None = None
    """Of a long input, what it went through; None where all views went through at once."""
