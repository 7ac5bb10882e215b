"""The cameras of a run that are known before there is depth: given, found in the photos, refined, or joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from recon.errors import InputError
from recon.estimate.estimator import Estimator
from recon.export import EXPORTERS
from recon.progress import tell
from recon.refine.compile_ahead import compile_ahead as compile_optimisation
from recon.run.camera_evidence import join_cameras, known_by_evidence, needs_the_network, without_found_cameras
from recon.run.decided_by import cameras_decided_by
from recon.run.find_cameras import (
    FoundCameras,
    KnownCameras,
    find_cameras,
    known_lenses,
    leave_out,
    refine_given,
    take_cameras,
)
from recon.run.given_cameras import WORDS
from recon.run.meanwhile import meanwhile
from recon.run.plan import Plan
from recon.run.stages import Stages


def cameras_before_depth(
    plan: Plan,
    estimator: Estimator,
    stages: Stages,
    photos: Mapping[str, Any],
    decided_by: Callable[[FoundCameras], Any] | None,
) -> tuple[KnownCameras, FoundCameras | None]:
    """The cameras that are known before there is depth, and what structure from motion found of them, if any.

    `decided_by` tells what decides depth with these.
    """
    if plan.finds_cameras:
        lenses = known_lenses(plan.source, plan.cameras)
        find = partial(find_cameras, plan.source, plan.options, lenses, tell)
        try:
            found = stages.kept(
                ("cameras",), cameras_decided_by(plan, photos), lambda: _find_cameras(plan, estimator, stages, find)
            )
        except InputError as error:
            if not plan.weighs_cameras:
                raise
            return without_found_cameras(plan, estimator.profile.name, str(error)), None
        if plan.weighs_cameras:
            return _by_evidence(plan, estimator, found, stages, decided_by)
        return leave_out(plan.source, found, plan.options.strict), found
    file = None if plan.cameras.source in (None, *WORDS) else Path(plan.cameras.source)
    given = take_cameras(plan.source, plan.cameras, file, plan.options)
    if not plan.options.refine_cameras:
        return given, None
    refine = partial(refine_given, given.source, plan.options, tell)
    refined = stages.kept(
        ("cameras",),
        cameras_decided_by(plan, photos, given.source.cameras),
        lambda: _find_cameras(plan, estimator, stages, refine),
    )
    known = leave_out(given.source, refined)
    return replace(known, dropped=(*given.dropped, *known.dropped)), refined


def _by_evidence(
    plan: Plan,
    estimator: Estimator,
    found: FoundCameras,
    stages: Stages,
    decided_by: Callable[[FoundCameras], Any] | None,
) -> tuple[KnownCameras, FoundCameras | None]:
    """Cameras of structure from motion, joined with those of the network for the photos that have none."""
    if found.result.doubtful:
        return without_found_cameras(plan, estimator.profile.name, "they are doubtful"), None
    if not needs_the_network(found):
        return leave_out(plan.source, found, plan.options.strict), found
    joined = stages.kept(
        ("join",),
        None if decided_by is None else decided_by(found),
        lambda: stages.run("join", join_cameras, plan, estimator, found),
    )
    return known_by_evidence(plan, found, joined), found


def _find_cameras(plan: Plan, estimator: Estimator, stages: Stages, find: Callable[[], FoundCameras]) -> FoundCameras:
    """By structure from motion, while what comes later is made ready."""
    exporters = ((EXPORTERS[name], plan.format_options[name]) for name in plan.formats)
    of_exports = [partial(each.prepare, options) for each, options in exporters]
    of_splats = [compile_optimisation] if plan.optimises else []
    with meanwhile([estimator.prepare, *of_splats, *of_exports]):
        return stages.run("cameras", find)
