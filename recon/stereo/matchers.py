"""The two ways of matching one view: compiled kernels on the CPU, or torch on a GPU. They give the same depth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.stereo import plane_refinement, plane_sweep
from recon.stereo.images import Matching
from recon.stereo.plane_refinement import Bounds, Refined
from recon.stereo.plane_sweep import Sweep

if TYPE_CHECKING:
    import torch


class Matcher(Protocol):
    """A plane sweep and the refinement of what it found; arguments as in `plane_sweep` and `plane_refinement`."""

    def sweep(self, matching: Matching, inverse_depths: NDArray[np.float32], window: int) -> Sweep: ...

    def refine(
        self, matching: Matching, planes: NDArray[np.float32], bounds: Bounds, window: int, passes: int
    ) -> Refined: ...


class CpuMatcher:
    """Bands of rows shared out to the threads of a pool."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool

    def sweep(self, matching: Matching, inverse_depths: NDArray[np.float32], window: int) -> Sweep:
        return plane_sweep.sweep(matching, inverse_depths, window, self.pool)

    def refine(
        self, matching: Matching, planes: NDArray[np.float32], bounds: Bounds, window: int, passes: int
    ) -> Refined:
        return plane_refinement.refine(matching, planes, bounds, window, passes, self.pool)


class TorchMatcher:
    """Whole images at a time, on any device of torch."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def sweep(self, matching: Matching, inverse_depths: NDArray[np.float32], window: int) -> Sweep:
        from recon.stereo import plane_sweep_torch

        return plane_sweep_torch.sweep(matching, inverse_depths, window, self.device)

    def refine(
        self, matching: Matching, planes: NDArray[np.float32], bounds: Bounds, window: int, passes: int
    ) -> Refined:
        from recon.stereo import plane_refinement_torch

        return plane_refinement_torch.refine(matching, planes, bounds, window, passes, self.device)
