"""The training itself: steps, evaluations, checkpoints, and going on where an earlier one ended."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from recon.errors import InputError
from recon.files import atomic_write, only_writer
from recon.messages import listed, warn
from recon.models.device import choose_device
from recon.models.memory import reuse_freed_memory
from recon.progress import stage, tell
from recon.train.batches import Batch, Batches, TrainingData
from recon.train.config import TrainConfig
from recon.train.evaluation import COLUMNS, evaluate
from recon.train.interruption import interruption_noted
from recon.train.learner import TOTAL
from recon.train.metrics_file import Events, MetricsFile
from recon.train.prior import MeanDepthMap
from recon.train.processes import Ranks, joined_processes
from recon.train.setup import Trained, set_up
from recon.train.state import MODEL_FOLDER, STATE_FILE, read_state, write_model, write_state
from recon.version import __version__

RECORD_FILE = "train.json"
METRICS_FILE = "metrics.csv"
EVALUATION_FILE = "evaluation.csv"
_MEANWHILE = ("device", "evaluate_every", "save_every", "report_every", "tensorboard", "most_bad_batches", "recompute")
"""Settings that may be others when a training goes on: none changes what is learned."""
_IDLE_SECONDS = 0.005
"""A batch that is there within this was not waited for."""
_FEW_STEPS = 20
_OFTEN = 0.25
"""With fewer steps nothing is said of waiting; nor where fewer than this share had to."""


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    """Steps that are done."""
    bad_batches: int = 0
    """Steps that were left out because their loss was not a number."""
    bad_in_a_row: int = 0
    waited: int = 0
    """Steps that had to wait for their batch, since this process began."""
    taken: int = 0
    """Steps since this process began."""
    seconds: float = 0.0
    """Of all processes' work so far, evaluations and checkpoints included."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of the last evaluation."""


@dataclass(frozen=True)
class Outcome:
    """What a training leaves."""

    model: Path
    """Folder of the network, to be loaded as any checkpoint."""
    progress: Progress
    resumed_from: int
    """Steps that an earlier process had done."""


def train(
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    *,
    fresh: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Train a network, in as many processes as `torchrun` has started.

    `out` gets `state.pt`, from which the same call goes on after whatever ended it; `model/`, the network in the
    official format; `metrics.csv`, `evaluation.csv` and `train.json`.

    Args:
        config: what to train.
        data: samples.
        out: folder for the results.
        fresh: begin anew where an earlier training is in `out`.
        say: told a line for each evaluation but the last, whose scores are in what this returns.

    Raises:
        InputError: what does not fit together, a training with other settings in `out`, too many batches that give no
            number, a disk that stays full to the end.
        KeyboardInterrupt: on Ctrl-C, when the step in progress is done and the state kept; on a second one at once.
    """
    device = choose_device(config.main.device)
    with joined_processes(device) as ranks, contextlib.ExitStack() as stack:
        if device.type == "cuda":
            device = torch.device("cuda", ranks.local_rank)
        if ranks.first:
            stack.enter_context(only_writer(out))
        stack.enter_context(reuse_freed_memory(device))
        return _Run(config, data, out, device, ranks, say).carry_out(fresh)


class _Run:
    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        out: Path,
        device: torch.device,
        ranks: Ranks,
        say: Callable[[str], None],
    ) -> None:
        self.config, self.data, self.out, self.device, self.ranks, self.say = config, data, out, device, ranks, say
        self.trained: Trained = set_up(config, device)
        self.mean_map = MeanDepthMap()
        self.progress = Progress()
        self.module: nn.Module = self.trained.learner
        if ranks.count > 1:
            # Which parameters have gradients depends on the batch: one without cameras has none for theirs.
            self.module = DistributedDataParallel(
                self.trained.learner,
                device_ids=[ranks.local_rank] if device.type == "cuda" else None,
                find_unused_parameters=True,
            )

    def carry_out(self, fresh: bool) -> Outcome:
        main = self.config.main
        state = None if fresh else self._earlier()
        batches = self.data.batches(main.seed, self.ranks.rank, self.ranks.count)
        try:
            if state is not None:
                self._resume(state, batches)
            resumed_from = self.progress.step
            if self.ranks.first:
                self._open_tables(resumed_from)
            with stage("train"), interruption_noted() as interruption:
                for step in range(self.progress.step, main.steps):
                    self._step(step, batches)
                    last = step + 1 == main.steps
                    if last or (main.evaluate_every and (step + 1) % main.evaluate_every == 0):
                        self._evaluate(last)
                    # All processes end behind the same step, whichever of them was told first.
                    ends = self.ranks.any(interruption.asked, self.device) and not last
                    if last or ends or (main.save_every and (step + 1) % main.save_every == 0):
                        self._save(batches, last or ends)
                    if ends:
                        raise KeyboardInterrupt(self._interrupted())
        finally:
            batches.close()
        if self.ranks.first:
            self.events.close()
            self._judge_waiting()
        return Outcome(self.out / MODEL_FOLDER, self.progress, resumed_from)

    def _step(self, step: int, batches: Batches) -> None:
        """Look at the batches of one step and change the weights, unless their loss is not a number."""
        begin = time.perf_counter()
        options, main = self.config.optimiser, self.config.main
        factor = self.trained.set_rates(step)
        sums: dict[str, torch.Tensor] = {}
        names: list[str] = []
        waited, tokens = 0.0, 0
        for part in range(options.accumulate):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            names += [name for scene in batch.names for name in scene]
            tokens += batch.tokens
            batch = batch.to(self.device)
            self._note_depth(batch)
            number = step * options.accumulate + part
            terms = self.module(batch, number, main.steps * options.accumulate)
            total = terms[TOTAL] / options.accumulate
            if not total.requires_grad:
                raise InputError("freeze: what is left to train has no part in what the network predicts")
            # Processes share the gradients of every batch: one that the last batch has none for would be missed.
            total.backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.detach() / options.accumulate
        parameters = list(self.trained.parameters().values())
        norm = nn.utils.clip_grad_norm_(parameters, options.clip or math.inf)
        values = self.ranks.mean(torch.stack([*sums.values(), norm.to(sums[TOTAL])])).tolist()
        reported = dict(zip((*sums, "gradient_norm"), values, strict=True))
        if all(math.isfinite(value) for value in values):
            self.trained.update(step)
            self.progress.bad_in_a_row = 0
        else:
            self._leave_out(step, names)
        self.trained.optimiser.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - begin
        done = self.progress
        done.step, done.taken, done.seconds = step + 1, done.taken + 1, done.seconds + seconds
        done.waited += waited > _IDLE_SECONDS
        tell("steps", step + 1, main.steps)
        if self.ranks.first and ((step + 1) % main.report_every == 0 or step + 1 == main.steps):
            speed = {"rate_factor": factor, "tokens_per_second": tokens * self.ranks.count / seconds, "waited": waited}
            self.metrics.add(step + 1, reported | speed)
            self.events.add(step + 1, "train", reported | speed)

    def _judge_waiting(self) -> None:
        """Warn where the data was what took the time."""
        done = self.progress
        if done.taken >= _FEW_STEPS and done.waited > _OFTEN * done.taken:
            warn(
                f"{done.waited} of {done.taken} steps had to wait for their batch: more data.workers prepare them "
                "sooner, and a larger data.memory saves reading photos again"
            )

    def _note_depth(self, batch: Batch) -> None:
        if batch.depth is not None and batch.valid is not None:
            self.mean_map.add(batch.depth, batch.valid, self.trained.learner.several_views)

    def _leave_out(self, step: int, names: list[str]) -> None:
        done, most = self.progress, self.config.main.most_bad_batches
        done.bad_batches += 1
        done.bad_in_a_row += 1
        message = f"step {step + 1} left out: its loss or gradient is not a number ({listed(names, 3)})"
        if done.bad_in_a_row >= most:
            raise InputError(
                f"{most} steps in a row without a loss that is a number, the last with {listed(names, 3)}: look at "
                "these samples, or lower optimiser.decoder_rate and encoder_rate"
            )
        warn(message)

    def _evaluate(self, last: bool) -> None:
        """Write the scores, and say them; those of the `last` evaluation are the outcome's."""
        begin = time.perf_counter()
        mean_map = self._mean_map_of_all()
        if self.ranks.first:
            learner = self.trained.learner
            learner.eval()
            self.trained.swap_averages()
            try:
                self.progress.scores = evaluate(learner, self.data.evaluation(), mean_map)
            finally:
                self.trained.swap_averages()
                learner.train()
            step = self.progress.step
            self.evaluations.add(step, self.progress.scores)
            self.events.add(step, "evaluation", self.progress.scores)
            if self.progress.scores.get("views") and not last:
                self.say(f"step {step}: {score_line(self.progress.scores)}")
        self.ranks.wait()
        self.progress.seconds += time.perf_counter() - begin

    def _mean_map_of_all(self) -> MeanDepthMap:
        """Of what all processes have seen."""
        found = MeanDepthMap()
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        found.sums = self.ranks.sum(self.mean_map.sums.to(self.device, wide, copy=True)).cpu().double()
        found.counts = self.ranks.sum(self.mean_map.counts.to(self.device, wide, copy=True)).cpu().double()
        return found

    def _save(self, batches: Batches, last: bool) -> None:
        """Write what another process goes on from, the network, and the record.

        A full disk is an error where it is the `last` time, and otherwise a warning.
        """
        begin = time.perf_counter()
        mean_map = self._mean_map_of_all()
        if self.ranks.first:
            done = self.progress
            state = self.trained.state() | {
                "settings": json.dumps(self._settings()),
                "step": done.step,
                "bad_batches": done.bad_batches,
                "seconds": done.seconds,
                "scores": done.scores,
                "data": batches.state(),
                "mean_map": mean_map.state(),
            }
            try:
                write_state(self.out / STATE_FILE, state)
                write_model(self.out / MODEL_FOLDER, self.trained.preset, self.trained.exported())
                self._write_record()
            except InputError as error:
                if last:
                    raise
                warn(f"no checkpoint at step {done.step}, the earlier one stays: {error}")
        self.ranks.wait()
        self.progress.seconds += time.perf_counter() - begin

    def _interrupted(self) -> str:
        """Where the training is, and how it goes on."""
        place = f"step {self.progress.step} of {self.config.main.steps}"
        return f"interrupted after {place}, which {self.out / STATE_FILE} holds: the same command goes on from there"

    def _write_record(self) -> None:
        trained, done = self.trained, self.progress
        numbers = [one.numel() for one in trained.parameters().values()]
        record = {
            "recon": __version__,
            "torch": torch.__version__,
            "network": trained.preset.name,
            "settings": self.config.entries(),
            "losses": trained.learner.weights,
            "device": str(self.device),
            "processes": self.ranks.count,
            "parameters": sum(one.numel() for one in trained.network.parameters()),
            "trained_parameters": sum(numbers),
            "steps": done.step,
            "bad_batches": done.bad_batches,
            "seconds": round(done.seconds, 1),
            "evaluation": done.scores,
            "data": dict(self.data.describe()),
            "skipped": dict(self.data.skipped),
        }
        with atomic_write(self.out / RECORD_FILE) as temporary:
            temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")

    def _settings(self) -> dict[str, Any]:
        """What has to stay the same for a training to go on."""
        return {name: value for name, value in self.config.entries().items() if name not in _MEANWHILE}

    def _earlier(self) -> dict[str, Any] | None:
        """The state that an earlier training left here. InputError where that had other settings."""
        path = self.out / STATE_FILE
        if not path.exists():
            return None
        state = read_state(path)
        try:
            then, now = json.loads(state["settings"]), json.loads(json.dumps(self._settings()))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is no state of a training: choose another --out, or --fresh") from error
        if then != now and {**then, "steps": None} == {**now, "steps": None}:
            raise InputError(
                f"{self.out} holds a training of {then['steps']} steps, not {now['steps']}, and its learning rates "
                f"were laid out for these: to train its network further, choose another --out with --set "
                f"weights={self.out / MODEL_FOLDER}; --fresh begins anew"
            )
        if then != now:
            raise InputError(
                f"{self.out} holds a training with other settings ({listed(_differences(then, now), 3)}): "
                "choose another --out, or begin anew with --fresh"
            )
        return state

    def _resume(self, state: Mapping[str, Any], batches: Batches) -> None:
        self.trained.resume(state)
        batches.resume(state["data"])
        if self.ranks.first:  # the sum of all, which the others add nothing to
            self.mean_map.resume(state["mean_map"])
        done = self.progress
        done.step, done.bad_batches, done.seconds = state["step"], state["bad_batches"], state["seconds"]
        done.scores = dict(state["scores"])
        if self.ranks.first:
            self.say(f"goes on behind step {done.step}")

    def _open_tables(self, from_step: int) -> None:
        terms = (*self.trained.learner.weights, TOTAL)
        columns = (*terms, "gradient_norm", "rate_factor", "tokens_per_second", "waited")
        self.metrics = MetricsFile(self.out / METRICS_FILE, columns, from_step)
        self.evaluations = MetricsFile(self.out / EVALUATION_FILE, COLUMNS, from_step)
        self.events = Events(self.out / "events" if self.config.main.tensorboard else None, from_step)


def score_line(scores: Mapping[str, float]) -> str:
    """Scores in a line, beside what they are to beat."""
    parts = []
    if "abs_rel" in scores:
        priors = [f"{scores[name]:.4f} {words}" for name, words in _PRIORS.items() if name in scores]
        parts.append(f"AbsRel {scores['abs_rel']:.4f} (prior: {', '.join(priors)})")
        parts.append(f"within 1.25 {100 * scores['delta_125']:.1f} %")
    if "abs_rel_unaligned" in scores:
        parts.append(f"AbsRel in metres {scores['abs_rel_unaligned']:.4f}")
    if "rotation" in scores:
        parts.append(f"rotation {scores['rotation']:.2f}° (prior: {scores.get('rotation_prior', math.nan):.2f}°)")
    if "translation" in scores:
        parts.append(f"translation {scores['translation']:.1f}°")
    return ", ".join(parts)


_PRIORS = {"abs_rel_constant": "best constant", "abs_rel_mean_map": "mean depth map"}


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], before: str = "") -> list[str]:
    """`key: value, not value` for each setting that is another."""
    found = []
    for key in dict.fromkeys((*then, *now)):
        old, new = then.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{before}{key}.")
        elif old != new:
            found.append(f"{before}{key}: {old}, not {new}")
    return found
