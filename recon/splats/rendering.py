"""Gaussians and cameras to colour, depth and alpha.

All rasterizers follow gsplat 1.5's classic mode. Splats are blended nearest first, by the z-depth of their means in
float32, in their own order where that is equal:

- 0.3 pixels² are added to a splat's projected covariance; means outside `near` and `far` are culled;
- at a pixel centre its alpha is opacity · exp(-d² / 2), at most 0.999, and it is skipped below 1/255;
- the splat that would bring the light left below or to 1e-4 is left out, with everything behind it;
- colour is the spherical harmonics in the direction from the camera centre to the mean, plus 0.5, at least 0.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import has_skew
from recon.geometry.spherical_harmonics import MAX_DEGREE
from recon.splats.cpu_rasterizer import CpuRasterizer
from recon.splats.gsplat_rasterizer import GsplatRasterizer
from recon.splats.parameters import check_gaussians
from recon.splats.rasterizer import Rasterizer, RenderedView, Renderer, RenderMode, RenderSettings
from recon.types import Gaussians
from recon.types.cameras import Cameras


class Rendering(NamedTuple):
    """N rendered views, see `RenderedView`."""

    color: NDArray[np.float32]
    """(N, H, W, 3)."""
    depth: NDArray[np.float32] | None
    """(N, H, W); None in mode RGB."""
    alpha: NDArray[np.float32]
    """(N, H, W)."""


RASTERIZERS: dict[str, Rasterizer] = {
    rasterizer.name: rasterizer for rasterizer in (GsplatRasterizer(), CpuRasterizer())
}
"""By name, in the order in which `auto` takes the first that can run."""


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    size: tuple[int, int],
    mode: RenderMode = "RGB",
    *,
    rasterizer: str = "auto",
    background: Sequence[float] = (0, 0, 0),
    near: float = 0.01,
    far: float = 1e10,
    threads: int | None = None,
) -> Rendering:
    """Render Gaussians from N cameras.

    Args:
        gaussians: zero of them give the background.
        cameras: both parts given; intrinsics in pixels of the rendered size, the principal point anywhere, no skew.
        size: height and width in pixels.
        mode: `RGB`, or with accumulated (`RGB+D`) or expected depth (`RGB+ED`).
        rasterizer: a name in `RASTERIZERS`, or `auto` for the first of them that can run.
        background: red, green and blue behind everything.
        near, far: z-depths between which the means of visible Gaussians lie.
        threads: of the CPU rasterizer, by default one per core; the result does not depend on it.

    Raises:
        InputError: an argument that cannot be used, by its name; a rasterizer that cannot run here.
    """
    views = iter_render(
        gaussians,
        cameras,
        size,
        mode,
        rasterizer=rasterizer,
        background=background,
        near=near,
        far=far,
        threads=threads,
    )
    assert cameras.world_to_camera is not None
    shape = (len(cameras.world_to_camera), *size)
    color = np.empty((*shape, 3), np.float32)
    depth = None if mode == "RGB" else np.empty(shape, np.float32)
    alpha = np.empty(shape, np.float32)
    for index, view in enumerate(views):
        color[index], alpha[index] = view.color, view.alpha
        if depth is not None:
            depth[index] = view.depth
    return Rendering(color, depth, alpha)


def iter_render(
    gaussians: Gaussians,
    cameras: Cameras,
    size: tuple[int, int],
    mode: RenderMode = "RGB",
    *,
    rasterizer: str = "auto",
    background: Sequence[float] = (0, 0, 0),
    near: float = 0.01,
    far: float = 1e10,
    threads: int | None = None,
) -> Iterator[RenderedView]:
    """The views of `render` one at a time, for videos: memory does not grow with their number.

    Arguments and errors as for `render`; they are checked now, not when the first view is asked for.
    """
    check_gaussians(gaussians)
    if gaussians.sh_degree > MAX_DEGREE:
        raise InputError(f"harmonics must be of degree {MAX_DEGREE} at most to be rendered, got {gaussians.sh_degree}")
    extrinsics, intrinsics = _checked_cameras(cameras)
    height, width = _checked_size(size)
    if mode not in get_args(RenderMode):
        raise InputError(f"mode must be one of {', '.join(get_args(RenderMode))}, got {mode!r}")
    behind = np.array(background, np.float64)
    if behind.shape != (3,) or not np.isfinite(behind).all():
        raise InputError(f"background must be three finite numbers, got {background!r}")
    if not 0 < near < far:
        raise InputError(f"near must be above 0 and below far, got near={near} and far={far}")
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    settings = RenderSettings((height, width), behind, mode, near, far, threads)
    return _views(choose_rasterizer(rasterizer).open(gaussians, settings), extrinsics, intrinsics)


def choose_rasterizer(name: str) -> Rasterizer:
    """The rasterizer called `name`, or with `auto` the best one that can run on this machine.

    Raises:
        InputError: an unknown name, or a rasterizer that cannot run here.
    """
    if name == "auto":
        return next(rasterizer for rasterizer in RASTERIZERS.values() if _can_run(rasterizer))
    if name not in RASTERIZERS:
        raise InputError(f"rasterizer must be one of auto, {', '.join(sorted(RASTERIZERS))}, got {name!r}")
    RASTERIZERS[name].check()
    return RASTERIZERS[name]


def _can_run(rasterizer: Rasterizer) -> bool:
    try:
        rasterizer.check()
    except InputError:
        return False
    return True


def _checked_cameras(cameras: Cameras) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 4, 4) world-to-camera and (N, 3, 3) intrinsics."""
    if cameras.world_to_camera is None or cameras.intrinsics is None:
        missing = "extrinsics" if cameras.world_to_camera is None else "intrinsics"
        raise InputError(f"rendering needs cameras with both parts, and these have no {missing}")
    checked = Cameras.from_arrays(cameras.world_to_camera, cameras.intrinsics, len(cameras.world_to_camera))
    assert checked.world_to_camera is not None
    assert checked.intrinsics is not None
    skewed = has_skew(checked.intrinsics)
    if skewed.any():
        index = int(np.argmax(skewed))
        raise InputError(f"intrinsics[{index}] must have no skew: [0, 1] and [1, 0] must be 0")
    return checked.world_to_camera, checked.intrinsics


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = map(operator.index, size)
    except (TypeError, ValueError):
        raise InputError(f"size must be two whole numbers, height and width in pixels, got {size!r}") from None
    if height < 1 or width < 1:
        raise InputError(f"size must be at least 1 by 1 pixel, got {size!r}")
    return height, width


def _views(
    renderer: Renderer, extrinsics: NDArray[np.float64], intrinsics: NDArray[np.float64]
) -> Iterator[RenderedView]:
    with contextlib.closing(renderer):
        for world_to_camera, matrix in zip(extrinsics, intrinsics, strict=True):
            yield renderer.render(world_to_camera, matrix)
