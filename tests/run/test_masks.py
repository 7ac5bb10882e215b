"""What masks leave out is in no depth, point, splat or file of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.stereo import StereoEstimator
from recon.export import read_npz
from recon.geometry.unprojection import project_points
from recon.messages import ReconWarning
from recon.run.mono import run_mono
from recon.run.mono_settings import MonoSettings
from recon.run.pipeline import reconstruct
from recon.splats.ply import read_ply
from recon.stereo.multi_view import StereoOptions, multi_view_depth
from recon.types import Prediction
from tests.fake_network import HEIGHT, WIDTH, fake_model, save_photos
from tests.stereo.planes import Views, card, row, see, sparse_points


def masks_for(folder: Path, names: list[str], size: tuple[int, int] = (2 * HEIGHT, 2 * WIDTH)) -> np.ndarray:
    """A mask for each of the photos, black in a rectangle that differs from one to the next; (N, H, W) of originals."""
    folder.mkdir()
    masks = np.ones((len(names), *size), bool)
    for index, name in enumerate(names):
        masks[index, 11 : size[0] // 2 + 4 * index, 21 + 6 * index : size[1] // 2 + 6 * index] = False
        Image.fromarray(masks[index].astype(np.uint8) * 255).save(folder / f"{name}.png")
    return masks


class TestNetwork:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
        save_photos(tmp_path / "photos", 3)
        names = sorted(path.name for path in (tmp_path / "photos").iterdir())
        return tmp_path / "photos", tmp_path / "masks", masks_for(tmp_path / "masks", names)

    def test_nothing_is_left_of_them(self, folders: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
        photos, masks, wanted = folders
        options = InferenceOptions(process_res=WIDTH, masks=masks, conf_drop_percent=0, infer_gs=True)
        result = reconstruct(
            fake_model("da3-giant"),
            photos,
            options=options,
            export_dir=tmp_path / "out",
            export_format="npz-mini_npz-ply-gs_ply",
            export_kwargs={"gs_ply": {"prune_border": False, "prune_by_depth_percent": 1.0}},
        )
        expected = wanted.reshape(3, HEIGHT, 2, WIDTH, 2).all(axis=(2, 4))
        prediction = result.prediction
        np.testing.assert_array_equal(prediction.mask, expected)
        np.testing.assert_array_equal(prediction.depth > 0, expected)
        np.testing.assert_array_equal(prediction.valid, expected)
        assert prediction.gaussians is not None
        np.testing.assert_array_equal(prediction.gaussians.opacities.reshape(expected.shape) > 0, expected)
        np.testing.assert_array_equal(read_npz(tmp_path / "out/exports/npz/results.npz").mask, expected)
        with np.load(tmp_path / "out/exports/mini_npz/results.npz") as mini:
            np.testing.assert_array_equal(mini["depth"] > 0, expected)
        assert 0.9 < result.exported["ply"].details["points"] / expected.sum() <= 1
        assert 0.9 < len(read_ply(tmp_path / "out/gs_ply/0000.ply")) / expected.sum() <= 1
        record = json.loads((tmp_path / "out/run.json").read_text())
        assert record["settings"]["masks"] == str(masks)
        assert record["quality"]["masked"] == pytest.approx(1 - expected.mean())
        assert record["images"][1]["masked"] == pytest.approx(1 - expected[1].mean())

    def test_splats_from_depth(self, folders: tuple[Path, Path, np.ndarray]) -> None:
        photos, masks, _ = folders
        options = InferenceOptions(process_res=WIDTH, masks=masks, gaussians="depth", conf_thresh_percentile=0)
        prediction = reconstruct(fake_model(), photos, options=options).prediction
        assert prediction.gaussians is not None
        assert prediction.mask is not None
        assert len(prediction.gaussians) > 100
        assert _in_masked_pixels(prediction.gaussians.means, prediction) == 0

    def test_a_photo_without_anything_left_is_left_out(self, folders: tuple[Path, Path, np.ndarray]) -> None:
        photos, masks, _ = folders
        black = sorted(masks.iterdir())[1]
        Image.new("L", (2 * WIDTH, 2 * HEIGHT)).save(black)
        with pytest.warns(ReconWarning, match=f"left out: the mask '.*{black.name}' leaves nothing of"):
            result = reconstruct(fake_model(), photos, options=InferenceOptions(process_res=WIDTH, masks=masks))
        assert len(result.prediction.depth) == 2
        for path in masks.iterdir():
            Image.new("L", (2 * WIDTH, 2 * HEIGHT)).save(path)
        with pytest.raises(InputError, match=r"none of the 3 images can be used; the first: the mask '.*give invert"):
            reconstruct(fake_model(), photos, options=InferenceOptions(process_res=WIDTH, masks=masks))

    def test_results_do_not_go_among_the_masks(self, folders: tuple[Path, Path, np.ndarray]) -> None:
        photos, masks, _ = folders
        with pytest.raises(InputError, match="cannot go into the folder"):
            reconstruct(fake_model(), photos, options=InferenceOptions(masks=masks), export_dir=masks)

    def test_single_photos(self, folders: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
        photos, masks, wanted = folders
        settings = MonoSettings(
            inputs=(photos,), masks=masks, process_res=WIDTH, depth_files="npy", export="npz", focal=90.0
        )
        model = fake_model("da3mono-large", with_cameras=False)
        result = run_mono(settings, tmp_path / "out", estimator=model)
        for photo, mask in zip(result.photos, wanted, strict=True):
            depth = np.load(photo.folder / "depth.npy")
            assert not depth[~mask].any()
            assert (depth[mask] > 0).mean() > 0.95
            assert read_npz(photo.folder / "exports/npz/results.npz").mask is not None


def _in_masked_pixels(points: np.ndarray, prediction: Prediction) -> int:
    """How many of (P, 3) points every view that has them in its picture shows at a masked pixel alone."""
    assert prediction.mask is not None
    assert prediction.intrinsics is not None
    assert prediction.extrinsics is not None
    count, height, width = prediction.mask.shape
    shown = np.zeros(len(points), bool)
    for view in range(count):
        camera = np.eye(4)
        camera[:3] = prediction.extrinsics[view]
        pixels, depth = project_points(points[None], prediction.intrinsics[[view]], camera[None])
        columns, rows = np.floor(pixels[0]).astype(int).T
        within = (depth[0] > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        shown[within] |= prediction.mask[view, rows[within], columns[within]]
    return int((~shown).sum())


@pytest.fixture(scope="module")
def wall() -> Views:
    return see([card(0, (0, 0, 5.0), 12.0)], row(4))


def right(found: np.ndarray, views: Views) -> np.ndarray:
    return np.abs(found / views.depth - 1) < 0.01


class TestStereo:
    def test_what_is_masked_is_not_matched_and_has_no_depth(self, wall: Views, tmp_path: Path) -> None:
        """A logo stays at one place of the photos of a wall. Sides of 126 and 98 pixels are not those of the photos."""
        images, masks = wall.images.copy(), np.ones(wall.images.shape[:3], bool)
        images[:, 30:60, 40:80], masks[:, 30:60, 40:80] = wall.images[0, :30, :40], False
        for folder in ("photos", "masks"):
            (tmp_path / folder).mkdir()
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            Image.fromarray(image).save(tmp_path / "photos" / f"{index}.png")
            Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"{index}.png")
        result = reconstruct(
            StereoEstimator(StereoOptions(device="cpu")),
            tmp_path / "photos",
            wall.cameras.world_to_camera,
            wall.cameras.intrinsics,
            options=InferenceOptions(process_res=128, masks=tmp_path / "masks"),
            export_dir=tmp_path / "out",
            export_format="ply",
        )
        prediction = result.prediction
        assert prediction.mask is not None
        assert prediction.mask.shape[1:] == (98, 126)
        assert not prediction.depth[~prediction.mask].any()
        assert prediction.valid.mean() > 0.5
        assert result.exported["ply"].details["points"] == prediction.pixels_with_depth(cleaned=True).sum()

    def test_the_surface_beside_a_mask_is_found_as_without(self, wall: Views) -> None:
        """Something white passes before the wall: masked, it neither gets depth nor spoils what is around it."""
        images, masks = wall.images.copy(), np.ones(wall.images.shape[:3], bool)
        for view in range(4):
            here = slice(30, 60), slice(30 + 9 * view, 60 + 9 * view)
            images[view][here], masks[view][here] = 255, False
        options, points = StereoOptions(device="cpu"), sparse_points(wall)
        found = multi_view_depth(images, wall.cameras, points, options, masks=masks)
        assert not found.depth[~masks].any()
        assert (found.conf[~masks] == 1).all()
        unmasked = multi_view_depth(images, wall.cameras, points, options)
        assert right(found.depth, wall)[masks & (found.depth > 0)].mean() > 0.96
        assert right(found.depth, wall)[masks].mean() > right(unmasked.depth, wall)[masks].mean()
