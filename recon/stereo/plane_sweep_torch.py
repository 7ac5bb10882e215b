"""The plane sweep of `plane_sweep` in torch: whole images, many planes and one source at a time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from recon.stereo.images import Matching
from recon.stereo.plane_sweep import NO_SCORE, Sweep

AT_ONCE = 2**24
"""Pixels that one operation is about, at most. A GPU needs as much to do to be worth more than its starts; the numbers
alive at a time take about a gigabyte."""


def sweep(matching: Matching, inverse_depths: NDArray[np.float32], window: int, device: torch.device) -> Sweep:
    """As `plane_sweep.sweep`, which describes the arguments."""
    views = TorchViews(matching, device)
    mean = _box(views.reference, window)
    noise = matching.noise**2
    deviation = ((_box(views.reference**2, window) - mean**2).clamp(min=0) + noise).sqrt()
    best = torch.full((2, *mean.shape), NO_SCORE, device=device)
    found = torch.zeros_like(best)
    before = peak = torch.zeros_like(mean)
    count = max(1, AT_ONCE // (len(views.sources) * mean.numel()))
    for first in range(0, len(inverse_depths), count):
        chunk = torch.from_numpy(inverse_depths[first : first + count]).to(device)[:, None, None]
        correlations = []
        for source in range(len(views.sources)):
            u, v, z = views.homogeneous(source, chunk)  # (P, H, W)
            sample = views.sample(source, u / z, v / z)
            average = _box(sample, window)
            variance = (_box(sample**2, window) - average**2).clamp(min=0) + noise
            covariance = _box(sample * views.reference, window) - average * mean
            correlation = covariance / (deviation * variance.sqrt())
            correlations.append(torch.where(views.visible(source, u, v, z), correlation.clamp(min=NO_SCORE), NO_SCORE))
        scores = torch.stack(correlations).topk(matching.agreeing, dim=0).values.mean(dim=0)
        for plane, after in enumerate(scores, first):
            if plane >= 2:
                bend = before - 2 * peak + after
                step = float(inverse_depths[plane] - inverse_depths[plane - 1])
                place = float(inverse_depths[plane - 1]) + step * 0.5 * (before - after) / bend
                is_peak = (peak >= before) & (peak > after)
                better = is_peak & (peak > best[0])
                second = is_peak & ~better & (peak > best[1])
                for values, new in ((best, peak), (found, place)):
                    values[1] = torch.where(better, values[0], torch.where(second, new, values[1]))
                    values[0] = torch.where(better, new, values[0])
            before, peak = peak, after
    return Sweep(found.cpu().numpy(), best.cpu().numpy())


class TorchViews:
    """One reference view and its sources on a device, in grey levels around 0."""

    def __init__(self, matching: Matching, device: torch.device) -> None:
        self.reference = torch.from_numpy(matching.reference).to(device).float() - 128  # (H, W)
        self.sources = torch.from_numpy(matching.sources).to(device).float() - 128  # (S, H, W)
        self._visible = None if matching.visible is None else torch.from_numpy(matching.visible).to(device)
        self.matrix = torch.from_numpy(matching.warp.matrix).to(device)
        self.shift = torch.from_numpy(matching.warp.shift).to(device)
        height, width = self.reference.shape
        self.columns = torch.arange(width, device=device, dtype=torch.float32).expand(height, width)
        self.rows = torch.arange(height, device=device, dtype=torch.float32)[:, None].expand(height, width)

    def homogeneous(self, source: int, inverse_depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Homogeneous pixels, each (H, W), of the reference's pixels in a source."""
        u, v, z = (
            self.matrix[source, k, 0] * self.columns
            + self.matrix[source, k, 1] * self.rows
            + self.matrix[source, k, 2]
            + self.shift[source, k] * inverse_depth
            for k in range(3)
        )
        return u, v, z

    def visible(self, source: int, u: torch.Tensor, v: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Whether homogeneous pixels lie in front of a source and within its image, where that is not masked."""
        height, width = self.sources.shape[1:]
        within = (z > 0) & (u >= -0.5 * z) & (u <= (width - 0.5) * z) & (v >= -0.5 * z) & (v <= (height - 0.5) * z)
        if self._visible is None:
            return within
        column = (u / z + 0.5).nan_to_num().clamp(0, width - 1).long()
        row = (v / z + 0.5).nan_to_num().clamp(0, height - 1).long()
        return within & self._visible[source, row, column]

    def sample(self, source: int, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Bilinear samples at pixels (..., H, W); outside the image its border goes on."""
        height, width = self.sources.shape[1:]
        grid = torch.stack([u / ((width - 1) / 2) - 1, v / ((height - 1) / 2) - 1], dim=-1)
        grid = grid.nan_to_num().clamp(-1, 1).reshape(1, -1, *grid.shape[-2:])
        image = self.sources[source][None, None]
        found = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
        return found.reshape(u.shape)

    def sample_with_slopes(
        self, source: int, u: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `sample`, and the derivatives of the samples by u and v."""
        height, width = self.sources.shape[1:]
        u = torch.where(u > 0, u, 0.0).clamp(max=width - 1)  # NaN goes to 0
        v = torch.where(v > 0, v, 0.0).clamp(max=height - 1)
        left, upper = u.floor(), v.floor()
        across, down = u - left, v - upper
        column, row = left.long(), upper.long()
        right, lower = (column + 1).clamp(max=width - 1), (row + 1).clamp(max=height - 1)
        image = self.sources[source]
        a, b = image[row, column], image[row, right]
        c, d = image[lower, column], image[lower, right]
        above, below = a + across * (b - a), c + across * (d - c)
        return above + down * (below - above), (b - a) + down * ((d - c) - (b - a)), below - above


def _box(values: torch.Tensor, window: int) -> torch.Tensor:
    """Means (..., H, W) over a square window; the border goes on outside."""
    radius = window // 2
    padded = F.pad(values.reshape(-1, 1, *values.shape[-2:]), (radius, radius, radius, radius), mode="replicate")
    along_rows = F.avg_pool2d(padded, (1, window), stride=1)
    return F.avg_pool2d(along_rows, (window, 1), stride=1).reshape(values.shape)
