"""From photos whose cameras are known as far as they are to depth: the stages load, predict and align."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recon.estimate.depth_check import check_depth
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Estimator, Profile, Wishes
from recon.progress import tell
from recon.refine.align import align_to_given_extrinsics
from recon.run.find_cameras import KnownCameras
from recon.run.found_depth import FoundDepth
from recon.run.load_views import load_views
from recon.run.plan import Plan
from recon.sources.fitting import Views
from recon.types import Prediction

RunStage = Callable[..., Any]
"""Called with the name of a stage, the function that does it, and what that takes; gives what it gives."""


def depth_of_views(
    plan: Plan, estimator: Estimator, known: KnownCameras, run: RunStage
) -> tuple[FoundDepth, tuple[int, ...]]:
    """Depth of the photos of `known`, and for each view the number of its photo."""
    loaded = run("load", load_views, plan, estimator.profile, known)
    views = loaded.views
    prediction = run("predict", _estimate, estimator, views, plan.wishes)
    in_metres = plan.wishes.metres and views.cameras.scale == "free" and prediction.units == "metric"
    to_given_scale = plan.wishes.given_scale and not in_metres
    prediction = run("align", _align, prediction, views, estimator.profile, to_given_scale, plan.options.seed)
    points = views.points if plan.keeps_points else None
    return FoundDepth(prediction, views.cameras, loaded.dropped, points), loaded.kept


def _estimate(estimator: Estimator, views: Views, wishes: Wishes) -> Prediction:
    """The estimator's depth, with what is missing in it said."""
    return check_depth(estimate_views(estimator, views, wishes, tell), estimator.profile)


def _align(prediction: Prediction, views: Views, profile: Profile, to_given_scale: bool, seed: int) -> Prediction:
    """Predicted and given cameras brought together, where there are both; in metres where the given ones are."""
    given = views.cameras.world_to_camera
    if given is not None and profile.abilities.cameras and prediction.units != "aligned":
        prediction = align_to_given_extrinsics(prediction, given, to_given_scale, seed)
    in_metres = prediction.units == "aligned" and views.cameras.scale == "metric"
    return replace(prediction, units="metric") if in_metres else prediction
