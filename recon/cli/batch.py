"""`recon batch`: many scenes, each with a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recon.choices import Engine as NetworkEngine
from recon.choices import EstimatorOptions, RunOptions
from recon.cli.command import Command, CommandOptions
from recon.cli.run import RunSettings
from recon.errors import InputError
from recon.options import like, option, options_of

if TYPE_CHECKING:
    from recon.estimate.choice import Choice
    from recon.run.batch.board import Told
    from recon.run.batch.engine import Engine
    from recon.run.batch.place import Place
    from recon.run.batch.run_batch import BatchResult

_SHOWN_SCENES = 100
_FAILED = 1
_OF_RAY = ("address", "cpus", "gpus", "memory")


@dataclass(frozen=True, kw_only=True)
class BatchSettings(RunOptions, CommandOptions):
    """Many scenes, each as `recon run` does it, by several processes or machines."""

    inputs: tuple[Path, ...] = option(
        (),
        help="A folder whose folders, videos and archives are a scene each; a pattern ('sites/*'); or a list: .txt, on "
        "each line what `recon run` takes, behind it options for that scene and --name; .yaml or .json.",
        positional=True,
        metavar="SCENES",
    )
    out: str = option(
        help="Folder for the results, or a URL such as s3://BUCKET/FOLDER (pip install 'recon[s3]'): of each scene in "
        "a folder of its name, and batch.json. The same command again goes on where it was, and tries again what "
        "failed.",
        metavar="FOLDER",
        local=True,
        in_files=False,
        may_be_path=True,
    )
    config: str | None = like(RunSettings, "config")
    workers: int | None = option(
        None,
        help="Scenes done at a time, sharing the cores [one for each 4 cores; one where there is a GPU].",
        least=1,
        in_files=False,
        local=True,
    )
    engine: Literal["local", "ray"] = option(  # type: ignore[assignment]  # the network's is `network_engine`
        "local",
        help="What does the scenes: processes of this machine, or a Ray cluster (pip install 'recon[ray]').",
        in_files=False,
        local=True,
    )
    address: str | None = option(
        None,
        help="Of a Ray cluster, HOST:PORT, or auto for that of this machine [RAY_ADDRESS of the environment, or one of "
        "this machine alone].",
        metavar="ADDRESS",
        in_files=False,
        local=True,
    )
    cpus: float | None = option(None, help="Cores of a scene, with Ray [4].", above=0, in_files=False, local=True)
    gpus: float | None = option(
        None,
        help="GPUs of a scene, with Ray; 0.5 where two share one [1 where the cluster has some and depth is found on "
        "them].",
        least=0,
        in_files=False,
        local=True,
    )
    memory: float | None = option(
        None, help="Gigabytes of RAM of a scene, with Ray [by the model].", above=0, in_files=False, local=True
    )
    network_engine: NetworkEngine = like(EstimatorOptions, "engine", key_in_files="engine")
    retries: int = option(
        2,
        help="How often a scene is tried again whose process was killed, as when memory runs out, or that failed for "
        "another reason than what was given.",
        least=0,
        in_files=False,
        local=True,
    )
    force: bool = option(False, help="Do also the scenes again that are done.", in_files=False, local=True)
    shard: str | None = option(
        None,
        help="Do every Nth scene from the Kth on: for a queue such as Slurm's that starts N of this command.",
        metavar="K/N",
        in_files=False,
        local=True,
    )


def batch(settings: BatchSettings) -> int:
    """Do the scenes, and show a table of how they ended; 1 where one failed."""
    from recon.cli.report import report_warnings
    from recon.estimate.choice import choose
    from recon.run.batch.listing import part_of_scenes, scenes_of
    from recon.run.batch.open_place import open_place
    from recon.run.batch.run_batch import run_batch
    from recon.run.from_settings import check_settings

    if not settings.inputs:
        raise InputError("no scenes given: recon batch FOLDER --out RESULTS, or a list or pattern instead of a folder")
    common = _common(settings)
    chosen = check_settings(common, choose).chosen
    place = open_place(settings.out)
    with report_warnings(), _Shown() as shown:
        scenes = scenes_of(settings.inputs, common, settings.out, _read_line, settings.config)
        result = run_batch(
            scenes,
            part_of_scenes(scenes, settings.shard),
            place,
            _engine(settings, place, chosen),
            retries=settings.retries,
            force=settings.force,
            tell=shown,
        )
    _print(settings.out, result, shown.kept)
    return _FAILED if any(one["state"] != "done" for one in _own(result)) else 0


def _common(settings: BatchSettings) -> RunOptions:
    """What all scenes take."""
    values = {name: getattr(settings, name) for name in options_of(RunOptions)}
    return RunOptions(**{**values, "engine": settings.network_engine})


def _engine(settings: BatchSettings, place: Place, chosen: Choice) -> Engine:
    """What does the scenes. Raises InputError for options of the other one."""
    if settings.engine == "local":
        from recon.run.batch.local_engine import LocalEngine, usual_workers

        in_vain = [name for name in _OF_RAY if getattr(settings, name) is not None]
        if in_vain:
            raise InputError(f"{in_vain[0]} is for a Ray cluster: add --engine ray, or leave it out")
        return LocalEngine(place, settings.workers or usual_workers(settings.device))
    from recon.run.batch.ray_engine import RayEngine, Wanted
    from recon.run.batch.resources import usual_resources

    wanted = Wanted(settings.cpus, settings.gpus, settings.memory)
    return RayEngine(
        place, settings.address, settings.workers, wanted, partial(usual_resources, chosen, settings.device)
    )


def _read_line(words: Sequence[str]) -> Mapping[str, Any]:
    from recon.cli.arguments import given_options
    from recon.run.batch.listing import SceneOptions

    return given_options(Command("batch", SceneOptions, batch), words)


class _Shown:
    """Lines for each scene that begins and ends; on a terminal a bar, and lines of failures and warnings."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        """Scenes that were done before, or by another batch."""

    def __enter__(self) -> _Shown:
        from recon.cli.report import ProgressReport

        self._bar = ProgressReport()
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def __call__(self, told: Told) -> None:
        import sys

        from recon.cli.report import say
        from recon.messages import listed
        from recon.progress import Progress

        place, outcome = f"[{told.over}/{told.total}] {told.scene}", told.outcome
        if told.what == "failed" and outcome is not None:
            say(f"{place}: failed: {outcome.error}")
        elif told.what == "again":
            say(f"{place}: tried again: {told.error}")
        elif told.what == "elsewhere":
            say(f"{place}: another batch does it")
        elif told.what == "kept":
            self.kept.add(told.scene)
        elif told.what == "begun" and not sys.stderr.isatty():
            say(f"{place}: begun")
        elif told.what == "done" and outcome is not None:
            if not sys.stderr.isatty():
                say(f"{place}: done in {outcome.seconds:.1f} s")
            if outcome.warnings:
                say(f"{place}: warning: {listed(list(outcome.warnings), 3)}")
        if sys.stderr.isatty():
            self._bar(Progress("scenes", told.scene, told.over, told.total))


def _own(result: BatchResult) -> list[dict[str, Any]]:
    names = set(result.own)
    return [one for one in result.content["scenes"] if one["name"] in names]


def _print(out: str, result: BatchResult, kept: Set[str]) -> None:
    from recon.cli.report import print_table, printable

    own = _own(result)
    failed = [one for one in own if one["state"] != "done"]
    rows = [_row(one) for one in (own if len(own) <= _SHOWN_SCENES else failed[:_SHOWN_SCENES])]
    head = ("scene", "state", "tried", "seconds", "views", "depth agrees", "warnings", "why")
    if rows:
        print_table(head, rows, right_aligned=head[2:7])
    more = len(failed) - len(rows)
    if len(own) > _SHOWN_SCENES and more > 0:
        print(f"… and {more} more that failed")
    now = [one for one in own if one["name"] not in kept]
    before = f", {len(own) - len(now)} of them before" if len(now) < len(own) else ""
    seconds = sum(one["seconds"] or 0.0 for one in now)
    took = f", the runs of {len(now)} took {seconds:.0f} s" if now else ""
    print(f"{len(own) - len(failed)} of {len(own)} scenes done{before}{took}: {printable(out)}/batch.json")


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    agreeing = (one["quality"] or {}).get("depth_agreeing")
    return (
        str(one["name"]),
        str(one["state"]),
        "" if one["attempts"] is None else str(one["attempts"]),
        "" if one["seconds"] is None else f"{one['seconds']:.1f}",
        "" if one["views"] is None else str(one["views"]),
        "" if agreeing is None else f"{agreeing:.0%}",
        "" if not one["warnings"] else str(len(one["warnings"])),
        one["error"] or "",
    )


BATCH = Command("batch", BatchSettings, batch)
