"""`recon run`: photos to files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recon.choices import RunOptions
from recon.cli.command import Command, CommandOptions
from recon.cli.output_folder import default_folder
from recon.errors import InputError
from recon.options import option

if TYPE_CHECKING:
    from recon.cli.report import ProgressReport
    from recon.estimate.choice import Choice
    from recon.refine.splat_start import SplatStart


@dataclass(frozen=True, kw_only=True)
class RunSettings(RunOptions, CommandOptions):
    """Photos to depth, cameras and a point cloud."""

    out: Path | None = option(
        None,
        help="Folder for the results [by the input, under outputs]. Files that an earlier run wrote there are "
        "replaced or removed, all others left alone.",
        local=True,
    )
    config: str | None = option(
        None,
        help="YAML file with any of these settings, or a name: best, commercial, quick. Flags win over it.",
        may_be_path=True,
        in_files=False,
        metavar="FILE",
        local=True,
    )
    watch: bool = option(
        False,
        help="Of a folder that photos arrive in, as from a camera that uploads: go on whenever another window is full, "
        "so that the result grows, until Ctrl-C. Files that are still being written are waited for.",
        in_files=False,
        local=True,
    )
    watch_idle: float | None = option(
        None,
        help="With watch: end after so many seconds in which no photo arrives [never].",
        above=0,
        in_files=False,
        metavar="SECONDS",
        local=True,
    )
    server: str | None = option(
        None,
        help="Address of a `recon serve` that does it: what is given is sent there, and what comes of it fetched. Its "
        "token is RECON_TOKEN of the environment.",
        metavar="URL",
        local=True,
    )


def run(settings: RunSettings) -> None:
    """Reconstruct, and show a table of what was written."""
    if settings.server is not None:
        from recon.cli.remote_run import run_there

        run_there(settings, _folder("run", settings, ""))
        return
    if settings.watch:
        from recon.cli.watching import watch

        out = _folder("run", settings, "")
        watch(replace(settings, out=out), out, settings.watch_idle, lambda some, choose: carry_out("run", some, choose))
        return
    if settings.watch_idle is not None:
        raise InputError("watch_idle is for watch: give that, too, or leave it out")
    from recon.estimate.choice import choose

    carry_out("run", settings, choose)


def carry_out(
    name: str,
    settings: RunSettings,
    choose: Callable[[RunSettings], Choice],
    start: SplatStart | None = None,
    said: Sequence[str] = (),
    ending: str = "",
) -> None:
    """The road of every command that makes a run.

    Args:
        name: of the command.
        settings: of the command.
        choose: gives what makes the depth.
        start: what splats begin from, where the command is to train some.
        said: what was warned of before.
        ending: of the name of the folder for its results, where none is given.
    """
    from recon.cli.report import print_summary
    from recon.run.from_settings import reconstruct_as_set

    if settings.server is not None:
        raise InputError(f"server: {name} works on this machine alone; recon run goes there")
    out = _folder(name, settings, ending)
    result = reconstruct_as_set(settings, out, choose, _shown, config=settings.config, start=start, said=said)
    print_summary(out, result)


def _folder(name: str, settings: RunSettings, ending: str) -> Path:
    """For the results. Raises InputError where nothing is given to make any of."""
    if not settings.inputs:
        raise InputError(f"no photos given: recon {name} FOLDER, or recon {name} PHOTO...")
    return settings.out if settings.out is not None else default_folder(settings.inputs, ending)


@contextlib.contextmanager
def _shown() -> Iterator[ProgressReport]:
    """Progress and warnings on stderr."""
    from recon.cli.report import ProgressReport, report_warnings

    with report_warnings(), ProgressReport() as progress:
        yield progress


RUN = Command("run", RunSettings, run)
