"""COLMAP models: what pycolmap reads of them, and where their cameras and tracks lie in the photos."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from PIL import Image

from recon.errors import InputError
from recon.export import export, read_npz
from recon.export.colmap import colmap_camera
from recon.geometry.sparse_points import SparsePoints
from recon.geometry.unprojection import pixel_centres, project_points
from recon.messages import ReconWarning
from recon.run.scene_points import with_sparse_points
from recon.sources.colmap_log import quiet_colmap
from recon.sources.fitting import fit_photo
from recon.sources.open_source import open_source
from recon.sources.originals import SourceOriginals
from recon.sources.views import read_views
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.export.conftest import world_to_camera
from tests.export.true_scene import true_prediction
from tests.seeds import numpy_random

VIEWS = [0, 1, 2, 3]
LENS = np.array([-0.12, 0.03, 0.001, -0.002, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def courtyard() -> Prediction:
    return true_prediction(VIEWS, 126)


@pytest.fixture(scope="module")
def written(courtyard, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("colmap")
    export(courtyard, "colmap", folder, {"colmap": {"text": True}})
    return folder


def model_of(folder: Path) -> pycolmap.Reconstruction:
    return pycolmap.Reconstruction(folder / "sparse" / "0")


def by_name(model: pycolmap.Reconstruction) -> dict[str, pycolmap.Image]:
    return {image.name: image for image in model.images.values()}


def observations(model: pycolmap.Reconstruction, image: pycolmap.Image) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (K, 2), and the positions (K, 3) of the points that are seen there."""
    seen = image.get_observation_points2D()
    points = [model.points3D[point.point3D_id].xyz for point in seen]
    return np.array([point.xy for point in seen]), np.array(points)


class TestModel:
    def test_cameras_are_those_of_the_photos(self, courtyard, written):
        model = model_of(written)
        images = by_name(model)
        assert set(images) == set(courtyard.image_names)
        assert len(model.cameras) == len(model.rigs) == 1  # one lens took all
        for view, name in enumerate(courtyard.image_names):
            image = images[name]
            np.testing.assert_allclose(image.cam_from_world().matrix(), courtyard.extrinsics[view], atol=1e-6)
            camera = model.cameras[image.camera_id]
            assert (camera.model_name, camera.width, camera.height) == ("PINHOLE", 672, 504)
            np.testing.assert_allclose(camera.calibration_matrix(), courtyard.lenses.intrinsics[view], rtol=1e-9)

    def test_each_point_is_seen_at_its_pixel_by_views_that_agree(self, courtyard, written):
        model = model_of(written)
        assert model.num_points3D() > 1000
        lengths = np.array([point.track.length() for point in model.points3D.values()])
        assert lengths.min() >= 2
        assert lengths.mean() > 2.5
        per_pixel = courtyard.processed_to_original[0, [0, 1], [0, 1]]
        for view, name in enumerate(courtyard.image_names):
            pixels, points = observations(model, by_name(model)[name])
            projected, depth = project_points(
                points[None], courtyard.lenses.intrinsics[[view]], courtyard.extrinsics[[view]]
            )
            assert np.median(np.linalg.norm(projected[0] - pixels, axis=1)) < 0.5
            at = (pixels / per_pixel).astype(int)
            there = courtyard.depth[view][at[:, 1], at[:, 0]]
            assert np.mean(np.abs(there - depth[0]) < 0.02 * depth[0]) > 0.97
        errors = [point.error for point in model.points3D.values()]
        said = np.mean(errors)
        model.update_point_3d_errors()
        assert said == pytest.approx(np.mean([point.error for point in model.points3D.values()]), rel=1e-4)

    def test_no_track_is_in_the_sky_or_where_a_mask_excludes(self, courtyard, tmp_path):
        mask = np.ones(courtyard.depth.shape, bool)
        mask[:, :, :50] = False
        export(replace(courtyard, mask=mask), "colmap", tmp_path)
        model = model_of(tmp_path)
        per_pixel = courtyard.processed_to_original[0, [0, 1], [0, 1]]
        for view, name in enumerate(courtyard.image_names):
            pixels, _ = observations(model, by_name(model)[name])
            assert (pixels[:, 0] >= 50 * per_pixel[0]).all()
            at = (pixels / per_pixel).astype(int)
            assert not courtyard.sky[view][at[:, 1], at[:, 0]].any()
            written_mask = np.asarray(Image.open(tmp_path / "masks" / f"{name}.png"))
            assert written_mask.shape == (504, 672)
            assert (written_mask[:, : int(50 * per_pixel[0])] == 0).all()
            assert (written_mask[:, int(50 * per_pixel[0]) + 1 :] == 255).all()

    def test_bundle_adjustment_runs_and_lowers_the_error(self, written):
        model = model_of(written)
        model.update_point_3d_errors()
        before = model.compute_mean_reprojection_error()
        with quiet_colmap():
            pycolmap.bundle_adjustment(model, pycolmap.BundleAdjustmentOptions(print_summary=False))
        model.update_point_3d_errors()
        assert model.compute_mean_reprojection_error() < 0.8 * before

    def test_at_most_so_many_points(self, courtyard, tmp_path):
        exported = export(courtyard, "colmap", tmp_path, {"colmap": {"num_max_points": 100}})["colmap"]
        assert model_of(tmp_path).num_points3D() == exported.details["points"] == 100

    def test_files_are_those_that_pycolmap_writes(self, written, tmp_path):
        with quiet_colmap():
            model_of(written).write_binary(tmp_path)
        for name in ("cameras", "rigs", "frames", "images"):
            assert (written / "sparse/0" / f"{name}.bin").read_bytes() == (tmp_path / f"{name}.bin").read_bytes()
        assert (written / "sparse/0/points3D.bin").stat().st_size == (tmp_path / "points3D.bin").stat().st_size

    def test_text_says_the_same(self, written, tmp_path):
        for name in ("cameras", "images", "points3D", "rigs", "frames"):
            (tmp_path / f"{name}.txt").write_bytes((written / "sparse/0" / f"{name}.txt").read_bytes())
        with quiet_colmap():
            text, binary = pycolmap.Reconstruction(tmp_path), model_of(written)
            text.write_binary(tmp_path)
            binary.write_binary(tmp_path / "..")
        assert (tmp_path / "images.bin").read_bytes() == (tmp_path / "../images.bin").read_bytes()
        assert (tmp_path / "points3D.bin").read_bytes() == (tmp_path / "../points3D.bin").read_bytes()

    def test_the_same_prediction_gives_the_same_bytes(self, courtyard, written, tmp_path):
        exported = export(courtyard, "colmap", tmp_path, {"colmap": {"text": True}})["colmap"]
        for path in exported.files:
            assert path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes()


def photo_set(folder: Path, sizes: list[tuple[int, int]]) -> None:
    folder.mkdir()
    for index, (width, height) in enumerate(sizes):
        coarse = numpy_random(index).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index}.jpg")


def prediction_of(
    folder: Path, sizes: list[tuple[int, int]], method: str, distortion: np.ndarray | None = None
) -> Prediction:
    """Of photos of these sizes, by cameras of a lens with an off-centre principal point; a wall at z = 4."""
    count = len(sizes)
    extrinsics = np.tile(np.eye(4), (count, 1, 1))
    extrinsics[:, :3] = world_to_camera(count)
    intrinsics = np.array([[[0.9 * w, 0, 0.52 * w], [0, 0.91 * w, 0.47 * h], [0, 0, 1]] for w, h in sizes])
    cameras = Cameras(
        extrinsics,
        intrinsics,
        np.array(sizes, np.int64),
        None if distortion is None else np.tile(distortion, (count, 1)),
    )
    source = open_source(folder)
    from recon.sources.calibrated import CalibratedSource

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconWarning)  # of mixed sizes
        views = read_views(
            CalibratedSource(source, tuple(range(count)), cameras), lambda photo: fit_photo(photo, 84, method)
        ).views
    _, height, width, _ = views.pixels.shape
    turns = extrinsics[:, :3, :3].swapaxes(1, 2)
    centres = -(turns @ extrinsics[:, :3, 3:])  # (N, 3, 1)
    pixels = np.concatenate([pixel_centres(height, width), np.ones((height, width, 1))], axis=-1).reshape(-1, 3).T
    along_z = (turns @ np.linalg.inv(views.cameras.intrinsics) @ pixels)[:, 2]  # (N, H*W)
    return Prediction(
        depth=((4 - centres[:, 2]) / along_z).reshape(count, height, width).astype(np.float32),
        processed_images=views.pixels,
        extrinsics=extrinsics[:, :3].astype(np.float32),
        intrinsics=views.cameras.intrinsics.astype(np.float32),
        image_names=views.names,
        original_sizes=views.original_sizes,
        processed_to_original=views.processed_to_original,
        lenses=replace(views.original_cameras, world_to_camera=None),
        originals=SourceOriginals.by_name(source, views.names),
    )


SIZES = {
    "landscape": [(400, 300)] * 3,
    "portrait": [(300, 400)] * 3,
    "mixed sizes": [(400, 300), (300, 400), (640, 400)],
}


class TestOriginalPixels:
    @pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
    @pytest.mark.parametrize(
        "method", ["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]
    )
    @pytest.mark.parametrize("lens", [None, "pinhole", "original"])
    def test_projections(self, sizes, method, lens, tmp_path):
        photo_set(tmp_path / "photos", sizes)
        distortion = None if lens is None else LENS
        prediction = prediction_of(tmp_path / "photos", sizes, method, distortion)
        out = tmp_path / "out"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconWarning)
            export(prediction, "colmap", out, {"colmap": {"lens": lens or "pinhole"}})
        model = model_of(out)
        random = numpy_random(3)
        height, width = prediction.depth.shape[1:]
        for view, size in enumerate(sizes):
            image = by_name(model)[f"{view}.jpg"]
            camera = model.cameras[image.camera_id]
            assert (camera.width, camera.height) == size == Image.open(out / "images" / image.name).size
            processed = random.uniform((0, 0), (width, height), (50, 2))
            rays = np.linalg.solve(
                prediction.intrinsics[view].astype(np.float64), np.c_[processed, np.ones(50)].T
            ).T  # (50, 3), z = 1
            depths = random.uniform(1, 9, (50, 1))
            found = np.array([camera.img_from_cam(point) for point in rays * depths])
            if lens == "original":
                k, d = prediction.lenses.intrinsics[view], LENS
                expected = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), k, d)[0][:, 0]
            else:
                affine = prediction.processed_to_original[view]
                expected = processed @ affine[:2, :2].T + affine[:2, 2]
            assert np.abs(found - expected).max() < 0.02
            pose = image.cam_from_world().matrix()
            np.testing.assert_allclose(pose, prediction.extrinsics[view], atol=1e-6)
            pixels, points = observations(model, image)
            projected = np.array([camera.img_from_cam(pose[:, :3] @ point + pose[:, 3]) for point in points])
            assert len(pixels)
            assert np.linalg.norm(projected - pixels, axis=1).max() < 0.1

    def test_photos_are_undistorted_as_the_cameras_say(self, tmp_path):
        photo_set(tmp_path / "photos", SIZES["landscape"])
        prediction = prediction_of(tmp_path / "photos", SIZES["landscape"], "upper_bound_resize", LENS)
        export(prediction, "colmap", tmp_path / "out")
        camera = next(iter(model_of(tmp_path / "out").cameras.values()))
        photo = np.asarray(Image.open(tmp_path / "photos/0.jpg"))
        image = np.asarray(Image.open(tmp_path / "out/images/0.jpg"))
        targets = numpy_random(1).integers((5, 5), (395, 295), (200, 2))
        rays = camera.cam_from_img(targets + 0.5)
        k = prediction.lenses.intrinsics[0].copy()
        k[:2, 2] -= 0.5  # OpenCV's first pixel centre is (0, 0)
        sources = cv2.projectPoints(np.c_[rays, np.ones(200)], np.zeros(3), np.zeros(3), k, LENS)[0][:, 0]
        inside = (sources > 1).all(axis=1) & (sources < (398, 298)).all(axis=1)
        expected = cv2.remap(photo, *sources.astype(np.float32).T[..., None], cv2.INTER_LINEAR)[:, 0]
        got = image[targets[:, 1], targets[:, 0]]
        assert inside.mean() > 0.9
        assert np.abs(got.astype(int) - expected)[inside].mean() < 1.5

    @pytest.mark.parametrize(
        ("distortion", "focal_y", "model"),
        [
            ((0,) * 8, 500, "PINHOLE"),
            ((0.1, 0, 0, 0, 0, 0, 0, 0), 500, "SIMPLE_RADIAL"),
            ((0.1, 0.2, 0, 0, 0, 0, 0, 0), 500, "RADIAL"),
            ((0.1, 0.2, 0, 0, 0, 0, 0, 0), 501, "OPENCV"),
            ((0.1, 0, 0.01, 0.02, 0, 0, 0, 0), 500, "OPENCV"),
            ((0.1, 0, 0, 0, 0.3, 0.1, 0.2, 0.05), 500, "FULL_OPENCV"),
        ],
    )
    def test_lenses_have_the_model_that_bends_as_they_do(self, distortion, focal_y, model):
        k = np.array([[500.0, 0, 310], [0, focal_y, 255], [0, 0, 1]])
        camera = colmap_camera(k, np.array(distortion, float), np.array([640, 480]))
        assert camera.model == model
        theirs = pycolmap.Camera(model=model, width=640, height=480, params=camera.params)
        rays = np.c_[numpy_random(2).uniform(-0.4, 0.4, (20, 2)), np.ones(20)]
        expected = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), k, np.array(distortion, float))[0][:, 0]
        np.testing.assert_allclose([theirs.img_from_cam(ray) for ray in rays], expected, atol=1e-9)


class TestPointsOfStructureFromMotion:
    @pytest.fixture
    def prediction(self, tmp_path) -> Prediction:
        """Photos of a lens that bends, and points that they show with half a pixel of noise; one is seen once."""
        photo_set(tmp_path / "photos", SIZES["mixed sizes"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconWarning)
            prediction = prediction_of(tmp_path / "photos", SIZES["mixed sizes"], "upper_bound_resize", LENS)
        random = numpy_random(8)
        points = np.c_[random.uniform(-0.4, 1, (80, 2)), random.uniform(3.5, 5, 80)]
        observed, pixels = [], []
        for view in range(3):
            pose = prediction.extrinsics[view].astype(np.float64)
            k = prediction.lenses.intrinsics[view]
            rotation = cv2.Rodrigues(pose[:, :3])[0]
            shown = cv2.projectPoints(points, rotation, pose[:, 3], k, LENS)[0][:, 0]
            inside = ((shown > 0) & (shown < prediction.original_sizes[view])).all(axis=1)
            inside[7] = view == 0
            observed.append(np.flatnonzero(inside))
            pixels.append((shown + random.normal(0, 0.5, shown.shape))[inside])
        return replace(prediction, sparse=SparsePoints(points, tuple(observed), None, tuple(pixels)))

    @pytest.mark.parametrize("lens", ["pinhole", "original"])
    def test_they_are_seen_where_it_saw_them(self, lens, prediction, tmp_path):
        export(prediction, "colmap", tmp_path / "out", {"colmap": {"points": "sfm", "lens": lens}})
        model, sparse = model_of(tmp_path / "out"), prediction.sparse
        assert model.num_points3D() == (sparse.track_lengths > 1).sum() > 20
        for view in range(3):
            image = by_name(model)[f"{view}.jpg"]
            pixels, points = observations(model, image)
            order = [int(np.argmin(np.linalg.norm(sparse.points - point, axis=1))) for point in points]
            assert 7 not in order
            expected = dict(zip(sparse.observed[view].tolist(), sparse.pixels[view], strict=True))
            expected = np.array([expected[index] for index in order])
            if lens == "pinhole":
                k = prediction.lenses.intrinsics[view]
                new = prediction.original_cameras[[view]].pinhole().intrinsics[0]
                expected = cv2.undistortPoints(expected[:, None], k, LENS, P=new)[:, 0]
            np.testing.assert_allclose(pixels, expected, atol=0.01)
        model.update_point_3d_errors()
        before = model.compute_mean_reprojection_error()
        assert 0.2 < before < 1
        with quiet_colmap():
            pycolmap.bundle_adjustment(model, pycolmap.BundleAdjustmentOptions(print_summary=False))
        model.update_point_3d_errors()
        assert model.compute_mean_reprojection_error() < before

    def test_without_pixels_they_are_seen_where_they_are(self, prediction, tmp_path):
        bare = replace(prediction, sparse=replace(prediction.sparse, pixels=None))
        export(bare, "colmap", tmp_path / "out", {"colmap": {"points": "sfm"}})
        model = model_of(tmp_path / "out")
        model.update_point_3d_errors()
        assert model.compute_mean_reprojection_error() < 0.01

    def test_they_are_stored(self, prediction, tmp_path):
        found = read_npz(export(prediction, "npz", tmp_path)["npz"].files[0]).sparse
        for one, other in (
            ((found.points,), (prediction.sparse.points,)),
            (found.observed, prediction.sparse.observed),
            (found.pixels, prediction.sparse.pixels),
        ):
            for array, expected in zip(one, other, strict=True):
                np.testing.assert_array_equal(array, expected)

    def test_there_have_to_be_some(self, prediction, tmp_path):
        with pytest.raises(InputError, match=r"colmap\.points=sfm.*--cameras sfm"):
            export(replace(prediction, sparse=None), "colmap", tmp_path / "out", {"colmap": {"points": "sfm"}})

    def test_they_come_from_the_source_where_its_cameras_are_those_of_the_depth(self, prediction):
        cameras = prediction.original_cameras
        names = ("x.jpg", *prediction.image_names[::-1])
        order = [0, 2, 1, 0]
        source = (names, cameras[order], prediction.sparse.select_views(order))
        bare = replace(prediction, sparse=None)
        found = with_sparse_points(bare, *source).sparse
        for view in range(3):
            np.testing.assert_array_equal(found.observed[view], prediction.sparse.observed[view])
            np.testing.assert_array_equal(found.pixels[view], prediction.sparse.pixels[view])
        moved = replace(bare, extrinsics=bare.extrinsics + np.float32(0.01))
        assert with_sparse_points(moved, *source).sparse is None


def test_points_of_one_view_only_where_there_are_no_others(make_prediction, tmp_path):
    one = make_prediction(views=1, ref_view=None, original_sizes=None, processed_to_original=None)
    export(one, "colmap", tmp_path / "one")
    assert {point.track.length() for point in model_of(tmp_path / "one").points3D.values()} == {1}
    apart = make_prediction(views=2, original_sizes=None, processed_to_original=None)
    apart = replace(apart, depth=apart.depth * np.array([1, 9], np.float32)[:, None, None])
    with pytest.warns(ReconWarning, match="no two views agree"):
        export(apart, "colmap", tmp_path / "apart")
    assert {point.track.length() for point in model_of(tmp_path / "apart").points3D.values()} == {1}


def test_skew_is_refused(make_prediction, tmp_path):
    prediction = make_prediction()
    intrinsics = prediction.intrinsics.copy()
    intrinsics[1, 0, 1] = 3
    with pytest.raises(InputError, match=r"colmap: intrinsics\[1\] have skew"):
        export(replace(prediction, intrinsics=intrinsics), "colmap", tmp_path)
    assert not list(tmp_path.iterdir())
