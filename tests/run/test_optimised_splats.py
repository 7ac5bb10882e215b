"""Splats that a run makes look like its photos: the stage, its record, and what is taken over."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recon.refine.optimisation.loop
import recon.refine.optimisation.snapshot_keeper
import recon.run.pipeline
from recon.choices import ExportChoices, InferenceOptions
from recon.errors import InputError
from recon.export import read_npz
from recon.messages import ReconWarning
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.splat import with_gaussians
from recon.run.pipeline import Reconstruction, reconstruct
from recon.splats import read_ply
from recon.types import Prediction
from tests.fake_network import WIDTH, fake_model, photos, user_cameras

INTRINSICS = np.tile(np.array([[122.0, 0, 68], [0, 124.0, 57], [0, 0, 1]]), (4, 1, 1))


def run(folder: Path, export: str = "gs_ply", **options: Any) -> Reconstruction:
    """Four photos of a wall with known cameras."""
    return reconstruct(
        fake_model(),
        photos(4),
        user_cameras(4),
        INTRINSICS,
        options=InferenceOptions(**{"process_res": WIDTH, **options}),
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
    assert record["optimised"]["start"] == "depth"
    assert record["not_optimised"] is None
    assert record["gaussians"] == {"source": "optimised", "count": len(found.gaussians)}


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps where the number of photos decides on them."""
    fit = recon.run.pipeline.fit_to_photos

    def of_few_steps(prediction: Prediction, choices: InferenceOptions, *more: Any) -> Any:
        return fit(prediction, replace(choices, gs_iterations=3), *more)

    monkeypatch.setattr(recon.run.pipeline, "fit_to_photos", of_few_steps)


def test_known_cameras_are_reason_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)
    result = run(tmp_path)
    assert result.optimised is not None
    assert result.not_optimised is None
    assert json.loads((tmp_path / "run.json").read_text())["optimised"]["iterations"] == 3
    file = tmp_path / "cameras.npz"
    np.savez(file, extrinsics=user_cameras(4), intrinsics=INTRINSICS)
    options = InferenceOptions(process_res=WIDTH)
    there = {"options": options, "export_dir": tmp_path / "file", "export_format": "gs_ply"}
    assert reconstruct(fake_model(), photos(4), cameras=file, **there).optimised is not None
    np.savez(file, intrinsics=INTRINSICS)  # the others are predicted
    result = reconstruct(fake_model(), photos(4), cameras=file, **there)
    assert result.optimised is None
    assert "splat" in result.seconds
    assert "predicted" in (result.not_optimised or "")


@pytest.mark.parametrize(
    ("count", "known", "options", "reason"),
    [
        (4, True, {"gs_iterations": 0}, "gs_iterations is 0"),
        (4, False, {}, "--cameras sfm"),
        (1, False, {}, "one photo"),
    ],
)
def test_splats_stay_as_they_are_made_otherwise(
    count: int, known: bool, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    cameras = (user_cameras(count), INTRINSICS[:count]) if known else (None, None)
    result = reconstruct(
        fake_model(),
        photos(count),
        *cameras,
        options=InferenceOptions(**{"process_res": WIDTH, **options}),
        export_dir=tmp_path,
        export_format="gs_ply",
    )
    assert result.optimised is None
    assert "splat" in result.seconds
    assert "optimise" not in result.seconds
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["optimised"] is None
    assert reason in record["not_optimised"]
    assert record["gaussians"]["source"] == "depth"


def test_splats_that_a_page_shows_in_passing_are_not_spoken_of(tmp_path: Path) -> None:
    options = InferenceOptions(process_res=WIDTH)
    asked = {"export_dir": tmp_path, "export_format": "html"}
    result = reconstruct(fake_model(), photos(2), options=options, **asked)
    assert result.prediction.gaussians is not None
    assert result.not_optimised is None
    result = reconstruct(fake_model(), photos(2), options=replace(options, gaussians="depth"), **asked)
    assert "no format of splats" in (result.not_optimised or "")


def test_predicted_cameras_are_optimised_where_that_is_asked_for(tmp_path: Path) -> None:
    options = InferenceOptions(process_res=WIDTH, gs_iterations=2)
    result = reconstruct(fake_model(), photos(3), options=options, export_dir=tmp_path, export_format="gs_ply")
    assert result.optimised is not None
    assert result.optimised.iterations == 2


def test_a_single_photo_is_optimised_where_that_is_asked_for(tmp_path: Path) -> None:
    options = InferenceOptions(process_res=WIDTH, gs_iterations=3)
    mono = fake_model("da3mono-large", with_cameras=False)
    with pytest.warns(ReconWarning):
        result = reconstruct(mono, photos(1), options=options, export_dir=tmp_path, export_format="gs_ply")
    assert result.optimised is not None
    assert result.optimised.held_out == ()
    assert any("one photo" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="need their cameras"):
        reconstruct(mono, photos(3), options=options, export_dir=tmp_path, export_format="gs_ply")


def test_splats_of_a_head_are_a_start_too(tmp_path: Path) -> None:
    result = reconstruct(
        fake_model("da3-giant"),
        photos(4),
        user_cameras(4),
        INTRINSICS,
        options=InferenceOptions(process_res=WIDTH, gs_iterations=2, gs_splats=500),
        export_dir=tmp_path,
        export_format="gs_ply",
    )
    assert "splat" not in result.seconds
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["optimised"]["start"] == "head"
    assert record["gaussians"]["source"] == "optimised"
    assert 0 < record["gaussians"]["count"] <= 500


def test_a_stored_result_keeps_optimised_splats(tmp_path: Path) -> None:
    result = run(tmp_path, export="npz", gs_iterations=2, gaussians="depth")
    stored = read_npz(tmp_path / "exports/npz/results.npz")
    assert stored.gaussian_source == "optimised"
    assert result.optimised is not None
    assert with_gaussians(stored, ExportChoices()) is stored
    np.testing.assert_array_equal(stored.gaussians.means, result.optimised.gaussians.means)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"gs_budget.*optimised"):
        with_gaussians(stored, ExportChoices(gs_budget=9))
    assert with_gaussians(stored, ExportChoices(gaussians="depth", gs_budget=9)).gaussian_source == "depth"


def test_outcome_is_taken_over_and_more_steps_need_no_new_depth(tmp_path: Path) -> None:
    first = run(tmp_path, gs_iterations=5)
    ply = (tmp_path / "gs_ply/0000.ply").read_bytes()
    again = run(tmp_path, export="gs_ply-spz", gs_iterations=5)
    assert "optimise" in again.reused
    assert (tmp_path / "gs_ply/0000.ply").read_bytes() == ply
    assert again.optimised is not None
    assert first.optimised is not None
    assert again.optimised.progress == first.optimised.progress
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


def test_a_stopped_run_goes_on_within_the_optimisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "whole", gs_iterations=6)
    step, taken = recon.refine.optimisation.loop.step, []

    def step_and_stop(*arguments: Any) -> None:
        if len(taken) == 4:
            raise RuntimeError("killed")
        taken.append(step(*arguments))

    snapshot = tmp_path / "stopped/cache/optimise.npz"
    with monkeypatch.context() as context:
        context.setattr(recon.run.pipeline, "Snapshots", partial(Snapshots, seconds=0))
        context.setattr(recon.refine.optimisation.snapshot_keeper, "_LARGEST_SHARE", 1e9)
        context.setattr(recon.refine.optimisation.loop, "step", step_and_stop)
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path / "stopped", gs_iterations=6)
    assert snapshot.is_file()
    taken.clear()
    with monkeypatch.context() as context:
        context.setattr(recon.refine.optimisation.loop, "step", lambda *given: taken.append(step(*given)))
        result = run(tmp_path / "stopped", gs_iterations=6)
    assert len(taken) == 2
    assert result.optimised is not None
    assert result.optimised.iterations == 6
    assert not snapshot.exists()
    ply = "gs_ply/0000.ply"
    assert (tmp_path / "stopped" / ply).read_bytes() == (tmp_path / "whole" / ply).read_bytes()


def test_budget_of_splats_from_depth_counts(tmp_path: Path) -> None:
    assert len(run(tmp_path, gs_iterations=2, gs_budget=300).prediction.gaussians or ()) <= 300
    assert len(run(tmp_path, gs_iterations=2, gs_budget=300, gs_splats=200).prediction.gaussians or ()) <= 200


def test_photos_can_be_looked_at_at_their_own_size(tmp_path: Path) -> None:
    found = {}
    for resolution in ("process", "full", 100):
        result = run(tmp_path / str(resolution), process_res=56, gs_iterations=12, gs_resolution=resolution)
        assert result.optimised is not None
        assert result.optimised.before is not None
        found[resolution] = result.optimised
        assert result.prediction.originals is None
    # What splats are compared with is another picture at each size.
    assert len({one.before.psnr for one in found.values() if one.before is not None}) == 3
    assert not np.array_equal(found["full"].gaussians.means, found["process"].gaussians.means)
