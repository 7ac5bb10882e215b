"""Depth that the input brings, as an estimator: of a LiDAR sensor, or of a scene that was rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.estimate.given_cameras import with_given_cameras
from recon.types import MadeBy, Prediction

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views

NO_DEPTH = (
    "measured: the input brings no depth with its cameras, as captures with LiDAR do; leave it out, or take the model "
    "mvs or a network"
)
PROFILE = Profile(
    name="the depth of the input",
    kind="measured",
    abilities=Abilities(several_views=True),
    needs=Needs(cameras=True, depths=True),
    fit=Fit(),
    parts=frozenset(),
    failures="none of it is to be trusted",
    word="measured",
)


@dataclass(frozen=True)
class MeasuredDepth:
    """Depth as it was measured, at the pixels of the views; no pixel has any where none was."""

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
        """As `Estimator.estimate`. Raises InputError where the input brings no depth."""
        if views.depths is None:
            raise InputError(NO_DEPTH)
        known = np.isfinite(views.depths)
        depth = np.where(known, views.depths, 0).astype(np.float32)
        return with_given_cameras(views, depth, MadeBy("measured", self.profile.name))

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": "measured"}
