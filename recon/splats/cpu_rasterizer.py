"""Splatting on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon.splats.rasterizer import RenderSettings
from recon.types import Gaussians

if TYPE_CHECKING:
    from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer
    from recon.splats.cpu_renderer import CpuRenderer


class CpuRasterizer:
    """Runs everywhere; the kernels are loaded when a renderer is opened."""

    name = "cpu"
    differentiable = True

    def check(self) -> None:
        """Nothing is ever missing."""

    def open(self, gaussians: Gaussians, settings: RenderSettings) -> CpuRenderer:
        """See `recon.splats.rasterizer.Rasterizer`."""
        from recon.splats.cpu_renderer import CpuRenderer

        return CpuRenderer(gaussians, settings)

    def open_differentiable(self, gaussians: Gaussians, settings: RenderSettings) -> CpuDifferentiableRenderer:
        """See `recon.splats.rasterizer.DifferentiableRasterizer`."""
        from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer

        return CpuDifferentiableRenderer(gaussians, settings)
