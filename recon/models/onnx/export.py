"""Writing a network as an ONNX file that has proved itself against torch.

| network | input | outputs |
| --- | --- | --- |
| Depth Anything 3 mono, metric | `image` (1, 3, 504, 504) | `depth` (1, 1, 504, 504), and `sky` where asked for |
| Depth Anything 2 and 1 | `pixel_values` (1, 3, 518, 518) | `predicted_depth` (1, 518, 518), disparity or metres |
| any-view | `images` (1, V, 3, 504, 504) | `depth`, `confidence` (1, V, 504, 504), `extrinsics` (1, V, 3, 4), |
| | | `intrinsics` (1, V, 3, 3) |

All are float32. Images are normalised as `recon.models.onnx.model_info` says, which lists the metadata as well.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recon.errors import InputError, MissingExtraError
from recon.models.onnx.export_check import MAX_ERROR, MAX_ERROR_FP16, check_file, describe_errors
from recon.models.onnx.export_file import OPSET, write_file
from recon.models.onnx.export_graphs import Graph, Signature, graph_of, to_half
from recon.models.onnx.model_info import (
    LICENCE_KEY,
    MODEL_KEY,
    NORMALISATION_KEY,
    OPSET_KEY,
    OUTPUT_KIND_KEY,
    PRECISION_KEY,
    SOURCE_KEY,
    WEIGHTS_KEY,
)
from recon.models.onnx.options import OnnxOptions
from recon.models.presets import PATCH_SIZE, MonocularConfig, Preset
from recon.models.ready import ReadyModel
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD

_EXTRA = "onnx-export"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_TRACED_GRID = (10, 12)
"""Rows and columns of patches that a file for any size is traced with."""


@dataclass(frozen=True)
class OnnxFile:
    """What was written, and how well it agrees with torch."""

    path: Path
    external_data: Path | None
    """File of the weights, where they are too large for the file itself."""
    bytes: int
    """Of both."""
    input: tuple[str, tuple[int | str, ...]]
    """Name and shape; axes that vary by name."""
    outputs: Mapping[str, tuple[int | str, ...]]
    """Shape of each, likewise."""
    metadata: Mapping[str, str]
    errors: Mapping[str, float]
    """Largest `relative_error` of each output against torch."""
    seconds: float

    @property
    def error(self) -> float:
        """The worst of all outputs."""
        return max(self.errors.values())

    def summary(self) -> str:
        """In a few lines."""
        name, shape = self.input
        outputs = ", ".join(f"{name} {_shape_text(axes)}" for name, axes in self.outputs.items())
        beside = "" if self.external_data is None else f", with {self.external_data.name}"
        return (
            f"{self.path}{beside}: {self.bytes / 1e6:,.1f} MB, in {self.seconds:.1f} s\n"
            f"takes {name} {_shape_text(shape)}; gives {outputs}\n"
            f"largest relative difference of onnxruntime to torch: {describe_errors(self.errors)}"
        )


def check_request(preset: Preset, path: Path, options: OnnxOptions) -> None:
    """Raise InputError or MissingExtraError for what is bound to fail, before weights are downloaded."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("writing an ONNX file", package, _EXTRA)
    if options.views is not None and preset.any_view is None:
        raise InputError(f"views is for any-view models; {preset.name} looks at each image alone")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; name a file in it")
    if not path.suffix:
        raise InputError(f"cannot write {path}: give the file an ending, {path.name}.onnx")
    with _staging_folder(path):
        pass


def export_onnx(model: ReadyModel, path: str | os.PathLike[str], options: OnnxOptions | None = None) -> OnnxFile:
    """Write a network as an ONNX file, with metadata that `recon mono --onnx` reads.

    The file is checked by the rules of ONNX and run beside the network on random images, of several sizes and numbers
    where these may vary. Only then does it get its name; a file of that name is replaced.

    Args:
        model: the network and where it is from, on the CPU; it stays as it is.
        path: of the file. Weights above 2 GB go into a file beside it, with `.data` after the name.
        options: what kind of file.

    Raises:
        InputError: options that do not fit the network, or a path that cannot be written.
        ExportError: the file differs from torch by more than `MAX_ERROR` (`MAX_ERROR_FP16`); nothing is kept.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    start = time.perf_counter()
    options = options or OnnxOptions()
    path = Path(path).expanduser()
    if model.engine != "recon":
        raise InputError(f"only networks of the engine 'recon' can be exported, not of {model.engine!r}")
    check_request(model.preset, path, options)
    graph = graph_of(model.network, sky=options.sky).eval()  # type: ignore[arg-type]
    signature = graph.signature
    dynamic_axes = _dynamic_axes(signature, options)
    metadata = describe(model, options)
    examples = _example_images(signature, dynamic_axes, model.preset, options)
    with torch.no_grad():
        expected = [[values.numpy() for values in graph(images)] for images in examples]
    if options.fp16:
        graph = _half_copy(graph)
    with _staging_folder(path) as folder:
        staged = folder / path.name
        write_file(graph, examples[0], staged, name=model.name, dynamic_axes=dynamic_axes, metadata=metadata)
        del graph
        max_error = MAX_ERROR_FP16 if options.fp16 else MAX_ERROR
        errors = check_file(staged, [images.numpy() for images in examples], expected, max_error)
        size = sum(file.stat().st_size for file in folder.iterdir())
        external = _put_in_place(staged, path)
    sizes = dict(zip(signature.input_axes, examples[0].shape, strict=True))
    shapes = {
        name: tuple(axis if isinstance(axis, int) or axis in dynamic_axes else sizes[axis] for axis in axes)
        for name, axes in {signature.input_name: signature.input_axes, **signature.outputs}.items()
    }
    taken = (signature.input_name, shapes.pop(signature.input_name))
    return OnnxFile(path, external, size, taken, shapes, metadata, errors, time.perf_counter() - start)


def describe(model: ReadyModel, options: OnnxOptions) -> dict[str, str]:
    """The file's metadata: what it takes and gives, and where its weights are from."""
    network, weights = model.preset.network, model.weights.describe()
    is_disparity = isinstance(network, MonocularConfig) and network.max_depth is None
    source = "random" if model.weights.checkpoint is None else weights["repo"] or Path(weights["file"]).name
    entries = {
        MODEL_KEY: model.name,
        OUTPUT_KIND_KEY: "disparity" if is_disparity else "depth",
        NORMALISATION_KEY: json.dumps({"mean": _decimals(IMAGENET_MEAN), "std": _decimals(IMAGENET_STD)}),
        LICENCE_KEY: weights["licence"],
        SOURCE_KEY: weights.get("sha256"),
        WEIGHTS_KEY: f"{source} (seed {weights['seed']})" if source == "random" else source,
        OPSET_KEY: str(OPSET),
        PRECISION_KEY: "fp16" if options.fp16 else "fp32",
    }
    return {key: value for key, value in entries.items() if value is not None}


def _decimals(values: object) -> list[float]:
    """Float32 numbers as the decimal fractions that they stand for."""
    return [round(float(value), 6) for value in values]  # type: ignore[attr-defined]


def _dynamic_axes(signature: Signature, options: OnnxOptions) -> frozenset[str]:
    """Names of the axes that vary."""
    axes = {"height", "width", "batch"} if options.dynamic else set()
    if options.views is None:
        axes.add("views")
    return frozenset(axes & set(signature.input_axes))


def _example_images(
    signature: Signature, dynamic_axes: frozenset[str], preset: Preset, options: OnnxOptions
) -> list[Tensor]:
    """Random images to trace the network with (the first) and to check the file with (all)."""
    side = 518 if isinstance(preset.network, MonocularConfig) else 504
    sizes = [(side, side) if options.size is None else options.size]
    if "height" in dynamic_axes:
        rows, columns = (patches * PATCH_SIZE for patches in _TRACED_GRID)
        sizes = [(rows, columns), (columns + 3 * PATCH_SIZE, rows), (side, side)]
    counts = [options.views or 1]
    if "batch" in dynamic_axes:
        counts = [2, 1]
    if "views" in dynamic_axes:
        counts = [4, 2, 1]
    generator = torch.Generator().manual_seed(0)
    examples = []
    for index in range(max(len(sizes), len(counts))):
        count = counts[min(index, len(counts) - 1)]
        height, width = sizes[min(index, len(sizes) - 1)]
        values = {"batch": count, "views": count, "height": height, "width": width}
        shape = [values[axis] if isinstance(axis, str) else axis for axis in signature.input_axes]
        examples.append(torch.randn(shape, generator=generator))
    return examples


def _half_copy(graph: Graph) -> Graph:
    half = copy.deepcopy(graph)
    to_half(half)
    return half


@contextlib.contextmanager
def _staging_folder(path: Path) -> Iterator[Path]:
    """A folder on the same disk as `path`, where the files have their final names while they are written and checked.

    Whatever ends the block, it is gone afterwards. Raises InputError where the machine refuses.
    """
    folder = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(staged: Path, path: Path) -> Path | None:
    """Give a file and its external data their place; where that of the data is."""
    data, external = staged.with_name(f"{path.name}.data"), path.with_name(f"{path.name}.data")
    if not data.exists():
        replaced = path.exists()
        os.replace(staged, path)
        if replaced:
            external.unlink(missing_ok=True)  # nothing refers to it any more
        return None
    # There is never a file with data that is not its own.
    path.unlink(missing_ok=True)
    os.replace(data, external)
    os.replace(staged, path)
    return external


def _shape_text(axes: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, axes))}]"
