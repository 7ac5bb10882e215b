from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recon.cli.eval
import recon.cli.run
import recon.estimate.choice
import recon.models.ready
import recon.run.from_settings
from recon import DepthAnything3, __version__
from recon.choices import InferenceOptions
from recon.cli.command import Command
from recon.cli.main import COMMANDS, main
from recon.cli.run import RunSettings
from recon.errors import InputError
from recon.eval.ground_truth import read_ground_truth
from recon.export import export, read_npz
from recon.models.presets import load_preset, preset_names
from recon.models.ready import ReadyModel
from recon.sources.cameras_file import write_cameras
from tests.eval.layout_folders import eth3d, perfect_prediction, write_run
from tests.fake_network import fake_ready, save_photos, user_cameras
from tests.known_cameras import cameras_of

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `photos/` of three images."""
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "photos", 3)
    return tmp_path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The arguments of each model made; every model is a fake one."""
    calls: list[dict] = []

    def fake_ready_model(name: str, **arguments: object) -> ReadyModel:
        calls.append({"name": name, **arguments})
        return fake_ready(name)

    monkeypatch.setattr(recon.models.ready, "ready_model", fake_ready_model)
    monkeypatch.setattr(recon.estimate.choice, "choose_model", lambda commercial_only: "da3-large")
    return calls


GIVEN: dict[str, tuple[str, Any]] = {
    "model": ("--model da3-giant", "da3-giant"),
    "depth_prior": ("--depth-prior points --depth-prior depths", ("points", "depths")),
    "depth_prior_unit": ("--depth-prior-unit 0.001", 0.001),
    "export": ("--export npz-ply-glb-feat_vis-gs_video", "npz-ply-glb-feat_vis-gs_video"),
    "export_kwargs": (
        "--export-kwargs glb.camera_size=0.1 --export-kwargs ply.filter_white_bg=true",
        ("glb.camera_size=0.1", "ply.filter_white_bg=true"),
    ),
    "out": ("--out here", Path("here")),
    "cameras": ("--cameras cameras.json", "cameras.json"),
    "masks": ("--masks photos/1.png", Path("photos/1.png")),
    "invert_masks": ("--invert-masks", True),
    "weights": ("--weights none", "none"),
    "revision": ("--revision v1", "v1"),
    "commercial_only": ("--commercial-only", True),
    "engine": ("--engine reference", "reference"),
    "precision": ("--precision bf16", "bf16"),
    "device": ("--device cpu", "cpu"),
    "verbose": ("--verbose", True),
    "align_to_input_ext_scale": ("--no-align-to-input-ext-scale", False),
    "infer_gs": ("--infer-gs", True),
    "use_ray_pose": ("--use-ray-pose", True),
    "ref_view_strategy": ("--ref-view-strategy middle", "middle"),
    "process_res": ("--process-res 70", 70),
    "process_res_method": ("--process-res-method lower_bound_crop", "lower_bound_crop"),
    "mixed_sizes": ("--mixed-sizes error", "error"),
    "export_feat_layers": ("--export-feat-layers 3 --export-feat-layers 4", (3, 4)),
    "strict": ("--strict", True),
    "input_kind": ("--input-kind photos", "photos"),
    "limit": ("--limit 2", 2),
    "ordered": ("--ordered", True),
    "window": ("--window 3", 3),
    "overlap": ("--overlap 2", 2),
    "loops": ("--no-loops", False),
    "keyframes": ("--keyframes 0", 0.0),
    "refine_cameras": ("--refine-cameras", True),
    "refine_intrinsics": ("--refine-intrinsics", True),
    "features": ("--features aliked", "aliked"),
    "features_folder": ("--features-folder models", Path("models")),
    "gps": ("--gps off", "off"),
    "known_distance": ("--known-distance 0.png:3,4 1.png:5,6 2.5", ("0.png:3,4", "1.png:5,6", 2.5)),
    "convention": ("--convention c2w-opengl", "c2w-opengl"),
    "intrinsics": ("--intrinsics 900,900,140,112", "900,900,140,112"),
    "fresh": ("--fresh", True),
    "conf_thresh_percentile": ("--conf-thresh-percentile 10", 10.0),
    "conf_drop_percent": ("--conf-drop-percent 15", 15.0),
    "include_filled": ("--include-filled", True),
    "num_max_points": ("--num-max-points 99", 99),
    "show_cameras": ("--no-show-cameras", False),
    "feat_vis_fps": ("--feat-vis-fps 7", 7),
    "gaussians": ("--gaussians depth", "depth"),
    "gs_budget": ("--gs-budget 50", 50),
    "clean": ("--no-clean", False),
    "clean_edges": ("--clean-edges 0.1", 0.1),
    "clean_views": ("--clean-views 3", 3),
    "clean_tolerance": ("--clean-tolerance 0.2", 0.2),
    "clean_outliers": ("--clean-outliers 2.5", 2.5),
    "clean_voxel": ("--clean-voxel 0.01", 0.01),
    "crop_box": ("--crop-box -1 -2 -3 1 2 3.5", (-1.0, -2.0, -3.0, 1.0, 2.0, 3.5)),
    "crop_sphere": ("--crop-sphere 0.5 -1 2 3", (0.5, -1.0, 2.0, 3.0)),
    "gs_iterations": ("--gs-iterations 30", 30),
    "gs_seconds": ("--gs-seconds 2.5", 2.5),
    "gs_splats": ("--gs-splats 40", 40),
    "gs_prune_unseen": ("--gs-prune-unseen", True),
    "gs_holdout": ("--gs-holdout 5", 5),
    "gs_resolution": ("--gs-resolution full", "full"),
    "gs_sh_degree": ("--gs-sh-degree 2", 2),
    "gs_densify": ("--gs-densify mcmc", "mcmc"),
    "rasterizer": ("--rasterizer cpu", "cpu"),
    "render_cameras": ("--render-cameras cameras.json", Path("cameras.json")),
    "render_hw": ("--render-hw 28 42", (28, 42)),
    "poster": ("--poster", True),
    "seed": ("--seed 5", 5),
}
"""A flag for every setting of a run, and what it sets; those apart that need multi-view stereo or an ONNX file."""

RECON = "import sys; from recon.cli.main import main; sys.exit(main())"


def imported(modules: Sequence[str], *arguments: str, cwd: Path) -> bool:
    """Whether a command that succeeds has imported any of these modules by its end."""
    program = (
        "import sys\nfrom recon.cli.main import main\n"
        "try:\n    code = main()\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        f"sys.exit(code or (3 if {set(modules)!r} & set(sys.modules) else 0))"
    )
    done = in_new_process(*arguments, cwd=cwd, program=program)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 3


def in_new_process(
    *arguments: str, cwd: Path, program: str = RECON, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
    )


class TestRun:
    def test_defaults(self, folder: Path, made: list[dict], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "photos"]) == 0
        (call,) = made
        assert call["name"] == "da3-large"
        assert call["weights"] == "official"
        out = folder / "outputs" / "photos"
        written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        assert {"run.json", "exports/mini_npz/results.npz", "scene.glb", "depth_vis/0002.png"} <= written
        record = json.loads((out / "run.json").read_text())
        assert record["settings"]["export"] == "mini_npz-glb-depth_vis"
        assert record["settings"]["inputs"] == [str(folder / "photos")]

        summary = capsys.readouterr()
        lines = summary.out.splitlines()
        assert lines[0] == "3 views at 504×406 pixels, units relative: outputs/photos"
        assert [line.split("  ")[0] for line in lines[2:]] == [
            *("load", "predict", "align", "clean"),
            *("export mini_npz", "export glb", "export depth_vis", "run record", "total"),
            "depth differs between views by 0.00% (median), 100% of comparisons by at most 1%",
            "1 warning:",
            lines[-1],
        ]
        assert lines[-1].startswith("- the cameras are those that da3-large predicts")
        assert "scene.glb, scene.jpg" in summary.out
        assert "depth_vis/ (6 files)" in summary.out
        plain = summary.err.splitlines()
        assert plain[0] == "recon: load da3-large"
        assert plain[1].startswith("recon: [1/9] cameras")
        assert plain[-1].startswith("recon: [9/9] export depth_vis")

    def test_every_option_has_a_flag_that_arrives(
        self, folder: Path, made: list[dict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        of_videos = {"fps": None, "frames": None, "start": None, "end": None, "sharpest": True}
        apart = {"inputs", "images", "config", "fill", "onnx", "onnx_normalise", "output_kind", "provider", "threads"}
        apart |= {"every", "server", "watch", "watch_idle", "keep_windows", *of_videos}
        assert set(GIVEN) | apart == {field.name for field in fields(RunSettings)}
        assert all(value != getattr(RunSettings, name) for name, (_, value) in GIVEN.items())
        save_photos(folder / "depths", 2)
        write_cameras(folder / "cameras.json", ["0.png", "1.png"], cameras_of([[140, 112]] * 2, user_cameras(2), None))
        arrived: list[dict] = []

        def stop(model: object, inputs: object, **arguments: Any) -> None:
            arrived.append({"model": model, "inputs": inputs, **arguments})
            raise InputError("far enough")

        monkeypatch.setattr(recon.run.from_settings, "reconstruct", stop)
        together = {name: given for name, given in GIVEN.items() if name != "conf_drop_percent"}  # one or the other
        flags = " ".join(flag for flag, _ in together.values())
        assert main(["run", "photos/0.png", "photos/1.png", *flags.split()]) == 2
        (run,) = arrived
        expected = {name: value for name, (_, value) in together.items()}
        assert {name: run["settings"][name] for name in together} == expected
        options = {field.name: getattr(run["options"], field.name) for field in fields(InferenceOptions)}
        expected_options = {
            **expected,
            "conf_drop_percent": None,
            "every": 1,
            "images": None,
            "keep_windows": False,
            **of_videos,
        }
        assert options == {name: value for name, value in expected_options.items() if name in options}
        assert run["inputs"].paths == (Path("photos/0.png"), Path("photos/1.png"))
        assert (run["export_format"], run["cameras"]) == (expected["export"], expected["cameras"])
        assert run["export_dir"] == Path("here")
        assert run["export_kwargs"] == {"glb": {"camera_size": 0.1}, "ply": {"filter_white_bg": True}}
        assert made == [
            {
                "name": "da3-giant",
                "weights": None,
                "seed": 5,
                "precision": "bf16",
                "engine": "reference",
                "revision": "v1",
                "commercial_only": True,
            }
        ]

        assert main(["run", "photos", "--model", "mvs", "--fill"]) == 2
        assert arrived[1]["model"].options.fill

    def test_photos_may_come_after_any_option(self, folder: Path, made: list[dict]) -> None:
        flags = (
            "--export-kwargs glb.camera_size=0.1 --export-feat-layers 3 --export glb-feat_vis --process-res 70 "
            "--export-kwargs feat_vis.fps=5 --export-feat-layers 4 --out o"
        )
        assert main(["run", *flags.split(), "--export-kwargs", "glb.filter_white_bg=true", "photos"]) == 0
        settings = json.loads((folder / "o" / "run.json").read_text())["settings"]
        assert settings["inputs"] == [str(folder / "photos")]
        assert settings["export_feat_layers"] == [3, 4]
        expected = {"glb": {"camera_size": 0.1, "filter_white_bg": True}, "feat_vis": {"fps": 5}}
        assert settings["export_kwargs"] == expected

    def test_lists_of_flags_win_over_those_of_a_file(self, folder: Path, made: list[dict]) -> None:
        (folder / "mine.yaml").write_text("export_feat_layers: [1]\nexport_kwargs: [glb.camera_size=0.2]\nexport: glb")
        arguments = ["run", "--config", "mine.yaml", "--process-res", "70"]
        assert main([*arguments, "--export-feat-layers", "2", "photos", "--out", "a"]) == 0
        settings = json.loads((folder / "a" / "run.json").read_text())["settings"]
        assert (settings["export_feat_layers"], settings["export_kwargs"]) == ([2], {"glb": {"camera_size": 0.2}})
        assert main([*arguments, "--export-kwargs", "glb.num_max_points=9", "photos", "--out", "b"]) == 0
        settings = json.loads((folder / "b" / "run.json").read_text())["settings"]
        assert (settings["export_feat_layers"], settings["export_kwargs"]) == ([1], {"glb": {"num_max_points": 9}})

    def test_every_parameter_of_inference_has_a_flag(self) -> None:
        parameters = set(inspect.signature(DepthAnything3.inference).parameters)
        called_otherwise = {"self", "image", "extrinsics", "intrinsics", "export_dir", "export_format"}
        called_otherwise |= {"render_exts", "render_ixts"}
        flags = {field.name for field in fields(RunSettings)}
        assert parameters - called_otherwise <= flags
        assert {"inputs", "cameras", "out", "export", "render_cameras"} <= flags

    def test_a_file_of_settings_and_flags_over_it(self, folder: Path, made: list[dict]) -> None:
        (folder / "mine.yaml").write_text(
            "model: da3-base\nprocess_res: 70\nexport: ply\nstrict: true\ninputs: [photos]"
        )
        assert main(["run", "--config", "mine.yaml", "--process-res", "84", "--no-strict", "--out", "x"]) == 0
        settings = json.loads((folder / "x" / "run.json").read_text())["settings"]
        names = ("model", "process_res", "export", "strict", "config")
        assert [settings[name] for name in names] == ["da3-base", 84, "ply", False, "mine.yaml"]
        assert main(["run", "photos", "--config", "quick", "--export", "mini_npz", "--out", "y"]) == 0
        assert json.loads((folder / "y" / "run.json").read_text())["settings"]["process_res"] == 336

    @pytest.mark.parametrize(
        ("inputs", "name"),
        [
            (["photos"], "photos"),
            (["photos/"], "photos"),
            (["photos/1.png"], "1"),
            (["photos/0.png", "photos/1.png"], "photos"),
            (["photos/../photos"], "photos"),
        ],
    )
    def test_results_are_named_after_the_input(
        self, folder: Path, made: list[dict], inputs: list[str], name: str
    ) -> None:
        assert main(["run", *inputs, "--process-res", "70", "--export", "mini_npz"]) == 0
        assert [path.name for path in (folder / "outputs").iterdir()] == [name]

    def test_folders_of_one_name_do_not_share_results(
        self, folder: Path, made: list[dict], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for scene in ("scene1", "scene2", "more/scene1"):
            (folder / scene).mkdir(parents=True)
            save_photos(folder / scene / "images", 2)
            assert main(["run", f"{scene}/images", "--process-res", "70", "--export", "mini_npz"]) == 0
        assert "outputs/scene1-2" in capsys.readouterr().out
        for name, scene in (("scene1", "scene1"), ("scene2", "scene2"), ("scene1-2", "more/scene1")):
            record = json.loads((folder / "outputs" / name / "run.json").read_text())
            assert record["settings"]["inputs"] == [str(folder / scene / "images")]

    def test_the_home_folder_in_every_path(
        self, folder: Path, made: list[dict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(folder))
        names = ["0.png", "1.png", "2.png"]
        write_cameras(folder / "cameras.json", names, cameras_of([[140, 112]] * 3, user_cameras(3), None))
        (folder / "mine.yaml").write_text("cameras: ~/cameras.json\nprocess_res: 70\nout: ~/o\ninputs: [~/photos]")
        assert main(["run", "--config", "~/mine.yaml", "--export", "npz"]) == 0
        assert main(["run", "~/photos", "--cameras=~/cameras.json", "--out", "~/p", "--process-res", "70"]) == 0
        assert main(["export", "~/o", "--to", "ply", "--out=~/q"]) == 0
        for name in ("o/exports/npz/results.npz", "p/scene.glb", "q/points.ply"):
            assert (folder / name).is_file()
        assert json.loads((folder / "o" / "run.json").read_text())["settings"]["inputs"] == [str(folder / "photos")]
        assert not (folder / "~").exists()

    def test_cameras_from_a_file(self, folder: Path, made: list[dict], capsys: pytest.CaptureFixture[str]) -> None:
        names = ["0.png", "1.png", "2.png"]
        write_cameras(folder / "cameras.json", names, cameras_of([[140, 112]] * 3, user_cameras(3), None))
        assert main(["run", "photos", "--cameras", "cameras.json", "--process-res", "70", "--out", "o"]) == 0
        assert "units aligned" in capsys.readouterr().out
        exts = np.load(folder / "o" / "exports" / "mini_npz" / "results.npz")["exts"]
        np.testing.assert_array_equal(exts, user_cameras(3)[:, :3].astype(np.float32))

    def test_warnings_come_once_in_one_style_and_again_in_the_summary(
        self, folder: Path, made: list[dict], capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "photos" / "1.png").write_bytes(b"not an image")
        assert main(["run", "photos", "--cameras", "predicted", "--process-res", "70", "--out", "o"]) == 0
        output = capsys.readouterr()
        (line,) = [line for line in output.err.splitlines() if "1.png" in line]
        assert line.startswith("recon: warning: left out: ")
        assert "UserWarning" not in output.err
        assert "ReconWarning" not in output.err
        assert "1 warning:\n- left out: " in output.out
        assert json.loads((folder / "o" / "run.json").read_text())["warnings"][0].startswith("left out: ")

    def test_random_weights_are_said_and_recorded(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["run", "photos", "--model", "da3-small", "--weights", "none", "--process-res", "70", "--out", "o"]
        assert main(arguments) == 0
        output = capsys.readouterr()
        assert "recon: warning: random weights (seed 0)" in output.err
        assert "- random weights (seed 0)" in output.out
        record = json.loads((folder / "o" / "run.json").read_text())
        assert record["warnings"][0].startswith("random weights")
        assert record["model"]["weights"] == {"source": "random", "seed": 0, "licence": None}


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["run"], "no photos given"),
            (["run", "absent"], "absent' does not exist"),
            (["run", "photos/0.png", "photos/absent.png"], "absent.png' does not exist"),
            (["--model", "mvs", "run", "photos"], "options go behind the command: recon run ... --model"),
            (["run", "photos", "--cameras", "smf"], "did you mean 'sfm'?"),
            (["export", "x", "--to", "gs_ply", "--gs-iterations", "20"], "one of recon run, recon train-splats"),
            (["run", "photos", "--depth-prior", "none"], "--depth-prior: 'none' does not exist"),
            (["view", "images"], "images: an empty folder"),
            (["run", "photos", "--model", "measured"], "the input brings no depth"),
            (["run", "photos", "--export", "mesh", "--export-kwargs", "mesh.texture=true"], "mesh.format=glb"),
            (["run", "photos", "--model", "da3-tiny"], "unknown model 'da3-tiny'"),
            (["run", "photos", "--model", "stereo"], "da3nested-giant-large, mvs"),
            (["run", "photos", "--export", "glb-png"], "unknown export format 'png'"),
            (["run", "photos", "--export-kwargs", "glb.size=1"], "unknown option 'size' for export format 'glb'"),
            (["run", "photos", "--export-kwargs", "size"], "--export-kwargs must look like FORMAT.OPTION=VALUE"),
            (["run", "photos", "--config", "quik"], "--config quik: no such file"),
            (["run", "photos", "--config", "bad.yaml"], "bad.yaml: unknown key 'modle'; did you mean 'model'?"),
            (["run", "photos", "--process-res", "7"], "--process-res must be at least 14"),
            (
                ["run", "photos", "--cameras", "none.json"],
                "the cameras file 'none.json' does not exist",
            ),
            (["run", "photos", "--cameras", "photos"], "'photos' holds no cameras: a COLMAP model"),
            (["run", "photos", "--intrinsics", "900,900"], "intrinsics must be FX,FY,CX,CY"),
            (["run", "photos", "--input-kind", "colmap"], "'photos' holds no COLMAP model"),
            (["run", "photos", "--convention", "c2w"], "convention is for matrices of cameras that are given"),
            (["run", "photos", "--out", "bad.yaml"], "is not a folder"),
            (["run", "photos", "--model", "da3-large", "--commercial-only"], "da3-large is licensed CC BY-NC 4.0"),
            (["run", "photos", "--weights", "./none"], "none: no such file or folder"),
            (["run", "clip.mp4"], "clip.mp4' does not exist"),
            (["run", "."], "did you mean 'images'?"),
            (["run", "photos", "--out", "photos"], "cannot go into the folder of the photos"),
            (["run", "photos", "--device", "cuda"], "device cuda is not available on this machine; usable: "),
            (["run", "photos", "--precision", "fp16", "--device", "cpu"], "does not run on a CPU"),
            (["run", "photos", "--infer-gs"], "da3-small has no Gaussian head"),
            (["export", "absent.npz", "--to", "glb"], "absent.npz: no such file"),
            (["run", "photos", "--seed", "-1"], "--seed must be 0 to"),
            (["export", "absent.npz", "--to", "glb", "--num-max-points", "0"], "--num-max-points must be at least 1"),
            (["export", "bad.yaml", "--to", "glb"], "bad.yaml: not an npz file"),
        ],
    )
    def test_is_one_line_and_exit_code_2(
        self,
        folder: Path,
        arguments: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (folder / "bad.yaml").write_text("modle: da3-small")
        (folder / "images").mkdir()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # the tests' machine may have a GPU
        before = sorted(folder.rglob("*"))
        if not {"--model", "--commercial-only", "--weights"} & set(arguments) and arguments[0] == "run":
            arguments = [*arguments, "--model", "da3-small", "--weights", "none"]
        assert main(arguments) == 2
        *earlier, line = capsys.readouterr().err.splitlines()
        assert line.startswith("recon: error: ")
        assert message in line
        assert all(
            other.startswith(("recon: load ", "recon: read ", "recon: [", "recon: warning: ")) for other in earlier
        )
        assert sorted(folder.rglob("*")) == before

    def test_a_file_that_is_not_there_is_not_said_to_be_read(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", "absent.npz", "--to", "glb"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "absent.npz: no such file" in line

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "run, train-splats, mono, batch, demo, eval, models, train, export, export-onnx, view"),
            (["rnu"], "did you mean 'run'?"),
            (["run", "photos", "--modle", "x"], "--model"),
            (["run", "photos", "--process-res", "big"], "--process-res"),
            (["run", "photos", "--ref-view-strategy", "last"], "--ref-view-strategy must be one of first, middle"),
            (["run", "photos", "--modle", "x"], "did you mean --model?"),
            (["run", "photos", "--process-res", "big"], "a whole number, got 'big'"),
            (["run", "photos", "--render-hw", "3"], "--render-hw: expected 2 arguments"),
            (["export", "a.npz"], "recon export needs --to"),
            (["export"], "recon export needs RESULT and --to"),
        ],
    )
    def test_of_the_command_line_itself(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("recon: error: ")
        assert said in line
        # Nothing of the help texts, of another command's option of that name, of markup or of a hint cut short.
        assert not any(words in line for words in ("(default", "helptext", "required)", "[bold]", "NoneType"))
        assert line.count("--process-res") <= 1

    def test_the_hub_out_of_reach_is_one_line(self, folder: Path) -> None:
        done = in_new_process(
            *("run", "photos", "--model", "da3-small"), cwd=folder, HF_HUB_OFFLINE="1", HF_HOME=str(folder / "home")
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("recon: error: HF_HUB_OFFLINE is set")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["absent"],
            ["clip.mp4"],
            ["photos", "--export", "feat_vis"],
            ["photos", "--export-kwargs", "glb.camera_size=-1"],
            ["empty"],
        ],
    )
    def test_is_noticed_before_a_model_is_loaded(self, folder: Path, made: list[dict], arguments: list[str]) -> None:
        (folder / "empty").mkdir()
        assert main(["run", *arguments]) == 2
        assert made == []


class TestFailures:
    def test_are_one_line_unless_verbose(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("out of\nmemory")

        monkeypatch.setattr(recon.models.ready, "ready_model", fail)
        monkeypatch.delenv("RECON_DEBUG", raising=False)
        assert main(["run", "photos", "--model", "da3-small"]) == 1
        error = capsys.readouterr().err
        assert "recon: failed: RuntimeError: out of memory" in error
        assert "Traceback" not in error
        assert main(["run", "photos", "--model", "da3-small", "--verbose"]) == 1
        assert "Traceback" in capsys.readouterr().err
        monkeypatch.setenv("RECON_DEBUG", "1")
        assert main(["run", "photos", "--model", "da3-small"]) == 1
        assert "Traceback" in capsys.readouterr().err

    def test_a_file_of_settings_can_ask_for_the_traceback(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(recon.models.ready, "ready_model", fail)
        monkeypatch.delenv("RECON_DEBUG", raising=False)
        (folder / "loud.yaml").write_text("verbose: true\nmodel: da3-small")
        assert main(["run", "photos", "--config", "loud.yaml"]) == 1
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize(("filename", "code"), [("photos/locked.jpg", 2), (None, 1)])
    def test_a_path_the_machine_refuses_is_wrong_input(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        filename: str | None,
        code: int,
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", filename)

        monkeypatch.setattr(recon.models.ready, "ready_model", refuse)
        assert main(["run", "photos", "--model", "da3-small"]) == code
        line = capsys.readouterr().err.splitlines()[-1]
        assert ("error: photos/locked.jpg: Permission denied" in line) == (code == 2)

    @pytest.mark.slow
    def test_ctrl_c_halfway_leaves_no_half_written_file(self, folder: Path) -> None:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", RECON),
                *("run", "photos", "--model", "da3-small", "--weights", "none", "--process-res", "840"),
                *("--cameras", "predicted"),
            ],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr:
            if "predict" in line:
                break
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 1
        assert rest.splitlines() == ["recon: interrupted; files that were not complete have been removed"]
        assert not [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "photos"]


class TestExport:
    @pytest.fixture
    def run(self, folder: Path, made: list[dict]) -> Path:
        options = ["--process-res", "70", "--export", "npz-ply-glb-mini_npz", "--num-max-points", "300"]
        assert main(["run", "photos", "--out", "run", *options]) == 0
        return folder / "run"

    def test_files_are_those_of_the_run(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = json.loads((run / "run.json").read_text())
        capsys.readouterr()
        result = "run/exports/npz/results.npz"
        assert main(["export", result, "--to", "ply-glb-depth_vis", "--out", "again", "--num-max-points", "300"]) == 0
        for name in ("points.ply", "scene.glb"):
            assert (run.parent / "again" / name).read_bytes() == (run / name).read_bytes()
        output = capsys.readouterr()
        assert output.out.splitlines()[0] == "exported to again"
        assert "points.ply" in output.out
        record = json.loads((run.parent / "again" / "run.json").read_text())
        assert list(record["exports"]) == ["ply", "glb", "depth_vis"]
        assert record["exports"]["ply"]["source"] == str(run / "exports" / "npz" / "results.npz")
        assert record["exports"]["ply"]["options"]["num_max_points"] == 300
        assert json.loads((run / "run.json").read_text()) == before

    def test_the_folder_of_a_run_is_enough(self, run: Path) -> None:
        assert main(["export", "run", "--to", "ply", "--out", "a"]) == 0
        assert main(["export", "run/exports/npz", "--to", "ply", "--out", "b"]) == 0
        assert main(["export", "run/exports/npz/results.npz", "--to", "ply", "--out", "c"]) == 0
        files = [(run.parent / name / "points.ply").read_bytes() for name in "abc"]
        assert files[0] == files[1] == files[2]

    def test_a_folder_without_a_stored_result(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for folder in ("photos", "run/exports/mini_npz/.."):
            (run / "exports" / "npz" / "results.npz").unlink(missing_ok=True)
            assert main(["export", folder, "--to", "ply"]) == 2
            error = capsys.readouterr().err
            assert "exports/npz/results.npz" in error
            assert "--export npz" in error

    def test_into_the_run_itself_is_noted_in_its_record(self, run: Path) -> None:
        assert main(["export", "run/exports/npz/results.npz", "--to", "depth_vis"]) == 0
        record = json.loads((run / "run.json").read_text())
        assert list(record["exports"]) == ["npz", "ply", "glb", "mini_npz", "depth_vis"]
        assert record["model"]["preset"] == "da3-large"
        assert record["exports"]["depth_vis"]["details"]["depth_png"]["0000.png"]["scale"] > 0

    def test_options(self, run: Path) -> None:
        result = "run/exports/npz/results.npz"
        assert main(["export", result, "--to", "ply", "--conf-drop-percent", "99", "--out", "few"]) == 0
        assert main(["export", result, "--to", "ply", "--conf-drop-percent", "0", "--out", "many"]) == 0
        points = [
            json.loads((run.parent / name / "run.json").read_text())["exports"]["ply"]["details"]["points"]
            for name in ("few", "many")
        ]
        count = read_npz(run / "exports" / "npz" / "results.npz").depth.size
        assert points == [pytest.approx(0.01 * count, abs=2), count]

    def test_the_flag_of_the_official_rule_and_that_of_an_exact_percentage(self, run: Path) -> None:
        prediction = read_npz(run / "exports" / "npz" / "results.npz")
        conf = np.linspace(1, 1.04, prediction.depth.size, dtype=np.float32).reshape(prediction.depth.shape)
        export(replace(prediction, conf=conf), "npz", run)
        for flags, left in (
            ([], 0.1),
            (["--conf-thresh-percentile", "25"], 0.1),
            (["--conf-drop-percent", "25"], 0.75),
        ):
            assert main(["export", "run/exports/npz/results.npz", "--to", "ply", "--out", "o", *flags]) == 0
            record = json.loads((run.parent / "o" / "run.json").read_text())
            assert record["exports"]["ply"]["details"]["points"] == pytest.approx(left * conf.size, abs=2)

    def test_a_result_that_holds_too_little(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (run.parent / "photos" / "1.png").unlink()
        assert main(["export", "run/exports/mini_npz/results.npz", "--to", "glb"]) == 2
        said = capsys.readouterr().err
        assert "holds no images" in said
        assert "1.png" in said
        assert "--export npz" in said

    def test_a_foreign_run_json_is_not_overwritten(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        other = run.parent / "other"
        other.mkdir()
        (other / "run.json").write_text("[1]")
        assert main(["export", "run/exports/npz/results.npz", "--to", "ply", "--out", "other"]) == 2
        assert "not the record of a run" in capsys.readouterr().err
        assert (other / "run.json").read_text() == "[1]"

    def test_no_torch_is_needed(self, run: Path) -> None:
        arguments = ("export", "run/exports/npz/results.npz", "--to", "ply-glb", "--out", "o")
        assert not imported(("torch",), *arguments, cwd=run.parent)
        assert (run.parent / "o" / "scene.glb").is_file()


class TestModels:
    def test_one_line_for_each_preset(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["models"]) == 0
        head, *rows = capsys.readouterr().out.splitlines()
        assert head.split() == ["model", "parameters", "abilities", "licence", "cached"]
        assert [row.split()[0] for row in rows] == [*preset_names(), "mvs", "measured", "NAME+mvs"]
        large = rows[preset_names().index("da3-large")]
        assert "CC BY-NC 4.0" in large
        assert f"{load_preset('da3-large').parameters / 1e6:,.0f} M" in large

    def test_a_terminal_gets_a_drawn_table(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "160")
        assert main(["models"]) == 0
        output = capsys.readouterr().out
        assert "│" in output
        assert all(name in output for name in preset_names())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["mono", "--help"], ["--version"], ["models"]])
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert not imported(("torch", "cv2", "numba", "scipy", "rich", "PIL", "trimesh"), *arguments, cwd=tmp_path)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"recon {__version__}\n"


@pytest.mark.parametrize("module", ["recon", "recon.cli.main"])
def test_as_a_module(module: str, tmp_path: Path) -> None:
    def python_m(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert python_m("--version").stdout == f"recon {__version__}\n"
    wrong = python_m("run", "absent")
    assert wrong.returncode == 2
    assert "absent' does not exist" in wrong.stderr


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in ("run", "models", "export", __version__))


class TestMono:
    def test_each_photo_has_its_folder(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        flags = "--model depth-anything-v2-small --weights none --process-res 70 --export mini_npz --out out"
        assert main(["mono", "photos", *flags.split()]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "3 photos: out"
        for index in range(3):
            assert (folder / "out" / str(index) / "depth.png").is_file()
            assert (folder / "out" / str(index) / "exports" / "mini_npz" / "results.npz").is_file()

    def test_does_not_replace_a_run_on_the_same_photos(self, folder: Path) -> None:
        flags = "--model da3-small --weights none --process-res 70 --export mini_npz"
        assert main(["run", "photos", *flags.split()]) == 0
        before = {path: path.read_bytes() for path in (folder / "outputs" / "photos").rglob("*") if path.is_file()}
        flags = "--model depth-anything-v2-small --weights none --process-res 70 --export mini_npz"
        for _ in range(2):
            assert main(["mono", "photos", *flags.split()]) == 0
        assert sorted(path.name for path in (folder / "outputs").iterdir()) == ["photos", "photos-mono"]
        after = {path: path.read_bytes() for path in (folder / "outputs" / "photos").rglob("*") if path.is_file()}
        assert after == before

    def test_wrong_input_is_one_line(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["mono"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
        (folder / "photos.zip").write_bytes(b"PK\5\6" + bytes(18))
        assert main(["mono", "photos.zip"]) == 2  # before a model is looked for
        assert "photos.zip: an archive (ZIP)" in capsys.readouterr().err
        assert main(["mono", "absent"]) == 2
        assert "'absent' does not exist" in capsys.readouterr().err
        assert main(["mono", "photos", "--onnx", "photos/0.png"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


class TestEval:
    def test_scenes_of_one_name_are_kept_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scenes = [eth3d(tmp_path / part) for part in ("north", "south")]

        def perfect_run(settings: RunSettings) -> None:
            (scene,) = set(scenes).intersection(settings.inputs[0].parents)
            truth = read_ground_truth(scene)
            size = (int(truth.image_sizes[0, 0]), int(truth.image_sizes[0, 1]))
            prediction = perfect_prediction(truth.image_names, truth.extrinsics, truth.intrinsics, size)
            write_run(settings.out, prediction, full=True, inputs=settings.inputs)

        for scene in scenes:
            for path in read_ground_truth(scene).image_paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        monkeypatch.setattr(recon.cli.eval, "run", perfect_run)
        monkeypatch.chdir(tmp_path)
        assert main(["eval", *map(str, scenes), "--model", "mvs", "--surface", "none", "--out", "out"]) == 0
        for part in ("north", "south"):
            content = json.loads((tmp_path / "out" / part / "facade" / "eval.json").read_text())
            assert Path(content["ground_truth"]["path"]).is_relative_to(tmp_path / part / "facade")
            assert Path(content["results"]["mvs"]["path"]).is_relative_to(Path("out") / part / "facade" / "mvs")

    def test_the_same_folder_twice(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["eval", str(tmp_path), f"{tmp_path}/.", "--model", "mvs"]) == 2
        assert "the same folder is given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("overlap is what windows have in common: give window, too", "--overlap is what windows"),
        ("overlap is what windows have in common: give window, too", "give --window, too"),
        ("overlap 9 must be less than window 5: each", "--overlap 9 must be less than --window 5"),
        ("photos must be of one size, or leave window out", "leave --window out"),
        ("say so with ordered, or leave it out", "with --ordered,"),
        ("it needs all views at once: leave it out, or give window 0", "give --window 0"),
        ("window 3 has photos without cameras, in a folder with masks", "without cameras, in a folder with masks"),
        ("'give window.jpg' is damaged", "'give window.jpg' is damaged"),
    ],
)
def test_options_of_one_word_are_written_as_they_are_typed(
    message: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(settings: RunSettings) -> None:
        raise InputError(message)

    monkeypatch.setitem(COMMANDS, "run", Command("run", RunSettings, refuse))
    assert main(["run", "photos"]) == 2
    assert shown in capsys.readouterr().err
