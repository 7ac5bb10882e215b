"""The CPU's differentiable rasterizer as a function of torch, to build other optimisers on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.errors import InputError
from recon.splats.cpu_rasterizer import CpuRasterizer
from recon.splats.parameters import check_gaussians
from recon.splats.rasterizer import RenderedView, RenderMode, RenderSettings
from recon.types import Gaussians


class RenderedTensors(NamedTuple):
    """One rendered view; shapes and meaning as of `recon.splats.rasterizer.RenderedView`."""

    color: Tensor
    """(H, W, 3)."""
    depth: Tensor
    """(H, W), in mode RGB without a derivative."""
    alpha: Tensor
    """(H, W)."""


def rasterize(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    harmonics: Tensor,
    opacities: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    background: Tensor | Sequence[float] = (0.0, 0.0, 0.0),
    mode: RenderMode = "RGB+D",
    *,
    near: float = 0.01,
    far: float = 1e10,
    threads: int | None = None,
) -> RenderedTensors:
    """Draw Gaussians from one camera, with derivatives by every tensor given.

    Args:
        means, scales, rotations, harmonics, opacities: (G, 3), (G, 3), (G, 4), (G, 3, (degree + 1)²) and (G,) as in
            `recon.types.Gaussians`: scales and opacities themselves. Quaternions of any length.
        world_to_camera: (4, 4). Its derivatives are by each entry.
        intrinsics: (3, 3) in pixels, without skew.
        size: height and width in pixels.
        background: (3,).
        mode: with accumulated (`RGB+D`) or expected (`RGB+ED`) depth.
        near, far: z-depths between which the means of visible Gaussians lie.
        threads: by default one per core; the result does not depend on it.

    Raises:
        InputError: Gaussians that are not finite or out of bounds, a camera of another shape, or tensors that are not
            on the CPU.
    """
    given = (means, scales, rotations, harmonics, opacities, world_to_camera, intrinsics)
    if any(tensor.device.type != "cpu" for tensor in given):
        raise InputError("tensors must be on the CPU for this rasterizer")
    for name, tensor, shape in (("world_to_camera", world_to_camera, (4, 4)), ("intrinsics", intrinsics, (3, 3))):
        if tuple(tensor.shape) != shape:
            raise InputError(f"{name} must be of shape {shape}, for one camera, not {tuple(tensor.shape)}")
    behind = background if isinstance(background, Tensor) else torch.tensor(background, dtype=torch.float64)
    settings = RenderSettings(size, _array(behind), mode, near, far, threads)
    color, depth, alpha = _Rasterize.apply(*given, behind, settings)
    return RenderedTensors(color, depth, alpha)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        *parameters, world_to_camera, intrinsics, background, settings = arguments
        gaussians = Gaussians(*(tensor.detach().float().contiguous().numpy() for tensor in parameters))
        check_gaussians(gaussians)
        ctx.renderer = CpuRasterizer().open_differentiable(gaussians, settings)
        ctx.dtypes = [tensor.dtype for tensor in (*parameters, world_to_camera, intrinsics, background)]
        view = ctx.renderer.render(_array(world_to_camera), _array(intrinsics))
        depth = np.zeros(settings.size, np.float32) if view.depth is None else view.depth
        return torch.from_numpy(view.color), torch.from_numpy(depth), torch.from_numpy(view.alpha)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        color, depth, alpha = (gradient.detach().float().contiguous().numpy() for gradient in gradients)
        found = ctx.renderer.backward(RenderedView(color, depth, alpha))
        splats = found.gaussians
        arrays: list[NDArray[Any]] = [
            splats.means,
            splats.scales,
            splats.rotations,
            splats.harmonics,
            splats.opacities,
            found.world_to_camera,
            found.intrinsics,
            found.background,
        ]
        tensors = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        return (*(tensor.to(dtype) for tensor, dtype in zip(tensors, ctx.dtypes, strict=True)), None)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().contiguous().numpy()
