"""One look after another, until there are enough."""

from __future__ import annotations

import time
from collections.abc import Sequence

from recon.messages import warn
from recon.progress import tell
from recon.refine.optimisation.densification import densify
from recon.refine.optimisation.photos import Photos
from recon.refine.optimisation.schedule import PATIENCE, Schedule
from recon.refine.optimisation.scoring import score
from recon.refine.optimisation.snapshot_keeper import SnapshotKeeper
from recon.refine.optimisation.state import FitState
from recon.refine.optimisation.step import step
from recon.refine.optimisation.updater import SplatUpdater
from recon.refine.optimised_splats import INTERRUPTED


def fit(
    state: FitState,
    updater: SplatUpdater,
    photos: Photos,
    fitted: Sequence[int],
    held_out: Sequence[int],
    schedule: Schedule,
    correct_cameras: bool,
    keeper: SnapshotKeeper,
) -> str:
    """Change `state` until it is like the photos `fitted`. Returns what ended it, as `OptimisedSplats.ended_by`."""
    began = time.perf_counter() - state.seconds
    try:
        while state.done < schedule.iterations:
            state.seconds = time.perf_counter() - began
            if keeper.is_due:
                state.splats = updater.pull()
                keeper.save(state)
            if schedule.seconds is not None and state.seconds >= schedule.seconds:
                ended_by = "seconds"
                break
            tell("step", state.done, schedule.expected(state.done, state.seconds))
            order = state.order or tuple(int(view) for view in state.rng.permutation(fitted))
            progress = schedule.progress(state.done, state.seconds)
            look = photos.look(order[-1], schedule.level(progress), state.done // len(fitted))
            step(state, look, updater, schedule, progress, correct_cameras)
            state.order = order[:-1]
            state.done += 1
            _change_number(state, updater, schedule, progress)
            if schedule.is_settled(progress) and _is_enough(state, updater, photos, held_out, schedule):
                ended_by = "held-out photos"
                break
        else:
            ended_by = "iterations"
        state.splats = updater.pull()
        state.seconds = time.perf_counter() - began
        _keep_best(state, updater, photos, held_out)
    except KeyboardInterrupt:
        warn(f"splats: interrupted after {state.done} of {schedule.iterations} steps; what they are by then is kept")
        updater.reopen()
        state.splats = updater.pull()
        ended_by = INTERRUPTED
    return ended_by


def _change_number(state: FitState, updater: SplatUpdater, schedule: Schedule, progress: float) -> None:
    """Have more splats, and harmonics of a higher degree, where it is time for them."""
    plan = schedule.densification
    if plan is not None and plan.is_going_on(progress):
        updater.shake(plan.noise(schedule.mean_rate(progress)), state.rng)
        rounds = plan.rounds(progress)
        if rounds > state.rounds:
            state.splats = densify(updater.pull(), plan.count(rounds), state.rng)
            state.rounds = rounds
            updater.push(state.splats)
    degree = schedule.sh_degree(progress)
    if degree > state.splats.sh_degree:
        state.splats = updater.pull().with_degree(degree)
        updater.push(state.splats)


def _is_enough(
    state: FitState, updater: SplatUpdater, photos: Photos, held_out: Sequence[int], schedule: Schedule
) -> bool:
    """Whether the photos held out, where it is time to ask them, have become no better for some time."""
    if schedule.looks_between_scores == 0 or state.done % schedule.looks_between_scores:
        return False
    found = _held_out_score(state, updater, photos, held_out)
    state.splats = updater.pull()
    if state.best is None or found > state.best.score:
        state.best, state.worse = state.as_best(found), 0
    else:
        state.worse += 1
    return state.worse == PATIENCE


def _keep_best(state: FitState, updater: SplatUpdater, photos: Photos, held_out: Sequence[int]) -> None:
    """Return to where the photos held out were best, if they were asked and that was before."""
    if state.best is not None and _held_out_score(state, updater, photos, held_out) < state.best.score:
        state.return_to(state.best)
        updater.push(state.splats)


def _held_out_score(state: FitState, updater: SplatUpdater, photos: Photos, held_out: Sequence[int]) -> float:
    found = score(state, updater, photos, held_out)
    assert found is not None
    return found.psnr_fitted
