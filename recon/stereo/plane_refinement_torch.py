"""The refinement of `plane_refinement` in torch: whole images, one source and many taps of the window at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recon.stereo.images import Matching
from recon.stereo.plane_refinement import LAST_FITS, REACHES, Bounds, Refined, window_taps
from recon.stereo.plane_refinement_kernels import (
    COLOUR_SCALE,
    DAMPING,
    NEGLIGIBLE,
    SAME_PLANE,
    SLOPE_DAMPING,
    WORTH_FITTING,
)
from recon.stereo.plane_sweep import NO_SCORE
from recon.stereo.plane_sweep_torch import AT_ONCE, TorchViews


def refine(
    matching: Matching,
    planes: NDArray[np.float32],
    bounds: Bounds,
    window: int,
    passes: int,
    device: torch.device,
) -> Refined:
    """As `plane_refinement.refine`, which describes the arguments."""
    views = _Windows(matching, window, device)
    best = torch.from_numpy(planes).to(device)
    scores = information = torch.zeros_like(best[0])
    for number in range(passes):
        if number > 0:
            best = _spread(views, best, scores, bounds)
        for _ in range(1 if number < passes - 1 else LAST_FITS):
            best, scores, information = _fit(views, best, bounds)
    return Refined(best.cpu().numpy(), scores.cpu().numpy(), information.cpu().numpy())


class _Windows(TorchViews):
    """The views and each pixel's window: taps (K, 2), weights and grey levels (K, H, W)."""

    def __init__(self, matching: Matching, window: int, device: torch.device) -> None:
        super().__init__(matching, device)
        self.agreeing, self.noise = matching.agreeing, matching.noise**2
        taps, count = window_taps(window)
        self.taps = torch.from_numpy(taps.T[:count]).to(device).float()  # x and y
        self.radius = float(taps[0].max())
        self.wanted = None if matching.wanted is None else torch.from_numpy(matching.wanted).to(device)
        colours = torch.from_numpy(matching.colours).to(device).float()
        height, width = self.reference.shape
        values, weights = [], []
        for x, y in self.taps.int().tolist():
            rows = (torch.arange(height, device=device) + y).clamp(0, height - 1)[:, None]
            columns = (torch.arange(width, device=device) + x).clamp(0, width - 1)
            away = ((colours[rows, columns] - colours) ** 2).sum(dim=-1) / COLOUR_SCALE**2
            values.append(self.reference[rows, columns])
            weight = 1 / (1 + away) ** 3
            weights.append(weight if self.wanted is None else weight * self.wanted[rows, columns])
        self.values = torch.stack(values)
        self.weights = torch.stack(weights)
        self.weights /= self.weights.sum(dim=0).clamp(min=1e-30)
        self.mean = (self.weights * self.values).sum(dim=0)
        variance = (self.weights * self.values**2).sum(dim=0) - self.mean**2
        self.deviation = (variance.clamp(min=0) + self.noise).sqrt()

    def correlations(self, planes: torch.Tensor) -> torch.Tensor:
        """(S, H, W) with each source."""
        return torch.stack([self._moments(source, planes, 1.0, 3)[0] for source in range(len(self.sources))])

    def mean_of_best(self, correlations: torch.Tensor) -> torch.Tensor:
        """Score (H, W): the mean of the best of the correlations (S, H, W)."""
        score = correlations.topk(self.agreeing, dim=0).values.mean(dim=0)
        return score if self.wanted is None else torch.where(self.wanted, score, NO_SCORE)

    def moments(self, source: int, planes: torch.Tensor, unit: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Correlation (H, W), and the 18 sums (18, H, W) that the equations of one source are made of."""
        return self._moments(source, planes, unit, 18)

    def _moments(self, source: int, planes: torch.Tensor, unit: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        w, along_x, along_y = planes
        matrix, shift = self.matrix[source], self.shift[source]
        start = self.homogeneous(source, w)
        sums = torch.zeros((count, *w.shape), device=w.device)
        taps_at_once = max(1, AT_ONCE // w.numel())
        for first in range(0, len(self.taps), taps_at_once):
            chunk = slice(first, first + taps_at_once)
            x, y = self.taps[chunk].T[..., None, None]  # (K, 1, 1)
            weight, value = self.weights[chunk], self.values[chunk]
            u, v, z = (
                start[k] + x * (matrix[k, 0] + shift[k] * along_x) + y * (matrix[k, 1] + shift[k] * along_y)
                for k in range(3)
            )
            u, v = u / z, v / z
            if count == 3:
                sample = self.sample(source, u, v)
                parts = [sample, sample**2, value * sample]
            else:
                sample, by_u, by_v = self.sample_with_slopes(source, u, v)
                height, width = self.sources.shape[1:]
                u, v = u.nan_to_num().clamp(0, width - 1), v.nan_to_num().clamp(0, height - 1)
                g = unit * (by_u * (shift[0] - u * shift[2]) + by_v * (shift[1] - v * shift[2])) / z
                square = g * g
                parts = [sample, sample**2, value * sample, g, g * x, g * y]
                parts += [square, square * x, square * y, square * x * x, square * x * y, square * y * y]
                parts += [sample * g, sample * g * x, sample * g * y, value * g, value * g * x, value * g * y]
            for k, part in enumerate(parts):
                sums[k] += (weight * part).sum(dim=0)
        variance = (sums[1] - sums[0] ** 2).clamp(min=0) + self.noise
        correlation = (sums[2] - sums[0] * self.mean) / (self.deviation * variance.sqrt())
        return torch.where(self.visible(source, *start), correlation.clamp(min=NO_SCORE), NO_SCORE), sums


def _spread(views: _Windows, planes: torch.Tensor, scores: torch.Tensor, bounds: Bounds) -> torch.Tensor:
    """Each pixel's own plane or that of a neighbour, whichever matches better."""
    own, score = planes, scores
    height, width = scores.shape
    device = scores.device
    rows, columns = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        best = torch.full_like(scores, NO_SCORE)
        candidate = torch.zeros_like(planes)
        for reach in REACHES.tolist():
            row, column = rows + reach * step_y, columns + reach * step_x
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
            better = inside & (scores[row, column] > best)
            best = torch.where(better, scores[row, column], best)
            there = planes[:, row, column].clone()
            there[0] -= reach * (step_x * there[1] + step_y * there[2])
            candidate = torch.where(better, there, candidate)
        change = (candidate[0] - own[0]).abs() + views.radius * (candidate[1:] - own[1:]).abs().sum(dim=0)
        allowed = (best > NO_SCORE) & (candidate[0] >= bounds.lowest) & (candidate[0] <= bounds.highest)
        allowed &= change >= SAME_PLANE * bounds.unit
        new = views.mean_of_best(views.correlations(candidate))
        better = allowed & (new > score)
        own, score = torch.where(better, candidate, own), torch.where(better, new, score)
    return own


def _fit(views: _Windows, planes: torch.Tensor, bounds: Bounds) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One Gauss-Newton step where it makes the correlation with the fitted sources better; as `Refined`."""
    every = [views.moments(source, planes, bounds.unit) for source in range(len(views.sources))]
    found = torch.stack([correlation for correlation, _ in every])
    scores = views.mean_of_best(found)
    share = torch.where(found > WORTH_FITTING * found.amax(dim=0), found, 0.0)
    matrix = torch.zeros((3, 3, *scores.shape), device=scores.device)
    gradient = torch.zeros((3, *scores.shape), device=scores.device)
    for weight, (_, sums) in zip(share, every, strict=True):
        total, g = sums[0], sums[3:6]
        variance = (sums[1] - total**2).clamp(min=0) + views.noise
        covariance = sums[2] - total * views.mean
        with_s, with_r = sums[12:15] - g * total, sums[15:18] - g * views.mean
        gradient += weight / (views.deviation * variance.sqrt()) * (with_r - covariance * with_s / variance)
        gg = sums[torch.tensor([[6, 7, 8], [7, 9, 10], [8, 10, 11]], device=sums.device)]  # (3, 3, H, W)
        matrix += weight / variance * (gg - g[:, None] * g[None] - with_s[:, None] * with_s[None] / variance)
    step = _solve(matrix, gradient)
    step[0].clamp_(-1, 1)
    w = (planes[0] + bounds.unit * step[0]).clamp(bounds.lowest, bounds.highest)
    steepest = bounds.steepest * w
    slopes = torch.minimum(torch.maximum(planes[1:] + bounds.unit * step[1:], -steepest), steepest)
    candidate = torch.cat([w[None], slopes])
    moves = step[0].abs() + views.radius * step[1:].abs().sum(dim=0) > NEGLIGIBLE
    after = views.correlations(candidate)
    better = (scores > 0) & moves & ((share * (after - found)).sum(dim=0) > 0)
    scored = torch.where(better, views.mean_of_best(after), scores)
    return torch.where(better, candidate, planes), scored, torch.where(scores > 0, matrix[0, 0], 0.0)


def _solve(matrix: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Damped solution (3, H, W) of symmetric equations (3, 3, H, W); zeros where the depth is not determined."""
    extra = SLOPE_DAMPING * matrix[0, 0]
    a = matrix[0, 0] * (1 + DAMPING)
    d = matrix[1, 1] * (1 + DAMPING) + extra
    f = matrix[2, 2] * (1 + DAMPING) + extra
    b, c, e = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    p, q, r = gradient
    co_a, co_b, co_c = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * co_a + b * co_b + c * co_c
    step = torch.stack(
        [
            co_a * p + co_b * q + co_c * r,
            co_b * p + (a * f - c * c) * q + (b * c - a * e) * r,
            co_c * p + (b * c - a * e) * q + (a * d - b * b) * r,
        ]
    )
    solvable = (matrix[0, 0] > 1e-6) & (determinant > 1e-9 * a * d * f)
    return torch.where(solvable, step / determinant, 0.0)
