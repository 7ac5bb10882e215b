"""What can be said of depth without looking: the bar that any training has to clear.

Two priors: the best constant for each image or scene, and the mean depth map of the training set. A network that does
not beat the second has learned where things are in images, and nothing of what they show.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recon.train.losses.masked import inside

_GRID = 32
"""Cells of the mean map along either side."""


class MeanDepthMap:
    """The mean of log depth, each view or scene in units of its own mean, at each place of the image."""

    def __init__(self) -> None:
        self.sums = torch.zeros(_GRID, _GRID, dtype=torch.float64)
        self.counts = torch.zeros(_GRID, _GRID, dtype=torch.float64)

    def add(self, depth: Tensor, valid: Tensor, several_views: bool) -> None:
        """Take in B scenes of N views: depth (B, N, H, W) and where it is known.

        Args:
            depth: anything where it is not valid.
            valid: bool.
            several_views: whether a scene has one unit, not each view its own.
        """
        valid = valid & torch.isfinite(depth) & (depth > 0)
        depth = torch.where(valid, depth, torch.ones((), device=depth.device))
        over = (1, 2, 3) if several_views else (2, 3)
        count = valid.sum(dim=over, keepdim=True).clamp(min=1)
        unit = inside(depth, valid).sum(dim=over, keepdim=True) / count
        logs = inside((depth / unit.clamp(min=1e-12)).log(), valid).flatten(0, 1)[:, None]  # (B * N, 1, H, W)
        pooled = F.adaptive_avg_pool2d(torch.cat([logs, valid.flatten(0, 1)[:, None].to(logs)], dim=1), _GRID)
        sums, counts = pooled.double().sum(dim=0).cpu()
        self.sums += sums
        self.counts += counts

    def depth(self, height: int, width: int) -> NDArray[np.float64] | None:
        """The map at another size (H, W); None before it has seen anything."""
        if not bool((self.counts > 0).any()):
            return None
        mean = self.sums / self.counts.clamp(min=1e-12)
        mean = torch.where(self.counts > 0, mean, self.sums.sum() / self.counts.sum())
        full = F.interpolate(mean[None, None], size=(height, width), mode="bilinear", align_corners=False)
        found: NDArray[np.float64] = full[0, 0].exp().numpy()
        return found

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"sums": self.sums.clone(), "counts": self.counts.clone()}

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.sums, self.counts = state["sums"].clone(), state["counts"].clone()


def best_constant(truth: NDArray[np.float64]) -> float:
    """The constant c with the least mean of |c - truth| / truth: the median of truth (P,) weighted by 1 / truth."""
    ordered = np.sort(truth)
    weights = np.cumsum(1 / ordered)
    return float(ordered[np.searchsorted(weights, weights[-1] / 2)])
