"""Which files are written, and what goes into them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices.models import DeviceOption, SeedOption
from recon.choices.splats import SplatBudget
from recon.choices.words import DEPTH_SPLATS, FORMATS, OPTIMISED_SPLATS, SPLATS, RasterizerName, SplatSource
from recon.errors import InputError
from recon.options import Options, option


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
class ExportChoices(CleanChoices, DeviceOption, SeedOption, SplatBudget):
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
