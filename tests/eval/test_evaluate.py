"""Results of known quality beside ground truth: what the evaluation says of them, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.cli.comparison import print_comparison, table_rows
from recon.errors import InputError
from recon.eval.eval_options import EvalOptions
from recon.eval.eval_report import compare, truth_of_run, write_comparison
from recon.eval.evaluate import Evaluation, evaluate
from recon.eval.ground_truth import read_ground_truth
from recon.eval.results import read_result
from recon.eval.truth import DepthFile, GroundTruth
from recon.export.exporter import Exported
from recon.geometry.similarity import Similarity
from recon.messages import ReconWarning
from recon.run.pipeline import reconstruct
from recon.run.record import add_exports, read_record
from recon.splats.ply import write_ply
from recon.splats.rendering import Rendering
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.eval.layout_folders import (
    NORMAL,
    OFFSET,
    colmap,
    dtu,
    eth3d,
    perfect_prediction,
    sample,
    scannetpp_merged,
    write_run,
    write_wall,
)
from tests.fake_network import fake_model, save_photos
from tests.geometry.random_cameras import random_rotations
from tests.seeds import numpy_random

ELSEWHERE = Similarity(0.3, random_rotations(numpy_random(4)), np.array([1.0, -2, 0.5]))
"""From the true world to that of a run."""
SURFACE = EvalOptions(threshold=0.3, voxel=0.15)
"""A processed pixel sees 0.17 m of the wall: the true points are no closer than that."""
CLOUD = replace(SURFACE, surface="cloud")


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    """Four views of the wall, with dense depth; no scan."""
    return read_ground_truth(scannetpp_merged(tmp_path / "scene"))


def predict(truth: GroundTruth, views: slice = slice(None), world: Similarity | None = None, **more: Any) -> Prediction:
    """What a perfect run gives for some of the views."""
    size = (int(truth.image_sizes[0, 0]), int(truth.image_sizes[0, 1]))
    names, extrinsics, intrinsics = truth.image_names[views], truth.extrinsics[views], truth.intrinsics[views]
    return perfect_prediction(names, extrinsics, intrinsics, size, world, 1000 if truth.units == "mm" else 1, **more)


def evaluated(
    folder: Path, prediction: Prediction, truth: GroundTruth, options: EvalOptions | None = None, **more: Any
) -> Evaluation:
    """Written, read and evaluated."""
    return evaluate(read_result(write_run(folder, prediction, **more)), truth, options)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("options", [SURFACE, CLOUD])
def test_perfect_result_in_another_world(tmp_path: Path, truth: GroundTruth, options: EvalOptions, full: bool) -> None:
    found = evaluated(tmp_path / "run", predict(truth, world=ELSEWHERE), truth, options, full=full)
    assert found.views == 4
    assert found.unknown_views == found.failed_views == found.notes == ()
    assert found.cameras is not None
    assert found.cameras.auc == {3: 1, 5: 1, 15: 1, 30: 1}
    assert found.cameras.ate_percent is not None
    assert found.cameras.ate_percent < 1e-3
    assert found.cameras.focal_error == pytest.approx(0, abs=1e-6)
    assert found.alignment == "median"
    assert found.depth["none"].abs_rel == pytest.approx(0.7, abs=1e-3)
    for alignment in ("median", "scale", "scale-and-shift"):
        # Half a pixel of the wall lies between a processed pixel and the nearest of the true depth map.
        assert found.depth[alignment].abs_rel < 2e-3
        assert found.depth[alignment].delta_125 == 1
    assert found.depth["median"].scale == pytest.approx(1 / 0.3, rel=1e-3)
    assert found.coverage is not None
    assert found.coverage.kept == 1
    assert found.surface is not None
    assert found.surface.f1 == 1
    assert found.surface.chamfer is not None
    assert found.surface.chamfer < 0.1
    assert found.novel_views is None


def test_metric_result_is_compared_as_it_is(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    found = evaluated(tmp_path / "run", replace(prediction, depth=prediction.depth * np.float32(1.1)), truth)
    assert found.alignment == "none"
    assert found.depth["none"].abs_rel == pytest.approx(0.1, abs=2e-3)
    assert found.depth["median"].abs_rel < 2e-3
    asked = evaluated(tmp_path / "run", prediction, truth, EvalOptions(alignment="scale", surface="none"))
    assert asked.alignment == "scale"
    assert asked.surface is None


def test_wrong_depth_lowers_the_surface_scores(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth, world=ELSEWHERE)
    depth = prediction.depth.copy()
    depth[:, :, 20:] *= 1.2
    found = evaluated(tmp_path / "run", replace(prediction, depth=depth), truth, CLOUD)
    assert found.surface is not None
    assert found.surface.precision == pytest.approx(0.5, abs=0.1)
    assert found.surface.recall < 0.9
    assert found.depth["none"].within_5_percent < 0.6


def test_where_the_truth_has_holes_nothing_is_wrong(tmp_path: Path, truth: GroundTruth) -> None:
    def with_hole(depth_file: DepthFile | None) -> DepthFile | None:
        assert depth_file is not None
        depth = depth_file.read()
        depth[:, : depth.shape[1] // 2] = 0
        return replace(depth_file, read=lambda: depth)

    holed = replace(truth, depth_files=tuple(with_hole(depth_file) for depth_file in truth.depth_files))
    prediction = predict(truth)
    depth = prediction.depth.copy()
    depth[:, :, :20] *= 3
    found = evaluated(tmp_path / "run", replace(prediction, depth=depth), holed, CLOUD)
    assert found.depth["none"].abs_rel < 2e-3
    assert found.surface is not None
    assert found.surface.precision == 1


def test_sparse_points_tell_depth_and_no_surface(tmp_path: Path) -> None:
    truth = read_ground_truth(colmap(tmp_path / "scene"))
    found = evaluated(tmp_path / "run", predict(truth, world=ELSEWHERE), truth)
    assert found.depth["median"].abs_rel < 0.01
    assert found.depth["median"].pixels > 200
    assert found.coverage is not None
    assert found.coverage.kept == 1
    assert found.surface is None
    assert "surface" in found.notes[0]


def test_scan_in_millimetres(tmp_path: Path) -> None:
    truth = read_ground_truth(dtu(tmp_path / "dtu"))
    world = Similarity(0.002, ELSEWHERE.rotation, ELSEWHERE.translation)
    # The wall is as wide as a house, and the scan has a million points on it.
    options = EvalOptions(threshold=60, voxel=30, surface="cloud")
    found = evaluated(tmp_path / "run", predict(truth, world=world), truth, options)
    assert found.units == "mm"
    assert found.cameras is not None
    assert found.cameras.ate_rmse is not None
    assert found.cameras.ate_rmse < 0.01
    assert found.depth["median"].rmse == pytest.approx(0, abs=20)
    assert found.surface is not None
    assert found.surface.precision is not None
    assert found.surface.precision > 0.99  # the recall is that of a scan wider than the photos
    assert found.surface.accuracy is not None
    assert found.surface.accuracy < 20


def test_masks_of_sky_confidence_and_numbers(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    depth, conf, sky = (
        prediction.depth.copy(),
        np.full(prediction.depth.shape, 2, np.float32),
        np.zeros((4, 28, 40), bool),
    )
    depth[0, :14] = np.nan
    depth[1] *= 9
    conf[1] = 1
    depth[2] = 77
    sky[2] = True
    found = evaluated(
        tmp_path / "run",
        replace(prediction, depth=depth, conf=conf, sky=sky),
        truth,
        EvalOptions(min_conf=1.5, surface="none"),
        full=True,
    )
    assert found.depth["none"].pixels == 1.5 * 28 * 40
    assert found.depth["none"].abs_rel < 2e-3
    assert found.coverage is not None
    assert found.coverage.kept == 1.5 / 4


def test_nothing_kept(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    found = evaluated(tmp_path / "run", replace(prediction, depth=np.zeros_like(prediction.depth)), truth)
    assert found.depth == {}
    assert found.coverage is not None
    assert found.coverage.kept == 0
    assert found.surface is not None
    assert found.surface.f1 == 0
    assert any("no pixel has both" in note for note in found.notes)


def test_failed_and_unknown_views(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth, slice(0, 3))
    renamed = replace(prediction, image_names=(*prediction.image_names[:2], "elsewhere.jpg"))
    dropped = [Path(truth.image_names[3]).name, "blurred.jpg"]
    found = evaluated(tmp_path / "run", renamed, truth, dropped=dropped)
    assert found.views == 2
    assert found.unknown_views == ("elsewhere.jpg",)
    assert found.failed_views == (dropped[0],)
    assert found.cameras is not None
    assert (found.cameras.views, found.cameras.failed) == (3, 1)
    assert found.cameras.rotation_auc == pytest.approx({3: 1 / 3, 5: 1 / 3, 15: 1 / 3, 30: 1 / 3})


def test_single_view_is_scaled_by_its_depth(tmp_path: Path, truth: GroundTruth) -> None:
    found = evaluated(tmp_path / "run", predict(truth, slice(1, 2), ELSEWHERE), truth, SURFACE)
    assert found.cameras is not None
    assert found.cameras.auc is None
    assert found.surface is not None
    assert found.surface.f1 == 1
    assert "scale" in found.notes[0]


def test_without_cameras(tmp_path: Path, truth: GroundTruth) -> None:
    found = evaluated(tmp_path / "run", replace(predict(truth), extrinsics=None, intrinsics=None), truth)
    assert found.cameras is found.surface is None
    assert len(found.notes) == 2
    assert found.depth["none"].abs_rel < 2e-3


def test_identical_cameras(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    assert prediction.extrinsics is not None
    same = np.tile(prediction.extrinsics[:1], (4, 1, 1))
    found = evaluated(tmp_path / "run", replace(prediction, extrinsics=same), truth)
    assert found.cameras is not None
    assert found.cameras.ate_rmse is None
    assert found.cameras.auc == {3: 0, 5: 0, 15: 0, 30: 0}


def test_cameras_that_are_no_numbers(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    assert prediction.extrinsics is not None
    broken = prediction.extrinsics.copy()
    broken[2] = np.nan
    found = evaluated(tmp_path / "run", replace(prediction, extrinsics=broken), truth)
    assert found.cameras is not None
    assert found.cameras.failed == 1
    assert found.surface is None


def test_photos_at_another_size_than_the_true_ones(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    assert prediction.original_sizes is not None
    assert prediction.processed_to_original is not None
    halved = np.diag([0.5, 0.5, 1.0])
    found = evaluated(
        tmp_path / "run",
        replace(
            prediction,
            original_sizes=prediction.original_sizes // 2,
            processed_to_original=halved @ prediction.processed_to_original,
        ),
        truth,
    )
    assert found.depth["none"].abs_rel < 2e-3
    assert found.cameras is not None
    assert found.cameras.focal_error == pytest.approx(0, abs=1e-6)
    others = replace(prediction, original_sizes=np.tile([80, 64], (4, 1)))
    with pytest.raises(InputError, match=r"80×64 pixels and the true one is 80×60"):
        evaluated(tmp_path / "other", others, truth)


@pytest.mark.parametrize("full", [False, True])
def test_photos_that_fill_a_part_of_their_views(tmp_path: Path, truth: GroundTruth, full: bool) -> None:
    """Each stands elsewhere in a larger view; what is around is not compared, though true pictures go on there."""
    whole = predict(truth)
    assert whole.intrinsics is not None
    assert whole.processed_to_original is not None
    corners = np.array([(5, 6), (0, 2), (9, 0), (3, 8)])
    depth = np.full((4, 36, 50), 50, np.float32)
    intrinsics, affines = whole.intrinsics.copy(), whole.processed_to_original.copy()
    for view, (left, top) in enumerate(corners):
        depth[view, top : top + 28, left : left + 40] = whole.depth[view]
        intrinsics[view, :2, 2] += (left, top)
        affines[view] = affines[view] @ [[1, 0, -left], [0, 1, -top], [0, 0, 1]]
    padded = replace(
        whole,
        depth=depth,
        processed_images=np.zeros((4, 36, 50, 3), np.uint8),
        intrinsics=intrinsics,
        processed_to_original=affines,
        photo_boxes=np.concatenate([corners, np.tile([40, 28], (4, 1))], axis=1),
    )
    found = evaluated(tmp_path / "padded", padded, truth, full=full)
    expected = evaluated(tmp_path / "whole", whole, truth, full=full)
    assert found.depth["none"].abs_rel < 2e-3
    assert found.depth["none"] == expected.depth["none"]
    assert found.coverage == expected.coverage
    assert found.cameras is not None
    assert found.cameras.focal_error == pytest.approx(0, abs=1e-6)


def test_files_of_the_reference_package(tmp_path: Path, truth: GroundTruth) -> None:
    prediction = predict(truth)
    folder = tmp_path / "run" / "exports" / "mini_npz"
    folder.mkdir(parents=True)
    np.savez(
        folder / "results.npz",
        depth=prediction.depth,
        extrinsics=prediction.extrinsics,
        intrinsics=prediction.intrinsics,
    )
    result = read_result(tmp_path / "run")
    assert result.units == "relative"
    with pytest.warns(ReconWarning) as warned:
        found = evaluate(result, truth)
    assert ["order of the ground truth" in str(w.message) for w in warned] == [True, False]
    assert found.cameras is not None
    assert found.cameras.auc == {3: 1, 5: 1, 15: 1, 30: 1}
    with pytest.raises(InputError, match=r"names no images, and its 4 views are not the 2"):
        evaluate(result, _first_two(truth))


def _first_two(truth: GroundTruth) -> GroundTruth:
    fields = ("image_names", "image_paths", "image_sizes", "extrinsics", "intrinsics", "depth_files")
    return replace(truth, **{name: getattr(truth, name)[:2] for name in fields})


def test_results_that_are_none(tmp_path: Path, truth: GroundTruth) -> None:
    with pytest.raises(InputError, match="no such result"):
        read_result(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no exports/npz"):
        read_result(tmp_path)
    folder = write_run(tmp_path / "run", predict(truth))
    path = folder / "exports" / "mini_npz" / "results.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    with pytest.raises(InputError, match="not an npz file, or cut short"):
        read_result(folder)
    flipped = bytearray(whole)
    for place in range(len(whole) // 4, len(whole) // 2):
        flipped[place] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(InputError, match="damaged npz file"):
        read_result(folder)
    # The compression of the first array becomes one that nobody knows, in its own header and in the directory.
    unknown = bytearray(whole)
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = whole.index(signature) + place
        unknown[start : start + 2] = (97).to_bytes(2, "little")
    path.write_bytes(unknown)
    with pytest.raises(InputError, match=r"damaged npz file.*compression"):
        read_result(folder)
    np.savez(path, depth=np.zeros((2, 3, 4)), extrinsics=np.zeros((5, 3, 4)))
    with pytest.raises(InputError, match=r"array 'extrinsics' must have shape .*N = 2"):
        read_result(path)
    path.write_bytes(whole)
    other = replace(read_result(path), image_names=("a.jpg", "b.jpg", "c.jpg", "d.jpg"))
    with pytest.raises(InputError, match="another scene"):
        evaluate(other, truth)
    twice = replace(other, image_names=(truth.image_names[1],) * 4)
    with pytest.raises(InputError, match="several views are the true image"):
        evaluate(twice, truth)


@pytest.mark.parametrize(
    "wrong", [{"alignment": "mean"}, {"surface": "mesh"}, {"threshold": 0.0}, {"voxel": -1.0}, {"novel_views": -1}]
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        EvalOptions(**wrong)


def one_splat() -> Gaussians:
    """Splats that nothing here renders."""
    turn = np.array([[1.0, 0, 0, 0]], np.float32)
    ones = np.ones((1, 3), np.float32)
    return Gaussians(ones, ones, turn, np.ones((1, 3, 1), np.float32), np.ones(1, np.float32))


def test_splats_are_rendered_at_held_out_views(
    tmp_path: Path, truth: GroundTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The photo of the view that is held out has a dark border of 2 rows that the processed pictures do not show.
    photo = np.full((60, 80, 3), 200, np.uint8)
    photo[:2] = photo[-2:] = 0
    Image.fromarray(photo).save(truth.image_paths[3].with_suffix(".png"))
    truth.image_paths[3].with_suffix(".png").rename(truth.image_paths[3])
    seen: list[Cameras] = []

    def render(gaussians: Gaussians, cameras: Cameras, size: tuple[int, int]) -> Rendering:
        seen.append(cameras)
        assert size == (28, 40)
        color = np.full((1, *size, 3), 200 / 255 + 0.1, np.float32)
        return Rendering(color, None, np.ones((1, *size), np.float32))

    monkeypatch.setattr("recon.splats.rendering.render", render)
    prediction = predict(truth, slice(0, 3), ELSEWHERE, gaussians=one_splat())
    found = evaluated(tmp_path / "run", prediction, truth, full=True)
    assert found.novel_views is not None
    assert found.novel_views.views == 1
    assert found.novel_views.psnr == pytest.approx(20, abs=1e-3)
    everything = predict(truth, world=ELSEWHERE)
    assert everything.intrinsics is not None
    assert seen[0].world_to_camera is not None
    np.testing.assert_allclose(
        seen[0].world_to_camera[0], ELSEWHERE.apply_to_extrinsics(truth.extrinsics[3]), atol=1e-4
    )
    np.testing.assert_allclose(seen[0].intrinsics, everything.intrinsics[3:], atol=1e-4)

    none_left = evaluated(tmp_path / "all", predict(truth, gaussians=one_splat()), truth, full=True)
    assert none_left.novel_views is None
    assert any("given to the run" in note for note in none_left.notes)
    assert found.novel_views.psnr_fitted is not None
    unfitted = evaluated(tmp_path / "run", prediction, truth, EvalOptions(fit_views=False), full=True).novel_views
    assert unfitted is not None
    assert unfitted.psnr_fitted is None
    off = evaluated(tmp_path / "run", prediction, truth, EvalOptions(novel_views=0), full=True)
    assert off.novel_views is None


def test_sky_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = read_ground_truth(sample(tmp_path / "scene"))

    def render(gaussians: Gaussians, cameras: Cameras, size: tuple[int, int]) -> Rendering:
        color = np.tile(np.array([90, 120, 150], np.float32) / 255 + 0.1, (1, *size, 1)).astype(np.float32)
        color[:, :9] = 0  # as splats have no sky: the 20 rows of it in a photo, less the 2 cut off, are 9 here
        return Rendering(color, None, np.ones((1, *size), np.float32))

    monkeypatch.setattr("recon.splats.rendering.render", render)
    prediction = predict(truth, slice(0, 4), ELSEWHERE, gaussians=one_splat())
    found = evaluated(tmp_path / "run", prediction, truth, full=True)
    assert found.coverage is not None
    assert (found.coverage.kept, found.coverage.sky_kept) == (1, 1)
    assert found.novel_views is not None
    assert found.novel_views.psnr < 15
    assert found.novel_views.psnr_without_sky == pytest.approx(20, abs=0.5)  # JPEG shifts the colour
    assert found.novel_views.ssim_without_sky is not None
    assert found.novel_views.ssim_without_sky > found.novel_views.ssim
    rows = dict(table_rows([found]))
    assert rows["novel views PSNR, SSIM without sky"].startswith(f"{found.novel_views.psnr_without_sky:.2f} dB")


def test_holes_count_as_errors_and_sky_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = read_ground_truth(sample(tmp_path / "scene"))
    alpha = np.ones((1, 28, 40), np.float32)
    alpha[:, :9] = 0  # sky
    alpha[:, 9:14, :20] = 0.2

    def render(gaussians: Gaussians, cameras: Cameras, size: tuple[int, int]) -> Rendering:
        color = np.array([90, 120, 150], np.float32) / 255 * alpha[..., None]
        return Rendering(color.astype(np.float32), None, alpha)

    monkeypatch.setattr("recon.splats.rendering.render", render)
    run = predict(truth, slice(0, 4), ELSEWHERE, gaussians=one_splat())
    scores = evaluated(tmp_path / "run", run, truth, full=True).novel_views
    assert scores is not None
    assert scores.covered == pytest.approx(1 - 5 * 20 / (19 * 40))
    assert scores.psnr_covered is not None
    assert scores.psnr_without_sky is not None
    colour = np.array([90, 120, 150]) / 255
    holes = -10 * np.log10((1 - scores.covered) * np.mean((0.8 * colour) ** 2))
    assert scores.psnr_without_sky == pytest.approx(holes, abs=0.1)  # JPEG shifts the colour
    assert scores.psnr_covered > 35
    assert scores.psnr < scores.psnr_without_sky


def test_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = eth3d(tmp_path / "scene")
    write_wall(scene / "combined_mesh.ply")
    truth = read_ground_truth(scene)
    photos = scene / "images" / "dslr_images_undistorted"
    good = write_run(tmp_path / "good", predict(truth), inputs=[photos])
    turned = predict(truth)
    assert turned.extrinsics is not None
    turned.extrinsics[1, :, :3] = random_rotations(numpy_random(0))
    bad = write_run(tmp_path / "bad", replace(turned, depth=turned.depth * np.float32(2), units="relative"))
    options = EvalOptions(threshold=0.2, voxel=0.1, surface="cloud")
    comparison = compare({"mvs": good, "da3-large": bad}, options=options)
    assert list(comparison.evaluations) == ["mvs", "da3-large"]

    print_comparison(comparison)
    lines = capsys.readouterr().out.splitlines()
    assert "ETH3D, 4 views" in lines[0]
    assert lines[1].split() == ["mvs", "da3-large"]
    rows = {name: columns for name, *columns in table_rows(list(comparison.evaluations.values()))}
    assert rows["views compared"] == ["4", "4"]
    assert rows["depth aligned by"] == ["none", "median"]
    assert rows["AUC at 3, 5, 15, 30°"][0] == "1.000  1.000  1.000  1.000"
    assert rows["AUC at 3, 5, 15, 30°"][1] != rows["AUC at 3, 5, 15, 30°"][0]
    assert "novel views" not in rows

    written = write_comparison(tmp_path / "eval.json", comparison)
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["ground_truth"]["layout"] == "ETH3D"
    assert content["results"]["mvs"]["cameras"]["auc"]["3"] == 1
    assert content["results"]["da3-large"]["depth"]["none"]["abs_rel"] == pytest.approx(1, abs=0.02)
    assert content["options"]["surface"] == "cloud"
    # What was shown is what was written.
    assert rows["depth AbsRel"][0] == f"{content['results']['mvs']['depth']['none']['abs_rel']:.4f}"


def test_numbers_that_are_not_finite_are_null(tmp_path: Path, truth: GroundTruth) -> None:
    from recon.eval.novel_views import ViewScores

    comparison = compare({"run": write_run(tmp_path / "run", predict(truth))}, truth.path)
    perfect = replace(
        comparison.evaluations["run"], novel_views=ViewScores(1, float("inf"), 1.0, None, None, 0.0, None)
    )
    path = write_comparison(tmp_path / "eval.json", replace(comparison, evaluations={"run": perfect}))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["results"]["run"]["novel_views"] == {
        "views": 1,
        "psnr": None,
        "ssim": 1.0,
        "psnr_without_sky": None,
        "ssim_without_sky": None,
        "covered": 0.0,
        "psnr_covered": None,
        "psnr_gained": None,
        "psnr_fitted": None,
        "ssim_fitted": None,
    }


def test_one_result_without_what_another_has(tmp_path: Path, truth: GroundTruth) -> None:
    posed, single = predict(truth), replace(predict(truth), extrinsics=None, intrinsics=None)
    runs = {"posed": write_run(tmp_path / "a", posed), "single": write_run(tmp_path / "b", single)}
    comparison = compare(runs, truth.path, EvalOptions(surface="none"))
    rows = {name: columns for name, *columns in table_rows(list(comparison.evaluations.values()))}
    assert rows["rotation AUC at 3, 5, 15, 30°"][1] == "–"
    assert rows["pixels kept"] == ["100.00%", "100.00%"]


def test_files_of_an_earlier_run_are_not_taken_for_those_of_the_last(tmp_path: Path, truth: GroundTruth) -> None:
    splats = Gaussians(
        means=np.zeros((1, 3), np.float32),
        scales=np.ones((1, 3), np.float32),
        rotations=np.array([[1, 0, 0, 0]], np.float32),
        opacities=np.ones(1, np.float32),
        harmonics=np.zeros((1, 3, 1), np.float32),
    )
    earlier = predict(truth)
    folder = write_run(tmp_path / "run", earlier, full=True)
    (folder / "gs_ply").mkdir()
    write_ply(folder / "gs_ply" / "0000.ply", splats)
    add_exports(folder, read_record(folder), folder, {"gs_ply": Exported(())}, {}, [])
    assert read_result(folder).path.parent.name == "npz"
    assert read_result(folder).gaussians is not None
    write_run(folder, replace(earlier, depth=2 * earlier.depth))  # as `recon run` without --export
    last = read_result(folder)
    np.testing.assert_array_equal(last.depth, 2 * earlier.depth)
    assert last.gaussians is None
    (folder / "run.json").unlink()
    assert read_result(folder).gaussians is not None


def test_ground_truth_is_found_where_the_photos_lie(tmp_path: Path) -> None:
    scene = eth3d(tmp_path / "scene")
    prediction = predict(read_ground_truth(scene))
    photos = scene / "images" / "dslr_images_undistorted"
    run = write_run(tmp_path / "run", prediction, inputs=[photos])
    assert truth_of_run(run) == scene
    assert truth_of_run(run / "exports" / "mini_npz" / "results.npz") == scene
    one = write_run(tmp_path / "one", prediction, inputs=[photos / "DSC_0001.JPG"])
    assert truth_of_run(one) == scene
    lost = write_run(tmp_path / "lost", prediction, inputs=[tmp_path / "photos"])
    assert truth_of_run(lost) is None
    with pytest.raises(InputError, match="name the scene with --truth FOLDER"):
        compare({"lost": lost})
    with pytest.raises(InputError, match="no results"):
        compare({})


def test_the_wall_is_what_the_depth_says() -> None:
    """The fixtures themselves: unprojected, the depth lies on the wall."""
    from recon.geometry.unprojection import unproject_depth
    from tests.eval.layout_folders import INTRINSICS, cameras, depth_map

    depth = np.stack([depth_map(camera, INTRINSICS, 80, 60) for camera in cameras()])
    points = unproject_depth(depth, np.tile(INTRINSICS, (4, 1, 1)), cameras())
    np.testing.assert_allclose(points @ NORMAL, OFFSET, atol=1e-4)


def test_a_run_without_an_npz_is_evaluated_by_what_it_keeps(tmp_path: Path) -> None:
    save_photos(tmp_path / "photos", 2)
    options = InferenceOptions(process_res=70)
    out, formats = tmp_path / "out", ("npz", "ply")
    found = []
    for name in formats:
        reconstruct(
            fake_model(),
            tmp_path / "photos",
            options=options,
            export_dir=out / name,
            export_format=name,
            settings={"inputs": [str(tmp_path / "photos")]},
            reuse=True,
        )
        found.append(read_result(out / name))
    of_file, of_store = found
    for name in ("depth", "valid", "conf", "extrinsics", "intrinsics", "original_sizes", "processed_to_original"):
        np.testing.assert_array_equal(getattr(of_store, name), getattr(of_file, name), err_msg=name)
    assert (of_store.units, of_store.image_names) == (of_file.units, of_file.image_names)
    assert of_store.cameras_from == of_file.cameras_from


def test_lenses_are_compared_as_they_are(tmp_path: Path, truth: GroundTruth) -> None:
    """Undistorting photos has made their focal lengths 1 % shorter."""
    prediction = predict(truth)
    assert prediction.intrinsics is not None
    zoomed = prediction.intrinsics.copy()
    zoomed[:, [0, 1], [0, 1]] *= 0.99
    bent = np.tile(np.array([-0.05, 0, 0, 0, 0, 0, 0, 0]), (len(zoomed), 1))
    lenses = Cameras(None, truth.intrinsics, sizes=truth.image_sizes, distortion=bent)
    found = evaluated(tmp_path / "run", replace(prediction, intrinsics=zoomed, lenses=lenses), truth)
    assert found.cameras is not None
    assert found.cameras.focal_error == pytest.approx(0, abs=1e-6)


def test_given_cameras_are_no_achievement(tmp_path: Path, truth: GroundTruth) -> None:
    run = write_run(tmp_path / "run", predict(truth))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "cameras": {"extrinsics": "given"}}))
    assert any("given to the run" in note for note in evaluate(read_result(run), truth).notes)
