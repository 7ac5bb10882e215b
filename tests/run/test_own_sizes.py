"""Photos of several shapes, each at its own: nothing is lost, and what is around them is nowhere in the result."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import recon.api
from recon.choices import InferenceOptions
from recon.errors import InputError, MissingExtraError
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Abilities, Fit, Needs, Profile
from recon.estimate.stereo import StereoEstimator
from recon.export import EXPORTERS, export, read_npz
from recon.export.photo_depth import depth_on_photo
from recon.geometry.unprojection import unproject_depth
from recon.messages import ReconWarning
from recon.refine.optimise_splats import optimise_splats
from recon.run.pipeline import Reconstruction, reconstruct
from recon.sources.fitting import AROUND, Views, preprocess
from recon.sources.photo import Photo
from recon.stereo.multi_view import StereoOptions
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.fake_network import FakeNetwork, fake_model
from tests.stereo.planes import INTRINSICS, card, row, see

SHAPES = [(98, 126), (126, 98), (98, 126), (56, 126), (126, 98)]
"""Height and width; none is resized at a process_res of 126."""
FORMATS = [name for name, exporter in EXPORTERS.items() if name != "gs_video" and not exporter.needs.features]
WALL = [card(0, (0, 0, 5.0), 12.0)]


def photos() -> list[np.ndarray]:
    return [see(WALL, row()[[view]], shape).images[0] for view, shape in enumerate(SHAPES)]


def intrinsics() -> np.ndarray:
    return np.tile(INTRINSICS, (len(SHAPES), 1, 1))


def own(values: np.ndarray, prediction: Prediction, view: int) -> np.ndarray:
    return values[view, *prediction.photo_area(view)]


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reconstruction, Path]:
    folder = tmp_path_factory.mktemp("own")
    result = reconstruct(
        StereoEstimator(StereoOptions(device="cpu")),
        photos(),
        row(),
        intrinsics(),
        options=InferenceOptions(process_res=126, gs_iterations=0),
        export_dir=folder,
        export_format="npz-mini_npz-glb-ply-gs_ply-depth_vis",
    )
    return result, folder


class TestViews:
    def test_photos_stand_in_the_middle_and_the_way_back_is_theirs(self) -> None:
        given = [Photo(str(i), pixels) for i, pixels in enumerate(photos())]
        views = preprocess(given, 126, mixed_sizes="own")
        assert views.pixels.shape == (5, 126, 126, 3)
        assert views.photo_boxes is not None
        assert views.masks is not None
        for view, (height, width) in enumerate(SHAPES):
            left, top, w, h = views.photo_boxes[view].tolist()
            assert (w, h, left, top) == (width, height, (126 - width) // 2, (126 - height) // 2)
            np.testing.assert_array_equal(views.pixels[view, top : top + h, left : left + w], given[view].pixels)
            assert views.masks[view].sum() == width * height
            assert (views.pixels[view][~views.masks[view]] == AROUND).all()
            corners = views.processed_to_original[view] @ np.array([[left, top, 1], [left + w, top + h, 1]]).T
            np.testing.assert_allclose(corners[:2].T, [[0, 0], [width, height]])

    def test_a_mask_stays_one_and_windows_keep_their_boxes(self) -> None:
        mask = np.ones((98, 126), bool)
        mask[:20] = False
        given = [Photo("a", photos()[0], mask=mask), Photo("b", photos()[1])]
        views = preprocess(given, 126, mixed_sizes="own")
        assert views.masks is not None
        np.testing.assert_array_equal(views.masks[0, 14:-14], mask)
        window = views.window(slice(1, 2))
        np.testing.assert_array_equal(window.photo_boxes, [[14, 0, 98, 126]])  # type: ignore[arg-type]

    def test_photos_of_one_size_are_as_without(self) -> None:
        views = preprocess([Photo("a", photos()[0]), Photo("b", photos()[2])], 126, mixed_sizes="own")
        assert views.photo_boxes is None
        assert views.masks is None
        assert views.pixels.shape == (2, 98, 126, 3)

    def test_views_without_bound_are_refused(self) -> None:
        strips = [
            Photo(name, np.zeros(shape, np.uint8)) for name, shape in (("a", (20, 4000, 3)), ("b", (4000, 20, 3)))
        ]
        with pytest.raises(InputError, match="such different shapes"):
            preprocess(strips, 56, "lower_bound_resize", "own")


class TestStereo:
    def test_cameras_are_exact_and_depth_is_right(self, stereo: tuple[Reconstruction, Path]) -> None:
        prediction = stereo[0].prediction
        cameras = prediction.original_cameras
        np.testing.assert_allclose(cameras.world_to_camera, row(), atol=1e-5)  # type: ignore[arg-type]
        np.testing.assert_allclose(cameras.intrinsics, intrinsics(), atol=1e-4)  # type: ignore[arg-type]
        assert prediction.mask is not None
        assert not prediction.valid[~prediction.photo_pixels].any()
        for view, shape in enumerate(SHAPES):
            found, true = own(prediction.depth, prediction, view), see(WALL, row()[[view]], shape).depth[0]
            assert found.shape == shape
            assert (found > 0).mean() > 0.5
            assert (np.abs(found[found > 0] / true[found > 0] - 1) < 0.01).mean() > 0.95

    def test_every_file_opens_and_shows_the_photos_alone(self, stereo: tuple[Reconstruction, Path]) -> None:
        result, folder = stereo
        again = read_npz(folder / "exports/npz/results.npz")
        np.testing.assert_array_equal(again.photo_boxes, result.prediction.photo_boxes)  # type: ignore[arg-type]
        assert (folder / "scene.glb").stat().st_size > 1000
        record = json.loads((folder / "run.json").read_text())
        for view, (height, width) in enumerate(SHAPES):
            with Image.open(folder / f"depth_vis/{view:04d}.jpg") as picture:
                assert picture.size == (2 * width, height)
            with Image.open(folder / f"depth_vis/{view:04d}.png") as picture:
                assert picture.size == (width, height)
            assert record["images"][view]["photo_box"][2:] == [width, height]
            assert record["images"][view]["masked"] == 0
            depth = own(result.prediction.depth, result.prediction, view)
            assert record["images"][view]["valid"] == pytest.approx((depth > 0).mean())
            np.testing.assert_allclose(depth_on_photo(result.prediction, view), depth, rtol=1e-5)

    def test_views_are_told_apart_from_what_is_around_them(self) -> None:
        """All of one size, and the same in the middle of larger views: the same depth, but for a pixel or two."""
        cameras = Cameras(row(), intrinsics())
        views = see(WALL, row(), (98, 126))
        alone = preprocess([Photo(str(i), image) for i, image in enumerate(views.images)], 126).with_cameras(cameras)
        shift = np.array([[1.0, 0, -14], [0, 1, -28], [0, 0, 1]])
        pixels = np.full((5, 154, 154, 3), AROUND, np.uint8)
        pixels[:, 28:126, 14:140] = views.images
        shown = np.zeros(pixels.shape[:3], bool)
        shown[:, 28:126, 14:140] = True
        within = Views(
            pixels, alone.original_sizes, alone.processed_to_original @ shift, alone.names, shown,
            photo_boxes=np.tile([14, 28, 126, 98], (5, 1)),
        ).with_cameras(cameras)  # fmt: skip
        estimator = StereoEstimator(StereoOptions(device="cpu", depth_range=(3.0, 8.0)))
        points = see_points()
        first = estimate_views(estimator, replace(alone, points=points))
        second = estimate_views(estimator, replace(within, points=points))
        assert first.valid.mean() > 0.5
        same = np.isclose(second.depth[:, 28:126, 14:140], first.depth, rtol=1e-5)
        assert same.mean() > 0.9995
        assert np.isclose(second.conf[:, 28:126, 14:140], first.conf, rtol=1e-4).mean() > 0.9995  # type: ignore[index]
        assert not second.depth[~shown].any()
        both = same & first.valid
        points = [unproject_depth(p.depth, p.intrinsics, p.extrinsics) for p in (first, second)]  # type: ignore[arg-type]
        np.testing.assert_allclose(points[0][both], points[1][:, 28:126, 14:140][both], atol=1e-4)

    def test_splats_are_optimised_within_the_photos(self, stereo: tuple[Reconstruction, Path]) -> None:
        found = optimise_splats(stereo[0].prediction, InferenceOptions(gs_iterations=8, gs_holdout=0))
        assert found.after is not None
        assert found.before is not None
        assert found.after.psnr > found.before.psnr

    @pytest.mark.parametrize("name", FORMATS)
    def test_every_format_can_be_written(self, name: str, stereo: tuple[Reconstruction, Path], tmp_path: Path) -> None:
        prediction = stereo[0].prediction
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconWarning)  # of photos that were given as arrays
            try:
                written = export(prediction, name, tmp_path)
            except MissingExtraError as error:
                pytest.skip(str(error))
        assert all(path.stat().st_size for path in written[name].files)


def see_points():  # type: ignore[no-untyped-def]
    from tests.stereo.planes import sparse_points

    return sparse_points(see(WALL, row(), (98, 126)))


class TestNetworks:
    def test_any_view_networks_see_all_in_views_of_one_size(self) -> None:
        model = fake_model()
        result = reconstruct(model, photos(), row(), intrinsics(), options=InferenceOptions(process_res=126))
        prediction = result.prediction
        assert isinstance(model.network, FakeNetwork)
        assert model.network.calls[0]["images"].shape[-2:] == (126, 126)
        around = ~prediction.photo_pixels
        # What is around the photos is zero to the network, up to the rounding of a grey level.
        seen = model.network.calls[0]["images"][0].numpy().transpose(0, 2, 3, 1)
        assert np.abs(seen[around]).max() < 0.01
        assert not prediction.depth[around].any()
        assert (prediction.depth[~around] > 0).all()
        np.testing.assert_allclose(prediction.original_cameras.intrinsics, intrinsics(), atol=1e-4)  # type: ignore[arg-type]
        given = model.network.calls[0]["intrinsics"][0].numpy()
        np.testing.assert_allclose(given[:, :2, 2] - prediction.photo_boxes[:, :2], [[64, 48]] * 5, atol=1e-4)  # type: ignore[index]

    def test_networks_that_see_each_alone_see_each_at_its_own_size(self) -> None:
        estimator: Any = _Alone()
        given = photos()
        views = preprocess([Photo(str(i), pixels) for i, pixels in enumerate(given)], 126, mixed_sizes="own")
        prediction = estimate_views(estimator, views.with_cameras(Cameras(intrinsics=intrinsics())))
        assert sorted(estimator.sizes) == [(1, 56, 126), (2, 98, 126), (2, 126, 98)]
        for view, pixels in enumerate(given):
            np.testing.assert_array_equal(own(prediction.depth, prediction, view), pixels[..., 0] + np.float32(1))
        assert not prediction.depth[~prediction.photo_pixels].any()
        assert prediction.features[3].shape == (5, 9, 9, 2)
        np.testing.assert_array_equal(prediction.features[3][3, 2:6, :], 3)
        np.testing.assert_array_equal(prediction.features[3][3, 6:, :], 0)
        assert prediction.intrinsics is not None
        np.testing.assert_allclose(prediction.intrinsics[1, :2, 2], [64 + 14, 48])

    def test_the_documented_call_crops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        monkeypatch.setattr(recon.api, "reconstruct", lambda *given, options, **more: asked.append(options) or _Nothing)
        with pytest.warns(ReconWarning, match="random weights"):
            model = recon.api.DepthAnything3("da3-small", weights=None)
        model.inference(photos())
        assert asked[0].mixed_sizes == "crop"
        assert InferenceOptions().mixed_sizes == "own"


class _Nothing:
    prediction = None


class _Alone:
    """Sees each view alone: depth is its red channel and one, features are the number 3."""

    warnings = ()

    def __init__(self) -> None:
        self.profile = Profile(
            "alone", "network", Abilities(features=4), Needs(), Fit(), frozenset(), "nothing can fail"
        )
        self.sizes: list[tuple[int, ...]] = []

    def estimate(self, views: Views, wishes: object = None, progress: object = None) -> Prediction:
        count, height, width, _ = views.pixels.shape
        self.sizes.append((count, height, width))
        return Prediction(
            depth=views.pixels[..., 0] + np.float32(1),
            processed_images=views.pixels,
            intrinsics=None if views.cameras.intrinsics is None else views.cameras.intrinsics.astype(np.float32),
            image_names=views.names,
            features={3: np.full((count, height // 14, width // 14, 2), 3, np.float32)},
        )
