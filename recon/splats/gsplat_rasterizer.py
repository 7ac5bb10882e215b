"""Splatting on CUDA by the gsplat package."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, MissingExtraError
from recon.geometry import quaternions
from recon.splats.rasterizer import RenderedView, RenderSettings
from recon.types import Gaussians

if TYPE_CHECKING:
    import torch


class GsplatRasterizer:
    """Runs where gsplat is installed and torch finds a CUDA device."""

    name = "gsplat"
    differentiable = False

    def __init__(self, device: str = "cuda") -> None:
        self._device = device

    def check(self) -> None:
        """See `recon.splats.rasterizer.Rasterizer`. Without gsplat, torch is not imported."""
        if importlib.util.find_spec("gsplat") is None:
            raise MissingExtraError("rasterizer 'gsplat'", "gsplat", "gsplat")
        import torch

        if not torch.cuda.is_available():
            raise InputError("rasterizer 'gsplat' needs a CUDA device and none is found: use 'cpu' or 'auto'")

    def open(self, gaussians: Gaussians, settings: RenderSettings) -> GsplatRenderer:
        """See `recon.splats.rasterizer.Rasterizer`."""
        return GsplatRenderer(gaussians, settings, self._device)


class GsplatRenderer:
    """Draws views of the same Gaussians, which stay on the `device`."""

    def __init__(self, gaussians: Gaussians, settings: RenderSettings, device: str) -> None:
        self._settings, self._device = settings, device
        self._sh_degree = gaussians.sh_degree
        self._means = self._tensor(gaussians.means)
        self._rotations = self._tensor(quaternions.normalise(gaussians.rotations))
        self._scales = self._tensor(gaussians.scales)
        self._opacities = self._tensor(gaussians.opacities)
        self._harmonics = self._tensor(gaussians.harmonics.swapaxes(1, 2))  # (G, 3, K) -> (G, K, 3)
        self._backgrounds = self._tensor(settings.background)[None]  # (1, 3)

    def close(self) -> None:
        """Nothing is held but the tensors."""

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        """See `recon.splats.rasterizer.Renderer`."""
        if len(self._means) == 0:  # gsplat takes no empty tensors
            return self._background_alone()
        import gsplat
        import torch

        height, width = self._settings.size
        with torch.inference_mode():
            channels, alpha, _ = gsplat.rasterization(
                means=self._means,
                quats=self._rotations,
                scales=self._scales,
                opacities=self._opacities,
                colors=self._harmonics,
                viewmats=self._tensor(world_to_camera)[None],  # (1, 4, 4)
                Ks=self._tensor(intrinsics)[None],  # (1, 3, 3)
                width=width,
                height=height,
                near_plane=self._settings.near,
                far_plane=self._settings.far,
                sh_degree=self._sh_degree,
                backgrounds=self._backgrounds,
                render_mode=self._settings.mode,
                rasterize_mode="classic",
                packed=False,  # backgrounds fail otherwise in gsplat 1.5
            )
        values = channels[0].cpu().numpy()  # (H, W, 3 or 4)
        depth = None if self._settings.mode == "RGB" else values[..., 3]
        return RenderedView(values[..., :3], depth, alpha[0, ..., 0].cpu().numpy())

    def _background_alone(self) -> RenderedView:
        size = self._settings.size
        color = np.tile(self._settings.background.astype(np.float32), (*size, 1))  # (H, W, 3)
        nothing = np.zeros(size, np.float32)
        return RenderedView(color, None if self._settings.mode == "RGB" else nothing, nothing)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        import torch

        return torch.tensor(np.ascontiguousarray(array, np.float32), device=self._device)
