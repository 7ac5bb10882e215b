"""What a rasterizer is: one way to draw splats, and what all of them take and give.

A new one is a file beside `cpu_rasterizer` and `gsplat_rasterizer` and a line in the table of `recon.splats.rendering`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.types import Gaussians

RenderMode = Literal["RGB", "RGB+D", "RGB+ED"]
"""Colour alone, or with accumulated (`RGB+D`) or expected depth (`RGB+ED`)."""


class RenderedView(NamedTuple):
    """One rendered view."""

    color: NDArray[np.float32]
    """(H, W, 3) with the background behind it; 0 to 1 for most splats, but not clamped above."""
    depth: NDArray[np.float32] | None
    """(H, W) z-depth: in mode RGB+D summed with the weights of the colours, in RGB+ED divided by their sum, so that it
    is the mean depth of what is seen; 0 where nothing is. None in mode RGB."""
    alpha: NDArray[np.float32]
    """(H, W) 0 where only the background is seen, up to 0.9999."""


@dataclass(frozen=True)
class RenderSettings:
    """What all views of one rendering share."""

    size: tuple[int, int]
    """Height and width in pixels."""
    background: NDArray[np.float64]
    """(3,) colour behind everything."""
    mode: RenderMode = "RGB"
    near: float = 0.01
    far: float = 1e10
    """The means of visible Gaussians lie between these z-depths."""
    threads: int | None = None
    """Of the CPU; None for one per core that this process may use."""


class Renderer(Protocol):
    """Draws the same Gaussians from one camera after another."""

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        """One view from (4, 4) `world_to_camera`, with (3, 3) `intrinsics` in pixels of the view and without skew."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...


class Gradients(NamedTuple):
    """Derivatives of a loss by all that one view is made of."""

    gaussians: Gaussians
    """Each derivative in the place of its parameter; those by scales and opacities are by themselves, not by logarithms
    or logits."""
    world_to_camera: NDArray[np.float64]
    """(4, 4) by each entry; the last row is 0."""
    intrinsics: NDArray[np.float64]
    """(3, 3) by the focal lengths and the principal point; 0 elsewhere."""
    background: NDArray[np.float64]
    """(3,)."""


class DifferentiableRenderer(Renderer, Protocol):
    """A renderer that splats are fitted to photos with."""

    def backward(self, gradient: RenderedView) -> Gradients:
        """The derivatives of a loss by what the view that was rendered last is made of.

        `gradient` has the derivatives of the loss by the values of that view; its depth may be None.
        """
        ...


class Rasterizer(Protocol):
    """One way to draw splats."""

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether it is a `DifferentiableRasterizer`."""
        ...

    def check(self) -> None:
        """Raise InputError where it cannot run on this machine; the message says what is missing."""
        ...

    def open(self, gaussians: Gaussians, settings: RenderSettings) -> Renderer:
        """A renderer of `gaussians`: finite numbers, possibly none, harmonics of degree 3 at most."""
        ...


class DifferentiableRasterizer(Rasterizer, Protocol):
    """One that also gives derivatives."""

    def open_differentiable(self, gaussians: Gaussians, settings: RenderSettings) -> DifferentiableRenderer:
        """A renderer of `gaussians`, as for `open`, that gives derivatives; its pictures differ by rounding."""
        ...
