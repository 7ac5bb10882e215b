"""Depth maps of several views held against each other by the cameras: the scale at which they agree, and which agree.

A point of one view, placed by its depth, lies at a known depth in another view; that is compared with what stands
there. Where cameras stand apart, this tells the scale of the depth in the cameras' unit: with a wrong one, points fall
beside where they belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_4x4
from recon.types import FloatArray

_VIEWS, _OTHERS, _SAMPLES = 16, 6, 512
"""Views that tell the scale, views that each is compared with, and pixels of each that are compared, at most."""
_AXES = np.cos(np.radians(75))
"""Cosine of the angle between two cameras up to which they are taken to see the same."""
WITHIN = 0.05
"""Difference of log depth up to which two views agree."""
_HIDDEN = 0.25
"""A view that sees something nearer by this share has the point hidden from it, and says nothing of it."""
_NEAREST, _FARTHEST = 0.2, 300.0
"""Median depth that is thought possible, in distances between cameras."""
_STEP, _FINE = 0.03, 0.004
"""Of the logarithm of the scale that is tried."""
_FEWEST = 30
"""Comparisons that say anything."""
_SURE, _BESIDE, _CLEARER = 0.25, 0.18, 1.25
"""The best scale is told where this share agrees, so many times more than at scales that are off by more than the
second (in logarithms): all scales fit a wall that cameras pass by."""
AGREEING = 0.4
"""Share of the comparisons of a view that agree where its depth is that of its photo."""


@dataclass(frozen=True)
class Pairs:
    """Sampled pixels of N depth maps and where they go in other views."""

    depth: NDArray[np.float32]
    """(N, H, W) 0 where there is none."""
    others: NDArray[np.int64]
    """(N, M) the views that each is compared with; -1 where there are fewer."""
    turned: NDArray[np.float64]
    """(N, M, P, 3) K (u, v, 1) times depth, of the points without the cameras' distance; NaN where there is none."""
    shift: NDArray[np.float64]
    """(N, M, 3) what the distance between the cameras adds to that."""

    def log_ratios(self, scale: float) -> NDArray[np.float64]:
        """(N, M, P) logarithm of what the other view has there by what it should have, depth taken times `scale`; NaN
        where the point is not in its picture or nothing is there."""
        height, width = self.depth.shape[1:]
        with np.errstate(all="ignore"):
            placed = scale * self.turned + self.shift[:, :, None]
            z = placed[..., 2]
            places = placed[..., :2] / z[..., None]
            inside = (z > 0) & ((places >= 0) & (places < (width, height))).all(axis=-1)
            columns, rows = np.moveaxis(np.where(inside[..., None], places, 0).astype(np.intp), -1, 0)
            there = self.depth[np.maximum(self.others, 0)[:, :, None], rows, columns]
            return np.where(inside & (there > 0), np.log(scale * there / z), np.nan)


def pairs_of(depth: NDArray[np.float32], intrinsics: FloatArray, world_to_camera: FloatArray) -> Pairs:
    """Of N depth maps.

    Args:
        depth: (N, H, W) z-depth in any one unit; 0 where there is none.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
    """
    count, _, width = depth.shape
    placed = to_4x4(np.asarray(world_to_camera, np.float64))
    others = _others(placed, np.asarray((depth > 0).any(axis=(1, 2)), np.bool_))
    turned = np.full((count, others.shape[1], _SAMPLES, 3), np.nan)
    shift = np.zeros((count, others.shape[1], 3))
    generator = np.random.default_rng(0)
    for view in range(count):
        known = np.flatnonzero(depth[view] > 0)
        if not len(known):
            continue
        sample = generator.choice(known, _SAMPLES, replace=len(known) < _SAMPLES)
        rows, columns = np.divmod(sample, width)
        rays = np.linalg.inv(intrinsics[view]) @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(sample))])
        points = rays * depth[view].ravel()[sample]
        for place, other in enumerate(others[view]):
            if other >= 0:
                change = placed[other] @ np.linalg.inv(placed[view])
                turned[view, place] = (intrinsics[other] @ change[:3, :3] @ points).T
                shift[view, place] = intrinsics[other] @ change[:3, 3]
    return Pairs(depth, others, turned, shift)


class ScaleBetween(NamedTuple):
    """What depth is to be multiplied by so that the views agree best in the cameras' unit."""

    scale: float
    told: bool
    """Whether that is clear: other scales fit worse, and this one well."""


def scale_between(
    depth: NDArray[np.float32], intrinsics: FloatArray, world_to_camera: FloatArray
) -> ScaleBetween | None:
    """The scale at which views agree best; None where no two can be compared. Arguments as of `pairs_of`."""
    has = np.flatnonzero((depth > 0).any(axis=(1, 2)))
    if len(has) < 2:
        return None
    chosen = has[np.unique(np.linspace(0, len(has) - 1, min(len(has), _VIEWS)).astype(np.intp))]
    depth, placed = depth[chosen], to_4x4(np.asarray(world_to_camera, np.float64))[chosen]
    pairs = pairs_of(depth, np.asarray(intrinsics)[chosen], placed)
    centres = np.linalg.inv(placed)[:, :3, 3]
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)[np.triu_indices(len(chosen), 1)]
    middle = float(np.median(apart)) / float(np.median(depth[depth > 0]))
    if not middle > 0:
        return None
    tried = np.arange(np.log(_NEAREST * middle), np.log(_FARTHEST * middle), _STEP)
    scores, counts = np.array([_score(pairs, float(np.exp(one))) for one in tried]).T
    scores = np.where(counts >= max(_FEWEST, 0.25 * float(counts.max())), scores, 0)
    best = tried[int(np.argmax(scores))]
    off = np.abs(tried - best) > _BESIDE
    if scores.max() <= 0:
        return None
    told = scores.max() >= max(_SURE, _CLEARER * scores[off].max(initial=0))
    near = best + np.arange(-_STEP, _STEP + _FINE, _FINE)
    found = float(near[int(np.argmax([_score(pairs, float(np.exp(one)))[0] for one in near]))])
    return ScaleBetween(float(np.exp(found)), bool(told))


def _score(pairs: Pairs, scale: float) -> tuple[float, int]:
    """How well points and pictures agree on the whole, 0 to 1, and of how many points that is."""
    ratios = pairs.log_ratios(scale)
    ratios = ratios[np.isfinite(ratios)]
    return float(np.maximum(1 - np.abs(ratios) / WITHIN, 0).mean()) if len(ratios) else 0.0, len(ratios)


def agreeing_views(pairs: Pairs, scale: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each of N views the share of comparisons with others that agree, NaN where there are too few; and which views
    are apart from the rest: taken away one by one, the worst first, until the others agree."""
    count = len(pairs.depth)
    ratios = pairs.log_ratios(scale)
    says = np.isfinite(ratios) & (ratios > np.log(1 - _HIDDEN))
    compared, agree = np.zeros((count, count)), np.zeros((count, count))
    for view, place in np.argwhere(pairs.others >= 0):
        other = pairs.others[view, place]
        compared[view, other] += says[view, place].sum()
        agree[view, other] += (np.abs(ratios[view, place][says[view, place]]) <= WITHIN).sum()
    compared, agree = compared + compared.T, agree + agree.T
    kept = np.ones(count, bool)
    while True:
        of, well = compared[:, kept].sum(axis=1), agree[:, kept].sum(axis=1)
        shares = np.where(of >= _FEWEST, well / np.maximum(of, 1), np.nan)
        bad = kept & (shares < AGREEING)
        if not bad.any():
            return shares, ~kept
        kept[int(np.argmin(np.where(bad, shares, np.inf)))] = False


def _others(world_to_camera: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, M) those with depth that look about the same way, evenly from the nearest to the farthest."""
    count = len(world_to_camera)
    others = np.full((count, min(_OTHERS, count - 1)), -1, np.int64)
    centres, axes = np.linalg.inv(world_to_camera)[:, :3, 3], world_to_camera[:, 2, :3]
    for view in np.flatnonzero(has):
        apart = np.linalg.norm(centres - centres[view], axis=1)
        possible = has & (axes @ axes[view] > _AXES)
        possible[view] = False
        order = np.argsort(apart, kind="stable")
        order = order[possible[order]][: 4 * _OTHERS]
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _OTHERS)).astype(np.intp))]
        others[view, : len(chosen)] = chosen
    return others
