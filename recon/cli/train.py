"""`recon train`: networks trained or fine-tuned, as a file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.cli.command import Command, CommandOptions
from recon.errors import InputError
from recon.options import option

_INTERRUPTED = 1


@dataclass(frozen=True, kw_only=True)
class TrainSettings(CommandOptions):
    """Train or fine-tune a network, as a YAML file says; the same command goes on where an earlier one ended."""

    recipe: tuple[str, ...] = option(
        (),
        help="YAML file, or the name of one in configs/train.",
        positional=True,
        metavar="CONFIG",
        may_be_path=True,
    )
    out: Path | None = option(
        None,
        help="Folder for the network (model/), tables of metrics, and the state to go on from [outputs/train/NAME].",
    )
    set: tuple[str, ...] = option(
        (),
        help="Replace or add a value of the file, as in optimiser.decoder_rate=1e-4. May be given several times.",
        metavar="KEY=VALUE",
    )
    keys: bool = option(False, help="Show what a CONFIG may say, with defaults, and end.")
    dry_run: bool = option(False, help="Take two steps, and say what memory and time all of them would take.")
    fresh: bool = option(False, help="Begin anew where the folder holds a training that could go on.")


def train_network(settings: TrainSettings) -> None:
    """A line for each evaluation but the last on stderr; at the end, on stdout, its scores and where the network is.

    Of an interruption, which reaches all processes of `torchrun`, only the first one speaks.
    """
    try:
        _train_network(settings)
    except KeyboardInterrupt:
        from recon.train.processes import is_first_process

        if is_first_process():
            raise
        raise SystemExit(_INTERRUPTED) from None


def _train_network(settings: TrainSettings) -> None:
    from recon.cli.report import ProgressReport, report_warnings, say
    from recon.models.presets import load_preset
    from recon.progress import listen, silent, stage
    from recon.train.config import config_names, is_changed, preparation, read_config

    if settings.keys:
        from recon.train.keys import key_lines

        print("\n".join(key_lines()))
        return
    if len(settings.recipe) != 1:
        raise InputError(
            f"recon train takes one CONFIG: a YAML file, or one of {', '.join(config_names())}; --keys shows what it "
            "may say"
        )
    config = read_config(settings.recipe[0], settings.set)

    from recon.train.data.training_data import open_data
    from recon.train.dry_run import dry_run
    from recon.train.loop import score_line, train
    from recon.train.processes import is_first_process
    from recon.train.terms import weights_of

    weights_of(load_preset(config.main.network), config.losses)  # before data is looked through

    out = settings.out if settings.out is not None else Path("outputs/train") / Path(config.name).stem
    with report_warnings(), ProgressReport() as progress, listen(progress if is_first_process() else silent):
        with stage("data"):
            own = is_changed("data", settings.set)
            data = open_data(
                config.data,
                of=f"{config.name}{' with --set' if own else ''}: data",
                remedy="" if own else preparation(settings.recipe[0]),
            )
        if settings.dry_run:
            with stage("two steps"):
                estimate = dry_run(config, data)
        else:
            outcome = train(config, data, out, fresh=settings.fresh, say=say)
    if not is_first_process():
        return
    if settings.dry_run:
        print("\n".join(estimate.lines()))
        return
    done = outcome.progress
    if outcome.resumed_from == done.step:
        print(f"{outcome.model}: all {done.step} steps were done before (--fresh begins anew)")
        return
    if done.scores.get("views"):
        print(score_line(done.scores))
    if done.bad_batches:
        print(f"{done.bad_batches} of {done.step} steps were left out: their loss was not a number")
    if data.skipped:
        print(f"{len(data.skipped)} samples could not be used: {out / 'train.json'} names them")
    print(f"{config.main.network} after {done.step} steps: {outcome.model}")


TRAIN = Command("train", TrainSettings, train_network)
