"""From a network in torch to an ONNX file, by torch's exporter."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recon.models.onnx.export_check import ExportError
from recon.models.onnx.export_graphs import Graph, Signature
from recon.models.presets import PATCH_SIZE

OPSET = 18
"""ONNX operator set: the oldest that the exporter writes without conversion."""
MAX_BYTES_IN_ONE_FILE = 1_900_000_000
"""A protocol buffer ends at 2 GB; larger weights go into a file beside it."""


def write_file(
    graph: Graph, images: Tensor, path: Path, *, name: str, dynamic_axes: frozenset[str], metadata: Mapping[str, str]
) -> None:
    """Write `graph` to `path`, weights that are too large for that to `path` with `.data` after its name.

    Args:
        graph: the network, in evaluation mode.
        images: what to trace it with. More than one along each dynamic axis, and different from one another.
        path: not there yet.
        name: of the graph.
        dynamic_axes: names among the signature's that may vary; height and width by multiples of 14.
        metadata: of the file.

    Raises:
        ExportError: torch cannot express the network.
    """
    import onnx_ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    signature = graph.signature
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph,
                (images,),
                dynamo=True,
                dynamic_shapes=(_dynamic_shape(signature, dynamic_axes),),
                input_names=[signature.input_name],
                output_names=list(signature.outputs),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"torch cannot export the network: {' '.join(str(error).split())}") from error
    if program is None:
        raise ExportError("torch gave no ONNX program")
    model = program.model
    ClearMetadataAndDocStringPass()(model)  # each operator's lists the source files on this machine
    model.graph.name = name
    model.producer_name = "recon"
    model.metadata_props.update(metadata)
    sizes = dict(zip(signature.input_axes, images.shape, strict=True))
    _name_axes(model.graph.inputs[0], signature.input_axes, sizes, dynamic_axes)
    for output, axes in zip(model.graph.outputs, signature.outputs.values(), strict=True):
        _name_axes(output, axes, sizes, dynamic_axes)
    weights = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    external = f"{path.name}.data" if weights > MAX_BYTES_IN_ONE_FILE else None
    onnx_ir.save(model, path, external_data=external)


def _dynamic_shape(signature: Signature, dynamic_axes: frozenset[str]) -> dict[int, Any]:
    """What torch is told of each axis that varies."""
    shape: dict[int, Any] = {}
    for axis, name in enumerate(signature.input_axes):
        if name in dynamic_axes:
            patches = {"height": "rows", "width": "columns"}.get(str(name))
            dim = torch.export.Dim(patches or str(name), min=1)
            shape[axis] = PATCH_SIZE * dim if patches else dim
    return shape


def _name_axes(value: Any, axes: tuple[int | str, ...], sizes: Mapping[Any, int], dynamic_axes: frozenset[str]) -> None:
    """Give the axes of an input or output their names, in place of terms such as 14*rows."""
    import onnx_ir

    value.shape = onnx_ir.Shape(axis if isinstance(axis, int) or axis in dynamic_axes else sizes[axis] for axis in axes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about itself; whether the file is right, its check shows."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
