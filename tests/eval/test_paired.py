"""Sides compared pair by pair."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recon.cli.main import main
from recon.errors import InputError
from recon.eval.eval_report import compare
from recon.geometry.cameras import to_3x4
from tests.eval.layout_folders import perfect_prediction, scannetpp_merged, write_run


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, list[Path], list[Path]]:
    """A scene, three runs, and three whose depth is 1 % more wrong than that of the same pair."""
    from dataclasses import replace

    from recon.eval.ground_truth import read_ground_truth

    scene = scannetpp_merged(tmp_path / "scene")
    truth = read_ground_truth(scene)
    size = (int(truth.image_sizes[0, 0]), int(truth.image_sizes[0, 1]))
    perfect = perfect_prediction(truth.image_names, truth.extrinsics, truth.intrinsics, size)
    assert perfect.extrinsics is not None
    runs: tuple[list[Path], list[Path]] = ([], [])
    for seed in range(3):
        for side, more in enumerate((0.01, 0.02 + 0.001 * seed)):
            depth = perfect.depth * np.float32(1 + 0.05 * seed + more)
            prediction = replace(perfect, depth=depth, extrinsics=to_3x4(perfect.extrinsics))
            runs[side].append(write_run(tmp_path / f"{'ab'[side]}{seed}", prediction))
    return scene, *runs


def test_differences_leave_out_what_both_sides_have(sides: tuple[Path, list[Path], list[Path]]) -> None:
    scene, first, second = sides
    results = {path.name: path for path in (*first, *second)}
    found = compare(results, scene, sides={"a": ["a0", "a1", "a2"], "b": ["b0", "b1", "b2"]})
    (differences,) = found.differences.values()
    by_name = {one.name: one for one in differences}
    depth = by_name["depth.abs_rel"]
    assert depth.pairs == 3
    assert depth.first == pytest.approx(0.06, abs=2e-3)
    assert depth.difference == pytest.approx(0.011, abs=2e-4)
    assert depth.standard_error == pytest.approx(0.001 / np.sqrt(3), rel=0.05)
    assert by_name["cameras.exact_auc.0.3"].difference == 0
    assert "depth.scale.abs_rel" not in by_name  # the alignment to look at alone
    with pytest.raises(InputError, match="as many results on either side: 3 and 2"):
        _ = compare(results, scene, sides={"a": ["a0", "a1", "a2"], "b": ["b0", "b1"]}).differences


def test_the_command_compares_runs_in_pairs(
    sides: tuple[Path, list[Path], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, first, second = sides
    against = [word for path in second for word in ("--against", str(path))]
    command = ["eval", *map(str, first), *against, "--truth", str(scene), "--out", str(tmp_path / "eval")]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["mean", "of", "pairs", "first", "second", "difference"]
    row = next(line for line in lines if line.startswith("depth.abs_rel"))
    assert "+0.011 ± 0.0006" in row.replace("0.00058", "0.0006")
    content = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert content["sides"] == {"first": ["a0", "a1", "a2"], "second": ["b0", "b1", "b2"]}
    assert any(one["name"] == "depth.abs_rel" for one in content["differences"]["second"])
    assert main([*command, "--model", "mvs"]) == 2
    assert main(["eval", str(first[0]), "--seeds", "3"]) == 2
