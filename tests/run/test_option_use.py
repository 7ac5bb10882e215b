"""Options that nothing uses are refused on the command line, and those that something uses are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import recon.estimate.choice
import recon.models.ready
import recon.run.from_settings
from recon.choices import MVS, InferenceOptions
from recon.cli.export import ExportSettings
from recon.cli.main import main
from recon.cli.run import RunSettings
from recon.errors import InputError
from recon.estimate.network import profile_of
from recon.estimate.stereo import PROFILE, StereoEstimator
from recon.export import EXPORTERS
from recon.models.presets import load_preset
from recon.options import options_of, part_of
from recon.run.option_use import check_use, parts_of_export, parts_of_run
from tests.fake_network import fake_ready, save_photos

ASKED: dict[str, object] = {
    "weights": "none",
    "revision": "v1",
    "engine": "reference",
    "precision": "fp32",
    "output_kind": "depth",
    "onnx_normalise": "inside",
    "provider": "cpu",
    "threads": 2,
    "export_feat_layers": (1,),
    "align_to_input_ext_scale": False,
    "use_ray_pose": True,
    "ref_view_strategy": "first",
    "fill": True,
    "conf_thresh_percentile": 3.0,
    "conf_drop_percent": 3.0,
    "include_filled": True,
    "clean_voxel": 0.3,
    "num_max_points": 3,
    "show_cameras": False,
    "feat_vis_fps": 3,
    "gs_budget": 3,
    "gs_iterations": 3,
    "gs_seconds": 3.0,
    "gs_splats": 3,
    "gs_prune_unseen": True,
    "gs_holdout": 3,
    "gs_resolution": 640,
    "gs_sh_degree": 2,
    "gs_densify": "mcmc",
    "rasterizer": "cpu",
    "render_cameras": Path("c.json"),
    "render_hw": (56, 70),
    "poster": True,
}
"""A value of each option that asks for something. `gaussians` asks for splats itself."""

HOW_SPLATS_ARE_OPTIMISED = {"gs_splats", "gs_prune_unseen", "gs_holdout", "gs_resolution", "gs_sh_degree", "gs_densify"}

ALL = tuple(EXPORTERS)


def uses(name: str, model: str, formats: tuple[str, ...], known: bool = False, **more: object) -> bool:
    """Whether a run of three photos, with known cameras or others, has a use for an option."""
    settings = RunSettings(**{name: ASKED[name], **more})
    profile = PROFILE if model == MVS else profile_of(load_preset(model))
    try:
        parts = parts_of_run(profile, part_of(settings, InferenceOptions), formats, 3, known)
        return check_use(settings, parts, ()) == []
    except InputError as error:
        return not str(error).startswith(f"{name} is for ")


def test_every_option_of_the_table_is_tried() -> None:
    options = options_of(RunSettings)
    assert {*ASKED, "gaussians", "device"} == {name for name, one in options.items() if one.used_by}
    assert all(ASKED[name] != getattr(RunSettings, name) for name in ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_what_has_a_use_for_it(name: str) -> None:
    any_view = uses(name, "da3-small", ALL)
    of_files = {"onnx_normalise", "output_kind", "provider", "threads", *HOW_SPLATS_ARE_OPTIMISED}
    assert any_view == (name not in {"fill", *of_files})
    networks = {"weights", "revision", "engine", "precision", "export_feat_layers"}
    several = {"align_to_input_ext_scale", "use_ray_pose", "ref_view_strategy"}
    assert uses(name, MVS, ALL) == (name not in networks | several | of_files)
    assert uses(name, "da3mono-large", ALL) == (name not in {"fill", *several, *of_files})
    assert uses(name, "da3-small", ("mini_npz",)) == (name in networks | several)
    assert uses(name, "da3-small", ("gs_ply",)) == (
        name in {"gs_budget", "gs_iterations", "gs_seconds", "include_filled", *networks, *several}
    )


def test_a_budget_is_for_splats_from_depth() -> None:
    assert not uses("gs_budget", "da3-giant", ("gs_ply",))
    assert uses("gs_budget", "da3-giant", ("gs_ply",), gaussians="depth")
    assert uses("gs_budget", "da3-small", (), gaussians="depth")


@pytest.mark.parametrize("name", sorted(HOW_SPLATS_ARE_OPTIMISED))
def test_how_splats_are_optimised_is_for_those_that_are(name: str) -> None:
    assert uses(name, "da3-small", ("gs_ply",), gs_iterations=5)
    assert uses(name, "da3-small", ("gs_ply",), gs_seconds=5.0)
    assert uses(name, "da3-small", ("gs_ply",), known=True)
    assert not uses(name, "da3-small", ("glb",), known=True)
    assert not uses(name, "da3-small", ("gs_ply",), known=True, gs_iterations=0)
    assert not uses("gs_seconds", "da3-small", ("gs_ply",), gs_iterations=0)
    assert uses("gs_iterations", "da3-small", ("gs_ply",), gs_seconds=5.0)
    assert uses(name, "da3-giant", ("gs_ply",), gs_iterations=5)
    assert not uses("gs_iterations", "da3-giant", ("glb",))


def test_defaults_ask_for_nothing() -> None:
    assert check_use(RunSettings(), {"mini_npz"}, ()) == []
    assert check_use(ExportSettings(result=Path("a.npz"), to="npz"), parts_of_export(["npz"]), ()) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `photos/` of two images; every network is a fake one."""
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "photos", 2)
    monkeypatch.setattr(recon.models.ready, "ready_model", lambda name, **_: fake_ready(name))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run photos --model mvs --precision fp16", "precision is for a network in torch, which this run does without"),
        ("run photos --model mvs --export glb --gs-iterations 5", "leave it out, or ask for them with export gs_ply"),
        ("run photos --model mvs --weights /none", "weights is for a network in torch"),
        ("run photos --model mvs --ref-view-strategy first", "--ref-view-strategy is for a network that sees several"),
        ("run photos --model mvs --device cuda", "device cuda is not available on this machine"),
        ("run photos --model da3-small --fill", "fill is for multi-view stereo, which this run does without"),
        ("run photos --model da3-small --poster", "poster is for the export format gs_video, which is not asked for"),
        ("run photos --model da3-small --rasterizer gsplat", "and for the export format gs_video, which is not"),
        ("run photos --model da3-small --gs-budget 5", "--gs-budget is for splats from depth"),
        ("run photos --model da3-small --export npz --num-max-points 5", "the export formats glb and ply and"),
        ("run photos --model da3-small --export npz --export-kwargs glb.camera_size=1", "glb has options, and is not"),
        ("export a.npz --to glb --render-hw 10 10", "--render-hw is for the export format gs_video"),
        ("export a.npz --to glb --gs-budget 5", "--gs-budget is for splats from depth"),
        ("export a.npz --to glb --gaussians depth", "gaussians is for splats"),
        ("export a.npz --to npz --export-kwargs glb.camera_size=1", "glb has options, and is not among the formats"),
        ("mono photos --gs-budget 5", "--gs-budget is for splats from depth"),
        ("mono photos --export npz --export-kwargs glb.camera_size=1", "glb has options, and is not among the formats"),
        ("eval photos --cameras sfm", "cameras is for runs of a --model, and none is named"),
        ("eval photos --weights none", "weights is for runs of a --model, and none is named"),
    ],
)
def test_is_one_line_and_exit_code_2(
    folder: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("recon: error: ")
    assert message in line
    assert [path.name for path in folder.iterdir()] == ["photos"]


def test_defaults_given_by_name_are_not_refused(folder: Path) -> None:
    flags = (
        "--export mini_npz --process-res 70 --out o --rasterizer auto --no-fill --no-poster --num-max-points 1000000"
    )
    assert main(["run", "photos", "--model", "da3-small", *flags.split()]) == 0


def test_those_of_a_file_are_warned_of_and_noted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.yaml").write_text("num_max_points: 9\nposter: true\nexport_kwargs: [glb.camera_size=1]")
    arguments = ["run", "photos", "--model", "da3-small", "--process-res", "70", "--config", "mine.yaml", "--out", "o"]
    arguments += ["--cameras", "predicted"]
    assert main([*arguments, "--export", "mini_npz"]) == 0
    expected = [
        "mine.yaml: num_max_points is for the export formats glb and ply and colmap and nerfstudio and html, "
        "which are not asked for",
        "mine.yaml: poster is for the export format gs_video, which is not asked for",
        "mine.yaml: export_kwargs: glb has options, and is not among the formats asked for",
    ]
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warned == [f"recon: warning: {line}" for line in expected]
    assert json.loads((folder / "o" / "run.json").read_text())["warnings"] == expected
    assert main([*arguments, "--export", "mini_npz", "--num-max-points", "8"]) == 2


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_stereo_runs_where_it_is_told_to(folder: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    told: list[str] = []

    def stop(model: StereoEstimator, *_: object, **__: object) -> None:
        told.append(model.options.device)
        raise InputError("far enough")

    monkeypatch.setattr(recon.run.from_settings, "reconstruct", stop)
    assert main(["run", "photos", "--model", "mvs", "--device", device]) == 2
    assert told == [device]
