"""What renders splats and moves them, wherever that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.refine.optimisation.photos import Look
from recon.refine.optimisation.state import AdamSplats


@dataclass(frozen=True)
class StepRates:
    """How far splats are to move in one step."""

    parameters: NDArray[np.float32]
    """(D,) learning rates, in the order of `cpu_projection_gradients`."""
    depth_weight: float
    """Of the mean relative error of depth, beside the loss of colours."""
    penalties: NDArray[np.float64]
    """(2,) derivatives of the loss by every opacity and by every scale, beside those that pixels say."""


class Derivatives(NamedTuple):
    """Of the loss of one look, by what is not splats."""

    gain: NDArray[np.float64]
    """(3,)."""
    offset: NDArray[np.float64]
    """(3,)."""
    world_to_camera: NDArray[np.float64]
    """(4, 4) by each entry."""
    intrinsics: NDArray[np.float64]
    """(3, 3) likewise, in pixels of what is looked at."""


class SplatUpdater(Protocol):
    """Holds splats, renders them and moves them towards what a photo shows.

    The loss is that of `photo_loss` and, beside it, the mean of |summed depth / known depth - alpha| where depth is
    known; the step that of `splat_adam`.
    """

    def step(
        self,
        look: Look,
        world_to_camera: NDArray[np.float64],
        intrinsics: NDArray[np.float64],
        exposure: NDArray[np.float64],
        rates: StepRates,
    ) -> Derivatives:
        """Move all splats that pixels of the look took colour from.

        Args:
            look: at one photo.
            world_to_camera: (4, 4).
            intrinsics: (3, 3) in pixels of the look.
            exposure: (6,) gains and offsets of the photo.
            rates: see there.
        """
        ...

    def draw(
        self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """(3, H, W) colours before black of one view of `size` (height, width); valid until the next is drawn."""
        ...

    def shake(self, amount: float, rng: np.random.Generator) -> None:
        """Move faint splats at random: see `recon.refine.optimisation.densification`."""
        ...

    def pull(self) -> AdamSplats:
        """The splats as they are, in arrays that steps may go on to change."""
        ...

    def push(self, splats: AdamSplats) -> None:
        """Go on with these splats, in these arrays where they are those of `pull` or can be changed in place."""
        ...

    def reopen(self) -> None:
        """Wait for threads that an interrupted step left at work; steps can go on afterwards."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...
