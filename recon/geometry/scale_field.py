"""What a depth map is to be multiplied by to come near another: one line for all, and a smooth field over the picture.

Everything is found from the middle pixel (by the ratio of the two depths) of each small block, and robustly: a part of
either map may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

FEWEST = 8
"""Blocks with both depths, below which a field, or a shift, is not to be told."""
_BLOCK = 12
"""Pixels of the side of a block."""
_KNOTS = 8
"""Spans of the field's spline along the longer side of the picture."""
_BEND = 0.05
_SLOPE = 0.1
_LEVEL = 0.5
"""Standard deviations, from one span to the next, of how the field bends and rises, and of the field, in logarithms:
what it is like where nothing says otherwise."""
_NOISE = 0.003
"""Least standard deviation of a block, likewise."""
_FITS = 6
_BEYOND = 0.05
"""By how much the field may leave the range of what it was found from."""
_MUCH_BETTER = 0.5
"""A shift of the inverse depth is taken where it brings the deviation below this share."""
_LEAST_INVERSE = 0.02
"""Of the inverse depth with a shift, in that of the median: depth never reaches infinity, or beyond."""


@dataclass(frozen=True)
class Line:
    """The map 1 / depth -> factor / depth + shift, which brings one depth near another; `shift` 0: just a scale."""

    factor: float
    shift: float
    deviation: float
    """Median of what the logarithms differ by thereafter."""

    def apply(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Depth (..., 0 where there is none) in the unit of the other."""
        known = depth > 0
        inverse = np.where(known, self.factor / np.where(known, depth, 1) + self.shift, 1)
        if self.shift:
            middle = np.median(inverse[known]) if known.any() else 1.0
            inverse = np.maximum(inverse, _LEAST_INVERSE * max(float(middle), 1e-30))
        return np.where(known, 1 / inverse, 0).astype(np.float32)


@dataclass(frozen=True)
class Blocks:
    """One pixel of each block that has both depths."""

    places: NDArray[np.int64]
    """(B, 2) column and row of the pixel."""
    counts: NDArray[np.int64]
    """(B,) pixels of the block with both."""
    dense: NDArray[np.float64]
    sure: NDArray[np.float64]
    """(B,) depths there."""

    @property
    def ratios(self) -> NDArray[np.float64]:
        """(B,) logarithms of sure by dense."""
        return np.log(self.sure / self.dense)


def blocks_of(dense: NDArray[np.float32], sure: NDArray[np.float32]) -> Blocks:
    """Of two depth maps (H, W), 0 where there is none: of each block the pixel with the middle ratio of the two."""
    ratio = np.full(dense.shape, np.nan, np.float32)
    both = (dense > 0) & (sure > 0)
    np.divide(sure, dense, out=ratio, where=both)
    found, counts = _middle_pixels(ratio, _BLOCK)
    rows, columns = np.divmod(found, dense.shape[1])
    return Blocks(
        np.stack([columns, rows], axis=1),
        counts,
        dense[rows, columns].astype(np.float64),
        sure[rows, columns].astype(np.float64),
    )


@compiled()
def _middle_pixels(ratio: Any, block: Any) -> Any:
    height, width = ratio.shape
    across, down = (width + block - 1) // block, (height + block - 1) // block
    found = np.empty(across * down, np.int64)
    counts = np.empty(across * down, np.int64)
    values, places = np.empty(block * block, np.float32), np.empty(block * block, np.int64)
    total = 0
    for j in range(down):
        for i in range(across):
            count = 0
            for y in range(j * block, min(j * block + block, height)):
                for x in range(i * block, min(i * block + block, width)):
                    if ratio[y, x] > 0:
                        values[count], places[count] = ratio[y, x], y * width + x
                        count += 1
            if count > 0:
                order = np.argsort(values[:count])
                found[total] = places[order[count // 2]]
                counts[total] = count
                total += 1
    return found[:total], counts[:total]


def fit_line(blocks: Blocks, *, shift: bool = True) -> Line | None:
    """The line that brings dense depth nearest to the sure one, in the sense of least absolute differences.

    A shift of the inverse depth, as networks of relative disparity have one, is found only where it explains much
    (`shift` False: never). None where there is nothing to go by.
    """
    if len(blocks.counts) == 0:
        return None
    ratios = blocks.ratios
    middle = float(np.median(ratios))
    plain = Line(float(np.exp(-middle)), 0.0, float(np.median(np.abs(ratios - middle))))
    if not shift or len(blocks.counts) < FEWEST:
        return plain
    # sure · (factor / dense + shift) = 1, by weighted least squares again and again.
    columns = np.stack([blocks.sure / blocks.dense, blocks.sure], axis=1)
    weights = np.ones(len(columns))
    found = np.array([plain.factor, 0.0])
    for _ in range(_FITS):
        found, *_ = np.linalg.lstsq(columns * weights[:, None], weights, rcond=None)
        weights = 1 / np.sqrt(np.maximum(np.abs(columns @ found - 1), 1e-3))
    inverse = found[0] / blocks.dense + found[1]
    if not (found[0] > 0 and (inverse > 0).mean() > 0.9):
        return plain
    line = Line(float(found[0]), float(found[1]), 0.0)
    inverse = np.maximum(inverse, _LEAST_INVERSE * float(np.median(inverse)))
    deviation = float(np.median(np.abs(np.log(blocks.sure * inverse))))
    if deviation >= _MUCH_BETTER * plain.deviation:
        return plain
    return Line(line.factor, line.shift, deviation)


@dataclass(frozen=True)
class ScaleField:
    """A smooth field over the picture."""

    logarithm: NDArray[np.float32]
    """(H, W) of what dense depth is to be multiplied by."""
    deviation: float
    """Median of what the blocks differ from it by."""


def fit_field(blocks: Blocks, shape: tuple[int, int]) -> ScaleField:
    """A smooth field (H, W) through the logarithms of sure by dense depth, robustly.

    A uniform cubic B-spline whose second differences are small (P-splines: Eilers and Marx, Statistical Science 1996);
    blocks that do not go along count less and less (Cauchy). It goes on smoothly where there are no blocks, and never
    far beyond what was found.
    """
    height, width = shape
    ratios = blocks.ratios
    if len(ratios) < FEWEST:
        middle = float(np.median(ratios)) if len(ratios) else 0.0
        deviation = float(np.median(np.abs(ratios - middle))) if len(ratios) else 0.0
        return ScaleField(np.full(shape, middle, np.float32), deviation)
    span = max(height, width) / _KNOTS
    of_rows, of_columns = _spline(height, span), _spline(width, span)
    rows, columns = of_rows.shape[1], of_columns.shape[1]
    at = of_rows[blocks.places[:, 1]][:, :, None] * of_columns[blocks.places[:, 0]][:, None, :]
    at = at.reshape(len(ratios), rows * columns)  # (B, rows, columns) -> (B, coefficients)
    prior = _smoothness(rows, columns)
    low, middle, high = np.quantile(ratios, (0.02, 0.5, 0.98))
    left = ratios - middle
    coefficients = np.zeros(rows * columns)
    deviation = float(np.median(np.abs(left)))
    for _ in range(_FITS):
        spread = 1.4826 * deviation
        variance = _NOISE**2 + spread**2 / np.minimum(blocks.counts, 10)
        off = left - at @ coefficients
        weights = 1 / variance / (1 + (off / (2.5 * max(spread, _NOISE))) ** 2)
        matrix = (at * weights[:, None]).T @ at + prior
        coefficients = np.linalg.solve(matrix, at.T @ (weights * left))
        deviation = float(np.median(np.abs(left - at @ coefficients)))
    field = of_rows @ coefficients.reshape(rows, columns) @ of_columns.T + middle
    return ScaleField(np.clip(field, low - _BEYOND, high + _BEYOND).astype(np.float32), deviation)


def _spline(length: int, span: float) -> NDArray[np.float64]:
    """(length, K) uniform cubic B-splines at the centres of pixels, a knot every `span` pixels from the edge on."""
    count = int(np.ceil(length / span)) + 3
    place = (np.arange(length) + 0.5) / span
    cell = np.floor(place).astype(int)
    t = place - cell
    values = (1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6
    matrix = np.zeros((length, count))
    for offset, value in enumerate(values):
        matrix[np.arange(length), cell + offset] = value
    return matrix


def _smoothness(rows: int, columns: int) -> NDArray[np.float64]:
    """(K, K) quadratic form that says how unusual coefficients are."""

    def differences(count: int, order: int) -> NDArray[np.float64]:
        return np.diff(np.eye(count), order, axis=0)

    down, across = np.eye(rows), np.eye(columns)
    total = np.eye(rows * columns) / _LEVEL**2
    for order, deviation in ((1, _SLOPE), (2, _BEND)):
        for matrix in (np.kron(differences(rows, order), across), np.kron(down, differences(columns, order))):
            total += matrix.T @ matrix / deviation**2
    mixed = np.kron(differences(rows, 1), differences(columns, 1))
    return np.asarray(total + 2 * mixed.T @ mixed / _BEND**2)
