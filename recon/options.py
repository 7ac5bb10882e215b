"""Run settings: one set of fields for Python, YAML files and the command line.

`InferenceOptions` is what `recon.run.pipeline.reconstruct` takes; `RunSettings` adds what only `recon run` needs. Names
of flags, YAML keys and help texts all come from the fields below.
"""

from __future__ import annotations

import contextlib
import operator
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
import yaml

from recon.choices import DepthFile, MixedSizes, OutputKind, ProcessResMethod, Provider, Rasterizer
from recon.errors import InputError

RefViewStrategy = Literal["first", "middle", "saddle_balanced", "saddle_sim_range"]
Engine = Literal["recon", "reference"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
SplatSource = Literal["auto", "head", "depth"]

_OF_ONNX_FILES = ("output_kind", "provider", "threads")
_OF_TORCH_NETWORKS = ("weights", "revision", "precision", "device")
"""Options of `MonoSettings` that only one of the two uses."""


@dataclass(frozen=True)
class ExportChoices:
    """What goes into the exported files. Wrong values raise `InputError` naming the field."""

    conf_thresh_percentile: float | None = None
    """Point clouds leave out just this percentage of pixels: the least confident ones [40, but up to 90 where fewer
    reach a confidence of 1.05]."""
    num_max_points: int = 1_000_000
    """Point clouds hold at most this many points."""
    show_cameras: bool = True
    """Draw camera frusta into scene.glb."""
    feat_vis_fps: int = 15
    """Frames per second of the feature videos."""
    gaussians: SplatSource = "auto"
    """Splats from the model's Gaussian head or from its depth. auto: from the head where there is one."""
    gs_budget: int | None = None
    """Splats from depth are at most this many: the most important ones."""
    rasterizer: Rasterizer = "auto"
    """What renders splats. auto: gsplat where it is installed and there is CUDA, else cpu."""
    render_cameras: Path | None = None
    """Cameras of the Gaussian video, instead of a path of its own: .json or .npz as for --cameras."""
    render_hw: tuple[int, int] | None = None
    """Height and width of the Gaussian video [those of the processed images; with render_cameras those of their file].
    Cameras of a file are stretched to another shape."""
    poster: bool = False
    """Also write the middle frame of the Gaussian video as a JPEG."""
    seed: int = 0
    """Seed of everything random: made-up weights, cameras from rays, sampling of points."""

    def __post_init__(self) -> None:
        _convert_fields(self)
        percentile = self.conf_thresh_percentile
        _require(percentile is None or 0 <= percentile <= 100, "conf_thresh_percentile", "0 to 100", percentile)
        _require(self.num_max_points > 0, "num_max_points", "above 0", self.num_max_points)
        _require(self.feat_vis_fps > 0, "feat_vis_fps", "above 0", self.feat_vis_fps)
        _require(self.gs_budget is None or self.gs_budget > 0, "gs_budget", "above 0", self.gs_budget)
        _require(self.render_hw is None or min(self.render_hw) > 0, "render_hw", "above 0", self.render_hw)
        _require(0 <= self.seed < 2**63, "seed", "0 to 2^63 - 1", self.seed)


@dataclass(frozen=True)
class InferenceOptions(ExportChoices):
    """How photos become a prediction and files. Wrong values raise `InputError` naming the field."""

    align_to_input_ext_scale: bool = True
    """With given extrinsics: bring depth to their scale, return them exactly. Off: move them to the model's frame."""
    infer_gs: bool = False
    """Also return 3D Gaussians when no format asks for them; of the Gaussian head unless `gaussians` is depth."""
    use_ray_pose: bool = False
    """Take cameras from the ray map instead of the camera token: slower."""
    ref_view_strategy: RefViewStrategy = "saddle_balanced"
    """How the reference view is chosen, from 3 views on and without given extrinsics."""
    process_res: int = 504
    """Pixels of the longer side (upper_bound) or shorter side (lower_bound) the network sees."""
    process_res_method: ProcessResMethod = "upper_bound_resize"
    """Which side process_res bounds, and whether the other is resized or cropped to a multiple of 14."""
    mixed_sizes: MixedSizes = "crop"
    """Photos of different shapes: crop to the smallest, or refuse."""
    export_feat_layers: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Encoder block whose features are returned (and drawn by feat_vis); may be given several times."""
    strict: bool = False
    """Stop at a photo that cannot be read instead of leaving it out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.process_res >= 14, "process_res", "at least 14", self.process_res)
        lowest_layer = min(self.export_feat_layers, default=0)
        _require(lowest_layer >= 0, "export_feat_layers", "0 or more", lowest_layer)


@dataclass(frozen=True)
class _CommandSettings:
    """What `recon run` needs besides the inference options."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")] = ()
    """Photos, or folders of photos."""
    model: str = "auto"
    """Preset (`recon models` lists them), 'mvs' for multi-view stereo without weights, or auto: da3-large or another
    any-view preset whose weights are there or can be downloaded, else mvs."""
    export: str = "mini_npz-glb-depth_vis"
    """Formats, joined with '-': mini_npz, npz, glb, ply, depth_vis, feat_vis, gs_ply, spz, gs_video."""
    export_kwargs: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Further option of a format, as FORMAT.OPTION=VALUE: glb.camera_size=0.05; may be given several times."""
    out: Path | None = None
    """Folder for the results [outputs/<input name>]. Files of an earlier run with the same names are replaced."""
    config: str | None = None
    """YAML file with any of these settings, or a name: best, commercial, quick. Flags win over it."""
    cameras: str | None = None
    """Known cameras: .json by image name, or .npz in image order (intrinsics of the upright originals); or 'sfm': found
    in the photos themselves, by structure from motion, as mvs does when none are given."""
    weights: str = "official"
    """'official', 'none' (random), a .safetensors file, a checkpoint folder, or a hub id."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    fill: bool = False
    """With mvs: complete the pixels it finds no depth for from their surroundings, at the lowest confidence."""
    commercial_only: bool = False
    """Refuse weights whose licence forbids commercial use."""
    engine: Engine = "recon"
    """'reference': the network of an installed depth-anything-3."""
    precision: Precision = "auto"
    """Of the encoder; the rest is float32. auto: fp32 on CPU, bf16 or fp16 on CUDA."""
    device: Device = "auto"
    """Where the network runs. auto: cuda, else mps, else cpu."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


@dataclass(frozen=True)
class RunSettings(InferenceOptions, _CommandSettings):
    """Photos to depth, cameras and a point cloud."""

    def inference_options(self) -> InferenceOptions:
        """The part of these settings that the pipeline takes."""
        return InferenceOptions(**{f.name: getattr(self, f.name) for f in fields(InferenceOptions)})


@dataclass(frozen=True)
class MonoSettings:
    """Depth of unrelated photos, each on its own. Wrong values raise `InputError` naming the field."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")] = ()
    """Photos, or folders of photos."""
    onnx: Path | None = None
    """ONNX file to run instead of a network in torch."""
    model: str | None = None
    """Preset [da3mono-large]; with an ONNX file, the preset it holds where it does not say so itself."""
    output_kind: OutputKind | None = None
    """What an ONNX file's output is, where neither the file nor its name says: depth or disparity."""
    out: Path | None = None
    """Folder for the results, one folder for each photo in it [outputs/<input name>]."""
    export: str = "mini_npz-glb-depth_vis"
    """Formats, joined with '-', for each photo; see `recon run`. Empty: only the depth files."""
    depth_files: str = "png-npy"
    """Depth at the photo's resolution: png (16 bit, scale in run.json), npy (float32), png-npy. Empty: none."""
    focal: float | None = None
    """Focal length of all photos in pixels of the upright originals [by EXIF, else 60 degrees are assumed]."""
    cameras: Path | None = None
    """Intrinsics of each photo instead: .json by image name, or .npz in image order."""
    batch_size: int = 1
    """Photos of one size that go through the network together."""
    process_res: int | None = None
    """Pixels of the side that process_res_method bounds [as the network was trained]."""
    process_res_method: ProcessResMethod | None = None
    """Which side process_res bounds, and whether the other is resized or cropped [as the network was trained]."""
    gs_budget: int | None = None
    """Splats of a photo are at most this many: the most important ones."""
    strict: bool = False
    """Stop at a photo that cannot be used instead of leaving it out."""
    seed: int = 0
    """Of random weights."""
    provider: Provider = "auto"
    """Where an ONNX file runs. auto: cuda where onnxruntime has it, else cpu."""
    threads: int | None = None
    """Threads of an ONNX file on the CPU [all cores]."""
    weights: str = "official"
    """Of a network in torch: 'official', 'none' (random), a weights file, a checkpoint folder, or a hub id."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    commercial_only: bool = False
    """Refuse weights whose licence forbids commercial use."""
    precision: Precision = "auto"
    """Of the encoder of a network in torch; the rest is float32."""
    device: Device = "auto"
    """Where a network in torch runs. auto: cuda, else mps, else cpu."""

    def __post_init__(self) -> None:
        _convert_fields(self)
        _require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        _require(self.process_res is None or self.process_res >= 14, "process_res", "at least 14", self.process_res)
        _require(self.gs_budget is None or self.gs_budget >= 1, "gs_budget", "at least 1", self.gs_budget)
        known = get_args(DepthFile)
        for kind in self.depth_kinds:
            _require(kind in known, "depth_files", f"{' or '.join(known)}, joined with '-'", repr(kind))
        of_onnx = self.onnx is not None
        for name in _OF_TORCH_NETWORKS if of_onnx else _OF_ONNX_FILES:
            if getattr(self, name) != getattr(MonoSettings, name):
                other = "a network in torch, not for an ONNX file" if of_onnx else "an ONNX file, and none is given"
                raise InputError(f"{name} is for {other}")

    @property
    def depth_kinds(self) -> tuple[str, ...]:
        """Endings of the depth files."""
        return tuple(dict.fromkeys(self.depth_files.split("-"))) if self.depth_files else ()


@dataclass(frozen=True)
class MonoCommand(MonoSettings):
    """Depth of single photos that have nothing to do with each other, by a network in torch or an ONNX file."""

    export_kwargs: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Further option of a format, as FORMAT.OPTION=VALUE: glb.camera_size=0.05; may be given several times."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


def load_settings(name_or_path: str) -> RunSettings:
    """Read run settings from a YAML file, or from the file of that name in configs/run.

    Keys are the fields of `RunSettings`; relative paths in it count from the working folder. Raises `InputError` naming
    the file and the key for an unknown key, a value of the wrong type, or a file that cannot be read.
    """
    path = _find_settings(name_or_path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable YAML file ({_first_line(error)})") from error
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected `key: value` lines, found a {type(values).__name__}")
    known = [f.name for f in fields(RunSettings) if f.name != "config"]
    for key in values:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
            raise InputError(f"{path}: unknown key '{key}'; {hint}")
    try:
        return RunSettings(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def settings_names() -> tuple[str, ...]:
    """Names that `--config` understands without a path."""
    from recon.paths import configs_folder

    return tuple(sorted(path.stem for path in (configs_folder() / "run").glob("*.yaml")))


def _find_settings(name_or_path: str) -> Path:
    from recon.paths import configs_folder

    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.name == name_or_path and not path.suffix:
        bundled = configs_folder() / "run" / f"{name_or_path}.yaml"
        if bundled.is_file():
            return bundled
    raise InputError(f"--config {name_or_path}: no such file; settings known by name: {', '.join(settings_names())}")


def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def _convert_fields(settings: object) -> None:
    """Bring every field of a frozen dataclass to the type it is annotated with."""
    for name, hint in _hints(type(settings)).items():
        object.__setattr__(settings, name, _convert(getattr(settings, name), hint, name))


def _require(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise InputError(f"{name} must be {expected}, got {value}")


def _convert(value: Any, hint: Any, name: str) -> Any:
    """`value` as the type `hint` asks for, or an `InputError` naming the field. Numbers and text are never mixed up."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), name)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{name} must be one of {', '.join(arguments)}, got {value!r}")
        return value
    if origin is tuple:
        if value is None or isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise InputError(f"{name} must be a list, got {value!r}")
        items = tuple(_convert(item, arguments[0], name) for item in value)
        if Ellipsis not in arguments and len(items) != len(arguments):
            raise InputError(f"{name} must have {len(arguments)} values, got {len(items)}")
        return items
    with contextlib.suppress(TypeError, ValueError):
        if hint is int and not isinstance(value, bool):
            return operator.index(value)
        if hint is float and not isinstance(value, (bool, str)):
            return float(value)
        if hint is Path and isinstance(value, (str, Path)):
            return Path(value)
        if hint in (bool, str) and isinstance(value, hint):
            return value
    expected = {bool: "true or false", str: "text", Path: "a path", int: "a whole number", float: "a number"}[hint]
    raise InputError(f"{name} must be {expected}, got {value!r}")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
