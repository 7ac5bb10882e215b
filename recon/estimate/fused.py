"""Depth of two kinds joined into one, as an estimator: a dense one, and sure ones that tell where it is wrong.

The dense one is a network's; a sure one is that of multi-view stereo, of the input's LiDAR, of sparse points, or of
depth images that the user has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recon.estimate.estimator import Estimator, Needs, Profile, Wishes
from recon.types import MadeBy, Prediction

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views


@dataclass(frozen=True)
class FusedEstimator:
    """A dense estimator, and sure ones: where several are sure, the first counts."""

    dense: Estimator
    sure: tuple[Estimator, ...]

    @property
    def profile(self) -> Profile:
        """As `fused_profile`."""
        return fused_profile(self.dense.profile, [one.profile for one in self.sure])

    @property
    def warnings(self) -> Sequence[str]:
        """Of all."""
        return [message for one in (self.dense, *self.sure) for message in one.warnings]

    def prepare(self) -> None:
        """Make all of them ready."""
        for one in (self.dense, *self.sure):
            one.prepare()

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {
            "name": self.profile.name,
            "dense": self.dense.describe(),
            "sure": [one.describe() for one in self.sure],
        }

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`.

        In the scale of the given cameras where there are some, unless that is free and metres are wished for; else in
        metres where either depth is, or in the unit of the first sure depth; predicted cameras go along. Confidence is
        1 + 0.01 / (the relative error to be expected), whatever gave the depth.

        Raises InputError as the estimators, and where sure depth does not go with the photos.
        """
        from recon.estimate.joining import joined_depth

        found = joined_depth(self.dense, self.sure, views, wishes, progress)
        assert found.made_by is not None
        return replace(found, made_by=MadeBy("fused", self.profile.name, found.made_by.parts))


def fused_profile(dense: Profile, sure: Sequence[Profile]) -> Profile:
    """What is known beforehand of one dense and several sure estimators joined."""
    needs = [dense.needs, *(one.needs for one in sure)]
    return Profile(
        name="+".join((dense.name, *(one.short_name for one in sure))),
        kind="fused",
        bytes_per_pixel=dense.bytes_per_pixel,
        abilities=replace(dense.abilities, several_views=True, confidence=True, gaussians=False),
        needs=Needs(
            cameras=not dense.abilities.cameras and any(one.cameras for one in needs),
            exact_cameras=any(one.exact_cameras for one in needs),
            depths=any(one.depths for one in needs),
            least_views=max(one.least_views for one in needs),
            weights=any(one.weights for one in needs),
        ),
        fit=dense.fit,
        parts=frozenset().union(dense.parts, *(one.parts for one in sure)),
        failures=dense.failures,
    )
