"""What is read from a file, and where the meaning of its output is known from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.models.conventions import DA2, DA2_METRIC, DA3_METRIC, DA3_MONO
from recon.models.onnx.model_info import ModelInfo, read_info
from recon.models.onnx.session import open_session
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD
from tests.models.onnx.graphs import normalisation, stated, write_graph


def info_of(path: Path, output_kind: Any = None, model: str | None = None, **graph: Any) -> ModelInfo:
    return read_info(open_session(write_graph(path, **graph)), path, output_kind, model)


class TestShapes:
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("size", [None, (42, 28)])
    @pytest.mark.parametrize("batch", [None, 1, 3])
    @pytest.mark.parametrize("rank", [3, 4])
    def test_are_read_from_the_session(
        self, layout: str, dtype: str, size: tuple[int, int] | None, batch: int | None, rank: int, tmp_path: Path
    ) -> None:
        graph = {"layout": layout, "dtype": dtype, "size": size, "batch": batch, "rank": rank}
        info = info_of(tmp_path / "x.onnx", input_name="in:0", output_name="out", metadata=stated("depth"), **graph)
        found = (info.layout, info.input_dtype, info.size, info.batch, info.output_rank)
        assert found == (layout, dtype, size, batch, rank)
        assert (info.input_name, info.output_name) == ("in:0", "out")

    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_channels_may_be_known_by_name_only(self, layout: str, tmp_path: Path) -> None:
        assert info_of(tmp_path / "x.onnx", layout=layout, channels="num_channels").layout == layout

    def test_nothing_known_of_the_channels_is_the_layout_of_onnx(self, tmp_path: Path) -> None:
        assert info_of(tmp_path / "x.onnx", channels="c").layout == "NCHW"

    @pytest.mark.parametrize("size", [(500, 504), (504, 500), (13, 14)])
    def test_sides_that_are_not_multiples_of_14(self, size: tuple[int, int], tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"{size[0]}×{size[1]} pixels; both sides must be multiples of 14"):
            info_of(tmp_path / "x.onnx", size=size)

    def test_one_side_fixed(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="both be fixed, or neither"):
            info_of(tmp_path / "x.onnx", size=(504, "height"))

    def test_three_inputs(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"x\.onnx: has 3 inputs \('image', 'more_1', 'more_2'\)"):
            info_of(tmp_path / "x.onnx", inputs=3)

    def test_not_rgb(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="neither its second nor its last axis is RGB"):
            info_of(tmp_path / "x.onnx", channels=1)

    def test_numbers_that_are_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"takes tensor\(int64\); it must take float, float16 or uint8"):
            info_of(tmp_path / "x.onnx", dtype="int64")

    def test_output_of_the_wrong_rank(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"output 'depth' has shape .*; a map must be \(N, H, W\)"):
            info_of(tmp_path / "x.onnx", rank=2, batch=1)

    def test_several_views_of_a_scene(self, tmp_path: Path) -> None:
        import onnx
        from onnx import TensorProto, helper

        shape = [1, "views", 3, 56, 56]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("images", "depth")]
        node = helper.make_node("Identity", ["images"], ["depth"])
        graph = helper.make_graph([node], "any_view", values[:1], values[1:])
        path = tmp_path / "any.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
        with pytest.raises(InputError, match="several views of one scene is not for single photos"):
            read_info(open_session(path), path, None, None)

    def test_of_several_outputs_the_map_goes_by_its_name(self, tmp_path: Path) -> None:
        assert info_of(tmp_path / "x.onnx", outputs=2).output_name == "depth"
        with pytest.raises(InputError, match="has 2 outputs"):
            info_of(tmp_path / "x.onnx", outputs=2, output_name="out", output_kind="depth")


class TestKnownFiles:
    """The two files that others publish most, as they are: without metadata."""

    def test_depth_anything_3(self, tmp_path: Path) -> None:
        info = info_of(tmp_path / "model.onnx", size=(504, 504), batch=1)
        assert info.conventions == DA3_MONO
        assert info.known_from == "input and output names as of Depth Anything 3 mono"

    @pytest.mark.parametrize("size", [(518, 518), None])
    def test_depth_anything_2(self, size: tuple[int, int] | None, tmp_path: Path) -> None:
        names = {"input_name": "pixel_values", "output_name": "predicted_depth"}
        info = info_of(tmp_path / "model.onnx", size=size, rank=3, **names)
        assert (info.conventions, info.output_kind) == (DA2, "disparity")

    def test_depth_anything_1_under_the_names_of_3_is_not_taken_for_it(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="--output-kind"):
            info_of(tmp_path / "model.onnx", size=(518, 518))

    @pytest.mark.parametrize(
        ("name", "conventions"),
        [
            ("DA3METRIC-LARGE", DA3_METRIC),
            ("depth-anything-3-metric_fp16", DA3_METRIC),
            ("da3mono_large", DA3_MONO),
            ("depth_anything_v2_vits", DA2),
            ("depth_anything_vitl14", DA2),
            ("depth-anything-v2-small", DA2),
            ("depth_anything_v2_vitb_indoor_dynamic", DA2_METRIC),
            ("depth_anything_v2_metric_vkitti_vits", DA2_METRIC),
        ],
    )
    def test_by_the_name_of_the_file(self, name: str, conventions: Any, tmp_path: Path) -> None:
        info = info_of(tmp_path / f"{name}.onnx", input_name="x", output_name="y")
        assert info.conventions == conventions
        assert info.known_from == "name of the file or its graph"

    def test_names_that_contradict_each_other_say_nothing(self, tmp_path: Path) -> None:
        names = {"input_name": "pixel_values", "output_name": "predicted_depth", "rank": 3}
        for name in ("da3mono-large", "depth-anything-v2-metric-indoor-small"):
            with pytest.raises(InputError, match="nothing says"):
                info_of(tmp_path / f"{name}.onnx", **names)


UNKNOWN = {"input_name": "x", "output_name": "y"}


class TestMeaning:
    def test_is_never_guessed(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"output 'y' is depth .* or disparity .*: say so with --output-kind"):
            info_of(tmp_path / "model.onnx", **UNKNOWN)

    @pytest.mark.parametrize(("kind", "conventions"), [("depth", DA3_MONO), ("disparity", DA2)])
    def test_given(self, kind: str, conventions: Any, tmp_path: Path) -> None:
        info = info_of(tmp_path / "model.onnx", kind, **UNKNOWN)
        assert (info.conventions, info.known_from) == (conventions, "given")

    @pytest.mark.parametrize("kind", ["depth", "disparity"])
    def test_by_metadata(self, kind: str, tmp_path: Path) -> None:
        info = info_of(tmp_path / "model.onnx", metadata=stated(kind), **UNKNOWN)
        assert (info.output_kind, info.known_from) == (kind, "metadata")

    @pytest.mark.parametrize(
        ("model", "conventions"),
        [
            ("da3mono-large", DA3_MONO),
            ("da3metric-large", DA3_METRIC),
            ("depth-anything-v2-small", DA2),
            ("depth-anything-v1-base", DA2),
            ("depth-anything-v2-metric-outdoor-small", DA2_METRIC),
        ],
    )
    def test_by_preset(self, model: str, conventions: Any, tmp_path: Path) -> None:
        metadata = stated(conventions.output_kind, model=model)
        assert info_of(tmp_path / "a.onnx", metadata=metadata, **UNKNOWN).conventions == conventions
        given = info_of(tmp_path / "b.onnx", model=model, **UNKNOWN)
        assert (given.conventions, given.known_from, given.model) == (conventions, "given", model)

    def test_metadata_comes_before_names(self, tmp_path: Path) -> None:
        names = {"input_name": "pixel_values", "output_name": "predicted_depth", "rank": 3}
        assert info_of(tmp_path / "model.onnx", metadata=stated("depth"), **names).output_kind == "depth"

    def test_a_preset_of_the_future_leaves_the_kind(self, tmp_path: Path) -> None:
        info = info_of(tmp_path / "model.onnx", metadata=stated("disparity", model="da9"), **UNKNOWN)
        assert (info.output_kind, info.model) == ("disparity", "da9")

    def test_who_contradicts_the_file_is_believed_and_told(self, tmp_path: Path) -> None:
        metadata = stated("depth", model="da3metric-large")
        with pytest.warns(ReconWarning, match="output_kind says disparity, the file itself .* depth"):
            info = info_of(tmp_path / "model.onnx", "disparity", metadata=metadata)
        assert (info.output_kind, info.conventions.depth_scale) == ("disparity", "relative")

    def test_wrong_words(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="output_kind must be one of depth, disparity, not 'near'"):
            info_of(tmp_path / "model.onnx", "near")
        with pytest.raises(InputError, match=r"metadata recon\.output_kind must be depth or disparity, not 'near'"):
            info_of(tmp_path / "model.onnx", metadata=stated("near"))
        with pytest.raises(InputError, match="unknown model 'da9'"):
            info_of(tmp_path / "model.onnx", model="da9")
        with pytest.raises(InputError, match="da3-small looks at the views of one scene together"):
            info_of(tmp_path / "model.onnx", model="da3-small")


class TestNormalisation:
    def test_is_that_of_imagenet(self, tmp_path: Path) -> None:
        info = info_of(tmp_path / "x.onnx")
        np.testing.assert_array_equal([info.mean, info.std], [IMAGENET_MEAN, IMAGENET_STD])

    def test_by_metadata(self, tmp_path: Path) -> None:
        text = normalisation([0.5, 0.4, 0.3], [0.1, 0.2, 0.25])
        info = info_of(tmp_path / "x.onnx", metadata=stated("depth", normalisation=text))
        np.testing.assert_allclose([info.mean, info.std], [[0.5, 0.4, 0.3], [0.1, 0.2, 0.25]], rtol=1e-6)

    @pytest.mark.parametrize(
        "text",
        [
            "imagenet",
            "[]",
            normalisation([0.5, 0.5], [1, 1]),
            normalisation([0, 0, 0], [1, 0, 1]),
            normalisation([0, 0, float("nan")], [1, 1, 1]),
            '{"mean": [0, 0, 0]}',
        ],
    )
    def test_that_is_none(self, text: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"metadata recon\.normalisation"):
            info_of(tmp_path / "x.onnx", metadata=stated("depth", normalisation=text))
