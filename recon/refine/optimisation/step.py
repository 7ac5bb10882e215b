"""One look at one photo, after which splats, its exposure and, if wanted, its camera have moved."""

from __future__ import annotations

from recon.refine.optimisation.photos import Look
from recon.refine.optimisation.schedule import Schedule
from recon.refine.optimisation.state import FitState
from recon.refine.optimisation.updater import SplatUpdater


def step(
    state: FitState, look: Look, updater: SplatUpdater, schedule: Schedule, progress: float, correct_cameras: bool
) -> None:
    """Make one step, `progress` (0 to 1) of the way."""
    view = look.view
    found = updater.step(
        look,
        state.cameras.world_to_camera[view],
        look.from_processed @ state.cameras.intrinsics[view],
        state.exposures.values[view],
        schedule.rates(progress, state.splats),
    )
    state.exposures.step(view, found.gain, found.offset, progress)
    if correct_cameras:
        of_intrinsics = look.from_processed.T @ found.intrinsics
        state.cameras.step(view, found.world_to_camera, of_intrinsics, pace=1 - progress)
