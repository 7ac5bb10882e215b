"""Layouts of measured cameras without depth: Strecha's photos, and Tanks and Temples with a scan of a region."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.eval.evaluate import evaluate
from recon.eval.ground_truth import is_ground_truth, read_ground_truth
from recon.eval.results import read_result
from recon.eval.truth import Region
from recon.geometry.cameras import invert_rigid
from recon.geometry.similarity import Similarity
from tests.eval.layout_folders import (
    HEIGHT,
    INTRINSICS,
    WIDTH,
    cameras,
    perfect_prediction,
    write_photo,
    write_run,
    write_wall,
)
from tests.geometry.random_cameras import random_rotations
from tests.seeds import numpy_random

COLMAPS_WORLD = Similarity(0.25, random_rotations(numpy_random(7)), np.array([3.0, -1, 2]))
"""From the scan's world to that of a trajectory of Tanks and Temples."""


def strecha(scene: Path, images: str = "images", gt: str = "gt_dense_cameras") -> Path:
    (scene / gt).mkdir(parents=True, exist_ok=True)
    for number, camera in enumerate(invert_rigid(cameras())):
        write_photo(scene / images / f"{number:04d}.jpg")
        rows = [*INTRINSICS, (0, 0, 0), *camera[:3, :3], camera[:3, 3], (WIDTH, HEIGHT)]
        text = "\n".join(" ".join(f"{x:.12g}" for x in row) for row in rows)
        (scene / gt / f"{number:04d}.jpg.camera").write_text(text + "\n")
    return scene


def tanks_and_temples(scene: Path, threshold_scene: str = "Barn") -> Path:
    lines = []
    for number, matrix in enumerate(invert_rigid(COLMAPS_WORLD.apply_to_extrinsics(cameras()))):
        write_photo(scene / "images" / f"{number + 1:06d}.jpg")
        lines += [f"{number} {number} 0", *(" ".join(f"{x:.12g}" for x in row) for row in matrix)]
    (scene / f"{threshold_scene}_COLMAP_SfM.log").write_text("\n".join(lines) + "\n")
    back = COLMAPS_WORLD.inverse()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = back.scale * back.rotation, back.translation
    np.savetxt(scene / f"{threshold_scene}_trans.txt", matrix)
    write_wall(scene / f"{threshold_scene}.ply")
    region = {
        "axis_min": 0.0,
        "axis_max": 20.0,
        "bounding_polygon": [[-2, -1, 0], [3, -1, 0], [3, 1, 0], [-2, 1, 0]],
        "orthogonal_axis": "Z",
        "class_name": "SelectionPolygonVolume",
    }
    (scene / f"{threshold_scene}.json").write_text(json.dumps(region))
    return scene


@pytest.mark.parametrize(("images", "gt"), [("images", "gt_dense_cameras"), ("", "")])
def test_cameras_of_strecha(tmp_path: Path, images: str, gt: str) -> None:
    scene = strecha(tmp_path / "fountain", images, gt)
    for folder in {scene, scene / images, scene / gt}:
        truth = read_ground_truth(folder)
        assert truth.layout == "Strecha"
        assert all(path.is_file() for path in truth.image_paths)
        assert truth.image_sizes.tolist() == [[WIDTH, HEIGHT]] * 4
        np.testing.assert_allclose(truth.extrinsics, cameras(), atol=1e-9)
        np.testing.assert_allclose(truth.intrinsics, np.tile(INTRINSICS, (4, 1, 1)))
    run = write_run(
        tmp_path / "run", perfect_prediction(truth.image_names, truth.extrinsics, truth.intrinsics, (WIDTH, HEIGHT))
    )
    found = evaluate(read_result(run), truth)
    assert found.cameras is not None
    assert found.cameras.exact_auc is not None
    assert list(found.cameras.exact_auc) == [0.3, 1.0, 3.0]
    assert min(found.cameras.exact_auc.values()) > 0.999
    assert found.surface is None


@pytest.mark.parametrize("text", ["1 2 3", "", "a b", " ".join(["2"] * 26)])
def test_what_is_no_camera_of_strechas_is_named(tmp_path: Path, text: str) -> None:
    scene = strecha(tmp_path / "fountain")
    (scene / "gt_dense_cameras" / "0002.jpg.camera").write_text(text)
    with pytest.raises(InputError, match=r"0002\.jpg\.camera: not a camera"):
        read_ground_truth(scene)


def test_tanks_and_temples_counts_the_region_alone_after_closest_points(tmp_path: Path) -> None:
    scene = tanks_and_temples(tmp_path / "Barn")
    assert is_ground_truth(scene)
    truth = read_ground_truth(scene)
    assert (truth.layout, truth.units) == ("Tanks and Temples", "m")
    np.testing.assert_allclose(truth.extrinsics, cameras(), atol=1e-9)
    assert np.isnan(truth.intrinsics).all()
    defaults = truth.surface_defaults
    assert defaults is not None
    assert (defaults.threshold, defaults.voxel) == (0.01, 0.005)

    intrinsics = np.tile(INTRINSICS, (4, 1, 1))
    prediction = perfect_prediction(truth.image_names, truth.extrinsics, intrinsics, (WIDTH, HEIGHT), COLMAPS_WORLD)
    # Depth that is 2 % short: cameras alone leave the wall 12 cm off, closest points bring it back.
    short = replace(prediction, depth=prediction.depth * np.float32(0.98))
    coarse = replace(truth, surface_defaults=replace(defaults, threshold=0.06, voxel=0.05, refined_by=(1.0, 0.2)))
    only_cameras = replace(coarse, surface_defaults=replace(coarse.surface_defaults, refined_by=()))  # type: ignore[type-var]
    from recon.eval.eval_options import EvalOptions

    cloud = EvalOptions(surface="cloud")
    run = read_result(write_run(tmp_path / "run", short))
    refined, plain = (evaluate(run, one, cloud).surface for one in (coarse, only_cameras))
    assert refined is not None
    assert refined.precision is not None
    assert refined.precision > 0.95
    assert plain is not None
    assert plain.precision is not None
    assert plain.precision < 0.3
    area_in_region = 5 * 2 * np.linalg.norm([0.2, -0.1, 1.0])
    assert refined.true_points == pytest.approx(area_in_region / 0.05**2, rel=0.6)
    cameras_found = evaluate(run, truth, EvalOptions(surface="none")).cameras
    assert cameras_found is not None
    assert cameras_found.focal_error is None  # nothing tells it
    assert cameras_found.rotation_median == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Barn_trans.txt", "1 0 0", "expected 4×4 numbers"),
        ("Barn_trans.txt", "1 0 0 0 0 2 0 0 0 0 3 0 0 0 0 1", "expected a rotation with a scale"),
        ("Barn_COLMAP_SfM.log", "0 0 0 1", "not a trajectory"),
        ("Barn.json", '{"axis_min": 0}', "not a region"),
    ],
)
def test_damaged_files_of_tanks_and_temples_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    scene = tanks_and_temples(tmp_path / "Barn")
    (scene / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_ground_truth(scene)


def test_a_region_is_a_prism_of_any_polygon() -> None:
    notched = Region(1, -1.0, 1.0, np.array([(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)], float))
    points = np.array([(1, 0, 1), (2, 0, 0.5), (2, 0, 2), (3.5, 0, 3), (1, 2, 1), (5, 0, 1), (-1, 0, 1)], float)
    assert notched.holds(points).tolist() == [True, True, False, True, False, False, False]
