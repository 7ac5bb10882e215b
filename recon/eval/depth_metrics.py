"""How far predicted depth is from true depth, after bringing it to the true scale in one of four ways.

| alignment | depth is compared as | found by |
| --- | --- | --- |
| none | it is | |
| median | scale · depth | the ratio of the medians (Zhou et al., CVPR 2017, section 4.1) |
| scale | scale · depth | least squares |
| scale-and-shift | scale · depth + shift | least squares (Ranftl et al., TPAMI 2022, eq. 4, of depth itself) |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.types import FloatArray

Alignment = Literal["none", "median", "scale", "scale-and-shift"]
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)
_DELTA = 1.25


class Line(NamedTuple):
    """The map depth -> scale · depth + shift."""

    scale: float
    shift: float


@dataclass(frozen=True)
class DepthScores:
    """Errors over the pixels that have a predicted and a true depth, after `alignment`."""

    alignment: Alignment
    """How predicted depth was brought to the true scale."""
    pixels: int
    """How many pixels were compared."""
    abs_rel: float
    """Mean of |predicted - true| / true (Eigen et al., NeurIPS 2014)."""
    median_rel: float
    """Median of the same."""
    rmse: float
    """Root mean square of predicted - true, in units of the ground truth."""
    delta_125: float
    """Share of pixels with max(predicted / true, true / predicted) < 1.25 (Eigen et al. 2014); depth that the alignment
    makes negative counts as wrong."""
    within_1_percent: float
    """Share of pixels with a relative error of at most 1 %."""
    within_5_percent: float
    """The same for 5 %."""
    scale: float
    """What predicted depth was multiplied by; the median over views where each was aligned by itself."""
    shift: float
    """What was added to it then, in units of the ground truth; the median as for `scale`."""


@dataclass(frozen=True)
class Coverage:
    """How much of the image a prediction says something about."""

    kept: float | None
    """Share of the pixels with true depth that have a predicted one; None without true depth."""
    sky_kept: float | None
    """Share of the true sky pixels that have a predicted depth; None without known sky."""


def usable(depth: FloatArray) -> NDArray[np.bool_]:
    """Where depth (...) is a positive, finite number."""
    return np.isfinite(depth) & (depth > 0)


def coverage(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], sky: NDArray[np.bool_] | None = None) -> Coverage:
    """Shares of pixels kept, from the masks (...) of predicted depth, of true depth, and of true sky."""
    return Coverage(
        kept=float(predicted[truth].mean()) if truth.any() else None,
        sky_kept=float(predicted[sky].mean()) if sky is not None and sky.any() else None,
    )


def depth_scores(
    predicted: FloatArray,
    truth: FloatArray,
    mask: NDArray[np.bool_] | None = None,
    alignment: Alignment = "median",
    per_view: bool = False,
) -> DepthScores | None:
    """Compare the pixels of N views where both depths are positive and finite, all of them weighted alike.

    Args:
        predicted: (N, H, W) z-depth.
        truth: (N, H, W) z-depth; 0 or NaN where there is none.
        mask: (N, H, W) False where a pixel is not to be compared, as in the sky.
        alignment: see the module.
        per_view: align each view by itself, for models that do not know of the other views.

    Returns:
        None if no pixel can be compared.

    Raises:
        InputError: an unknown alignment.
    """
    compared = usable(predicted) & usable(truth)
    if mask is not None:
        compared &= mask
    if not compared.any():
        check_alignment(alignment)
        return None
    aligned, true_depth, lines = [], [], []
    for chosen in _groups(compared, per_view):
        source, target = predicted[chosen].astype(np.float64), truth[chosen].astype(np.float64)
        line = fit_line(source, target, alignment)
        aligned.append(line.scale * source + line.shift)
        true_depth.append(target)
        lines.append(line)
    scale, shift = np.median(lines, axis=0)
    return _scores(np.concatenate(aligned), np.concatenate(true_depth), alignment, Line(float(scale), float(shift)))


def fit_line(predicted: FloatArray, truth: FloatArray, alignment: Alignment) -> Line:
    """What brings predicted depth (P,) to the true one (P,), both positive; see the module.

    Where all predicted depths are the same, no shift can be told from a scale, and it is left at 0.
    """
    check_alignment(alignment)
    if alignment == "none":
        return Line(1.0, 0.0)
    if alignment == "median":
        return Line(float(np.median(truth) / np.median(predicted)), 0.0)
    if alignment == "scale-and-shift" and np.ptp(predicted) > 1e-9 * predicted.max():
        source, target = predicted - predicted.mean(), truth - truth.mean()
        scale = float((source @ target) / (source @ source))
        return Line(scale, float(truth.mean() - scale * predicted.mean()))
    return Line(float((predicted @ truth) / (predicted @ predicted)), 0.0)


def check_alignment(alignment: Any) -> None:
    """InputError unless `alignment` is one of `ALIGNMENTS`."""
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment must be one of {', '.join(ALIGNMENTS)}, got {alignment!r}")


def _groups(compared: NDArray[np.bool_], per_view: bool) -> list[tuple[NDArray[np.intp], ...]]:
    """Indices of the pixels to align together: all, or those of each view that has any."""
    if not per_view:
        return [np.nonzero(compared)]
    views, rows, columns = np.nonzero(compared)
    ends = np.flatnonzero(np.diff(views)) + 1
    return list(zip(*(np.split(index, ends) for index in (views, rows, columns)), strict=True))


def _scores(aligned: FloatArray, truth: FloatArray, alignment: Alignment, line: Line) -> DepthScores:
    relative = np.abs(aligned - truth) / truth
    with np.errstate(divide="ignore"):
        ratio = np.where(aligned > 0, np.maximum(aligned / truth, truth / aligned), np.inf)
    return DepthScores(
        alignment=alignment,
        pixels=len(truth),
        abs_rel=float(relative.mean()),
        median_rel=float(np.median(relative)),
        rmse=float(np.sqrt(((aligned - truth) ** 2).mean())),
        delta_125=float((ratio < _DELTA).mean()),
        within_1_percent=float((relative <= 0.01).mean()),
        within_5_percent=float((relative <= 0.05).mean()),
        scale=line.scale,
        shift=line.shift,
    )
