"""Splatting on CUDA by the gsplat package."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry import quaternions
from recon.splats.rendering import RenderedView, RenderMode
from recon.types import Gaussians


class GsplatRasterizer:
    """Renders views of the same Gaussians, which stay on the device.

    Args:
        gaussians: finite, at least one.
        size: height and width of the views in pixels.
        mode: `RGB`, `RGB+D` or `RGB+ED`.
        background: (3,) colour behind everything.
        near, far: the z-depths between which Gaussians are seen.
        device: where gsplat renders.
    """

    def __init__(
        self,
        gaussians: Gaussians,
        size: tuple[int, int],
        mode: RenderMode,
        *,
        background: NDArray[np.float64],
        near: float,
        far: float,
        device: str = "cuda",
    ) -> None:
        self._size, self._mode, self._near, self._far, self._device = size, mode, near, far, device
        self._sh_degree = gaussians.sh_degree
        self._means = self._tensor(gaussians.means)
        self._rotations = self._tensor(quaternions.normalise(gaussians.rotations))
        self._scales = self._tensor(gaussians.scales)
        self._opacities = self._tensor(gaussians.opacities)
        self._harmonics = self._tensor(gaussians.harmonics.swapaxes(1, 2))  # (G, 3, K) -> (G, K, 3)
        self._backgrounds = self._tensor(background)[None]  # (1, 3)

    def close(self) -> None:
        """Nothing is held but the tensors."""

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        """One view.

        Args:
            world_to_camera: (4, 4).
            intrinsics: (3, 3) pixels of the view, without skew.
        """
        import gsplat

        height, width = self._size
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
                near_plane=self._near,
                far_plane=self._far,
                sh_degree=self._sh_degree,
                backgrounds=self._backgrounds,
                render_mode=self._mode,
                rasterize_mode="classic",
            )
        values = channels[0].cpu().numpy()  # (H, W, 3 or 4)
        depth = None if self._mode == "RGB" else values[..., 3]
        return RenderedView(values[..., :3], depth, alpha[0, ..., 0].cpu().numpy())

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array, np.float32), device=self._device)
