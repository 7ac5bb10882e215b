"""ONNX files made by hand: the map they give is known, so that what is done with it can be checked.

Each takes the mean of the normalised channels: a bright pixel gets a large value. In a photo whose near parts are
bright that is disparity, in one whose near parts are dark it is depth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCALE, SHIFT = 0.25, 1.5
"""The map is SHIFT + SCALE × the mean of the normalised channels: positive for every photo."""


def write_graph(
    path: Path,
    *,
    input_name: str = "image",
    output_name: str = "depth",
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    layout: str = "NCHW",
    dtype: str = "float32",
    rank: int = 4,
    inputs: int = 1,
    outputs: int = 1,
    channels: int | str = 3,
    metadata: Mapping[str, str] | None = None,
    external_data: bool = False,
    fixed_output: tuple[int, ...] | None = None,
    shift: float = SHIFT,
    start: Sequence[tuple[str, np.ndarray]] = (),
    start_as: str = "initializers",
) -> Path:
    """Write a graph of one input and one output, in the ways that files differ.

    `size` (width, height) and `batch` are dynamic where None; further inputs are added to the image; `rank` 4 is
    (N, 1, H, W), 3 is (N, H, W), 2 is (H, W); `fixed_output` crops the map to a shape of its own. `start` is
    done to the image first: operators with constants, which stand among the `initializers`, in `nodes` of their own, or
    are `reshaped` before.
    """
    element = {
        "float32": TensorProto.FLOAT,
        "float16": TensorProto.FLOAT16,
        "uint8": TensorProto.UINT8,
        "int64": TensorProto.INT64,
    }[dtype]
    width, height = ("width", "height") if size is None else size
    count = "batch" if batch is None else batch
    shape = [count, channels, height, width] if layout == "NCHW" else [count, height, width, channels]
    names = [input_name, *(f"more_{index}" for index in range(1, inputs))]
    nodes = []
    starts: list[TensorProto] = []
    current = input_name
    if dtype in ("uint8", "int64"):
        nodes.append(helper.make_node("Cast", [current], ["cast"], to=TensorProto.FLOAT))
        current = "cast"
    for index, (operator, constant) in enumerate(start):
        stored = numpy_helper.from_array(constant, f"start_{index}")
        name = stored.name
        if start_as == "initializers":
            starts.append(stored)
        else:
            nodes.append(helper.make_node("Constant", [], [name], value=stored))
        if start_as == "reshaped":
            starts.append(numpy_helper.from_array(np.array(constant.shape, np.int64), f"{name}_shape"))
            nodes.append(helper.make_node("Reshape", [name, f"{name}_shape"], [f"{name}_new"]))
            name = f"{name}_new"
        nodes.append(helper.make_node(operator, [current, name], [f"started_{index}"]))
        current = f"started_{index}"
    for name in names[1:]:
        nodes.append(helper.make_node("Add", [current, name], [f"with_{name}"]))
        current = f"with_{name}"
    axis = 1 if layout == "NCHW" else 3
    nodes.append(helper.make_node("ReduceMean", [current, "axes"], ["mean"], keepdims=int(rank == 4)))
    nodes += [
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["shifts"], ["shift"], keepdims=0),  # of many values: worth a file of its own
        helper.make_node("Add", ["scaled", "shift"], ["map"]),
    ]
    current = "map"
    if rank == 2:
        nodes.append(helper.make_node("Squeeze", [current, "first"], ["flat"]))
        current = "flat"
    if fixed_output is not None:
        nodes.append(helper.make_node("Slice", [current, "starts", "ends"], ["cropped"]))
        current = "cropped"
    for index in range(outputs):
        nodes.append(helper.make_node("Identity", [current], [output_name if index == 0 else f"{output_name}_{index}"]))
    out_shape: list[int | str] = {
        4: [count, 1, height, width] if layout == "NCHW" else [count, height, width, 1],
        3: [count, height, width],
        2: [height, width],
    }[rank]
    if fixed_output is not None:
        out_shape = [f"out_{index}" for index in range(len(fixed_output))]
    values = np.float16 if dtype == "float16" else np.float32
    float_type = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    constants = {
        "axes": np.array([axis], np.int64),
        "first": np.array([0], np.int64),
        "scale": np.array([SCALE], values),
        "shifts": np.full(256, shift, values),
    }
    if fixed_output is not None:
        constants |= {"starts": np.zeros(len(fixed_output), np.int64), "ends": np.array(fixed_output, np.int64)}
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info(name, element, shape) for name in names],
        [
            helper.make_tensor_value_info(output_name if i == 0 else f"{output_name}_{i}", float_type, out_shape)
            for i in range(outputs)
        ],
        [*starts, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    if external_data:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=256)
    else:
        onnx.save(model, path)
    return path


def stated(output_kind: str, **more: str) -> dict[str, str]:
    """Metadata as this project's export writes it."""
    return {"recon.output_kind": output_kind, **{f"recon.{key}": value for key, value in more.items()}}


def normalisation(mean: list[float], std: list[float]) -> str:
    """As metadata has it."""
    return json.dumps({"mean": mean, "std": std})


def expected_map(pixels: np.ndarray, mean: list[float] | None = None, std: list[float] | None = None) -> np.ndarray:
    """(H, W) map of (H, W, 3) pixels, computed in another way."""
    mean = [0.485, 0.456, 0.406] if mean is None else mean
    std = [0.229, 0.224, 0.225] if std is None else std
    return SHIFT + SCALE * ((pixels / 255.0 - mean) / std).mean(axis=-1)
