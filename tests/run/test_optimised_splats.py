"""Splats that a run makes look like its photos: the stage, its record, and what is taken over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recon.run.pipeline
from recon.choices import InferenceOptions
from recon.run.pipeline import Reconstruction, reconstruct
from recon.splats import read_ply
from tests.fake_network import WIDTH, fake_model, photos, user_cameras

INTRINSICS = np.tile(np.array([[122.0, 0, 68], [0, 124.0, 57], [0, 0, 1]]), (4, 1, 1))


def run(folder: Path, export: str = "gs_ply", **options: Any) -> Reconstruction:
    """Four photos of a wall with known cameras."""
    return reconstruct(
        fake_model(),
        photos(4),
        user_cameras(4),
        INTRINSICS,
        options=InferenceOptions(process_res=WIDTH, **options),
        export_dir=folder,
        export_format=export,
        reuse=True,
    )


def test_splats_are_optimised_where_that_is_asked_for(tmp_path: Path) -> None:
    result = run(tmp_path, gs_iterations=20, gs_holdout=4)
    assert "optimise" in result.seconds
    assert "splat" not in result.seconds
    found = result.optimised
    assert found is not None
    assert found.before is not None
    assert found.after is not None
    assert found.after.psnr > found.before.psnr
    splats = read_ply(tmp_path / "gs_ply/0000.ply")
    np.testing.assert_allclose(splats.means, found.gaussians.means, rtol=1e-6)
    assert splats.sh_degree == 1
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["optimised"]["iterations"] == 20
    assert record["optimised"]["held_out"] == [2]
    assert record["optimised"]["after"]["psnr"] == pytest.approx(found.after.psnr)
    assert record["optimised"]["held_out_after"]["psnr"] > 0
    assert record["gaussians"] == {"source": "depth", "count": len(found.gaussians)}


def test_splats_are_those_of_depth_otherwise(tmp_path: Path) -> None:
    for folder, options in (("default", {}), ("none", {"gs_iterations": 0})):
        result = run(tmp_path / folder, **options)
        assert result.optimised is None
        assert "optimise" not in result.seconds
        assert json.loads((tmp_path / folder / "run.json").read_text())["optimised"] is None
    files = [(tmp_path / folder / "gs_ply/0000.ply").read_bytes() for folder in ("default", "none")]
    assert files[0] == files[1]


def test_outcome_is_taken_over_and_more_steps_need_no_new_depth(tmp_path: Path) -> None:
    first = run(tmp_path, gs_iterations=5)
    ply = (tmp_path / "gs_ply/0000.ply").read_bytes()
    again = run(tmp_path, export="gs_ply-spz", gs_iterations=5)
    assert "optimise" in again.reused
    assert (tmp_path / "gs_ply/0000.ply").read_bytes() == ply
    assert again.optimised is not None
    assert first.optimised is not None
    assert again.optimised.gained == first.optimised.gained
    longer = run(tmp_path, gs_iterations=6)
    assert "predict" in longer.reused
    assert "optimise" not in longer.reused


def test_an_interrupted_outcome_is_written_but_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = recon.run.pipeline.fit_to_photos

    def interrupted(*arguments: Any) -> Any:
        return replace(fit(*arguments), ended_by="interrupted")

    with monkeypatch.context() as context:
        context.setattr(recon.run.pipeline, "fit_to_photos", interrupted)
        run(tmp_path, gs_iterations=5)
    assert json.loads((tmp_path / "run.json").read_text())["optimised"]["ended_by"] == "interrupted"
    assert len(read_ply(tmp_path / "gs_ply/0000.ply")) > 0
    whole = run(tmp_path, gs_iterations=5)
    assert "optimise" not in whole.reused
    assert whole.optimised is not None
    assert whole.optimised.ended_by == "iterations"


def test_budget_of_splats_from_depth_counts(tmp_path: Path) -> None:
    assert len(run(tmp_path, gs_iterations=2, gs_budget=300).prediction.gaussians or ()) <= 300
    assert len(run(tmp_path, gs_iterations=2, gs_budget=300, gs_splats=200).prediction.gaussians or ()) <= 200
