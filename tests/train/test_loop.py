"""The loop: what it leaves, how it goes on, and what it does about bad batches and full disks."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from recon import DepthAnything3
from recon.cli.main import main
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.models.checkpoints import load_weights
from recon.models.presets import load_preset
from recon.models.ready import ready_model
from recon.train.batches import Batch
from recon.train.dry_run import dry_run
from recon.train.loop import train
from recon.train.state import read_state
from tests.train.scene import RoomBatches, Rooms, rooms
from tests.train.settings import config

REPOSITORY = Path(__file__).parents[2]
SMALL = 28
AVERAGED = {"average": 0.9, "warm_up": 3}
FEW = Rooms(rooms(3, scenes=1, views=2, side=SMALL), rooms(1, scenes=1, views=2, side=SMALL, key=9))


def weights(model: Path) -> dict[str, Tensor]:
    return ready_model("tiny-any-view", weights=model).network.state_dict()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_same_state(one: object, other: object) -> None:
    """To the bit, whatever it consists of."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_state(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_same_state(a, b)
    else:
        assert one == other


def test_what_a_training_leaves(tmp_path: Path) -> None:
    said: list[str] = []
    settings = config(steps=4, evaluate_every=2, save_every=2, optimiser={"average": 0.9})
    outcome = train(settings, FEW, tmp_path, say=said.append)
    assert [row["step"] for row in table(tmp_path / "metrics.csv")] == ["1", "2", "3", "4"]
    for row in table(tmp_path / "metrics.csv"):
        parts = [float(row[name]) for name in ("depth", "gradient", "rays", "points", "camera")]
        assert float(row["total"]) == pytest.approx(sum(parts), rel=1e-4)
    evaluated = table(tmp_path / "evaluation.csv")
    assert [row["step"] for row in evaluated] == ["2", "4"]
    assert {"abs_rel", "abs_rel_constant", "abs_rel_mean_map", "rotation"} <= {k for k, v in evaluated[1].items() if v}
    assert len(said) == 1  # the last one is the outcome's
    assert outcome.progress.scores["abs_rel"] == pytest.approx(float(evaluated[1]["abs_rel"]))
    assert "prior" in said[0]
    record = json.loads((tmp_path / "train.json").read_text())
    assert record["steps"] == 4
    assert record["settings"]["optimiser"]["average"] == 0.9
    # The network is the moving average, not the last weights, and is loaded as any checkpoint.
    exported, state = weights(outcome.model), read_state(tmp_path / "state.pt")
    name = "backbone.pretrained.blocks.0.attn.qkv.weight"
    assert torch.equal(exported[name], state["average"][name])
    assert not torch.equal(exported[name], state["parameters"][name])
    assert DepthAnything3.from_pretrained(outcome.model).model_name == "tiny-any-view"


def test_a_killed_training_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """A process that is killed in step 38; the next one does steps 31 to 50 of an undisturbed one, to the bit."""
    settings = "config(steps=50, save_every=10, optimiser={'average': 0.9, 'warm_up': 3})"
    program = f"""
import os, signal, torch
from pathlib import Path
from recon.train.loop import train
from tests.train.scene import RoomBatches, Rooms, rooms
from tests.train.settings import config
torch.set_num_threads(1)
class Deadly(Rooms):
    def batches(self, *arguments):
        found = super().batches(*arguments)
        class Killing(RoomBatches):
            def __next__(self):
                if self._place == 37:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__next__()
        return Killing(found._batches)
train({settings}, Deadly(rooms(3, scenes=1, views=2, side={SMALL})), Path({str(tmp_path / "killed")!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert read_state(tmp_path / "killed/state.pt")["step"] == 30
    assert len(table(tmp_path / "killed/metrics.csv")) == 37
    undisturbed = config(steps=50, save_every=10, optimiser=AVERAGED)
    train(undisturbed, FEW, tmp_path / "whole")
    resumed = train(undisturbed, Rooms(FEW.learned), tmp_path / "killed")
    assert resumed.resumed_from == 30
    one, other = (read_state(tmp_path / name / "state.pt") for name in ("whole", "killed"))
    for name in ("parameters", "average", "optimiser", "data", "mean_map", "step"):
        assert_same_state(one[name], other[name])
    losses = [[row["total"] for row in table(tmp_path / name / "metrics.csv")] for name in ("whole", "killed")]
    assert losses[0] == losses[1]


STEPS_BEFORE_CTRL_C = 3


class Interrupted(Rooms):
    """While batch number `STEPS_BEFORE_CTRL_C` is prepared, this process gets signals."""

    signals: tuple[int, ...] = (signal.SIGINT,)

    def batches(self, seed: int, rank: int = 0, ranks: int = 1) -> RoomBatches:
        signals = self.signals

        class Interrupting(RoomBatches):
            def __next__(self) -> Batch:
                found = super().__next__()
                for one in signals if self._place == STEPS_BEFORE_CTRL_C else ():
                    os.kill(os.getpid(), one)
                    time.sleep(0.2)  # SIGTERM takes the way through another thread
                return found

        return Interrupting(self.learned)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_step_and_the_same_command_goes_on(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit as if nothing had been."""
    settings = config(steps=5, optimiser=AVERAGED)
    train(settings, FEW, tmp_path / "whole")
    given = {**settings.entries(), "data": {}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(given))))
    command = ["train", str(tmp_path / "few.yaml"), "--out", str(tmp_path / "stopped")]
    stopping = Interrupted(FEW.learned)
    stopping.signals = (number,)
    monkeypatch.setattr("recon.train.data.training_data.open_data", lambda *given, **more: stopping)
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"after step {STEPS_BEFORE_CTRL_C} of 5" in said
    assert str(tmp_path / "stopped/state.pt") in said
    assert "the same command goes on" in said
    assert read_state(tmp_path / "stopped/state.pt")["step"] == STEPS_BEFORE_CTRL_C
    stopping.signals = ()
    assert main(command) == 0
    one, other = (read_state(tmp_path / name / "state.pt") for name in ("whole", "stopped"))
    for name in ("parameters", "average", "optimiser", "data", "mean_map", "step"):
        assert_same_state(one[name], other[name])
    losses = [[row["total"] for row in table(tmp_path / name / "metrics.csv")] for name in ("whole", "stopped")]
    assert losses[0] == losses[1]


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    stopping = Interrupted(FEW.learned)
    stopping.signals = (signal.SIGINT, signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as raised:
        train(config(steps=5), stopping, tmp_path)
    assert not str(raised.value)
    assert not (tmp_path / "state.pt").exists()
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_step_leaves_a_complete_training(tmp_path: Path) -> None:
    assert train(config(steps=STEPS_BEFORE_CTRL_C), Interrupted(FEW.learned), tmp_path).progress.step == 3


class TestGoingOn:
    def test_other_settings_are_refused(self, tmp_path: Path) -> None:
        train(config(steps=2), FEW, tmp_path)
        with pytest.raises(InputError, match=re.escape("optimiser.clip: 1.0, not 2.0") + ".*--fresh"):
            train(config(steps=2, optimiser={"clip": 2.0}), FEW, tmp_path)
        with pytest.raises(InputError, match=f"of 2 steps, not 4.*another --out.*weights={tmp_path / 'model'}"):
            train(config(steps=4), FEW, tmp_path)
        assert train(config(steps=2, report_every=7), FEW, tmp_path).resumed_from == 2
        assert train(config(steps=1), FEW, tmp_path, fresh=True).resumed_from == 0

    def test_a_damaged_state_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 no more")
        with pytest.raises(InputError, match=r"state.pt.*--fresh"):
            train(config(steps=1), FEW, tmp_path)

    def test_a_full_disk_leaves_the_old_checkpoint(self, tmp_path: Path) -> None:
        train(config(steps=2), FEW, tmp_path)
        old = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix in (".pt", ".safetensors")}
        assert len(old) == 2
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            with (
                pytest.warns(ReconWarning, match="no checkpoint at step 1"),
                pytest.raises(InputError, match=r"state\.pt"),
            ):
                train(config(steps=2, save_every=1), FEW, tmp_path, fresh=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert all(path.read_bytes() == content for path, content in old.items())
        assert {path.name for path in tmp_path.rglob(".*")} == set()


class TestBadBatches:
    def spoilt(self) -> Rooms:
        """One batch of three has NaN in its photos."""
        first, second, third = FEW.learned
        images = second.images.clone()
        images[0, 1, 0, 3, 4] = torch.nan
        return Rooms([first, replace(second, images=images), third])

    def test_they_are_left_out_and_counted(self, tmp_path: Path) -> None:
        with pytest.warns(ReconWarning, match=r"step 2 left out.*room"):
            outcome = train(config(steps=3), self.spoilt(), tmp_path)
        assert outcome.progress.bad_batches == 1
        assert all(torch.isfinite(value).all() for value in weights(outcome.model).values())
        assert json.loads((tmp_path / "train.json").read_text())["bad_batches"] == 1

    def test_many_in_a_row_end_it(self, tmp_path: Path) -> None:
        only = Rooms(self.spoilt().learned[1:2])
        with pytest.warns(ReconWarning), pytest.raises(InputError, match=r"3 steps in a row.*room"):
            train(config(steps=9, most_bad_batches=3), only, tmp_path)

    def test_no_valid_depth_changes_no_depth_and_is_no_error(self, tmp_path: Path) -> None:
        first = FEW.learned[0]
        nothing = Rooms([replace(first, depth=first.depth * torch.nan, valid=torch.zeros_like(first.valid))])
        outcome = train(config(steps=2, losses={"depth": 1}), nothing, tmp_path)
        assert outcome.progress.bad_batches == 0
        assert float(table(tmp_path / "metrics.csv")[0]["gradient_norm"]) == 0


def test_gradients_of_several_batches_are_those_of_one_large_one(tmp_path: Path) -> None:
    halves = rooms(2, scenes=1, views=2, side=SMALL)
    together = rooms(1, scenes=2, views=2, side=SMALL)
    options = {"encoder_rate": 1e-5, "decoder_rate": 1e-5}
    train(config(steps=1, optimiser={"accumulate": 2, **options}), Rooms(halves), tmp_path / "halves")
    train(config(steps=1, optimiser=options), Rooms(together), tmp_path / "together")
    one, other = (float(table(tmp_path / name / "metrics.csv")[0]["gradient_norm"]) for name in ("halves", "together"))
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_two_processes_are_as_good_as_one(tmp_path: Path) -> None:
    """Also where the last of a step's batches has no gradients for some parameters."""
    rates = "{'encoder_rate': 1e-6, 'decoder_rate': 1e-5, 'average': 0.5, 'accumulate': 2}"
    settings = f"config(steps=4, optimiser={rates})"
    program = f"""
import sys, torch
from dataclasses import replace
from pathlib import Path
from recon.train.loop import train
from tests.train.scene import Rooms, rooms
from tests.train.settings import config
torch.set_num_threads(1)
posed, other = rooms(2, scenes=2, views=2, side={SMALL})
other = replace(other, world_to_camera=None, intrinsics=None)
data = Rooms([posed, other], rooms(1, scenes=1, views=2, side={SMALL}, key=9))
train({settings}, data, Path(sys.argv[1]))
"""
    runner = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    script = [sys.executable, "-c", program]
    for name, command in (("one", script), ("two", [*runner, *script])):
        done = subprocess.run([*command, str(tmp_path / name)], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for file in ("metrics.csv", "evaluation.csv"):
        for one, two in zip(*(table(tmp_path / name / file) for name in ("one", "two")), strict=True):
            for column in set(one) - {"tokens_per_second", "waited", "step"}:
                if one[column]:
                    # The table has six digits.
                    assert float(one[column]) == pytest.approx(float(two[column]), rel=2e-5, abs=1e-9), column
    alone, shared = (weights(tmp_path / name / "model") for name in ("one", "two"))
    for key, value in alone.items():
        torch.testing.assert_close(value, shared[key], rtol=1e-5, atol=1e-5)
    assert json.loads((tmp_path / "two/train.json").read_text())["processes"] == 2


def test_recomputed_activations_give_the_same_gradients(tmp_path: Path) -> None:
    for name, recompute in (("kept", False), ("again", True)):
        train(config(steps=2, recompute=recompute), FEW, tmp_path / name)
    one, other = (weights(tmp_path / name / "model") for name in ("kept", "again"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(
    ("part", "start"), [("encoder", "backbone."), ("decoder", "head."), ("cameras", "cam_")], ids=lambda text: text
)
def test_frozen_parts_stay_as_they_are(part: str, start: str, tmp_path: Path) -> None:
    settings = config(steps=1, freeze=[part])
    outcome = train(settings, FEW, tmp_path)
    before = ready_model_of_seed(0)
    for name, value in weights(outcome.model).items():
        if name.startswith(start):
            assert torch.equal(value, before[name]), name
    changed = [name for name, value in weights(outcome.model).items() if not torch.equal(value, before[name])]
    assert len(changed) > 50


def ready_model_of_seed(seed: int) -> dict[str, Tensor]:
    from recon.models.build import random_network

    return random_network(load_preset("tiny-any-view").network, seed).state_dict()


def test_bf16_learns_nearly_the_same(tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        train(config(steps=3, precision=precision), FEW, tmp_path / precision)
    exact, rounded = (table(tmp_path / name / "metrics.csv") for name in ("fp32", "bf16"))
    for one, other in zip(exact, rounded, strict=True):
        assert float(one["total"]) == pytest.approx(float(other["total"]), rel=0.05)
    assert exact != rounded


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config(steps=1000, freeze=["encoder"])
    estimate = dry_run(settings, FEW)
    assert list(tmp_path.iterdir()) == []
    assert 0 < estimate.trained_parameters < estimate.parameters
    assert estimate.tokens == FEW.learned[1].tokens
    assert estimate.memory > 50 * 2**20
    text = "\n".join(estimate.lines())
    assert "1000 steps" in text
    assert "MiB" in text


def test_weights_to_begin_from_are_a_checkpoint(tmp_path: Path) -> None:
    first = train(config(steps=1), FEW, tmp_path / "first").model
    second = train(
        config(steps=1, weights=str(first), optimiser={"encoder_rate": 1e-12, "decoder_rate": 1e-12}),
        FEW,
        tmp_path / "second",
    ).model
    one, other = weights(first), weights(second)
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=0, atol=1e-9)


def test_load_weights_of_the_export_is_strict(tmp_path: Path) -> None:
    from recon.models.build import build_network

    model = train(config("tiny-monocular", steps=1), Rooms(rooms(1, 1, 1, SMALL)), tmp_path).model
    network = build_network(load_preset("tiny-monocular").network)
    load_weights(network, model / "model.safetensors")


def test_events_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config(steps=3, evaluate_every=2, tensorboard=True), FEW, tmp_path)
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert {"train/total", "train/camera", "evaluation/abs_rel"} <= set(events.Tags()["scalars"])
    rows = table(tmp_path / "metrics.csv")
    written = [event.value for event in events.Scalars("train/total")]
    assert written == pytest.approx([float(row["total"]) for row in rows], rel=1e-4)
    assert [event.step for event in events.Scalars("evaluation/abs_rel")] == [2, 3]


def test_tensorboard_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=re.escape("recon[train]")):
        train(config(steps=3, tensorboard=True), FEW, tmp_path)
