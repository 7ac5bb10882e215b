"""A video of the Gaussians from a moving camera, with the depth beside the colours."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from recon.cameras import Cameras
from recon.choices import Rasterizer
from recon.errors import InputError
from recon.export.depth_vis import CLIPPED_PERCENT, color_disparity
from recon.export.exporter import Exported
from recon.export.pictures import write_jpeg
from recon.export.splats import check_splats
from recon.export.video import check_quality, check_size, write_video
from recon.geometry.cameras import has_skew, to_4x4
from recon.geometry.located_depth import check_points, with_cameras
from recon.messages import warn
from recon.progress import track
from recon.splats.splat_sample import NEAR_PERCENT, SplatSample
from recon.splats.trajectories import check_mode, make_path, used_mode
from recon.types import FloatArray, Prediction

if TYPE_CHECKING:
    from recon.splats.rasterizer import RenderedView

COLOR_MODES = ("RGB", "RGB+D", "RGB+ED")
DEPTH_LAYOUTS = ("hcat", "vcat", "none")
NEAR_PLANE = 0.01
"""Share of the near depth of the input views in front of which splats are cut off."""
_LEAST_ALPHA = 0.5
"""Where splats cover less of a pixel than this, its depth is none."""
_DEPTH_SAMPLES = 1_000_000


@dataclass(frozen=True)
class GsVideoOptions:
    """What the video shows, and how it is encoded."""

    trj_mode: str = "extend"
    """Camera path, see `recon.splats.trajectories.make_path`."""
    chunk_size: int = 4
    """Taken, and without effect: frames are rendered one at a time and go straight to the encoder."""
    color_mode: str = "RGB+ED"
    """`RGB`, or with depth: `RGB+D` accumulated, `RGB+ED` expected."""
    vis_depth: str | None = "hcat"
    """Where the coloured depth goes: `hcat` to the right of the picture, `vcat` below it, `none` or None nowhere."""
    enable_tqdm: bool = True
    """Show progress."""
    output_name: str = ""
    """Name of the file without suffix; by default `0000_` and the camera path, or `0000_render_exts` with those."""
    video_quality: str = "high"
    """`high`, `medium` or `low`."""
    poster: bool = False
    """Also write the middle frame as a JPEG."""
    fps: int = 24
    """Frames per second."""
    rasterizer: str = "auto"
    """`cpu`, `gsplat`, or `auto` for gsplat where it can run."""
    render_exts: Any = None
    """(M, 4, 4) or (M, 3, 4) world-to-camera in the prediction's frame and units: the frames, in place of a path."""
    render_ixts: Any = None
    """(M, 3, 3) intrinsics of `render_exts`, in pixels of the rendered size; by default the first view's."""
    render_hw: Any = None
    """Height and width of the rendered pictures; by default those of the prediction. Intrinsics of the prediction are
    scaled so that the picture is filled, its middle stays the middle and pixels stay square."""

    def __post_init__(self) -> None:
        check_mode(self.trj_mode)
        check_quality(self.video_quality)
        _check_choice("color_mode", self.color_mode, COLOR_MODES)
        _check_choice("vis_depth", self.vis_depth or "none", DEPTH_LAYOUTS)
        _check_choice("rasterizer", self.rasterizer, get_args(Rasterizer))
        for name in ("chunk_size", "fps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.output_name in (".", "..") or any(c in self.output_name for c in "/\\\0"):
            raise InputError(f"output_name must be a file name without folders, got {self.output_name!r}")
        if self.render_hw is not None:
            object.__setattr__(self, "render_hw", _checked_size(self.render_hw))
        if self.render_exts is not None:
            _given_cameras(self.render_exts, self.render_ixts)
        elif self.render_ixts is not None:
            raise InputError("render_ixts goes with render_exts, which is missing")

    @property
    def depth_layout(self) -> str:
        """`hcat`, `vcat` or `none`."""
        return "none" if self.color_mode == "RGB" else self.vis_depth or "none"


def check(prediction: Prediction, options: GsVideoOptions) -> None:
    """Raise InputError where there are no Gaussians or no cameras, or the rasterizer asked for cannot run."""
    from recon.splats.rendering import choose_rasterizer

    check_splats(prediction)
    choose_rasterizer(options.rasterizer)
    height, width = _render_size(prediction, options)
    check_size(height * (1 + (options.depth_layout == "vcat")), width * (1 + (options.depth_layout == "hcat")))
    if options.render_exts is None or options.render_ixts is None:
        _check_cameras(prediction)
    if prediction.intrinsics is not None:
        check_skew(prediction.intrinsics, options)


def check_skew(intrinsics: FloatArray, options: GsVideoOptions) -> None:
    """Raise InputError where the video is to be rendered from (N, 3, 3) `intrinsics` of the views, and with skew."""
    if options.render_ixts is not None:
        return
    used = intrinsics if options.render_exts is None else intrinsics[:1]
    if has_skew(used).any():
        view = int(np.argmax(has_skew(used)))
        raise InputError(
            f"gs_video: splats are rendered without skew, and intrinsics[{view}] have some ([0, 1] is "
            f"{used[view, 0, 1]:g}); leave the video out, or render it from cameras of its own (--render-cameras)"
        )


def write(prediction: Prediction, folder: Path, options: GsVideoOptions) -> Exported:
    """Write `gs_video/NAME.mp4`, and `gs_video/NAME.jpg` if a poster is wanted."""
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
        options.color_mode,  # type: ignore[arg-type]
        rasterizer=options.rasterizer,
        near=NEAR_PLANE * near,
    )
    if options.enable_tqdm:
        views = track(views, "render video", count)

    video_path = folder / "gs_video" / f"{options.output_name or f'0000_{trajectory}'}.mp4"
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
    if options.render_exts is None:
        assert prediction.gaussians is not None
        cameras = _input_cameras(prediction, size)
        mode = used_mode(options.trj_mode, cameras)
        if mode != options.trj_mode and options.trj_mode != GsVideoOptions.trj_mode:
            warn(f"the camera path {options.trj_mode!r} needs several views: with this one it is {mode!r}")
        return mode, make_path(mode, cameras, size, SplatSample.of(prediction.gaussians), options.fps)
    given = _given_cameras(options.render_exts, options.render_ixts)
    if given.intrinsics is None:
        own = _input_cameras(prediction, size)
        assert own.intrinsics is not None
        assert given.world_to_camera is not None
        given = Cameras(given.world_to_camera, np.repeat(own.intrinsics[:1], len(given.world_to_camera), axis=0))
    return "render_exts", given


def _input_cameras(prediction: Prediction, size: tuple[int, int]) -> Cameras:
    """The cameras of the prediction, for pictures of height and width `size`."""
    prediction = with_cameras(prediction)
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    _, height, width = prediction.depth.shape
    return Cameras(
        to_4x4(prediction.extrinsics.astype(np.float64)), fit_intrinsics(prediction.intrinsics, (height, width), size)
    )


def _given_cameras(extrinsics: Any, intrinsics: Any) -> Cameras:
    """The cameras of `render_exts` and `render_ixts`. Raises InputError."""
    count = len(extrinsics) if hasattr(extrinsics, "__len__") else 0
    if count == 0:
        raise InputError("render_exts must hold at least one camera, as (M, 4, 4) or (M, 3, 4)")
    try:
        cameras = Cameras.from_arrays(extrinsics, intrinsics, count)
    except InputError as error:
        raise InputError(f"render_exts and render_ixts: {error}") from error
    if cameras.intrinsics is not None and has_skew(cameras.intrinsics).any():
        raise InputError("render_ixts must have no skew: [0, 1] and [1, 0] must be 0")
    return cameras


def _check_cameras(prediction: Prediction) -> None:
    """Raise InputError where the prediction's cameras are needed and are missing or no numbers."""
    for name in ("extrinsics", "intrinsics"):
        matrices = getattr(prediction, name)
        if matrices is None and len(prediction.depth) > 1:
            raise InputError(
                f"a video of several views needs cameras, and this prediction has no {name}: "
                "use a model that estimates cameras, or give them"
            )
        if matrices is None:
            check_points(prediction)
        elif not np.isfinite(matrices).all():
            raise InputError(f"a video needs finite cameras, and the {name} of this prediction are not")


def _render_size(prediction: Prediction, options: GsVideoOptions) -> tuple[int, int]:
    """Height and width of the rendered pictures."""
    _, height, width = prediction.depth.shape
    return options.render_hw or (height, width)


def _checked_size(given: Any) -> tuple[int, int]:
    try:
        height, width = (operator.index(side) for side in given)
    except (TypeError, ValueError):
        raise InputError(f"render_hw must be a height and a width in whole pixels, got {given!r}") from None
    if min(height, width) < 1:
        raise InputError(f"render_hw must be at least 1 pixel high and wide, got {height}×{width}")
    return height, width


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


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
