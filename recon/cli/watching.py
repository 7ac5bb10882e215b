"""`recon run --watch`: the run grows with the photos that arrive in its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from recon.choices import EstimatorOptions, InferenceOptions, RunOptions
from recon.errors import InputError
from recon.options import part_of

if TYPE_CHECKING:
    from recon.estimate.choice import Choice
    from recon.estimate.estimator import Estimator

Settings = TypeVar("Settings", bound=RunOptions)


def watch(
    settings: Settings,
    idle: float | None,
    carry_out: Callable[[Settings, Callable[[Settings], Choice]], None],
) -> None:
    """Carry out the run of `settings` whenever another window is full, and at the end with all that has arrived.

    The end is Ctrl-C while it waits, or `idle` seconds without a new photo. Raises InputError as the run does, or
    where there is no folder to watch.
    """
    from recon.cli.report import say
    from recon.estimate.choice import choose
    from recon.run.window_choice import WindowSizes, usual_overlap, usual_size
    from recon.run.windows.watch import whole_windows

    if len(settings.inputs) != 1 or not settings.inputs[0].is_dir():
        raise InputError("watch is for one folder that photos arrive in: give it, or leave watch out")
    folder = settings.inputs[0]

    opened: dict[EstimatorOptions, Estimator] = {}

    def chosen_once(some: EstimatorOptions) -> Choice:
        options = part_of(some, EstimatorOptions)
        chosen = choose(options)

        def open_once(tell: Callable[[str], None]) -> Estimator:
            if options not in opened:
                opened[options] = chosen.open(tell)
            return opened[options]

        return replace(chosen, open=open_once)

    profile = chosen_once(settings).profile
    size = settings.window or usual_size(profile, part_of(settings, InferenceOptions))
    settings = replace(settings, window=size, ordered=True, keep_windows=True)
    sizes = WindowSizes(size, usual_overlap(size) if settings.overlap is None else settings.overlap)
    say(f"wait for photos in {folder}, a window of {size} at a time; Ctrl-C ends it")
    counts = whole_windows(folder, sizes, idle)
    while True:
        try:
            count = next(counts, None)
        except KeyboardInterrupt:
            break
        if count is None:
            break
        carry_out(replace(settings, limit=count), chosen_once)
    say("no more photos are waited for: what is there is completed")
    carry_out(settings, chosen_once)
