"""Depth images that the user has beside the photos, and sparse points, as estimators: sure where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.estimate.estimator import Abilities, Estimator, Fit, Needs, Profile, Wishes
from recon.estimate.fused import FusedEstimator, fused_profile
from recon.estimate.given_cameras import with_given_cameras
from recon.estimate.measured import MeasuredDepth
from recon.geometry.cameras import to_3x4
from recon.geometry.unprojection import project_points
from recon.types import MadeBy, Prediction

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views

POINTS_PROFILE = Profile(
    name="the sparse points",
    kind="measured",
    abilities=Abilities(several_views=True),
    needs=Needs(cameras=True, exact_cameras=True),
    fit=Fit(),
    parts=frozenset(),
    failures="there may be few of them",
    word="points",
)


@dataclass(frozen=True)
class PointsDepth:
    """Depth at the pixels that show a sparse point of the input, or of structure from motion."""

    warnings: Sequence[str] = ()
    profile: Profile = POINTS_PROFILE

    def prepare(self) -> None:
        """There is nothing to do."""

    def estimate(self, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None) -> Prediction:
        """As `Estimator.estimate`; of several points at a pixel, the nearest. Raises InputError without points."""
        points, cameras = views.points, views.cameras
        if points is None or not len(points):
            raise InputError(
                "points, as depth_prior or in model: there are none to go by; a COLMAP model brings some, and cameras "
                "'sfm' finds them"
            )
        assert cameras.world_to_camera is not None
        assert cameras.intrinsics is not None
        count, height, width = views.pixels.shape[:3]
        depth = np.zeros((count, height, width), np.float32)
        for view, seen in enumerate(points.observed):
            places, z = project_points(
                points.points[seen][None], cameras.intrinsics[[view]], cameras.world_to_camera[[view]]
            )
            inside = (z[0] > 0) & (places[0] >= 0).all(axis=1) & (places[0] < (width, height)).all(axis=1)
            columns, rows = places[0][inside].astype(np.intp).T
            farthest_first = np.argsort(-z[0][inside], kind="stable")
            depth[view, rows[farthest_first], columns[farthest_first]] = z[0][inside][farthest_first]
        return with_given_cameras(views, depth, MadeBy("measured", self.profile.name))

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": "points"}


@dataclass(frozen=True)
class PriorDepth:
    """Depth images that the user has, of the place that `Views.priors` has them at."""

    place: int
    folder: str
    warnings: Sequence[str] = ()

    @property
    def profile(self) -> Profile:
        """By the name of the folder."""
        return Profile(
            name=f"depth_prior '{self.folder}'",
            kind="measured",
            abilities=Abilities(several_views=True),
            needs=Needs(),
            fit=Fit(),
            parts=frozenset(),
            failures="it may be of other photos",
            word="prior",
        )

    def prepare(self) -> None:
        """There is nothing to do."""

    def estimate(self, views: Views, wishes: Wishes = Wishes(), progress: TellPart | None = None) -> Prediction:
        """As `Estimator.estimate`: `metric` where its unit is said, else `relative`."""
        prior, cameras = views.priors[self.place], views.cameras
        return Prediction(
            depth=np.where(np.isfinite(prior.depth), prior.depth, 0).astype(np.float32),
            processed_images=views.pixels,
            made_by=MadeBy("measured", self.profile.name),
            extrinsics=None if cameras.world_to_camera is None else to_3x4(cameras.world_to_camera).astype(np.float32),
            intrinsics=None if cameras.intrinsics is None else cameras.intrinsics.astype(np.float32),
            units="metric" if prior.in_metres else "relative",
            image_names=tuple(views.names),
            original_sizes=views.original_sizes,
            processed_to_original=views.processed_to_original,
        )

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": "depth_prior", "folder": self.folder}


BY_WORD: Mapping[str, Callable[[], Estimator]] = {"measured": MeasuredDepth, "points": PointsDepth}
"""What `depth_prior` may name beside folders: what the input itself brings."""


def with_priors(estimator: Estimator, priors: Sequence[str]) -> Estimator:
    """The estimator joined with what `depth_prior` names, the first of which counts most; itself where that is none."""
    return FusedEstimator(estimator, _estimators(priors)) if priors else estimator


def profile_with_priors(profile: Profile, priors: Sequence[str]) -> Profile:
    """The profile of `with_priors`, before anything is loaded."""
    return fused_profile(profile, [one.profile for one in _estimators(priors)]) if priors else profile


def _estimators(priors: Sequence[str]) -> tuple[Estimator, ...]:
    folders = [prior for prior in priors if prior not in BY_WORD]
    return tuple(
        BY_WORD[prior]() if prior in BY_WORD else PriorDepth(folders.index(prior), Path(prior).name) for prior in priors
    )
