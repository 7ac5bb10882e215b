"""`recon run --watch`: the run grows with the photos that arrive in its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recon.choices import EstimatorOptions, InferenceOptions, RunOptions
from recon.errors import InputError
from recon.options import part_of

if TYPE_CHECKING:
    from recon.estimate.choice import Choice
    from recon.estimate.estimator import Estimator

Settings = TypeVar("Settings", bound=RunOptions)

_ENDING = "this window is still done, then what has arrived is completed; Ctrl-C once more stops at once"


def watch(
    settings: Settings,
    out: Path,
    idle: float | None,
    carry_out: Callable[[Settings, Callable[[Settings], Choice]], None],
) -> None:
    """Carry out the run of `settings` into `out` whenever another window is full, in the end with all that is there.

    The end is Ctrl-C, or `idle` seconds without a new photo. Ctrl-C while a window is worked on lets that one be done,
    a second one stops at once. Raises InputError as the run does, or where there is no folder to watch, or none to
    write to.
    """
    from recon.cli.interrupts import first_ctrl_c_waits
    from recon.cli.report import say
    from recon.estimate.choice import choose
    from recon.run.request import check_writable
    from recon.run.window_choice import WindowSizes, usual_overlap, usual_size
    from recon.run.windows.watch import whole_windows

    if len(settings.inputs) != 1:
        raise InputError("watch is for one folder that photos arrive in: give it, or leave watch out")
    folder = settings.inputs[0]
    if not folder.is_dir():
        why = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"'{folder}' {why}, and watch is for one that photos arrive in: make it, or name another")
    check_writable(out)

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
        with first_ctrl_c_waits(lambda: say(_ENDING)) as pressed:
            carry_out(replace(settings, limit=count), chosen_once)
        if pressed():
            break
    say("no more photos are waited for: what is there is completed")
    carry_out(settings, chosen_once)
