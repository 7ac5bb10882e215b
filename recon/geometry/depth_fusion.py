"""One dense and one sure depth map of a view joined into one: dense, exact where it is sure.

The dense map (a network's) has every pixel and good shapes, but is scaled a little differently from place to place, and
soft at edges. The sure one (stereo's, a LiDAR's, that of sparse points) is right where it is, and has holes. The dense
one is brought to the sure one by one line, by a smooth field of scale (`recon.geometry.scale_field`), and by what is
left then: a screened Poisson problem in log depth, whose solution has the sure depth where that is trusted, the steps
of the dense one elsewhere, and no ties across edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from recon.geometry.depth_fusion_kernels import edge_band, isolated, mend, pair_weights, sharpened, support, take_sides
from recon.geometry.scale_field import FEWEST, Line, blocks_of, fit_field, fit_line
from recon.geometry.screened_poisson import solve

_SURE_WEIGHT = 4.0
_SCREEN = 1e-2
"""Of the smooth field, beside that of a pair of neighbours, 1: what is left fades over ten pixels."""
_SCREEN_OF_POINTS = 0.1
"""The most of it in the density of the pixels that tell the scale."""
_FAR_OFF = 0.1
"""In log depth: where the smooth field is as far off, it does not hold."""
_ROUNDS = 4
_PRECISION = 1e-2
_LEAST_SPREAD = 0.01
"""In log depth: sure pixels that are off by less are in line."""
_ACCEPTED = 0.25
"""Share of its weight that a sure pixel must have left."""
_SMALLEST_PATCH = 12
"""Pixels: smaller patches of dense depth that stand apart all around are outliers."""
_APART = 0.04
"""In log depth: by how much neighbours differ that no surface joins."""
_UNLIKE = 0.02
"""In log depth: by how much the scale of neighbours differs that have nothing to do with each other."""
_SHARPENINGS = 4
_EDGE_SLOPE, _EDGE_BEND = 0.02, 0.002
"""In log depth and pixels: what is steeper and more bent is an edge."""
_BAND = 1
"""Pixels around steep ones that may be on either side of an edge."""
_SIDES = 5
_COLOUR, _DISTANCE = 20.0, 2.0
"""Levels and pixels: how like a pixel is one nearby."""
_OWN = 8.0
_SURFACE_RADIUS, _SURFACE_STEP, _SURFACE_LEAST, _SURFACE_SHARE = 3, 0.03, 8, 1 / 3
"""A sure pixel with so many others around on its surface is trusted, whatever the dense depth says."""
_SCALE_RADIUS, _SCALE_STEP, _SCALE_SHARE = 4, 0.02, 0.5
"""With so many others around of its scale, it also says what the scale is between it and the next. Where edges of the
two maps do not meet, a few pixels compare one surface with another."""
_BINS = 8
"""Of the confidence of the dense depth."""
_NEAR = 12.0
"""Pixels from sure depth over which the dense one becomes as unsure as it is alone."""
_SPARSE = 0.05
"""Share of the pixels up to which sure ones are taken for single points."""
_NEIGHBOURS, _NEIGHBOUR_STEP, _NEIGHBOUR_DISTANCE = 6, 0.05, 0.2
"""Points, log depth, and share of the picture's longer side: of such a point, how many are asked, how like it they must
be, and how near the middle one of them."""
_LEAST_ERROR, _MOST_ERROR = 0.001, 1.0
_UNKNOWN_ERROR = 0.02
"""Of sure depth that nothing can be compared with."""


@dataclass(frozen=True)
class FusedDepth:
    """Depth of one view."""

    depth: NDArray[np.float32]
    """(H, W) in the unit of the sure depth; 0 where there is none."""
    sure: NDArray[np.bool_]
    """(H, W) True where it is the sure depth itself."""
    error: NDArray[np.float32]
    """(H, W) relative error to be expected, 0.001 to 1; 1 where there is no depth."""
    rejected: float
    """Share of the sure pixels that were not trusted, of those with dense depth."""


def fuse_depth(
    dense: NDArray[np.float32],
    sure: NDArray[np.float32],
    image: NDArray[np.uint8],
    line: Line | None = None,
    dense_conf: NDArray[np.float32] | None = None,
    sure_conf: NDArray[np.float32] | None = None,
) -> FusedDepth:
    """Join two depth maps of one view.

    Args:
        dense: (H, W) 0 where there is none, or where it is not to count (sky).
        sure: (H, W) 0 where there is none.
        image: (H, W, 3) RGB: the photo.
        line: that brings the dense depth near the sure one; None finds it in the two.
        dense_conf, sure_conf: (H, W) higher is better; None: alike everywhere.

    Returns:
        Depth where either map has some: the sure one where it is trusted; the dense one, fitted, elsewhere. Where the
        two have no pixel in common, each as it is, the dense one by the line.
    """
    known, measured = dense > 0, sure > 0
    line = fit_line(blocks_of(dense, sure)) if line is None else line
    near = dense if line is None else line.apply(dense)
    blocks = blocks_of(near, sure)
    if len(blocks.counts) == 0:
        far_off = _MOST_ERROR if line is None else max(line.deviation, 0.1)
        error = np.where(measured, _UNKNOWN_ERROR, np.where(known, far_off, _MOST_ERROR))
        return FusedDepth(np.where(measured, sure, near), measured, error.astype(np.float32), 0.0)
    field = fit_field(blocks, dense.shape)
    log_dense, log_sure = _logarithm(near), _logarithm(sure)
    outlying = isolated(log_dense, known, np.float32(_APART), _SMALLEST_PATCH)
    soft = mend(log_dense, outlying, known) + field.logarithm
    base = _sharp(soft, known)

    trusted = support(log_sure, measured, _SURFACE_RADIUS, np.float32(_SURFACE_STEP), _SURFACE_LEAST, _SURFACE_SHARE)
    off = np.where(measured, log_sure - base, np.float32(0))
    both = measured & known
    telling = trusted & support(off, both, _SCALE_RADIUS, np.float32(_SCALE_STEP), _SURFACE_LEAST, _SCALE_SHARE)
    lonely = _like_their_neighbours(off, both, trusted)
    telling, trusted = telling | lonely, trusted | lonely
    added = _solve(off, both, telling, known, base, _weights(measured, sure_conf), field.deviation)
    left = np.where(trusted, np.float32(1), _robust(off - added, _spread(field.deviation)))
    accepted = measured & (left >= _ACCEPTED)
    joined = np.where(accepted, log_sure, base + added)
    band = edge_band(soft, known, np.float32(_EDGE_SLOPE), _BAND)
    joined = take_sides(
        joined,
        soft + added,
        image.astype(np.float32),
        band & known & ~accepted,
        accepted | (known & ~band),
        _SIDES,
        np.float32(2 * _APART),
        np.float32(_COLOUR),
        np.float32(_DISTANCE),
        np.float32(_OWN),
    )
    depth = np.where(accepted, sure, np.where(known, np.exp(joined), 0)).astype(np.float32)
    error = _expected_error(log_sure - log_dense - field.logarithm, accepted, known, dense_conf, sure_conf)
    return FusedDepth(depth, accepted, error, float((both & ~accepted).sum() / max(int(both.sum()), 1)))


def _like_their_neighbours(
    off: NDArray[np.float32], both: NDArray[np.bool_], trusted: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(H, W) True for pixels that stand too far apart to be trusted by their surroundings, but have the scale of most
    of the nearest of them."""
    found = np.zeros(off.shape, np.bool_)
    pixels = np.argwhere(both & ~trusted)
    if not FEWEST <= len(pixels) <= _SPARSE * off.size:
        return found
    distances, nearest = KDTree(pixels).query(pixels, k=_NEIGHBOURS + 1)
    values = off[pixels[:, 0], pixels[:, 1]]
    within = np.maximum(np.abs(values) / 2, _NEIGHBOUR_STEP)
    alike = np.abs(values[nearest[:, 1:]] - values[:, None]) <= within[:, None]
    near = distances[:, _NEIGHBOURS // 2] <= _NEIGHBOUR_DISTANCE * max(off.shape)
    chosen = pixels[near & (alike.mean(axis=1) >= _SCALE_SHARE)]
    found[chosen[:, 0], chosen[:, 1]] = True
    return found


def _logarithm(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(depth, out=np.zeros_like(depth), where=depth > 0)


def _sharp(log_depth: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """With soft edges made hard."""
    for _ in range(_SHARPENINGS):
        log_depth = sharpened(log_depth, known, np.float32(_EDGE_SLOPE), np.float32(_EDGE_BEND))
    return log_depth


def _weights(measured: NDArray[np.bool_], conf: NDArray[np.float32] | None) -> NDArray[np.float32]:
    weights = np.where(measured, np.float32(_SURE_WEIGHT), np.float32(0))
    if conf is None:
        return weights
    usual = max(float(np.median(conf[measured])), 1e-6)
    return weights * np.clip(conf / usual, 0.25, 4).astype(np.float32)


def _spread(deviation: float) -> float:
    return max(_LEAST_SPREAD, 1.5 * 1.4826 * deviation)


def _robust(off: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Weights of Geman and McClure: 1 in line, a quarter at `spread`, none far off."""
    return np.asarray(1 / (1 + (off / np.float32(spread)) ** 2) ** 2, np.float32)


def _solve(
    off: NDArray[np.float32],
    measured: NDArray[np.bool_],
    telling: NDArray[np.bool_],
    known: NDArray[np.bool_],
    base: NDArray[np.float32],
    weights: NDArray[np.float32],
    deviation: float,
) -> NDArray[np.float32]:
    """(H, W) what is to be added to the log depth `base`, so that it comes to be `off` (H, W) more where measured.

    Weights again and again by what is left (iteratively reweighted least squares): of pixels that are not `telling`,
    and of pairs of neighbours.
    """
    added = np.where(telling, off, np.float32(0))
    # What single points add is to reach from one to the next.
    most = min(_SCREEN, _SCREEN_OF_POINTS * float(telling.mean()))
    left = np.where(telling, np.float32(1), _robust(off, 2 * _spread(deviation)))
    right, down = np.empty_like(base), np.empty_like(base)
    no_step = np.zeros_like(base)
    for step in range(_ROUNDS):
        unlike = np.float32(_UNLIKE if step else np.inf)
        pair_weights(base, known, added, np.float32(_APART), unlike, right, down)
        of_sure = weights * left
        screen = np.where(known, np.float32(most) * _robust(added, _FAR_OFF), np.float32(0))
        data = of_sure + screen
        target = np.where(data > 0, of_sure * off / np.maximum(data, np.float32(1e-20)), np.float32(0))
        added = solve(data, target, right, down, no_step, no_step, added, _PRECISION)
        left = np.where(telling, np.float32(1), _robust(off - added, _spread(deviation)))
    return added


def _expected_error(
    off: NDArray[np.float32],
    accepted: NDArray[np.bool_],
    known: NDArray[np.bool_],
    dense_conf: NDArray[np.float32] | None,
    sure_conf: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """(H, W) of either depth, from what the dense one, by its smooth field alone, is `off` (H, W) the sure one.

    That of the sure depth is told by what pixels of one block differ by among themselves, and by its confidence; that
    of the dense depth, by how far pixels of like confidence are off, and how near sure depth is.
    """
    both = accepted & known
    error = np.full(off.shape, _MOST_ERROR, np.float32)
    among_themselves = np.abs(np.diff(off, axis=1))[both[:, 1:] & both[:, :-1]]
    of_sure = np.float32(np.median(among_themselves) if len(among_themselves) else _UNKNOWN_ERROR)
    error[accepted] = of_sure
    if sure_conf is not None and accepted.any():
        above = np.maximum(sure_conf[accepted] - 1, np.float32(1e-3))
        error[accepted] = of_sure * np.sqrt(np.median(above) / above)
    elsewhere = known & ~accepted
    if elsewhere.any() and both.any():
        of_dense = _error_by_confidence(np.abs(off), both, dense_conf)
        distance = cv2.distanceTransform((~accepted).astype(np.uint8), cv2.DIST_L2, 3)
        near = 1 - np.exp(-distance[elsewhere] / np.float32(_NEAR))
        error[elsewhere] = np.hypot(of_sure, of_dense[elsewhere] * near)
    return np.clip(error, _LEAST_ERROR, _MOST_ERROR)


def _error_by_confidence(
    off: NDArray[np.float32], both: NDArray[np.bool_], conf: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """(H, W) mean of what pixels of like confidence are off by; falls as confidence rises."""
    usual = float(off[both].mean())
    if conf is None or both.sum() < 20 * _BINS:
        return np.full(off.shape, usual, np.float32)
    edges = np.quantile(conf[both], np.linspace(0, 1, _BINS + 1)[1:-1])
    of_bin = np.digitize(conf, edges)
    counts = np.bincount(of_bin[both], minlength=_BINS)
    sums = np.bincount(of_bin[both], weights=off[both], minlength=_BINS)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), usual)
    return np.minimum.accumulate(means)[of_bin].astype(np.float32)
