"""`run.json` while a run goes on, and what becomes of the files of the run before."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.choices import InferenceOptions
from recon.cli.main import main
from recon.errors import InputError
from recon.eval.results import read_result
from recon.export import EXPORTERS, Exported
from recon.messages import ReconWarning, collect_warnings
from recon.options import Options
from recon.run.pipeline import Reconstruction, reconstruct
from recon.run.record import record_of_files
from recon.types import Prediction
from tests.fake_network import WIDTH, fake_model, photos

SMALL = InferenceOptions(process_res=WIDTH)


def run(folder: Path, count: int = 2, formats: str = "mini_npz-depth_vis", **more: Any) -> Reconstruction:
    return reconstruct(fake_model(), photos(count), options=SMALL, export_dir=folder, export_format=formats, **more)


def record_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def files_in(folder: Path) -> set[str]:
    """All but those of the store."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("cache/")}


@pytest.fixture
def export_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that has something done in the place of writing a format."""

    def prepare(name: str, act: Any) -> None:
        def write(prediction: Prediction, folder: Path, options: Options) -> Exported:
            act()
            return Exported(())

        monkeypatch.setitem(EXPORTERS, name, replace(EXPORTERS[name], write=write))

    return prepare


class TestWhileItGoesOn:
    def test_it_says_running_and_what_is_done(self, tmp_path: Path, export_with: Any) -> None:
        seen: list[dict[str, Any]] = []
        export_with("ply", lambda: seen.append(record_in(tmp_path)))
        run(tmp_path, formats="mini_npz-ply", settings={"a": 1})
        (record,) = seen
        assert record["state"] == "running"
        assert list(record["seconds"]) == ["load", "predict", "align", "clean", "export mini_npz"]
        assert list(record["exports"]) == ["mini_npz"]
        assert record["settings"]["a"] == 1
        assert record["model"]["preset"] == "da3-small"
        done = record_in(tmp_path)
        assert (done["state"], list(done["exports"])) == ("done", ["mini_npz", "ply"])
        assert "earlier_files" not in done

    @pytest.mark.parametrize(
        ("error", "state", "said"),
        [
            (InputError("the disk\nis full"), "failed", "the disk is full"),
            (ZeroDivisionError(), "failed", "ZeroDivisionError"),
            (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        ],
    )
    def test_what_ended_it(self, error: BaseException, state: str, said: str, tmp_path: Path, export_with: Any) -> None:
        def fail() -> None:
            raise error

        export_with("ply", fail)
        with pytest.raises(type(error)):
            run(tmp_path, formats="mini_npz-ply")
        record = record_in(tmp_path)
        assert (record["state"], record["error"]) == (state, said)
        assert list(record["exports"]) == ["mini_npz"]

    def test_a_run_that_fails_before_its_files_leaves_those_of_the_one_before_with_their_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(tmp_path)
        before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
        seen: list[dict[str, Any]] = []

        def fail(*arguments: Any, **more: Any) -> None:
            seen.append(record_in(tmp_path))
            raise InputError("no depth")

        model = fake_model()
        monkeypatch.setattr(type(model.network), "forward", fail)
        with pytest.raises(InputError, match="no depth"):
            reconstruct(model, photos(3), options=SMALL, export_dir=tmp_path)
        (while_running,) = seen
        assert while_running["state"] == "running"
        assert while_running["earlier"] == json.loads(before["run.json"])
        assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before

    def test_wrong_input_into_a_new_folder_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*arguments: Any, **more: Any) -> None:
            raise InputError("no depth")

        model = fake_model()
        monkeypatch.setattr(type(model.network), "forward", fail)
        with pytest.raises(InputError, match="no depth"):
            reconstruct(model, photos(3), options=SMALL, export_dir=tmp_path / "new")
        assert not list(tmp_path.iterdir())


class TestFilesOfAnEarlierRun:
    def test_what_the_new_run_does_not_write_is_removed_and_nothing_else(self, tmp_path: Path) -> None:
        run(tmp_path, 12)
        users = ["depth_vis/0099.jpg", "notes.txt", ".hidden", "gs_ply/0000.ply"]
        for name in users:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("the user's")
        run(tmp_path, 5)
        assert files_in(tmp_path) == {
            "run.json",
            "exports/mini_npz/results.npz",
            *(f"depth_vis/{index:04d}.{suffix}" for index in range(5) for suffix in ("jpg", "png")),
            *users,
        }

    def test_a_folder_that_becomes_empty_goes_too(self, tmp_path: Path) -> None:
        run(tmp_path, formats="mini_npz-depth_vis")
        run(tmp_path, 3, formats="ply")
        assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"run.json", "points.ply"}

    def test_one_that_has_changed_is_left_and_named(self, tmp_path: Path) -> None:
        run(tmp_path, 3)
        (tmp_path / "depth_vis/0002.jpg").write_text("edited")
        with pytest.warns(ReconWarning, match=r"changed.*depth_vis/0002\.jpg"):
            run(tmp_path, 2)
        assert (tmp_path / "depth_vis/0002.jpg").read_text() == "edited"
        assert not (tmp_path / "depth_vis/0002.png").exists()
        assert any("depth_vis/0002.jpg" in warning for warning in record_in(tmp_path)["warnings"])

    def test_no_file_outside_the_folder_is_touched(self, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        run(folder)
        outside = tmp_path / "outside.txt"
        outside.write_text("12345")
        record = record_in(folder)
        for path in ("../outside.txt", str(outside)):
            record["exports"]["mini_npz"]["files"].append({"path": path, "bytes": 5})
        (folder / "run.json").write_text(json.dumps(record))
        run(folder, 3, formats="ply")
        assert outside.read_text() == "12345"
        assert not (folder / "exports").exists()

    def test_other_formats_of_the_same_result_stay_and_stay_listed(self, tmp_path: Path) -> None:
        run(tmp_path, formats="depth_vis")
        entry = record_in(tmp_path)["exports"]["depth_vis"]
        run(tmp_path, formats="ply")
        record = record_in(tmp_path)
        assert record["exports"]["depth_vis"] == entry
        assert set(record["exports"]) == {"depth_vis", "ply"}
        assert (tmp_path / "depth_vis/0001.png").exists()

    def test_those_of_several_runs_that_did_not_end_are_removed_by_the_one_that_does(
        self, tmp_path: Path, export_with: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(tmp_path, 6)

        def stop() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setitem(EXPORTERS, "ply", EXPORTERS["ply"])
            export_with("ply", stop)
            for count in (5, 4):
                with pytest.raises(KeyboardInterrupt):
                    run(tmp_path, count, formats="depth_vis-ply")
                left = {file["path"] for file in record_in(tmp_path)["earlier_files"]}
                assert {"depth_vis/0005.jpg", "exports/mini_npz/results.npz"} <= left
                assert "depth_vis/0000.jpg" not in left
        run(tmp_path, 3, formats="depth_vis")
        assert files_in(tmp_path) == {
            "run.json",
            *(f"depth_vis/{index:04d}.{suffix}" for index in range(3) for suffix in ("jpg", "png")),
        }

    def test_a_run_json_that_is_not_ours_is_replaced_with_a_word(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text('{"exports": {"glb": 3}}')
        (tmp_path / "notes.txt").write_text("12345")
        with pytest.warns(ReconWarning, match=r"run\.json is replaced"):
            run(tmp_path)
        assert record_in(tmp_path)["state"] == "done"
        assert (tmp_path / "notes.txt").exists()


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
class TestResultsOfRunsThatAreNotComplete:
    @pytest.fixture
    def complete(self, tmp_path: Path) -> dict[str, Any]:
        run(tmp_path, 3, formats="mini_npz")
        return record_in(tmp_path)

    def put(self, folder: Path, **entries: Any) -> None:
        (folder / "run.json").write_text(json.dumps({"exports": {}, "state": "running", **entries}))

    def test_before_its_first_file_those_of_the_run_before_count(
        self, complete: dict[str, Any], tmp_path: Path
    ) -> None:
        self.put(tmp_path, earlier=complete, images=[])
        with collect_warnings() as said:
            assert record_of_files(tmp_path) == complete
            assert len(read_result(tmp_path).depth) == 3
        assert any("not complete (running)" in message for message in said)

    def test_those_it_has_not_written_are_not_its_own(self, complete: dict[str, Any], tmp_path: Path) -> None:
        files = complete["exports"]["mini_npz"]["files"]
        self.put(tmp_path, earlier_files=files, images=[{"name": f"{i}"} for i in range(3)])
        with pytest.raises(InputError, match=r"not complete \(running\): run it again"):
            read_result(tmp_path)
        assert read_result(tmp_path / files[0]["path"]).image_names == ()

    def test_those_it_has_written_count(self, complete: dict[str, Any], tmp_path: Path) -> None:
        self.put(tmp_path, **{**complete, "state": "interrupted"})
        with collect_warnings() as said:
            assert read_result(tmp_path).image_names == ("0000", "0001", "0002")
        assert any("not complete (interrupted)" in message for message in said)


class TestReuse:
    """By a command that says what decides its outcome: `reuse`."""

    def calls(self, folder: Path, count: int = 2, formats: str = "mini_npz-gs_ply", **more: Any) -> tuple[int, Any]:
        model = fake_model()
        result = reconstruct(
            model, photos(count), options=SMALL, export_dir=folder, export_format=formats, reuse=True, **more
        )
        return len(model.network.calls), result

    def test_the_same_again_computes_nothing_and_gives_the_same(self, tmp_path: Path) -> None:
        calls, first = self.calls(tmp_path)
        before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
        again_calls, again = self.calls(tmp_path)
        assert (calls, again_calls) == (1, 0)
        assert first.reused == ()
        assert again.reused == ("load", "predict", "align", "splat", "export mini_npz", "export gs_ply")
        np.testing.assert_array_equal(first.prediction.depth, again.prediction.depth)
        np.testing.assert_array_equal(first.prediction.gaussians.means, again.prediction.gaussians.means)
        assert first.warnings == again.warnings
        records = [json.loads(before.pop("run.json")), record_in(tmp_path)]
        assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path) - {"run.json"}} == before
        assert list(records[0]) == list(records[1])
        for record in records:
            for entry in record["exports"].values():
                entry.pop("seconds")
            record.pop("seconds")
            record.pop("reused")
        assert records[0] == records[1]

    def test_a_file_that_changed_is_written_again(self, tmp_path: Path) -> None:
        self.calls(tmp_path)
        path = tmp_path / "gs_ply/0000.ply"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        _, result = self.calls(tmp_path)
        assert "export mini_npz" in result.reused
        assert "export gs_ply" not in result.reused
        assert path.read_bytes() == content

    def test_what_decides_it_makes_it_anew(self, tmp_path: Path) -> None:
        self.calls(tmp_path)
        assert self.calls(tmp_path, 3)[0] == 1
        assert self.calls(tmp_path, 3, formats="ply")[0] == 0
        assert self.calls(tmp_path, 3, fresh=True)[0] == 1
        changed = fake_model()
        changed = replace(changed, warnings=("other weights",)) if hasattr(changed, "warnings") else changed
        options = InferenceOptions(process_res=WIDTH, ref_view_strategy="first")
        reconstruct(changed, photos(3), options=options, export_dir=tmp_path, reuse=True)
        assert len(changed.network.calls) == 1

    def test_without_a_word_nothing_is_taken_over(self, tmp_path: Path) -> None:
        self.calls(tmp_path)
        model = fake_model()
        reconstruct(model, photos(2), options=SMALL, export_dir=tmp_path)
        assert len(model.network.calls) == 1

    def test_options_of_one_format_leave_the_others(self, tmp_path: Path) -> None:
        self.calls(tmp_path, formats="mini_npz-ply")
        _, result = self.calls(tmp_path, formats="mini_npz-ply", export_kwargs={"ply": {"num_max_points": 7}})
        assert "export ply" not in result.reused
        assert {"predict", "export mini_npz"} <= set(result.reused)


def test_two_runs_do_not_write_into_one_folder_at_once(tmp_path: Path, export_with: Any) -> None:
    def another() -> None:
        with pytest.raises(InputError, match=r"another run is writing to .*: wait"):
            run(tmp_path, 3)
        assert main(["export", str(tmp_path), "--to", "ply"]) == 2

    export_with("ply", another)
    run(tmp_path, 2, formats="npz-ply")
    record = record_in(tmp_path)
    assert (record["state"], len(record["images"])) == ("done", 2)
    run(tmp_path, 3)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so")
def test_files_of_an_export_that_was_killed_halfway_are_known_to_the_next_run(tmp_path: Path) -> None:
    """A larger run is killed within its second export; no record lists the files that it had got to."""
    run(tmp_path, 3, formats="depth_vis")
    script = """
        import os, signal, sys
        from dataclasses import replace
        from pathlib import Path
        from recon.export import EXPORTERS
        from tests.run.test_run_record import run

        exporter = EXPORTERS["depth_vis"]

        def write(prediction, folder, options):
            exporter.write(prediction, folder, options)
            os.kill(os.getpid(), signal.SIGKILL)

        EXPORTERS["depth_vis"] = replace(exporter, write=write)
        run(Path(sys.argv[1]), 6, formats="mini_npz-depth_vis")
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    record = record_in(tmp_path)
    assert (record["state"], list(record["exports"])) == ("running", ["mini_npz"])
    assert (tmp_path / "depth_vis/0005.png").exists()
    run(tmp_path, 2, formats="ply")
    assert files_in(tmp_path) == {"run.json", "points.ply"}
