"""What an ONNX file of a single-view network takes and gives, from its session and its metadata.

Metadata, all optional, as this project's export writes it:

| key | contents |
| --- | --- |
| recon.output_kind | depth or disparity |
| recon.normalisation | `{"mean": [r, g, b], "std": [r, g, b]}` of RGB in [0, 1], for photos; ImageNet's by default |
| recon.model | preset; decides on metres and on the size that photos are shown at |
| recon.licence, recon.source_sha256, recon.weights | of the weights; the last says where they are from |
| recon.opset, recon.precision | ONNX operator set; fp32 or fp16 |
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recon.choices import OnnxNormalise, OutputKind
from recon.errors import InputError
from recon.messages import warn
from recon.models.conventions import DA2, DA2_METRIC, DA3_METRIC, DA3_MONO, Conventions, conventions_of
from recon.models.onnx.graph_start import read_graph_start
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD, PATCH

OUTPUT_KIND_KEY = "recon.output_kind"
NORMALISATION_KEY = "recon.normalisation"
MODEL_KEY = "recon.model"
LICENCE_KEY = "recon.licence"
SOURCE_KEY = "recon.source_sha256"
WEIGHTS_KEY = "recon.weights"
OPSET_KEY = "recon.opset"
PRECISION_KEY = "recon.precision"

Layout = Literal["NCHW", "NHWC"]

_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16"}
_INPUTS = {**_FLOATS, "tensor(uint8)": "uint8"}
_MAP_NAMES = ("depth", "predicted_depth", "disparity")
_SKY_NAME = "sky"


@dataclass(frozen=True)
class ModelInfo:
    """Input, output and meaning of a single-view ONNX file."""

    input_name: str
    layout: Layout
    input_dtype: Literal["float32", "float16", "uint8"]
    size: tuple[int, int] | None
    """Width and height of a fixed input; None where they may vary."""
    batch: int | None
    """Photos that go in at once; None where any number may."""
    output_name: str
    output_rank: int | None
    """3 for (N, H, W), 4 for (N, 1, H, W) or (N, H, W, 1); None where the file does not say."""
    sky_output_name: str | None
    """Output of the sky score, in the shape of the map; None in files without it."""
    conventions: Conventions
    known_from: str
    """Where it is known from whether the output is depth or disparity."""
    mean: NDArray[np.float32]
    """(3,) per channel, subtracted from RGB in [0, 1]."""
    std: NDArray[np.float32]
    """(3,) per channel, divided by after that. With a mean of 0, 1 gives RGB in [0, 1], and 1 / 255 in 0 to 255."""
    normalise: OnnxNormalise
    """Where photos are normalised: by this program, or by the file, which then takes RGB as it is."""
    model: str | None
    """Preset that the file holds, where that is known."""
    metadata: Mapping[str, str]
    """Custom metadata of the file."""

    @property
    def licence(self) -> str | None:
        """Of the weights, where the file states it."""
        return self.metadata.get(LICENCE_KEY)

    @property
    def output_kind(self) -> OutputKind:
        """Depth or disparity."""
        return self.conventions.output_kind


@dataclass(frozen=True)
class _KnownFile:
    """Files that others have published without saying what they hold."""

    title: str
    conventions: Conventions
    input_name: str
    output_name: str
    output_rank: int
    other_sides: tuple[int, ...] = ()
    """Sides of fixed inputs that these files do not have, but others of the same names do."""


_KNOWN_FILES = (
    # Depth Anything 1 has been published under these names as well, at its own 518 pixels, and gives disparity.
    _KnownFile("Depth Anything 3 mono", DA3_MONO, "image", "depth", 4, other_sides=(518,)),
    # Its metric variants share these names, and only the file's name, or who runs it, can tell.
    _KnownFile("Depth Anything 2", DA2, "pixel_values", "predicted_depth", 3),
)
_KNOWN_NAMES = (
    (re.compile(r"(da|depth.?anything).?v?3.?metric"), DA3_METRIC),
    (re.compile(r"(da|depth.?anything).?v?3.?mono"), DA3_MONO),
    (re.compile(r"depth.?anything.?v?2.*(metric|indoor|outdoor|hypersim|vkitti)"), DA2_METRIC),
    (re.compile(r"depth.?anything.?(v?[12]|vit[sblg])(?!.*(metric|indoor|outdoor|hypersim|vkitti))"), DA2),
)
"""By the name of the file or of its graph, in lower case. The first that fits counts."""


def read_info(
    session: Any,
    path: Path,
    output_kind: OutputKind | None,
    model: str | None,
    normalise: OnnxNormalise | None = None,
) -> ModelInfo:
    """Describe an open session.

    What the output means is known from, in this order: `model` and `output_kind`, the file's metadata as this project
    writes it, and the table of known files by the names of input and output or of the file, as far as these agree.

    Args:
        session: an `onnxruntime.InferenceSession`.
        path: of its file, for messages and for its name.
        output_kind: what the user says the output is.
        model: preset that the user says the file holds.
        normalise: where the user says that photos are normalised. None: as the file's metadata says, else outside; a
            warning tells where the graph begins as a normalisation does.

    Raises:
        InputError: not one image in and one map out, a size that no network takes, or an output of unknown meaning.
    """
    if output_kind not in (None, *get_args(OutputKind)):
        raise InputError(f"output_kind must be one of {', '.join(get_args(OutputKind))}, not {output_kind!r}")
    if normalise not in (None, *get_args(OnnxNormalise)):
        raise InputError(f"normalise must be one of {', '.join(get_args(OnnxNormalise))}, not {normalise!r}")
    (image,) = _only_input(session.get_inputs(), path)
    layout, batch, size = _read_shape(image.name, image.shape, path)
    if image.type not in _INPUTS:
        raise InputError(f"{path}: input '{image.name}' takes {image.type}; it must take float, float16 or uint8")
    output = _map_output(session.get_outputs(), path)
    rank = len(output.shape) if output.shape else None
    described = session.get_modelmeta()
    metadata = dict(described.custom_metadata_map)
    normalised, mean, std = _normalisation(normalise, metadata.get(NORMALISATION_KEY), image, path)
    info = ModelInfo(
        input_name=image.name,
        layout=layout,
        input_dtype=_INPUTS[image.type],  # type: ignore[arg-type]
        size=size,
        batch=batch,
        output_name=output.name,
        output_rank=rank,
        sky_output_name=next((one.name for one in session.get_outputs() if one.name == _SKY_NAME), None),
        conventions=DA3_MONO,
        known_from="",
        mean=mean,
        std=std,
        normalise=normalised,
        model=metadata.get(MODEL_KEY) if model is None else model,
        metadata=metadata,
    )
    conventions, known_from = _meaning(info, path, (path.stem, described.graph_name), output_kind, model)
    return replace(info, conventions=conventions, known_from=known_from)


def _only_input(inputs: Sequence[Any], path: Path) -> Sequence[Any]:
    if len(inputs) != 1:
        names = ", ".join(f"'{one.name}'" for one in inputs) or "none"
        raise InputError(f"{path}: has {len(inputs)} inputs ({names}); a single-view network has one, the image")
    return inputs


def _read_shape(name: str, shape: Sequence[Any], path: Path) -> tuple[Layout, int | None, tuple[int, int] | None]:
    """Layout, number of photos, and width and height of an input; None for what may vary."""
    if len(shape) != 4:
        views = "; a file for several views of one scene is not for single photos" if len(shape) == 5 else ""
        raise InputError(f"{path}: input '{name}' has shape {shape}; it must be (N, 3, H, W) or (N, H, W, 3){views}")
    layout: Layout = "NCHW" if _is_colour(shape[1]) or not _is_colour(shape[3]) else "NHWC"
    batch, channels, height, width = shape if layout == "NCHW" else (shape[0], shape[3], shape[1], shape[2])
    if isinstance(channels, int) and channels != 3:
        raise InputError(f"{path}: input '{name}' has shape {shape}; neither its second nor its last axis is RGB")
    sides = [side if isinstance(side, int) and side > 0 else None for side in (width, height)]
    count = batch if isinstance(batch, int) and batch > 0 else None
    if None not in sides:
        if any(side % PATCH for side in sides if side is not None):
            raise InputError(
                f"{path}: input '{name}' is {width}×{height} pixels; both sides must be multiples of {PATCH}, "
                "the patch of the Depth Anything networks"
            )
        return layout, count, (width, height)
    if sides != [None, None]:
        raise InputError(f"{path}: input '{name}' has shape {shape}; width and height must both be fixed, or neither")
    return layout, count, None


def _is_colour(axis: Any) -> bool:
    """Whether an axis is, by its length or else by its name, that of the channels. ONNX itself has them second."""
    return axis == 3 if isinstance(axis, int) else "channel" in str(axis).lower()


def _map_output(outputs: Sequence[Any], path: Path) -> Any:
    named = [one for one in outputs if one.name in _MAP_NAMES]
    if len(outputs) != 1 and len(named) != 1:
        names = ", ".join(f"'{one.name}'" for one in outputs)
        raise InputError(f"{path}: has {len(outputs)} outputs ({names}), and not just one is called depth or disparity")
    (output,) = named if len(outputs) != 1 else outputs
    if output.shape and len(output.shape) not in (3, 4):
        raise InputError(
            f"{path}: output '{output.name}' has shape {output.shape}; a map must be (N, H, W) or (N, 1, H, W)"
        )
    if output.type not in _FLOATS:
        raise InputError(f"{path}: output '{output.name}' gives {output.type}; it must give float or float16")
    return output


def _normalisation(
    asked: OnnxNormalise | None, stated: str | None, image: Any, path: Path
) -> tuple[OnnxNormalise, NDArray[np.float32], NDArray[np.float32]]:
    """Where photos are normalised, and the mean and deviation that this program has to apply.

    `stated` is what the metadata says, `image` the session's input.
    """
    start = read_graph_start(path, image.name)
    takes_bytes = _INPUTS[image.type] == "uint8"
    if takes_bytes:
        if asked == "outside":
            raise InputError(f"{path}: input '{image.name}' takes bytes, so the file itself has to normalise them")
        asked = "inside-255"
    if asked in ("inside", "inside-255"):
        if stated is not None and not takes_bytes:
            warn(f"{path}: normalise says {asked}, and the file itself (metadata) that photos are normalised before")
        if asked == "inside" and start.takes_bytes:
            asked = "inside-255"
        scale = 1 / 255 if asked == "inside-255" else 1
        return asked, np.zeros(3, np.float32), np.full(3, scale, np.float32)
    if asked is None and stated is None and start.operators:
        done = ", ".join(dict.fromkeys(start.operators))
        warn(
            f"{path}: its graph begins as a normalisation does ({done} of the image and constants), so that photos are "
            "perhaps normalised twice: say --onnx-normalise inside, or outside if it is as it should be"
        )
    return "outside", *_read_normalisation(stated, path)


def _read_normalisation(text: str | None, path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation from `{"mean": [r, g, b], "std": [r, g, b]}`; ImageNet's where the file says nothing."""
    if text is None:
        return IMAGENET_MEAN, IMAGENET_STD
    try:
        values = json.loads(text)
        mean, std = (np.asarray(values[key], np.float32) for key in ("mean", "std"))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: its metadata {NORMALISATION_KEY} names no mean and std: {text!r}") from error
    if mean.shape != (3,) or std.shape != (3,) or not np.isfinite([mean, std]).all() or (std <= 0).any():
        raise InputError(f"{path}: its metadata {NORMALISATION_KEY} must be three numbers each, std above 0: {text!r}")
    return mean, std


def _meaning(
    info: ModelInfo, path: Path, names: Sequence[str], output_kind: OutputKind | None, model: str | None
) -> tuple[Conventions, str]:
    stated = info.metadata.get(OUTPUT_KIND_KEY)
    if stated not in (None, *get_args(OutputKind)):
        raise InputError(f"{path}: its metadata {OUTPUT_KIND_KEY} must be depth or disparity, not {stated!r}")
    found, source = _of_preset(info.model, strict=model is not None), "given" if model is not None else "metadata"
    if found is None and stated is not None:
        found, source = _of_kind(stated), "metadata"  # type: ignore[arg-type]
    if found is None:
        found, source = _known(info, names)
    if found is not None and stated is not None and model is None:
        found = _with_kind(found, stated)  # type: ignore[arg-type]
    if output_kind is not None:
        if found is not None and found.output_kind != output_kind:
            warn(f"{path}: output_kind says {output_kind}, the file itself ({source}) {found.output_kind}")
        return _of_kind(output_kind) if found is None else _with_kind(found, output_kind), "given"
    if found is None:
        raise InputError(
            f"{path}: nothing says whether its output '{info.output_name}' is depth (near is small) or disparity "
            "(near is large): say so with --output-kind depth or --output-kind disparity"
        )
    return found, source


def _of_preset(name: str | None, *, strict: bool) -> Conventions | None:
    """Those of a preset. One that is not known is refused where the user named it."""
    if name is None:
        return None
    from recon.models.presets import all_preset_names, load_preset

    if not strict and name not in all_preset_names():
        return None
    return conventions_of(load_preset(name))


def _of_kind(kind: OutputKind) -> Conventions:
    """Those of an unknown network: the sizes that the families with this kind of output are trained at."""
    return DA3_MONO if kind == "depth" else DA2


def _with_kind(conventions: Conventions, kind: OutputKind) -> Conventions:
    """Disparity is known up to its scale only."""
    scale = conventions.depth_scale if kind == conventions.output_kind else "relative"
    return replace(conventions, output_kind=kind, depth_scale=scale)


def _known(info: ModelInfo, names: Sequence[str]) -> tuple[Conventions | None, str]:
    """What the tables of known files say; nothing where they contradict each other."""
    of_axes = next((known for known in _KNOWN_FILES if _fits(known, info)), None)
    of_name = next((found for pattern, found in _KNOWN_NAMES for name in names if pattern.search(name.lower())), None)
    if of_name is None:
        if of_axes is None:
            return None, ""
        return of_axes.conventions, f"input and output names as of {of_axes.title}"
    if of_axes is not None and of_axes.conventions.output_kind != of_name.output_kind:
        return None, ""
    return of_name, "name of the file or its graph"


def _fits(known: _KnownFile, info: ModelInfo) -> bool:
    return (
        (info.input_name, info.output_name, info.output_rank)
        == (known.input_name, known.output_name, known.output_rank)
    ) and not (info.size is not None and set(info.size) & set(known.other_sides))
