"""The README's examples: command lines that the program takes, and Python that runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from recon.cli.arguments import parse
from recon.cli.main import COMMANDS
from recon.refine import from_depth
from recon.splats import read_ply, write_ply
from tests.refine.depth_scene import make_prediction

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SIZE = (45, 60)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def command_lines() -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    return [line[1:] for line in lines if line and Path(line[0]).name == "recon"]


def test_there_are_examples_of_every_command() -> None:
    assert {line[0] for line in command_lines()} | {"demo"} == set(COMMANDS)  # demo: behind the installation's &&


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_command_lines_are_understood(line: list[str]) -> None:
    parse(COMMANDS[line[0]], line[1:])


def test_python_about_splats_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, with what the text says the names stand for, on smaller photos and for a shorter time."""
    monkeypatch.chdir(tmp_path)
    prediction = make_prediction(3, *SIZE)
    gaussians = from_depth(prediction)
    write_ply("gs_ply/0000.ply", gaussians)
    cameras = prediction.cameras
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    names = {
        "prediction": prediction,
        "cameras": cameras,
        "photo": torch.from_numpy(prediction.processed_images[0] / 255),
        "means": torch.from_numpy(gaussians.means).requires_grad_(),
        "scales": torch.from_numpy(gaussians.scales),
        "rotations": torch.from_numpy(gaussians.rotations),
        "harmonics": torch.from_numpy(gaussians.harmonics),
        "opacities": torch.from_numpy(gaussians.opacities),
        "world_to_camera": torch.from_numpy(cameras.world_to_camera[0]),
        "intrinsics": torch.from_numpy(cameras.intrinsics[0]),
    }
    examples = [block for block in blocks("python") if "splats" in block]
    assert len(examples) == 2
    for example in examples:
        exec(example.replace("(378, 504)", str(SIZE)).replace("gs_seconds=60", "gs_seconds=0.1"), names)
    assert len(read_ply("splats.ply").means) > 0
    assert names["means"].grad.abs().sum() > 0
