"""`transforms.json`: its cameras by the conventions that nerfstudio documents, its images and seed points."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from recon.errors import InputError
from recon.export import export
from recon.messages import ReconWarning
from tests.export.test_colmap import LENS, SIZES, photo_set, prediction_of
from tests.seeds import numpy_random

COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")


def content_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text(encoding="utf-8"))


def project(content: dict[str, Any], frame: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """World points (P, 3) to pixels (P, 2), as the data conventions of nerfstudio say."""
    camera_to_world = np.array(frame["transform_matrix"])
    in_camera = (points - camera_to_world[:3, 3]) @ camera_to_world[:3, :3]  # x right, y up, z backward
    rays = in_camera * (1, -1, -1)
    lens = {**content, **frame}
    k = np.array([[lens["fl_x"], 0, lens["cx"]], [0, lens["fl_y"], lens["cy"]], [0, 0, 1]])
    bends = np.array([lens.get(name, 0.0) for name in COEFFICIENTS])
    return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), k, bends)[0][:, 0]


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("method", ["upper_bound_resize", "lower_bound_crop"])
@pytest.mark.parametrize("lens", [None, "pinhole", "original"])
def test_projections_in_pixels_of_the_images(sizes, method, lens, tmp_path):
    photo_set(tmp_path / "photos", sizes)
    prediction = prediction_of(tmp_path / "photos", sizes, method, None if lens is None else LENS)
    out = tmp_path / "out"
    export(prediction, "nerfstudio", out, {"nerfstudio": {"lens": lens or "pinhole"}})
    content = content_of(out)
    assert ("fl_x" in content) == (len(set(sizes)) == 1)
    height, width = prediction.depth.shape[1:]
    processed = numpy_random(3).uniform((0, 0), (width, height), (50, 2))
    for view, (frame, size) in enumerate(zip(content["frames"], sizes, strict=True)):
        assert Image.open(out / frame["file_path"]).size == size
        lens_of = {**content, **frame}
        assert (lens_of["w"], lens_of["h"]) == size
        rays = np.linalg.solve(prediction.intrinsics[view].astype(np.float64), np.c_[processed, np.ones(50)].T).T
        rotation, translation = np.split(prediction.extrinsics[view].astype(np.float64), [3], axis=1)
        points = (rays * 4 - translation.T) @ rotation
        found = project(content, frame, points)
        if lens == "original":
            k = prediction.lenses.intrinsics[view]
            expected = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), k, LENS)[0][:, 0]
        else:
            affine = prediction.processed_to_original[view]
            expected = processed @ affine[:2, :2].T + affine[:2, 2]
        assert np.abs(found - expected).max() < 0.02
    points = PlyData.read(out / content["ply_file_path"])["vertex"]
    assert np.allclose(points["z"], 4, atol=1e-4)


def test_masked_photos_come_with_masks_all_of_them(tmp_path):
    photo_set(tmp_path / "photos", SIZES["landscape"])
    prediction = prediction_of(tmp_path / "photos", SIZES["landscape"], "upper_bound_resize", LENS)
    height, width = prediction.depth.shape[1:]
    mask = np.ones(prediction.depth.shape, bool)
    mask[0, : height // 2, : width // 2] = False
    prediction = replace(prediction, mask=mask)
    for lens in ("pinhole", "original"):
        folder = tmp_path / lens
        export(prediction, "nerfstudio", folder, {"nerfstudio": {"lens": lens}})
        masks = [np.asarray(Image.open(folder / frame["mask_path"])) for frame in content_of(folder)["frames"]]
        assert [found.shape for found in masks] == [(300, 400)] * 3
        assert masks[1].all()
        # A masked pixel of the view, where the image shows it.
        rays = np.linalg.solve(prediction.intrinsics[0].astype(np.float64), [5.5, 5.5, 1])[None]
        content = content_of(folder)
        for ray, masked in ((rays, True), (rays * (-1, -1, 1), False)):
            rotation, translation = np.split(prediction.extrinsics[0].astype(np.float64), [3], axis=1)
            at = project(content, content["frames"][0], (ray - translation.T) @ rotation)[0].astype(int)
            assert (masks[0][at[1], at[0]] == 0) == masked


def test_a_lens_that_it_has_no_camera_for_is_refused(tmp_path):
    photo_set(tmp_path / "photos", SIZES["portrait"])
    rational = LENS + (0, 0, 0, 0, 0, 0.1, 0, 0)
    prediction = prediction_of(tmp_path / "photos", SIZES["portrait"], "upper_bound_resize", rational)
    with pytest.raises(InputError, match=r"k4, k5 and k6.*lens=original"):
        export(prediction, "nerfstudio", tmp_path / "out", {"nerfstudio": {"lens": "original"}})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("formats", "options", "message"),
    [
        ("colmap-nerfstudio", {"colmap": {"lens": "original"}}, r"colmap and nerfstudio both write images.*original"),
        ("ply-nerfstudio", {"ply": {"seed": 4}}, r"ply and nerfstudio both write points.ply.*seed=4"),
        ("ply-colmap-nerfstudio", {"colmap": {"seed": 4}}, None),
    ],
)
def test_formats_that_share_files_write_the_same(formats, options, message, make_prediction, tmp_path):
    prediction = make_prediction()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconWarning)  # the photos are not at hand
        if message is None:
            export(prediction, formats, tmp_path, options)
        else:
            with pytest.raises(InputError, match=message):
                export(prediction, formats, tmp_path, options)
    assert any(tmp_path.iterdir()) == (message is None)
