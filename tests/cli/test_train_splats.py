"""`recon train-splats`: photos with cameras, and depth, points or splats to begin from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import recon.refine.optimisation.cpu_updater
import recon.refine.optimisation.loop
from recon.cli.main import main
from recon.geometry.cameras import to_4x4
from recon.refine import from_depth
from recon.splats import read_ply, write_ply
from tests.refine.depth_scene import make_prediction

SIZE = (84, 112)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos, their cameras, splats to begin from, and splats of which some are not finite."""
    folder = tmp_path_factory.mktemp("scene")
    prediction = make_prediction(4, *SIZE)
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    (folder / "images").mkdir()
    frames = []
    for view, pixels in enumerate(prediction.processed_images):
        Image.fromarray(pixels).save(folder / "images" / f"{view}.png")
        camera = to_4x4(prediction.extrinsics[view].astype(np.float64)).tolist()
        intrinsics = prediction.intrinsics[view].tolist()
        frames.append({"image": f"{view}.png", "world_to_camera": camera, "intrinsics": intrinsics})
    (folder / "cameras.json").write_text(json.dumps({"frames": frames}))
    splats = from_depth(prediction)
    write_ply(folder / "start.ply", splats)
    return folder


def train(scene: Path, out: Path, *arguments: str, cameras: bool = True) -> tuple[int, dict[str, Any]]:
    """The exit code, and `run.json` where there is one."""
    known = ("--cameras", str(scene / "cameras.json")) if cameras else ()
    fixed = (str(scene / "images"), "--process-res", "112", "--export", "gs_ply", "--out", str(out))
    code = main(["train-splats", *fixed, *known, *arguments])
    record = out / "run.json"
    return code, json.loads(record.read_text()) if record.exists() else {}


def test_from_a_file_without_any_depth(scene: Path, tmp_path: Path) -> None:
    start = str(scene / "start.ply")
    code, record = train(scene, tmp_path, "--start-from", start, "--gs-iterations", "12", "--gs-holdout", "4")
    assert code == 0
    assert record["model"] == {"name": "none"}
    found = record["optimised"]
    assert (found["start"], found["iterations"], found["held_out"]) == (start, 12, [2])
    assert found["after"]["psnr"] > found["before"]["psnr"]
    assert record["quality"]["valid"] > 0.9  # rendered from the splats
    assert len(read_ply(tmp_path / "gs_ply/0000.ply")) > 1000
    code, record = train(scene, tmp_path, "--start-from", start, "--gs-iterations", "12", "--gs-holdout", "4")
    assert "optimise" in record["reused"]


def test_from_depth_by_stereo(scene: Path, tmp_path: Path) -> None:
    code, record = train(scene, tmp_path, "--gs-iterations", "2")
    assert code == 0
    assert record["model"]["name"] == "mvs"
    assert record["optimised"]["start"] == "depth"


def test_no_more_splats_than_asked_for(scene: Path, tmp_path: Path) -> None:
    _, record = train(
        scene, tmp_path, "--start-from", str(scene / "start.ply"), "--gs-iterations", "1", "--gs-splats", "500"
    )
    assert 0 < record["gaussians"]["count"] <= 500
    assert any("500 are kept" in warning for warning in record["warnings"])


def test_ctrl_c_keeps_what_there_is_and_the_next_one_ends_it(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loop, taken = recon.refine.optimisation.loop, []
    step = loop.step

    def step_until_ctrl_c(*given: Any) -> None:
        taken.append(step(*given))
        if len(taken) == 3:
            raise KeyboardInterrupt

    arguments = ("--start-from", str(scene / "start.ply"), "--gs-iterations", "12")
    with monkeypatch.context() as context:
        context.setattr(loop, "step", step_until_ctrl_c)
        code, record = train(scene, tmp_path, *arguments)
    assert code == 0
    assert (record["state"], record["optimised"]["ended_by"]) == ("done", "interrupted")
    assert any("interrupted after" in warning for warning in record["warnings"])
    assert len(read_ply(tmp_path / "gs_ply/0000.ply")) > 1000
    assert "ended by interrupted" not in capsys.readouterr().out
    _, record = train(scene, tmp_path, *arguments)
    assert "optimise" not in record["reused"]
    assert record["optimised"]["iterations"] == 12

    def step_and_ctrl_c(*given: Any) -> None:
        raise KeyboardInterrupt

    def reopen_and_ctrl_c(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "step", step_and_ctrl_c)
    monkeypatch.setattr(recon.refine.optimisation.cpu_updater.CpuUpdater, "reopen", reopen_and_ctrl_c)
    code, record = train(scene, tmp_path, *arguments, "--seed", "1")
    assert code == 1
    assert record["optimised"]["iterations"] == 12  # of the complete run before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--start-from", "points"), "--start-from points"),
        (("--start-from", "nothing.ply"), "nothing.ply: no such file"),
        (("--start-from", "start.txt"), "--start-from must be depth, points"),
        (("--start-from", "SCENE/start.ply", "--gs-iterations", "0"), "--gs-iterations 0"),
        (("--start-from", "SCENE/start.ply", "--gs-budget", "9"), "--gs-budget is for splats from depth"),
        (("--start-from", "SCENE/start.ply", "--export", "glb"), "export gs_ply"),
        (("--gs-seconds", "0"), "--gs-seconds must be above 0"),
        (("--gs-iterations", "-1"), "--gs-iterations must be at least 0"),
        (("--gs-holdout", "1"), "--gs-holdout must be 0, or at least 2"),
    ],
)
def test_what_cannot_be_trained_is_said(
    arguments: tuple[str, ...], said: str, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = train(scene, tmp_path / "out", *(one.replace("SCENE", str(scene)) for one in arguments))
    assert code == 2
    assert record == {}
    errors = capsys.readouterr().err.splitlines()
    assert said in errors[-1]
    assert errors[-1].startswith("recon: error: ")


def test_a_file_needs_cameras_in_its_frame(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = train(scene, tmp_path, "--start-from", str(scene / "start.ply"), cameras=False)
    assert code == 2
    assert "in the frame of cameras that are known" in capsys.readouterr().err


def test_splats_that_are_not_finite_are_left_out(scene: Path, tmp_path: Path) -> None:
    splats = read_ply(scene / "start.ply")
    content = bytearray((scene / "start.ply").read_bytes())
    first = bytes(np.float32(splats.means[0]).tobytes())
    place = content.index(first)
    content[place : place + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "broken.ply").write_bytes(content)
    code, record = train(scene, tmp_path / "out", "--start-from", str(tmp_path / "broken.ply"), "--gs-iterations", "1")
    assert code == 0
    assert any("broken.ply" in warning and "NaN" in warning for warning in record["warnings"])


def test_a_store_that_cannot_be_written_costs_nothing_else(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    code, record = train(scene, tmp_path, "--start-from", str(scene / "start.ply"), "--gs-iterations", "2")
    assert code == 0
    assert any("not kept for the next" in warning for warning in record["warnings"])
    assert record["optimised"]["iterations"] == 2


def test_masks_that_leave_nothing_are_refused(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "masks").mkdir()
    for view in range(4):
        Image.new("L", SIZE[::-1], 0).save(tmp_path / "masks" / f"{view}.png")
    arguments = ("--start-from", str(scene / "start.ply"), "--masks", str(tmp_path / "masks"))
    code, _ = train(scene, tmp_path / "out", *arguments)
    assert code == 2
    assert "mask" in capsys.readouterr().err.splitlines()[-1]
