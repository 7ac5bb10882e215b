"""A video of the Gaussians from a moving camera, with the depth beside the colours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from recon.choices import ExportChoices, RasterizerName
from recon.errors import InputError
from recon.export.depth_vis import CLIPPED_PERCENT, color_disparity
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.pictures import write_jpeg
from recon.export.splats import check_splats
from recon.export.video import Quality, VideoFormat, check_rate, check_video, write_video
from recon.geometry.cameras import has_skew, to_4x4
from recon.geometry.located_depth import check_cameras, check_points, with_cameras
from recon.messages import warn
from recon.options import Options, like, option, options_of
from recon.progress import track
from recon.splats.splat_sample import NEAR_PERCENT, SplatSample
from recon.splats.trajectories import check_mode, make_path, used_mode
from recon.types import FloatArray, Prediction
from recon.types.cameras import Cameras

if TYPE_CHECKING:
    from recon.sources.render_cameras import RenderCameras
    from recon.splats.rasterizer import RenderedView

NEAR_PLANE = 0.01
"""Share of the near depth of the input views in front of which splats are cut off."""
_LEAST_ALPHA = 0.5
"""Where splats cover less of a pixel than this, its depth is none."""
_DEPTH_SAMPLES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class GsVideoOptions(Options):
    """What the video shows, and how it is encoded."""

    trj_mode: str = option("extend", help="Camera path, see recon.splats.trajectories.make_path.")
    chunk_size: int = option(
        4,
        help="Taken, and without effect: frames are rendered one at a time and go straight to the encoder.",
        least=1,
    )
    color_mode: Literal["RGB", "RGB+D", "RGB+ED"] = option(
        "RGB+ED", help="RGB, or with depth: RGB+D accumulated, RGB+ED expected."
    )
    vis_depth: Literal["hcat", "vcat", "none"] | None = option(
        "hcat", help="Where the coloured depth goes: to the right of the picture, below it, or nowhere."
    )
    enable_tqdm: bool = option(True, help="Show progress.")
    output_name: str = option(
        "", help="Name of the file without suffix [0000_ and the camera path, or 0000_render_exts with given cameras]."
    )
    format: VideoFormat = option("mp4", help="Of the file: MP4 (H.264), GIF or animated WebP.")
    video_quality: Quality = option("high", help="How much room an MP4 takes.")
    poster: bool = like(ExportChoices, "poster", help="Also write the middle frame as a JPEG.")
    fps: int = option(24, help="Frames per second.", least=1)
    rasterizer: RasterizerName = like(ExportChoices, "rasterizer")
    render_cameras: Path | None = like(
        ExportChoices, "render_cameras", help="File with the cameras of the frames, in place of a path."
    )
    render_exts: Any = option(
        None,
        help="The same as an array: (M, 4, 4) or (M, 3, 4) world-to-camera in the prediction's frame and units.",
    )
    render_ixts: Any = option(
        None,
        help="(M, 3, 3) intrinsics of render_exts, in pixels of the rendered size [those of the first view].",
    )
    render_hw: tuple[int, int] | None = like(
        ExportChoices,
        "render_hw",
        help="Height and width of the rendered pictures [those of the prediction, or of the file]. Intrinsics of the "
        "prediction are scaled so that the picture is filled, its middle stays the middle and pixels stay square.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mode(self.trj_mode)
        if self.output_name in (".", "..") or any(c in self.output_name for c in "/\\\0"):
            raise InputError(f"output_name must be a file name without folders, got {self.output_name!r}")
        if self.render_exts is None and self.render_ixts is not None:
            raise InputError("render_ixts goes with render_exts, which is missing")
        if self.render_exts is not None and self.render_cameras is not None:
            raise InputError("render_exts and render_cameras both give cameras to render from: give one of them")
        _ = self.given  # to be refused at once

    @cached_property
    def given(self) -> RenderCameras | None:
        """The cameras to render from; None for a path of its own. Raises InputError."""
        if self.render_cameras is not None:
            from recon.sources.render_cameras import read_render_cameras

            found = read_render_cameras(self.render_cameras, self.render_hw)
            return _checked_cameras(found.extrinsics, found.intrinsics, found.size, f"'{self.render_cameras}'")
        if self.render_exts is None:
            return None
        return _checked_cameras(self.render_exts, self.render_ixts, self.render_hw, "render_exts and render_ixts")

    @property
    def depth_layout(self) -> str:
        """`hcat`, `vcat` or `none`."""
        return "none" if self.color_mode == "RGB" else self.vis_depth or "none"


def prepare(options: GsVideoOptions) -> None:
    """Compile the loops that render."""
    from recon.splats.compile_ahead import compile_ahead

    compile_ahead(options.rasterizer)


def check(prediction: Prediction, options: GsVideoOptions) -> None:
    """Raise InputError where Gaussians or cameras cannot be rendered, or the frames are too large."""
    check_splats(prediction)
    height, width = _render_size(prediction, options)
    height *= 1 + (options.depth_layout == "vcat")
    width *= 1 + (options.depth_layout == "hcat")
    check_video(options.format, height, width, options.fps)
    if options.given is None or options.given.intrinsics is None:
        check_cameras(prediction, GS_VIDEO.name)
        if prediction.intrinsics is None or prediction.extrinsics is None:
            check_points(prediction, GS_VIDEO.name)  # those of a single view are assumed
    if prediction.intrinsics is not None:
        check_skew(prediction.intrinsics, options)


def check_options(options: GsVideoOptions) -> None:
    """Raise InputError where the rasterizer asked for cannot run, or there are more frames in a second than the format
    can have."""
    from recon.splats.rendering import choose_rasterizer

    check_rate(options.format, options.fps)
    choose_rasterizer(options.rasterizer)


def check_skew(intrinsics: FloatArray, options: GsVideoOptions) -> None:
    """Raise InputError where the video is to be rendered from (N, 3, 3) `intrinsics` of the views, and with skew."""
    if options.given is not None and options.given.intrinsics is not None:
        return
    used = intrinsics if options.given is None else intrinsics[:1]
    if has_skew(used).any():
        view = int(np.argmax(has_skew(used)))
        raise InputError(
            f"gs_video: splats are rendered without skew, and intrinsics[{view}] have some ([0, 1] is "
            f"{used[view, 0, 1]:g}); leave the video out, or render it from cameras of its own (--render-cameras)"
        )


def write(prediction: Prediction, folder: Path, options: GsVideoOptions) -> Exported:
    """Write `gs_video/NAME.mp4`, or of another format, and `gs_video/NAME.jpg` if a poster is wanted."""
    from recon.splats.rendering import choose_rasterizer, iter_render

    assert prediction.gaussians is not None
    size = _render_size(prediction, options)
    trajectory, cameras = _frames(prediction, size, options)
    count = len(cameras.world_to_camera) if cameras.world_to_camera is not None else 0
    near, disparities = _depth_scale(prediction)
    views: Iterable[RenderedView] = iter_render(
        prediction.gaussians,
        cameras,
        size,
        options.color_mode,
        rasterizer=options.rasterizer,
        near=NEAR_PLANE * near,
    )
    if options.enable_tqdm:
        views = track(views, "render video", count)

    video_path = folder / "gs_video" / f"{options.output_name or f'0000_{trajectory}'}.{options.format}"
    files = [video_path]
    poster = None
    with write_video(video_path, options.fps, options.video_quality) as video:
        for index, view in enumerate(views):
            frame = _frame(view, options.depth_layout, disparities)
            video.add(frame)
            if index == count // 2:
                poster = frame
    if options.poster and poster is not None:
        files.append(video_path.with_suffix(".jpg"))
        write_jpeg(files[-1], poster)
    details = {
        "trajectory": trajectory,
        "frames": count,
        "fps": options.fps,
        "rendered_size": list(size),
        "rasterizer": choose_rasterizer(options.rasterizer).name,
    }
    return Exported(tuple(files), details)


def fit_intrinsics(intrinsics: FloatArray, size: tuple[int, int], new_size: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 3, 3) intrinsics for pictures of another height and width, that show no more than those of `size` do.

    One factor for both axes, so that square pixels stay square; the middle stays the middle.
    """
    (height, width), (new_height, new_width) = size, new_size
    factor = max(new_height / height, new_width / width)
    mapping = np.array(
        [
            [factor, 0, (new_width - factor * width) / 2],
            [0, factor, (new_height - factor * height) / 2],
            [0, 0, 1],
        ]
    )
    return mapping @ intrinsics.astype(np.float64)


def _frames(prediction: Prediction, size: tuple[int, int], options: GsVideoOptions) -> tuple[str, Cameras]:
    """The name of the camera path, and the cameras of all frames."""
    given = options.given
    if given is None:
        assert prediction.gaussians is not None
        cameras = _input_cameras(prediction, size)
        mode = used_mode(options.trj_mode, cameras)
        if mode != options.trj_mode and options.trj_mode != options_of(GsVideoOptions)["trj_mode"].default:
            warn(f"the camera path {options.trj_mode!r} needs several views: with this one it is {mode!r}")
        return mode, make_path(mode, cameras, size, SplatSample.of(prediction.gaussians), options.fps)
    intrinsics = given.intrinsics
    if intrinsics is None:
        own = _input_cameras(prediction, size)
        assert own.intrinsics is not None
        intrinsics = np.repeat(own.intrinsics[:1], len(given.extrinsics), axis=0)
    return "render_exts", Cameras(given.extrinsics, intrinsics)


def _input_cameras(prediction: Prediction, size: tuple[int, int]) -> Cameras:
    """The cameras of the prediction, for pictures of height and width `size`."""
    prediction = with_cameras(prediction)
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    _, height, width = prediction.depth.shape
    return Cameras(
        to_4x4(prediction.extrinsics.astype(np.float64)), fit_intrinsics(prediction.intrinsics, (height, width), size)
    )


def _checked_cameras(extrinsics: Any, intrinsics: Any, size: tuple[int, int] | None, source: str) -> RenderCameras:
    """The cameras given to render from; errors begin with their `source`. Raises InputError."""
    from recon.sources.render_cameras import RenderCameras

    count = len(extrinsics) if hasattr(extrinsics, "__len__") else 0
    if count == 0:
        raise InputError(f"{source} must hold at least one camera, as (M, 4, 4) or (M, 3, 4)")
    try:
        cameras = Cameras.from_arrays(extrinsics, intrinsics, count)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    if cameras.intrinsics is not None and has_skew(cameras.intrinsics).any():
        raise InputError(f"{source}: intrinsics must have no skew: [0, 1] and [1, 0] must be 0")
    assert cameras.world_to_camera is not None
    return RenderCameras(cameras.world_to_camera, cameras.intrinsics, size)


def _render_size(prediction: Prediction, options: GsVideoOptions) -> tuple[int, int]:
    """Height and width of the rendered pictures."""
    _, height, width = prediction.depth.shape
    asked = options.render_hw if options.given is None else options.given.size
    return asked or (height, width)


def _depth_scale(prediction: Prediction) -> tuple[float, tuple[float, float]]:
    """Depth of what is near in the input views, and the disparities (1 / depth) at the two ends of the colours.

    From all views together, so that a colour means one depth throughout the video.
    """
    depth = prediction.depth[prediction.valid]
    depth = depth[:: max(len(depth) // _DEPTH_SAMPLES, 1)]
    if len(depth) == 0:
        return 1.0, (0.0, 1.0)
    low, high = np.percentile(1 / depth, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT])
    return float(np.percentile(depth, NEAR_PERCENT)), (float(low), float(high))


def _frame(view: RenderedView, layout: str, disparities: tuple[float, float]) -> NDArray[np.uint8]:
    """(H, W, 3) colours of one view, its coloured depth beside or below them."""
    picture = np.rint(view.color.clip(0, 1) * 255).astype(np.uint8)
    if layout == "none" or view.depth is None:
        return picture
    measured = (view.depth > 0) & (view.alpha >= _LEAST_ALPHA)
    disparity = np.divide(1, view.depth, out=np.zeros_like(view.depth), where=measured)
    colored = color_disparity(disparity, measured, disparities)
    return np.concatenate([picture, colored], axis=1 if layout == "hcat" else 0)


GS_VIDEO = Exporter(
    "gs_video",
    GsVideoOptions,
    write,
    ("gs_video",),
    Needs(gaussians=True),
    check,
    check_options,
    check_intrinsics=check_skew,
    prepare=prepare,
)
