"""Small ONNX files with the inputs and outputs of COLMAP's ALIKED and LightGlue: bright spots and nearest patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_PATCH = 9


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> None:
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_extractor(path: Path) -> None:
    """The brightest local maxima of the picture, between -1 and 1 as ALIKED has them, and the patches around them."""
    node, value = helper.make_node, helper.make_tensor_value_info
    size = _PATCH * _PATCH
    around = np.eye(size, dtype=np.float32).reshape(size, 1, _PATCH, _PATCH)
    nodes = [
        node("ReduceMean", ["image", "channels"], ["gray"], keepdims=1),
        node("MaxPool", ["gray"], ["highest"], kernel_shape=[7, 7], pads=[3, 3, 3, 3]),
        node("Equal", ["gray", "highest"], ["is_highest"]),
        node("Cast", ["is_highest"], ["peaks"], to=TensorProto.FLOAT),
        node("Mul", ["gray", "peaks"], ["bright"]),
        node("Reshape", ["bright", "flat"], ["scores_of_all"]),
        node("Reshape", ["max_keypoints", "one"], ["most"]),
        node("TopK", ["scores_of_all", "most"], ["best", "places"]),
        node("Shape", ["gray"], ["shape"]),
        node("Gather", ["shape", "two"], ["height"]),
        node("Gather", ["shape", "three"], ["width"]),
        node("Mod", ["places", "width"], ["x"]),
        node("Div", ["places", "width"], ["y"]),
        node("Concat", ["x_of_one", "y_of_one"], ["both"], axis=1),
        node("Unsqueeze", ["both", "zero"], ["keypoints"]),
        node("Conv", ["gray", "around"], ["patches"], pads=[_PATCH // 2] * 4),
        node("Reshape", ["patches", "by_patch"], ["flat_patches"]),
        node("Gather", ["flat_patches", "places"], ["chosen"], axis=1),
        node("Transpose", ["chosen"], ["rows"], perm=[1, 0]),
        node("ReduceMean", ["rows", "one_axis"], ["level"], keepdims=1),
        node("Sub", ["rows", "level"], ["levelled"]),
        node("LpNormalization", ["levelled"], ["unit"], axis=1, p=2),
        node("Unsqueeze", ["unit", "zero"], ["descriptors"]),
        node("Unsqueeze", ["best", "zero"], ["scores"]),
        node("Identity", ["min_score"], ["unused"]),
    ]
    for axis, side in (("x", "width"), ("y", "height")):
        at = next(i for i, one in enumerate(nodes) if one.op_type == "Concat")
        nodes[at:at] = [
            node("Cast", [axis], [f"{axis}_float"], to=TensorProto.FLOAT),
            node("Sub", [side, "int_one"], [f"{side}_last"]),
            node("Cast", [f"{side}_last"], [f"{side}_float"], to=TensorProto.FLOAT),
            node("Div", [f"{axis}_float", f"{side}_float"], [f"{axis}_share"]),
            node("Mul", [f"{axis}_share", "float_two"], [f"{axis}_double"]),
            node("Sub", [f"{axis}_double", "float_one"], [f"{axis}_place"]),
            node("Reshape", [f"{axis}_place", "column"], [f"{axis}_of_one"]),
        ]
    constants = {
        "channels": np.array([1]),
        "flat": np.array([-1]),
        "one": np.array([1]),
        "one_axis": np.array([1]),
        "zero": np.array([0]),
        "two": np.array(2),
        "three": np.array(3),
        "int_one": np.array(1),
        "column": np.array([-1, 1]),
        "by_patch": np.array([size, -1]),
        "float_two": np.array(2, np.float32),
        "float_one": np.array(1, np.float32),
        "around": around,
    }
    inputs = [
        value("image", TensorProto.FLOAT, [1, 3, "h", "w"]),
        value("max_keypoints", TensorProto.INT64, []),
        value("min_score", TensorProto.FLOAT, []),
    ]
    outputs = [
        value("keypoints", TensorProto.FLOAT, [1, "k", 2]),
        value("descriptors", TensorProto.FLOAT, [1, "k", size]),
        value("scores", TensorProto.FLOAT, [1, "k"]),
    ]
    _save(path, nodes, inputs, outputs, constants)


def write_matcher(path: Path) -> None:
    """Descriptors that are each other's nearest; their scores are the cosines, less what a poor match has."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Squeeze", ["desc0", "zero"], ["first"]),
        node("Squeeze", ["desc1", "zero"], ["second"]),
        node("Transpose", ["second"], ["turned"], perm=[1, 0]),
        node("MatMul", ["first", "turned"], ["cosine"]),
        node("ArgMax", ["cosine"], ["forth"], axis=1, keepdims=0),
        node("ArgMax", ["cosine"], ["back"], axis=0, keepdims=0),
        node("Gather", ["back", "forth"], ["again"]),
        node("Shape", ["forth"], ["count"]),
        node("Squeeze", ["count", "zero"], ["end"]),
        node("Range", ["start", "end", "step"], ["itself"]),
        node("Equal", ["again", "itself"], ["mutual"]),
        node("Where", ["mutual", "forth", "none"], ["matches0"]),
        node("ReduceMax", ["cosine", "one"], ["highest"], keepdims=0),
        node("Sub", ["highest", "poor"], ["mscores0"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "start": np.array(0),
        "step": np.array(1),
        "none": np.array(-1),
        "poor": np.array(0.75, np.float32),
    }
    rows = {"kpts0": ("m", 2), "kpts1": ("n", 2), "desc0": ("m", _PATCH**2), "desc1": ("n", _PATCH**2)}
    inputs = [value(name, TensorProto.FLOAT, [1, *shape]) for name, shape in rows.items()]
    inputs += [value(f"image_size{side}", TensorProto.FLOAT, [1, 2]) for side in (0, 1)]
    outputs = [value("matches0", TensorProto.INT64, ["m"]), value("mscores0", TensorProto.FLOAT, ["m"])]
    _save(path, nodes, inputs, outputs, constants)
