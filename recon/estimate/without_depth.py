"""No depth at all: photos and cameras as they are, for splats that begin from points or from other splats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.estimate.given_cameras import with_given_cameras
from recon.types import Prediction

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views

PROFILE = Profile(
    name="a run without depth",
    kind=None,
    abilities=Abilities(depth=False, several_views=True),
    needs=Needs(cameras=True),
    fit=Fit(),
    parts=frozenset(),
    failures="nothing looks for it",
)


@dataclass(frozen=True)
class WithoutDepth:
    """An estimator that leaves every pixel without depth."""

    warnings: Sequence[str] = ()
    profile: Profile = PROFILE

    def prepare(self) -> None:
        """There is nothing to do."""

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`: depth is 0 everywhere, which is none."""
        return with_given_cameras(views, np.zeros(views.pixels.shape[:3], np.float32), made_by=None)

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": "none"}
