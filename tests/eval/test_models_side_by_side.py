"""`recon eval SCENE --model A --model B`: runs both, and compares what they left behind."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import recon.models.ready
from recon.cli.main import main
from tests.fake_network import fake_ready

from ..synthetic.sample_scenes import Sample, write_sample

WALL = Sample("repeated_texture", "A corner", count=3, held_out=(0,), size=(126, 168), samples_per_pixel=1)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "corner"
    write_sample(folder, WALL)
    return folder


@pytest.fixture
def scene(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample scene under the working folder; every network is one that always sees the same flat wall."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recon.models.ready, "ready_model", lambda name, **_: fake_ready(name))
    shutil.copytree(rendered, tmp_path / "corner")
    return Path("corner")


@pytest.mark.slow
def test_models_are_run_and_compared(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = ["--model", "mvs", "--model", "da3-small", "--gs-iterations", "0"]
    assert main(["eval", str(scene), *models, "--cameras", "corner/cameras.json", "--out", "result"]) == 0
    printed = capsys.readouterr().out.splitlines()
    start = printed.index("corner: sample scene, 4 views")
    assert printed[start + 1].split() == ["mvs", "da3-small"]
    cells = [re.split(" {2,}", line) for line in printed[start + 2 : -1] if not line.startswith("- ")]
    rows = {name: values for name, *values in cells if len(values) == 2}
    assert rows["views compared"] == ["3", "3"]
    assert rows["novel views"] == ["1", "1"]
    # A wall that far off would take too many voxels, which is no reason to lose the rest.
    assert rows["surface F1"][1] == "–"
    assert any(line.startswith("- da3-small: surface: TSDF voxels of") for line in printed)

    content = json.loads(Path("result/corner/eval.json").read_text())
    stereo, network = content["results"]["mvs"], content["results"]["da3-small"]
    assert stereo["path"] == "result/corner/mvs/exports/npz/results.npz"
    assert network["path"] == "result/corner/da3-small/exports/npz/results.npz"
    assert json.loads(Path("result/corner/da3-small/run.json").read_text())["model"]["preset"] == "da3-small"
    assert stereo["depth"]["none"]["abs_rel"] < network["depth"]["none"]["abs_rel"]
    assert rows["depth AbsRel"] == [f"{one['depth']['none']['abs_rel']:.4f}" for one in (stereo, network)]
    for one in (stereo, network):  # the cameras were given to both
        assert one["cameras"]["ate_percent"] == pytest.approx(0, abs=1e-3)
    (novel_views,) = [line for line in printed if line.startswith("novel views PSNR, SSIM  ")]
    assert all(f"{one['novel_views']['psnr']:.2f} dB" in novel_views for one in (stereo, network))


def test_finished_runs_are_compared_without_running_anything(
    scene: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("small", "base"):
        assert main(["run", "corner/images", "--model", f"da3-{name}", "--export", "mini_npz", "--out", name]) == 0
    capsys.readouterr()
    monkeypatch.setattr(recon.models.ready, "ready_model", None)
    assert main(["eval", "small", "base", "--surface", "none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("corner: sample scene, 4 views")
    assert lines[1].split() == ["small", "base"]
    assert lines[-1] == "the same as JSON: outputs/eval/eval.json"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corner", "--model", "da3-tiny"], "unknown model 'da3-tiny'"),
        (["corner/images/absent", "--model", "mvs"], "is not a folder"),
        (["corner"], "corner is a scene with ground truth, not a result: name a model to run on it"),
    ],
)
def test_what_cannot_be_compared(
    scene: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
