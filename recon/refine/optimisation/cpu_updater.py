"""Renders splats and moves them on the CPU: `recon.splats.cpu_differentiable_renderer` and `splat_adam`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.densification import shake
from recon.refine.optimisation.photo_loss import PhotoLoss
from recon.refine.optimisation.photos import Look
from recon.refine.optimisation.splat_adam import bias_corrections, update_splats
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.updater import Derivatives, StepRates
from recon.splats.cpu_differentiable_blending import LIGHT, PLANES
from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer
from recon.splats.rasterizer import RenderSettings

_CORRECTIONS = 10_000
"""Steps after which the moments of Adam are unbiased."""


class CpuUpdater:
    """See `recon.refine.optimisation.updater`. The same bytes for any number of threads."""

    def __init__(self, splats: AdamSplats, threads: int | None = None) -> None:
        self._splats, self._threads = splats, threads
        self._corrections = bias_corrections(_CORRECTIONS)
        self._canvases: dict[tuple[int, int], _Canvas] = {}

    def step(
        self,
        look: Look,
        world_to_camera: NDArray[np.float64],
        intrinsics: NDArray[np.float64],
        exposure: NDArray[np.float64],
        rates: StepRates,
    ) -> Derivatives:
        """See `SplatUpdater.step`."""
        canvas = self._canvas(look.size)
        image = canvas.renderer.draw(world_to_camera, intrinsics).image
        gain, offset = np.split(exposure.astype(np.float32), 2)
        gradient = canvas.gradient
        _, of_gain, of_offset = canvas.loss(image[:3], gain, offset, look.target, gradient[:3])
        weight = np.float32(rates.depth_weight / look.closeness.size)
        sign = np.sign(image[3] * look.closeness - (1 - image[LIGHT])) * (weight * (look.closeness > 0))
        np.multiply(sign, look.closeness, out=gradient[3])
        gradient[LIGHT] = sign
        canvas.renderer.blend_back(gradient)
        splats = self._splats
        of_camera = canvas.renderer.carry_back(
            update_splats,
            splats.moments,
            splats.steps,
            rates.parameters,
            self._corrections,
            rates.penalties,
        )
        return Derivatives(of_gain, of_offset, *of_camera)

    def draw(
        self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """See `SplatUpdater.draw`."""
        return self._canvas(size).renderer.draw(world_to_camera, intrinsics).image[:3]

    def shake(self, amount: float, rng: np.random.Generator) -> None:
        """See `SplatUpdater.shake`."""
        shake(self._splats, amount, rng)

    def pull(self) -> AdamSplats:
        """See `SplatUpdater.pull`."""
        return self._splats

    def push(self, splats: AdamSplats) -> None:
        """See `SplatUpdater.push`."""
        self._splats = splats
        self.reopen()

    def reopen(self) -> None:
        """See `SplatUpdater.reopen`."""
        self.close()

    def close(self) -> None:
        """See `SplatUpdater.close`."""
        for canvas in self._canvases.values():
            canvas.renderer.close()
        self._canvases.clear()

    def _canvas(self, size: tuple[int, int]) -> _Canvas:
        if size not in self._canvases:
            self._canvases[size] = _Canvas(self._splats, size, self._threads)
        return self._canvases[size]


class _Canvas:
    """What views of one size are drawn and compared with."""

    def __init__(self, splats: AdamSplats, size: tuple[int, int], threads: int | None) -> None:
        settings = RenderSettings(size, np.zeros(3), "RGB", threads=threads)
        self.renderer = CpuDifferentiableRenderer(splats.gaussians, settings)
        self.loss = PhotoLoss(size, self.renderer.spread)
        self.gradient = np.zeros((PLANES, *size), np.float32)
