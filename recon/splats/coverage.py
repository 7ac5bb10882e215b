"""How much of each splat views show: what is seen by none of the photos, nothing says that it is there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry.unprojection import project_points
from recon.splats.rasterizer import RenderSettings
from recon.types import FloatArray, Gaussians

SEEN = 0.05
"""Pixels' worth of a splat that a view shows if it shows it."""

LEAST_OPACITY = 1 / 255
"""Of splats that can be seen at all."""


@dataclass(frozen=True)
class Coverage:
    """Of G splats in some views."""

    weights: NDArray[np.float32]
    """(G,) the sum of the weights with which pixels of all views took the splat's colour, from 0 to 1 each."""
    views: NDArray[np.int32]
    """(G,) how many views show `SEEN` of it or more."""

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Coverage:
        """Of some of the splats."""
        return Coverage(self.weights[chosen], self.views[chosen])


def coverage(
    gaussians: Gaussians,
    world_to_camera: FloatArray,
    intrinsics: FloatArray,
    size: tuple[int, int],
    threads: int | None = None,
) -> Coverage:
    """What views of `size` (height, width) from (N, 4, 4) cameras with (N, 3, 3) intrinsics show of each splat.

    On the CPU, and the same for any number of threads.
    """
    from recon.splats.coverage_kernel import add_weights  # compiles
    from recon.splats.cpu_differentiable_blending import PLANES
    from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer

    weights, views = np.zeros(len(gaussians), np.float32), np.zeros(len(gaussians), np.int32)
    nothing = np.zeros((PLANES, *size), np.float32)
    own = Gaussians(
        **{name: np.ascontiguousarray(getattr(gaussians, name), np.float32) for name in Gaussians.__dataclass_fields__}
    )
    settings = RenderSettings(size, np.zeros(3), "RGB", threads=threads)
    with contextlib.closing(CpuDifferentiableRenderer(own, settings)) as renderer:
        for camera, lens in zip(world_to_camera.astype(np.float64), intrinsics.astype(np.float64), strict=True):
            of_view = np.zeros(len(gaussians), np.float32)
            renderer.draw(camera, lens)
            renderer.blend_back(nothing)
            renderer.carry_back(add_weights, of_view)
            weights += of_view
            views += of_view >= SEEN
    return Coverage(weights, views)


def without_unseen(gaussians: Gaussians, shown: Coverage, prune: bool) -> tuple[Gaussians, Coverage]:
    """Splats without those that no view shows, `SEEN` of each all together.

    Unless `prune`, their opacities are lowered instead, the more the less is shown of them, and only those go that
    cannot be seen any more. Where none would be left, all stay as they are.
    """
    share = np.minimum(shown.weights / np.float32(SEEN), 1)
    opacities = gaussians.opacities * share
    kept = share == 1 if prune else opacities >= LEAST_OPACITY
    if not kept.any():
        return gaussians, shown
    names = Gaussians.__dataclass_fields__
    left = {name: getattr(gaussians, name)[kept] for name in names}
    return Gaussians(**{**left, "opacities": opacities[kept]}), shown[kept]


def without_masked(
    gaussians: Gaussians, shown: Coverage, mask: NDArray[np.bool_], intrinsics: FloatArray, world_to_camera: FloatArray
) -> tuple[Gaussians, Coverage]:
    """Splats without those whose centres no view has in its picture but at pixels that its mask leaves out.

    `mask` (N, H, W) is False there; (N, 3, 3) and (N, 3, 4) are the cameras. Where none would be left, all stay.
    """
    height, width = mask.shape[1:]
    left_out, counted = np.zeros(len(gaussians), np.bool_), np.zeros(len(gaussians), np.bool_)
    for view, of_view in enumerate(mask):
        this = slice(view, view + 1)
        pixels, depth = project_points(gaussians.means[None], intrinsics[this], world_to_camera[this])
        inside = (depth[0] > 0) & (pixels[0] >= 0).all(axis=1) & (pixels[0] < (width, height)).all(axis=1)
        columns, rows = pixels[0, inside].astype(np.intp).T
        counted[inside] |= of_view[rows, columns]
        left_out[inside] |= ~of_view[rows, columns]
    kept = counted | ~left_out
    if kept.all() or not kept.any():
        return gaussians, shown
    return Gaussians(**{name: getattr(gaussians, name)[kept] for name in Gaussians.__dataclass_fields__}), shown[kept]
