"""Photos through graphs whose map is known: every layout, type, size and number at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from recon.errors import InputError
from recon.geometry.disparity import FARTHEST
from recon.messages import ReconWarning
from recon.onnx import MonocularModel
from recon.sources.fitting import fit_photo
from recon.sources.photo import Photo
from recon.types import Prediction
from tests.models.onnx.graphs import expected_map, normalisation, stated, write_graph
from tests.seeds import numpy_random
from tests.without_torch import HIDE_TORCH

FOCAL = 100.0
"""Given wherever a test is not about focal lengths, which would be assumed with a warning."""


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    return numpy_random(seed).integers(0, 256, (height, width, 3), np.uint8)


def predict(path: Path, image: np.ndarray, **options: object) -> Prediction:
    return MonocularModel(path, **options).predict(image, focal=FOCAL)  # type: ignore[arg-type]


def inside(full: int, layout: str, dtype: str) -> list[tuple[str, np.ndarray]]:
    """ImageNet's normalisation of images from 0 to `full` as the first operators of a graph."""
    shape = (1, 3, 1, 1) if layout == "NCHW" else (3,)
    mean = np.array([0.485, 0.456, 0.406]).reshape(shape).astype(dtype)
    std = np.array([0.229, 0.224, 0.225]).reshape(shape).astype(dtype)
    if full == 1:
        return [("Sub", mean), ("Mul", (1 / std).astype(dtype))]
    return [("Div", np.array(255, dtype)), ("Sub", mean), ("Div", std)]


class TestMaps:
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    @pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 2e-3)])
    @pytest.mark.parametrize("size", [None, (70, 56)])
    @pytest.mark.parametrize("batch", [None, 1, 2])
    @pytest.mark.parametrize("rank", [3, 4])
    @pytest.mark.parametrize("kind", ["depth", "disparity"])
    def test_are_those_of_the_graph(
        self,
        layout: str,
        dtype: str,
        tolerance: float,
        size: tuple[int, int] | None,
        batch: int | None,
        rank: int,
        kind: str,
        tmp_path: Path,
    ) -> None:
        path = write_graph(
            tmp_path / "graph.onnx",
            layout=layout,
            dtype=dtype,
            size=size,
            batch=batch,
            rank=rank,
            metadata=stated(kind),
        )
        prediction = predict(path, photo(70, 42))
        expected = expected_map(prediction.processed_images[0])
        if kind == "disparity":
            expected = expected.max() / expected
        assert prediction.depth.dtype == np.float32
        np.testing.assert_allclose(prediction.depth[0], expected, rtol=tolerance)
        brightness = prediction.processed_images[0].mean(axis=-1)
        nearest = np.unravel_index(prediction.depth[0].argmin(), brightness.shape)
        assert nearest == np.unravel_index(
            (expected_map(prediction.processed_images[0]) * (1 if kind == "depth" else -1)).argmin(), brightness.shape
        )

    def test_a_normalisation_of_its_own(self, tmp_path: Path) -> None:
        mean, std = [0.5, 0.4, 0.3], [0.1, 0.2, 0.25]
        metadata = stated("depth", normalisation=normalisation(mean, std))
        prediction = predict(write_graph(tmp_path / "graph.onnx", metadata=metadata), photo(70, 42))
        expected = expected_map(prediction.processed_images[0], mean, std)
        np.testing.assert_allclose(prediction.depth[0], expected, rtol=1e-5)

    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    @pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 5e-3)])
    @pytest.mark.parametrize("full", [1, 255])
    @pytest.mark.parametrize("start_as", ["initializers", "nodes", "reshaped"])
    def test_a_normalisation_inside(
        self, layout: str, dtype: str, tolerance: float, full: int, start_as: str, tmp_path: Path
    ) -> None:
        """The file takes what it expects, by the constants in its graph: RGB from 0 to 1, or to 255."""
        start = inside(full, layout, dtype)
        path = write_graph(
            tmp_path / "graph.onnx",
            layout=layout,
            dtype=dtype,
            start=start,
            start_as=start_as,
            metadata=stated("depth"),
        )
        picture = photo(70, 42)
        with pytest.warns(ReconWarning, match=r"graph\.onnx: its graph begins as a normalisation.*--onnx-normalise"):
            twice = predict(path, picture)
        prediction = predict(path, picture, normalise="inside")
        expected = expected_map(prediction.processed_images[0])
        np.testing.assert_allclose(prediction.depth[0], expected, rtol=tolerance)
        assert np.abs(twice.depth[0] / expected - 1).mean() > 0.05
        np.testing.assert_array_equal(predict(path, picture, normalise="outside").depth, twice.depth)
        if full == 255:
            named = predict(path, picture, normalise="inside-255")
            np.testing.assert_array_equal(named.depth, prediction.depth)

    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_bytes_are_normalised_by_the_file(self, layout: str, tmp_path: Path) -> None:
        path = write_graph(
            tmp_path / "graph.onnx",
            layout=layout,
            dtype="uint8",
            start=inside(255, layout, "float32"),
            metadata=stated("depth"),
        )
        model = MonocularModel(path)
        prediction = model.predict(photo(70, 42), focal=FOCAL)
        np.testing.assert_allclose(prediction.depth[0], expected_map(prediction.processed_images[0]), rtol=1e-5)
        assert model.info.normalise == "inside-255"
        with pytest.raises(InputError, match=r"graph\.onnx: input 'image' takes bytes"):
            MonocularModel(path, normalise="outside")

    def test_a_normalisation_that_the_file_and_the_user_place_differently(self, tmp_path: Path) -> None:
        metadata = stated("depth", normalisation=normalisation([0.5] * 3, [0.5] * 3))
        path = write_graph(tmp_path / "graph.onnx", metadata=metadata)
        with pytest.warns(ReconWarning, match="normalise says inside, and the file itself"):
            prediction = predict(path, photo(70, 42), normalise="inside")
        expected = expected_map(prediction.processed_images[0], [0.0] * 3, [1.0] * 3)
        np.testing.assert_allclose(prediction.depth[0], expected, rtol=1e-6)
        with pytest.raises(InputError, match="normalise must be one of outside, inside, inside-255, not 'in'"):
            MonocularModel(path, normalise="in")  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [(504, 504), (518, 518)])
    def test_the_two_files_that_are_published_most(self, size: tuple[int, int], tmp_path: Path) -> None:
        is_2 = size == (518, 518)
        names = {"input_name": "pixel_values", "output_name": "predicted_depth", "rank": 3} if is_2 else {}
        image = photo(640, 480)
        prediction = predict(write_graph(tmp_path / "model.onnx", size=size, batch=1, **names), image)
        np.testing.assert_array_equal(
            prediction.processed_images[0], fit_photo(Photo("", image), size[0], "upper_bound_resize").pixels
        )
        values = expected_map(prediction.processed_images[0])
        np.testing.assert_allclose(prediction.depth[0], values.max() / values if is_2 else values, rtol=1e-5)

    def test_what_others_trained_at_518_gets_its_shorter_side_there(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "depth-anything-v2-small.onnx", input_name="x", output_name="y")
        assert predict(path, photo(120, 60)).depth.shape == (1, 518, 1036)
        path = write_graph(tmp_path / "da3mono-large.onnx", input_name="x", output_name="y")
        assert predict(path, photo(120, 60)).depth.shape == (1, 252, 504)

    def test_below_zero_and_without_a_value(self, tmp_path: Path) -> None:
        """Disparity of nothing is far away, the largest is at 1, and what is no number is no depth."""
        disparity = np.array([[-1.0, 0.0, 2.0, np.nan], [4.0, np.inf, 1e-9, 1.0]], np.float32)
        path = constant_map(tmp_path / "graph.onnx", np.tile(disparity, (7, 7)))
        with pytest.warns(ReconWarning, match=r"gives no number for 25\.0% of the pixels \('0000'\)"):
            prediction = predict(path, photo(28, 14))
        expected = [[FARTHEST, FARTHEST, 2, 0], [1, 0, FARTHEST, 4]]
        np.testing.assert_allclose(prediction.depth[0], np.tile(expected, (7, 7)), rtol=1e-6)


def constant_map(path: Path, values: np.ndarray) -> Path:
    """A graph of disparity that gives these (H, W) values for any photo."""
    height, width = values.shape
    model = onnx.load(write_graph(path, size=(width, height), batch=1, rank=3, metadata=stated("disparity")))
    model.graph.node[-1].op_type = "Add"
    model.graph.node[-1].input[:] = ["nothing", "values"]
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["nothing"]))
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(values[None].astype(np.float32), "values"),
            onnx.numpy_helper.from_array(np.array([1, height, width]), "shape"),
        ]
    )
    onnx.save(model, path)
    return path


class TestFixedSize:
    """A photo keeps its proportions, is as large as fits, and what it leaves free is filled with its mirror image."""

    @pytest.mark.parametrize("fixed", [(56, 56), (84, 56), (56, 84)])
    @pytest.mark.parametrize("size", [(120, 90), (90, 120), (97, 100), (33, 20), (200, 60)])
    def test_keeps_proportions(self, fixed: tuple[int, int], size: tuple[int, int], tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.onnx", size=fixed, batch=1, metadata=stated("depth"))
        prediction = predict(path, photo(*size))
        _, height, width = prediction.depth.shape
        assert width == fixed[0] or height == fixed[1]
        scale = min(fixed[0] / size[0], fixed[1] / size[1])
        assert abs(width - scale * size[0]) <= 7  # half a patch
        assert abs(height - scale * size[1]) <= 7

    def test_is_filled_by_mirroring(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.onnx", size=(56, 84), batch=1, metadata=stated("depth"))
        model = MonocularModel(path)
        seen: list[np.ndarray] = []
        run = model.estimator._session.run
        model.estimator._session = type(
            "Spy", (), {"run": lambda _, names, values: seen.append(values["image"]) or run(names, values)}
        )()
        prediction = model.predict(photo(56, 28), focal=FOCAL)
        (values,) = seen
        inside = values[0, :, 28:56]
        assert values.shape == (1, 3, 84, 56)
        np.testing.assert_array_equal(values[0, :, :28], inside[:, ::-1])
        np.testing.assert_array_equal(values[0, :, 56:], inside[:, ::-1])
        np.testing.assert_allclose(prediction.depth[0], 1.5 + 0.25 * inside.mean(axis=0), rtol=1e-6)


class TestSeveral:
    @pytest.mark.parametrize("batch", [None, 1, 2, 4])
    @pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
    def test_each_is_as_it_is_alone(self, batch: int | None, batch_size: int, tmp_path: Path) -> None:
        sizes = [(70, 42), (42, 70), (70, 42), (56, 56), (70, 42)]
        images = [photo(*size, seed=index) for index, size in enumerate(sizes)]
        model = MonocularModel(write_graph(tmp_path / "g.onnx", batch=batch, metadata=stated("disparity")))
        together = list(model.predict_each(images, focal=FOCAL, batch_size=batch_size))
        assert [prediction.image_names for prediction in together] == [(f"{index:04d}",) for index in range(5)]
        for image, prediction in zip(images, together, strict=True):
            alone = model.predict(image, focal=FOCAL)
            np.testing.assert_allclose(prediction.depth, alone.depth, rtol=1e-6)
            np.testing.assert_array_equal(prediction.processed_images, alone.processed_images)

    @pytest.mark.parametrize("batch", [None, 1, 2, 4])
    def test_a_file_that_takes_more_at_once_gives_no_more(self, batch: int | None, tmp_path: Path) -> None:
        model = MonocularModel(write_graph(tmp_path / "g.onnx", batch=batch))
        assert model.estimator.maps(np.stack([photo(28, 42)] * 3)).values.shape == (3, 42, 28)

    def test_one_is_asked_for(self, tmp_path: Path) -> None:
        model = MonocularModel(write_graph(tmp_path / "g.onnx"))
        with pytest.raises(InputError, match="predict takes one photo, not 2"):
            model.predict(np.stack([photo(28, 28)] * 2), focal=FOCAL)
        with pytest.raises(InputError, match="batch_size must be at least 1"):
            next(model.predict_each(photo(28, 28), batch_size=0))


class TestSky:
    def test_is_filled_as_in_torch(self, tmp_path: Path) -> None:
        import torch

        from recon.models.postprocess import fill_single_view_sky
        from recon.models.single_view import SKY_THRESHOLD

        prediction = predict(with_sky(tmp_path / "graph.onnx"), photo(70, 42))
        values = torch.from_numpy(expected_map(prediction.processed_images[0])).float()
        sky = values - 1.25
        filled = fill_single_view_sky(values[None, None], sky[None, None])[0, 0]
        assert prediction.sky is not None
        assert 0.1 < prediction.sky.mean() < 0.9
        np.testing.assert_array_equal(prediction.sky[0], sky >= SKY_THRESHOLD)
        np.testing.assert_allclose(prediction.depth[0], filled, rtol=1e-5)

    def test_everywhere_or_nowhere_is_left_alone(self, tmp_path: Path) -> None:
        for value in (0, 255):
            nothing_but_sky = contextlib.nullcontext()
            if value == 255:
                nothing_but_sky = pytest.warns(ReconWarning, match=r"graph\.onnx sees nothing but sky in '0000'")
            with nothing_but_sky:
                prediction = predict(with_sky(tmp_path / "graph.onnx"), np.full((28, 28, 3), value, np.uint8))
            np.testing.assert_allclose(prediction.depth[0], expected_map(prediction.processed_images[0]), rtol=1e-5)


def with_sky(path: Path) -> Path:
    """A graph that gives depth, and depth - 1.25 for the sky score."""
    model = onnx.load(write_graph(path, outputs=2))
    last = model.graph.node[-1]
    last.op_type, last.output[0] = "Sub", "sky"
    last.input.append("less")
    model.graph.output[1].name = "sky"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1.25], np.float32), "less"))
    onnx.save(model, path)
    return path


class TestFailure:
    def test_a_map_of_another_size(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.onnx", fixed_output=(1, 1, 5, 5))
        with pytest.raises(InputError, match=r"output 'depth' has shape \(1, 1, 5, 5\); it must be \(1, 1, 378, 504\)"):
            predict(path, photo(640, 480))

    def test_a_size_that_the_file_only_claims_to_take(self, tmp_path: Path) -> None:
        """As files of Depth Anything 3 with baked positions and an axis that is called dynamic."""
        path = constant_map(tmp_path / "graph.onnx", np.ones((28, 28)))
        model = onnx.load(path)
        model.graph.node[-1].input[0] = "map"
        for value in (*model.graph.input, *model.graph.output):
            for axis in value.type.tensor_type.shape.dim[-2:]:
                axis.dim_param = "side"
        onnx.save(model, path)
        with pytest.raises(InputError, match=r"graph\.onnx: fails on 1 images of 518×518 pixels"):
            predict(path, photo(100, 100))

    def test_a_size_to_process_at_of_a_fixed_file(self, tmp_path: Path) -> None:
        profile = MonocularModel(write_graph(tmp_path / "graph.onnx", size=(56, 56))).estimator.profile
        with pytest.raises(InputError, match=r"process_res: graph\.onnx has a fixed input of 56×56 pixels"):
            profile.fit.check(profile.name, 504, None)


class TestMetres:
    IMAGE = photo(280, 200)

    def test_of_the_metric_network_by_the_focal_of_the_processed_image(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "da3metric-large.onnx", size=(140, 140), batch=1)
        prediction = MonocularModel(path).predict(self.IMAGE, focal=900.0)
        expected = expected_map(prediction.processed_images[0]) * 450 * (1 + 98 / 100) / 2 / 300
        assert prediction.depth.shape == (1, 98, 140)
        assert prediction.units == "metric"
        np.testing.assert_allclose(prediction.depth[0], expected, rtol=1e-5)
        assert prediction.scale_factor == pytest.approx(1.485)
        np.testing.assert_allclose(prediction.intrinsics[0], [[450, 0, 70], [0, 441, 49], [0, 0, 1]], rtol=1e-6)

    def test_as_in_torch(self, tmp_path: Path) -> None:
        import torch

        from recon.models.postprocess import metres_from_canonical

        path = write_graph(tmp_path / "da3metric-large.onnx", size=(140, 140), batch=1)
        prediction = MonocularModel(path).predict(self.IMAGE, focal=777.0)
        depth = torch.from_numpy(expected_map(prediction.processed_images[0]))[None, None]
        metres = metres_from_canonical(depth, torch.from_numpy(prediction.intrinsics)[None])
        np.testing.assert_allclose(prediction.depth[0], metres[0, 0], rtol=1e-5)

    def test_by_exif(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "da3metric-large.onnx", size=(140, 140), batch=1)
        prediction = MonocularModel(path).predict(Photo("a.jpg", self.IMAGE, exif_focal_35mm=43.2666153))
        original = np.hypot(280, 200)  # the diagonal of the film, and of the photo
        np.testing.assert_allclose(prediction.intrinsics[0, 0, 0], original / 2, rtol=1e-6)
        assert prediction.units == "metric"

    def test_without_a_focal_it_stays_relative_and_says_so(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "da3metric-large.onnx", size=(140, 140), batch=1)
        with (
            pytest.warns(ReconWarning, match="gives metres only with a focal length"),
            pytest.warns(ReconWarning, match="horizontal field of view of 60 degrees"),
        ):
            prediction = MonocularModel(path).predict(self.IMAGE)
        assert (prediction.units, prediction.scale_factor) == ("relative", None)
        np.testing.assert_allclose(prediction.depth[0], expected_map(prediction.processed_images[0]), rtol=1e-5)
        np.testing.assert_allclose(prediction.intrinsics[0, 0, 0], 70 / np.tan(np.pi / 6), rtol=1e-6)

    def test_of_depth_anything_2_need_no_focal(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.onnx", size=(140, 140), batch=1)
        model = MonocularModel(path, model="depth-anything-v2-metric-indoor-small")
        prediction = model.predict(self.IMAGE, focal=900.0)
        assert prediction.units == "metric"
        np.testing.assert_allclose(prediction.depth[0], expected_map(prediction.processed_images[0]), rtol=1e-5)

    @pytest.mark.parametrize("focal", [0.0, -3.0, float("nan"), float("inf")])
    def test_a_focal_that_is_none(self, focal: float, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="focal must be a positive number of pixels"):
            MonocularModel(write_graph(tmp_path / "graph.onnx")).predict(self.IMAGE, focal=focal)


WITHOUT_TORCH = (
    HIDE_TORCH
    + """
from recon.onnx import MonocularModel
depth = MonocularModel(sys.argv[1]).predict(sys.argv[2], focal=100.0).depth
assert depth.shape == (1, 42, 56), depth.shape
for unwanted in ("torch", "numba", "rich", "tyro", "scipy", "onnx"):
    assert unwanted not in sys.modules, unwanted
"""
)


def test_runs_without_torch(tmp_path: Path) -> None:
    from PIL import Image

    path = write_graph(tmp_path / "graph.onnx", size=(56, 56), metadata=stated("depth", model="da3mono-large"))
    Image.fromarray(photo(80, 60)).save(tmp_path / "photo.png")
    program = [sys.executable, "-c", WITHOUT_TORCH, str(path), str(tmp_path / "photo.png")]
    done = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
