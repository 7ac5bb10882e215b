"""What fitting splats to photos gives: the splats, what was found with them, and how much they gained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.splats.coverage import Coverage
from recon.types import Gaussians

INTERRUPTED = "interrupted"
"""By Ctrl-C."""


@dataclass(frozen=True)
class Scores:
    """How alike rendered views and their photos are, as means over the photos."""

    psnr: float
    """dB, of the view as it is."""
    psnr_fitted: float
    """dB, after one gain for each channel has been fitted to each photo."""
    ssim: float | None
    """As the view is; None for photos smaller than its window."""


@dataclass(frozen=True)
class OptimisedSplats:
    """Splats, and what else was found with them."""

    gaussians: Gaussians
    coverage: Coverage
    """What the photos that they were fitted to, at the size of the prediction, show of each."""
    world_to_camera: NDArray[np.float64]
    """(N, 4, 4) cameras, corrected where that was wanted; of photos held out as they were."""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3) likewise."""
    gains: NDArray[np.float64]
    """(N, 3) what colours of the splats are multiplied by to be those of each photo."""
    offsets: NDArray[np.float64]
    """(N, 3) what is added to them then."""
    held_out: tuple[int, ...]
    """The photos that were kept from it."""
    iterations: int
    seconds: float
    ended_by: str
    """`iterations`, `seconds`, `held-out photos` (got no better) or `INTERRUPTED`."""
    before: Scores | None
    """Of the photos that splats were fitted to, or of some of them, with their gains and offsets."""
    after: Scores | None
    held_out_before: Scores | None
    """None where none was held out."""
    held_out_after: Scores | None

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says of it."""
        scores = {name: getattr(self, name) for name in ("before", "after", "held_out_before", "held_out_after")}
        return {
            "iterations": self.iterations,
            "seconds": self.seconds,
            "ended_by": self.ended_by,
            "held_out": list(self.held_out),
            "splats": len(self.gaussians),
            "splats_unseen": int((self.coverage.views == 0).sum()),
            "splats_seen_once": int((self.coverage.views == 1).sum()),
            **{name: None if found is None else asdict(found) for name, found in scores.items()},
            "gains": self.gains,
            "offsets": self.offsets,
            "world_to_camera": self.world_to_camera,
            "intrinsics": self.intrinsics,
        }

    @property
    def progress(self) -> dict[str, tuple[Scores, Scores]]:
        """Before and after, by the kind of photos; without kinds that there are none of."""
        kinds = {
            "photos fitted to": (self.before, self.after),
            "photos held out": (self.held_out_before, self.held_out_after),
        }
        return {
            kind: (before, after) for kind, (before, after) in kinds.items() if before is not None and after is not None
        }
