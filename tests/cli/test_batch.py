"""`recon batch`: every scene in a folder of its own, whatever becomes of the others."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from recon.choices import RunOptions
from recon.cli import main as main_module
from recon.cli.batch import BatchSettings
from recon.cli.run import RunSettings
from recon.errors import InputError
from recon.files import atomic_write
from recon.options import options_of
from recon.run.batch.do_scene import do_scene
from recon.run.batch.place import LocalPlace
from recon.run.batch.scene import BatchScene
from recon.run.settings_file import read_settings_file
from recon.run.worker_process import WorkerProcess
from tests.run.batch.small_scenes import OPTIONS, make_bad_scenes, make_scene, make_scenes


def batch(*arguments: str | Path) -> int:
    return main_module.main(["batch", *map(str, arguments)])


def entries(out: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads((out / "batch.json").read_text())["scenes"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results, in `out`, of three good scenes and three bad ones in `in`."""
    place = tmp_path_factory.mktemp("batch")
    make_bad_scenes(make_scenes(place / "in", 3))
    assert batch(place / "in", "--out", place / "out", *OPTIONS, "--workers", "2") == 1
    return place


def test_failed_scenes_do_not_stop_others(done: Path) -> None:
    found = entries(done / "out")
    assert list(found) == ["a00", "a01", "a02", "broken", "empty", "unknown"]
    for name in ("a00", "a01", "a02"):
        assert found[name]["state"] == "done"
        assert found[name]["views"] == 2
        assert found[name]["seconds"] > 0
        assert found[name]["quality"]["valid"] == 1.0
        assert (done / "out" / name / "exports/mini_npz/results.npz").is_file()
    for name, said in (("broken", "0.png"), ("empty", "no images"), ("unknown", "depth")):
        assert (found[name]["state"], found[name]["attempts"]) == ("failed", 1)
        assert said in found[name]["error"]
        assert "\n" not in found[name]["error"]
    states = {name: json.loads((done / "out" / name / "run.json").read_text())["state"] for name in found}
    assert states == {name: entry["state"] for name, entry in found.items()}
    assert json.loads((done / "out" / "empty" / "run.json").read_text())["error"] == found["empty"]["error"]
    assert not list((done / "out/.batch/leases").iterdir())


def test_the_same_command_goes_on(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was missing is there now: only that is done; each kind of result as the command line shows it."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "out/a01/run.json").stat().st_mtime_ns
    assert entries(tmp_path / "out")["a00"]["state"] == "done"
    shutil.rmtree(tmp_path / "in/unknown")
    shutil.copytree(tmp_path / "in/a00", tmp_path / "in/empty", dirs_exist_ok=True)
    capsys.readouterr()
    # Copied, so that the inputs have other paths: these scenes are others.
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS, "--shard", "1/2") == 0
    assert (tmp_path / "out/a01/run.json").stat().st_mtime_ns == before
    shown = capsys.readouterr()
    assert "3 of 3 scenes done, the runs of 3 took" in shown.out
    assert shown.out.splitlines()[0].split()[:3] == ["scene", "state", "tried"]
    assert shown.out.splitlines()[1].split()[:3] == ["a00", "done", "1"]
    assert "a00: begun" in shown.err
    assert {line.split()[0] for line in shown.out.splitlines()[1:4]} == {"a00", "a02", "empty"}
    assert "a00" in shown.err
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS) == 1
    shown = capsys.readouterr()
    assert "a00" not in shown.err  # done already
    assert "4 of 5 scenes done, 3 of them before, the runs of 2 took" in shown.out


def test_a_batch_names_what_a_scene_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_scene(tmp_path / "in/a00", 0, views=3)
    (tmp_path / "in/a00/1.png").write_bytes(b"no photo")
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS) == 0
    shown = capsys.readouterr()
    (warning,) = entries(tmp_path / "out")["a00"]["warnings"]
    assert "1.png" in warning
    assert f"a00: warning: {warning}" in shown.err


def test_all_that_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert batch() == 2
    assert "needs SCENES and --out" in capsys.readouterr().err


def test_a_scene_whose_process_is_killed_is_tried_again_and_then_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scenes(tmp_path / "in", 2)
    killed: list[int] = []
    run = WorkerProcess.run

    def run_and_kill(self: WorkerProcess, job: Any, tell: Any) -> Any:
        """The first scene kills its process whenever it is begun."""

        def tell_and_kill(message: Any) -> None:
            if job["job"]["name"] == "a00" and self._process is not None and self._process.poll() is None:
                killed.append(self._process.pid)
                os.kill(self._process.pid, signal.SIGKILL)
                time.sleep(0.1)

        return run(self, job, tell_and_kill)

    monkeypatch.setattr(WorkerProcess, "run", run_and_kill)
    assert batch(tmp_path / "in", "--out", tmp_path / "out", *OPTIONS, "--workers", "1", "--retries", "1") == 1
    found = entries(tmp_path / "out")
    assert (found["a00"]["state"], found["a00"]["attempts"]) == ("failed", 2)
    assert "signal 9" in found["a00"]["error"]
    assert "memory" in found["a00"]["error"]
    assert found["a01"]["state"] == "done"
    assert len(killed) == 2
    record = json.loads((tmp_path / "out/a00/run.json").read_text())
    assert (record["state"], record["error"]) == ("failed", found["a00"]["error"])
    assert "tried again" in capsys.readouterr().err


def test_a_file_of_settings_may_hold_what_one_of_a_run_may(tmp_path: Path) -> None:
    """Also what is for the command, and what the command line calls otherwise."""
    make_scenes(tmp_path / "in", 1)
    file = tmp_path / "settings.yaml"
    file.write_text("model: measured\nexport: mini_npz\nclean: false\nverbose: true\nengine: recon\n")
    assert batch(tmp_path / "in", "--out", tmp_path / "out", "--config", file) == 0
    assert entries(tmp_path / "out")["a00"]["state"] == "done"
    settings = json.loads((tmp_path / "out/a00/run.json").read_text())["settings"]
    assert (settings["model"], settings["engine"], settings["clean"]) == ("measured", "recon", False)


@pytest.mark.parametrize("key", sorted(name for name, one in options_of(RunSettings).items() if one.in_files))
def test_every_key_of_a_run_is_taken_or_refused_at_once(key: str, tmp_path: Path) -> None:
    default = options_of(RunSettings)[key].default
    value = list(default) if isinstance(default, tuple) else dict(default) if isinstance(default, Mapping) else default
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({key: value}))
    if key in ("out", "server"):
        with pytest.raises(InputError, match=rf"settings.yaml: .*{key}"):
            read_settings_file(str(file), BatchSettings)
        return
    assert read_settings_file(str(file), BatchSettings)
    taken = read_settings_file(str(file), RunOptions, part=True)
    assert list(taken) == ([] if key == "verbose" else [key])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no scenes given"),
        (("nothing",), "'nothing' does not exist"),
        (("in", "--model", "da4"), "da4"),
        (("in", "--export", "glbb"), "glbb"),
        (("in", "--shard", "3/2"), "3/2"),
        (("in", "--workers", "0"), "workers"),
        (("in", "--out", "in/a00/0.png"), "0.png"),
    ],
)
def test_what_is_wrong_for_all_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_scenes(tmp_path / "in", 1)
    assert batch("--out", "out", *arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_failure_of_the_program_is_tried_again(tmp_path: Path) -> None:
    """And says what it is: an error of the machine may pass."""

    def choose(settings: RunOptions) -> Any:
        raise MemoryError("4 GB")

    scene = BatchScene("a", RunOptions(inputs=(tmp_path,)))
    ended = do_scene(scene, LocalPlace(tmp_path), choose, lambda: None)  # type: ignore[arg-type,return-value]
    assert ended.may_be_tried_again
    assert not ended.stops_batch
    assert ended.outcome.error == "MemoryError: 4 GB"


def test_a_full_disk_is_told_from_other_failures(tmp_path: Path) -> None:
    def choose(settings: RunOptions) -> Any:
        with atomic_write(tmp_path / "a" / "x"):
            raise OSError(errno.ENOSPC, "No space left on device")

    scene = BatchScene("a", RunOptions(inputs=(tmp_path,)))
    ended = do_scene(scene, LocalPlace(tmp_path), choose, lambda: None)  # type: ignore[arg-type,return-value]
    assert ended.stops_batch
    assert "No space left" in str(ended.outcome.error)
