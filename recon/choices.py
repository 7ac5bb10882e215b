"""What users choose: names that several parts share, and the options that several commands and functions share.

Apart from the parts, so that the command line starts without them. Each class is one group of options; what a command
or a function takes is put together from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.errors import InputError
from recon.options import Options, option

ProcessResMethod = Literal["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]
"""Which side `process_res` bounds, and how both sides become multiples of the patch; see `recon.sources.fitting`."""
MixedSizes = Literal["own", "crop", "error"]
"""What becomes of photos of different shapes."""
RasterizerName = Literal["auto", "cpu", "gsplat"]
"""What renders splats; see `recon.splats.rendering`."""
OutputKind = Literal["depth", "disparity"]
"""What a network's map holds: `depth` (near is small) or `disparity` (near is large, zero is infinitely far)."""
OnnxNormalise = Literal["outside", "inside", "inside-255"]
"""Where photos are normalised for an ONNX file: by this program, or by the file itself, which then takes RGB from 0 to
1 (to 255 where its graph shows that), or from 0 to 255; see `recon.models.onnx.model_info`."""
Provider = Literal["auto", "cpu", "cuda", "coreml", "tensorrt"]
"""Where an ONNX file runs; see `recon.models.onnx.session`."""
DepthFile = Literal["png", "npy"]
"""Files of depth at the resolution of a photo; see `recon.export.photo_depth`."""
RefViewStrategy = Literal["first", "middle", "saddle_balanced", "saddle_sim_range"]
"""How a network of several views chooses its reference view."""
Engine = Literal["recon", "reference"]
"""Whose network runs: the one here, or that of an installed depth-anything-3."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Number format of a network's encoder."""
Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where a network or multi-view stereo runs."""
SplatSource = Literal["auto", "head", "depth"]
"""Where splats come from: a network's Gaussian head, or the depth."""

SplatResolution = Literal["process", "full"]
"""Size of the photos that splats are fitted to: that of the depth, or their own."""

SplatDensification = Literal["auto", "mcmc", "none"]
"""How splats become more while they are optimised; see `recon.refine.optimisation.densification`."""

NETWORK = "a network in torch"
ANY_VIEW = "a network that sees several views together"
ONNX_FILE = "an ONNX file"
STEREO = "multi-view stereo"
SPLATS = "splats"
DEPTH_SPLATS = "splats from depth"
OPTIMISED_SPLATS = "splats optimised to look like the photos"
"""Parts of a run that some options are for."""
FORMATS = "export formats"
"""Stands for the export formats that take the option, as their own options say (`recon.options.like`)."""


@dataclass(frozen=True, kw_only=True)
class StrictOption(Options):
    """Photos."""

    strict: bool = option(False, help="Stop at a photo that cannot be used instead of leaving it out.")


@dataclass(frozen=True, kw_only=True)
class FreshOption(Options):
    """Results."""

    fresh: bool = option(
        False, help="Compute everything anew, instead of going on from what an earlier run into the folder has kept."
    )


@dataclass(frozen=True, kw_only=True)
class MaskOptions(Options):
    """Masks."""

    masks: Path | None = option(
        None,
        help="Folder of pictures named like the photos (a.jpg.png or a.png for a.jpg, in sub-folders likewise), or one "
        "picture for all photos: black is left out, beside what a photo's own transparency leaves out.",
    )
    invert_masks: bool = option(False, help="Leave out what is white in the masks, not what is black.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.invert_masks and self.masks is None:
            raise InputError("invert_masks is for masks, and none are given")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(MaskOptions, StrictOption):
    """Input."""

    input_kind: str | None = option(
        None, help="Open the input as this kind, whatever it looks like [by its content]", metavar="KIND"
    )
    every: int = option(1, help="Take each so many-th photo, or frame of a video.", least=1)
    limit: int | None = option(None, help="Take at most this many photos or frames, the first ones [all].", least=1)
    ordered: bool = option(
        False,
        help="The photos follow each other in time, in the order of their names, as frames of a video do: structure "
        "from motion compares neighbours.",
    )
    fps: float | None = option(None, help="Of a video: take this many frames a second [2, 20 to 60 in all].", above=0)
    frames: int | None = option(None, help="Of a video: take this many frames, evenly in time [by fps].", least=1)
    start: float | str | None = option(
        None, help="Of a video: leave out what comes before, in seconds or h:m:s [its beginning].", metavar="TIME"
    )
    end: float | str | None = option(
        None, help="Of a video: leave out what comes from there on, in seconds or h:m:s [its end].", metavar="TIME"
    )
    sharpest: bool = option(
        True, help="Of a video: take the sharpest frame of each interval; off, and with every: the first."
    )
    images: Path | None = option(
        None,
        help="Folder of the photos of a COLMAP model, a transforms.json or a cameras.json [images beside it, or where "
        "it says].",
        metavar="FOLDER",
    )


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Options):
    """Cameras."""

    convention: str | None = option(
        None,
        help="What plain matrices of cameras are (arrays, .npz, .npy, lines of numbers): w2c or c2w, opencv or opengl, "
        "or both, as in c2w-opengl [as the file's format has it, else w2c-opencv].",
        metavar="CONVENTION",
    )


@dataclass(frozen=True, kw_only=True)
class InputsOption(Options):
    """Photos."""

    inputs: tuple[Path, ...] = option(
        (),
        help="Photos, folders or ZIP archives of photos, patterns ('photos/*.jpg'), lists (.txt, a path on each line); "
        "or a video.",
        positional=True,
        metavar="INPUT",
    )


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options):
    """Size of what the network sees."""

    process_res: int | None = option(
        None, help="Pixels of the side that process_res_method bounds [as the network was trained].", least=14
    )
    process_res_method: ProcessResMethod | None = option(
        None,
        help="Which side process_res bounds: the longer (upper_bound) or the shorter (lower_bound); and whether the "
        "other is resized or cropped to a multiple of 14 [as the network was trained].",
    )


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Weights."""

    weights: str = option(
        "official",
        help="'official', 'none' (random), a weights file, a checkpoint folder, or a hub id.",
        used_by=(NETWORK,),
        may_be_path=True,
    )
    revision: str | None = option(None, help="Branch, tag or commit of the hub repository.", used_by=(NETWORK,))
    commercial_only: bool = option(False, help="Refuse weights whose licence forbids commercial use.")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(WeightsOptions):
    """Network."""

    precision: Precision = option(
        "auto",
        help="Of the encoder; the rest is float32. auto: fp32 on CPU, bf16 or fp16 on CUDA.",
        used_by=(NETWORK,),
    )
    device: Device = option(
        "auto", help="Where depth is found. auto: cuda, else mps, else cpu.", used_by=(NETWORK, STEREO)
    )


@dataclass(frozen=True, kw_only=True)
class SeedOption(Options):
    """Random numbers."""

    seed: int = option(
        0, help="Of everything random: made-up weights, cameras, sampling of points.", least=0, most=2**63 - 1
    )


@dataclass(frozen=True, kw_only=True)
class OnnxFileOptions(Options):
    """ONNX file."""

    onnx: Path | None = option(None, help="ONNX file of a single-view network to run instead of a network in torch.")
    output_kind: OutputKind | None = option(
        None,
        help="What an ONNX file's output is, where neither the file nor its name says: depth or disparity.",
        used_by=(ONNX_FILE,),
    )
    onnx_normalise: OnnxNormalise | None = option(
        None,
        help="inside: the ONNX file normalises photos itself, from 0 to 1 (to 255 where its graph shows that); "
        "inside-255: from 0 to 255; outside: it does not [as the file says, else outside].",
        used_by=(ONNX_FILE,),
    )
    provider: Provider = option(
        "auto",
        help="Where an ONNX file runs. auto: cuda where onnxruntime has it, else cpu.",
        used_by=(ONNX_FILE,),
    )
    threads: int | None = option(
        None, help="Threads of an ONNX file on the CPU [all cores].", least=1, used_by=(ONNX_FILE,)
    )


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions(NetworkOptions, OnnxFileOptions, SeedOption):
    """What finds depth."""

    model: str = option(
        "auto",
        help="Preset (`recon models` lists them), 'mvs' for multi-view stereo without weights, 'measured' for the "
        "depth that a capture with LiDAR brings, or auto: da3-large or another any-view preset whose weights are there "
        "or can be downloaded, else mvs. With an ONNX file, the preset it holds where it does not say so itself.",
    )
    engine: Engine = option(
        "recon", help="'reference': the network of an installed depth-anything-3.", used_by=(NETWORK,)
    )
    fill: bool = option(
        False,
        help="With mvs: complete the pixels it finds no depth for from those around, at the lowest confidence.",
        used_by=(STEREO,),
    )


@dataclass(frozen=True, kw_only=True)
class SplatBudget(Options):
    """Splats."""

    gs_budget: int | None = option(
        None,
        help="Splats from depth are at most this many: the most important ones.",
        least=1,
        used_by=(DEPTH_SPLATS,),
    )


@dataclass(frozen=True, kw_only=True)
class SplatOptimisation(Options):
    """Splats that look like the photos."""

    gs_iterations: int | None = option(
        None,
        help="Make splats look like the photos, in this many steps; 0 leaves them as they are [where several photos "
        "have cameras that are known or found, as many as help the photos held out, at most 65 for each other photo; "
        "with predicted cameras 0, unless gs_seconds is given].",
        least=0,
        used_by=(SPLATS,),
    )
    gs_seconds: float | None = option(
        None,
        help="Make splats look like the photos, for this many seconds at most [no limit].",
        above=0,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_splats: int | None = option(
        None,
        help="Splats that are optimised are at most this many, the most important ones [as many as a photo has pixels, "
        "at the size that depth is found at].",
        least=1,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_prune_unseen: bool = option(
        False,
        help="Leave out the splats that no photo shows after the optimisation. Off: they fade.",
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_holdout: int = option(
        10,
        help="With at least this many photos, one in as many is kept from the optimisation and tells when it has done "
        "enough; 0 keeps none.",
        least=0,
        used_by=(OPTIMISED_SPLATS,),
    )

    gs_resolution: SplatResolution | int = option(
        "process",
        help="Pixels of the longer side of the photos that splats are optimised at; process: those that depth is found "
        "at; full: those of the photos themselves. Photos larger than depth are looked at in random crops.",
        least=32,
        metavar="PIXELS|full",
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_sh_degree: int | None = option(
        None,
        help="Degree of the spherical harmonics of optimised splats, to which it grows from 1 on [1, or that of the "
        "splats that the optimisation begins with].",
        least=0,
        most=3,
        used_by=(OPTIMISED_SPLATS,),
    )
    gs_densify: SplatDensification = option(
        "auto",
        help="How splats become more while they are optimised. mcmc: those that fade are moved to where others are, "
        "and some are added, up to gs_splats; auto: so where it begins with less than half as many, from sparse points "
        "or for photos larger than their depth.",
        used_by=(OPTIMISED_SPLATS,),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gs_holdout == 1:
            raise InputError("gs_holdout must be 0, or at least 2: with 1, every photo would be held out")

    @property
    def asks_for_optimisation(self) -> bool:
        """Whether splats are to be optimised wherever that can be done at all."""
        return self.gs_iterations != 0 and (self.gs_iterations is not None or self.gs_seconds is not None)


@dataclass(frozen=True, kw_only=True)
class CleanChoices(Options):
    """Cleaning of points, splats and meshes."""

    clean: bool = option(
        True,
        help="Leave out flying pixels at depth edges (not of mvs, whose depth is free of them), and points that other "
        "views look through. Off: only what the options below ask for.",
    )
    clean_edges: float | None = option(
        None,
        help="Relative difference of depth to either side from which on a pixel between two surfaces is left out; 0 "
        "leaves out none [0.03; 0 for mvs].",
        least=0,
        below=1,
    )
    clean_views: int | None = option(
        None,
        help="Views that must agree with a point that another view looks through, so that it stays; 0 leaves out none "
        "[2].",
        least=0,
    )
    clean_tolerance: float | None = option(
        None,
        help="Relative difference of depth up to which views agree [three standard deviations of what they differ by, "
        "at least 0.01].",
        above=0,
        below=1,
    )
    clean_outliers: float | None = option(
        None,
        help="Leave out points whose mean distance to their 12 neighbours is above the mean of all by more than this "
        "many standard deviations; 2 is usual.",
        above=0,
    )
    clean_voxel: float | None = option(
        None,
        help="Point clouds hold one point for each cube with sides of this length.",
        above=0,
        used_by=(FORMATS,),
    )
    crop_box: tuple[float, float, float, float, float, float] | None = option(
        None,
        help="Leave out what is outside this box, in the frame and units of the cameras of the result.",
        metavar="XMIN YMIN ZMIN XMAX YMAX ZMAX",
    )
    crop_sphere: tuple[float, float, float, float] | None = option(
        None, help="Leave out what is outside this sphere, likewise.", metavar="X Y Z RADIUS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_box is not None and any(
            low >= high for low, high in zip(self.crop_box[:3], self.crop_box[3:], strict=True)
        ):
            raise InputError(f"crop_box must be three least and three larger coordinates, got {self.crop_box}")
        if self.crop_sphere is not None and self.crop_sphere[3] <= 0:
            raise InputError(f"crop_sphere needs a radius above 0, got {self.crop_sphere[3]}")


@dataclass(frozen=True, kw_only=True)
class ExportChoices(CleanChoices, SeedOption, SplatBudget):
    """What goes into the exported files.

    The options of formats take those of the same meaning from here (`recon.options.like`).
    """

    conf_thresh_percentile: float | None = option(
        None,
        help="Point clouds leave out the pixels below this percentile of the confidence, and those below 1.05 as far "
        "as the 90th percentile [40; depth that other views confirm, as that of mvs, is kept whole].",
        least=0,
        most=100,
        used_by=(FORMATS,),
    )
    conf_drop_percent: float | None = option(
        None,
        help="Point clouds leave out just this percentage of the pixels, the least confident ones, by no other rule.",
        least=0,
        most=100,
        used_by=(FORMATS,),
    )
    include_filled: bool = option(
        False,
        help="Make points and splats of depth that was filled in, too.",
        used_by=(FORMATS, DEPTH_SPLATS),
    )
    num_max_points: int = option(
        1_000_000, help="Point clouds hold at most this many points.", least=1, used_by=(FORMATS,)
    )
    show_cameras: bool = option(True, help="Draw camera frusta into scene.glb.", used_by=(FORMATS,))
    feat_vis_fps: int = option(15, help="Frames per second of the feature videos.", least=1, used_by=(FORMATS,))
    gaussians: SplatSource = option(
        "auto",
        help="Splats from the model's Gaussian head or from its depth. auto: from the head where there is one.",
        used_by=(SPLATS,),
    )
    rasterizer: RasterizerName = option(
        "auto",
        help="What renders splats, and optimises them. auto: gsplat where it is installed and there is CUDA, else cpu.",
        used_by=(FORMATS, OPTIMISED_SPLATS),
    )
    render_cameras: Path | None = option(
        None,
        help="Cameras of the Gaussian video, instead of a path of its own: .json or .npz as for --cameras.",
        used_by=(FORMATS,),
    )
    render_hw: tuple[int, int] | None = option(
        None,
        help="Height and width of the Gaussian video [those of the processed images; with render_cameras those of "
        "their file]. Cameras of a file are stretched to another shape.",
        least=1,
        metavar="HEIGHT WIDTH",
        used_by=(FORMATS,),
    )
    poster: bool = option(
        False, help="Also write the middle frame of the Gaussian video as a JPEG.", used_by=(FORMATS,)
    )


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(ExportChoices, SplatOptimisation, FitOptions, CameraOptions, SourceOptions):
    """How photos become a prediction and files."""

    align_to_input_ext_scale: bool = option(
        True,
        help="With given extrinsics: bring depth to their scale, return them exactly. Off: move them to the model's "
        "frame.",
        used_by=(ANY_VIEW,),
    )
    infer_gs: bool = option(
        False,
        help="Also return 3D Gaussians when no format asks for them; of the Gaussian head unless gaussians is depth.",
    )
    use_ray_pose: bool = option(
        False, help="Take cameras from the ray map instead of the camera token: slower.", used_by=(ANY_VIEW,)
    )
    ref_view_strategy: RefViewStrategy = option(
        "saddle_balanced",
        help="How the reference view is chosen, from 3 views on and without given extrinsics.",
        used_by=(ANY_VIEW,),
    )
    mixed_sizes: MixedSizes = option(
        "own",
        help="Photos of different shapes: each at its own (own), all cropped around the middle to the smallest width "
        "and height (crop), or refused (error).",
    )
    export_feat_layers: tuple[int, ...] = option(
        (),
        help="Encoder block whose features are returned (and drawn by feat_vis); may be given several times.",
        least=0,
        metavar="BLOCK",
        used_by=(NETWORK,),
    )


@dataclass(frozen=True, kw_only=True)
class FormatsOption(Options):
    """Files."""

    export: str = option(
        "mini_npz-glb-depth_vis", help="Formats, joined with '-'; trainer: colmap and ply.", metavar="FORMATS"
    )


@dataclass(frozen=True, kw_only=True)
class FormatKwargs(Options):
    """Files."""

    export_kwargs: tuple[str, ...] = option(
        (),
        help="Further option of a format: glb.camera_size=0.05; may be given several times.",
        metavar="FORMAT.OPTION=VALUE",
    )
