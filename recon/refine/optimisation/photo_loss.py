"""How far a rendered view is from its photo, and the derivative of that: 0.8 L1 + 0.2 (1 - SSIM), as 3DGS has it.

SSIM (Wang et al., IEEE TIP 2004) has a Gaussian window of 11 × 11 pixels with σ 1.5; beyond the picture everything is
0, and the mean is over all pixels and channels. Its derivative is written out by hand: SSIM is a function of three
window means, B x, B x² and B xy, and the derivative by x is the sum of B of that by the first, 2 x B of that by the
second, and y B of that by the third, for B is its own transpose. All in float32, rows side by side on any number of
threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.compiled import compiled

SSIM_WEIGHT = 0.2
"""Of 1 - SSIM; the rest is that of the mean absolute difference."""

_FLOAT = np.float32
_FAST = {"contract", "nsz", "reassoc", "arcp"}
_HALF = 5
_window = np.exp(-(np.arange(-_HALF, _HALF + 1) ** 2) / (2 * 1.5**2))
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(weight) for weight in _window[: _HALF + 1] / _window.sum())
_WEIGHTS = (_window / _window.sum()).astype(np.float32)
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
CUT_OFF = 1.5 / 255, 253.5 / 255
"""Pixels of a photo at most or at least as bright may have been cut off: a darker, or brighter, view is right."""
_LOWEST, _HIGHEST = (np.float32(value) for value in CUT_OFF)
_PARTS = 8
"""Ranges of rows, for any number of threads."""

Spread = Callable[[Callable[[Any], Any], Any], list[Any]]
"""Like the built-in `map`, as a list, on any number of threads."""


class Target:
    """A photo to fit to, with what does not change from one look to the next."""

    def __init__(self, photo: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> None:
        """Of a (3, H, W) photo from 0 to 1; pixels where the (H, W) `mask` is False do not count."""
        self.photo = np.ascontiguousarray(photo, np.float32)
        shape = self.photo.shape
        self.counts = np.ones(shape[1:], np.bool_) if mask is None else np.ascontiguousarray(mask)
        self.means = np.empty(shape, np.float32)
        self.squares = np.empty(shape, np.float32)
        for channel in range(3):
            _blur(self.photo[channel], self.means[channel])
            _blur(np.square(self.photo[channel]), self.squares[channel])


class PhotoLoss:
    """The loss of views of one size; memory is reused from view to view."""

    def __init__(self, size: tuple[int, int], spread: Spread) -> None:
        self._shape = (3, *size)
        self._spread = spread
        self._view, self._xx, self._xy, self._by_x, self._by_xx, self._by_xy = np.empty((6, *self._shape), np.float32)

    def __call__(
        self,
        view: NDArray[np.float32],
        gain: NDArray[np.float32],
        offset: NDArray[np.float32],
        target: Target,
        gradient: NDArray[np.float32],
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The loss of gain · view + offset beside the photo of `target`.

        Where its mask is False, or the photo is cut off at black or white and the view is beyond, they count as equal.

        Args:
            view: (3, H, W).
            gain, offset: (3,) of this photo.
            gradient: (3, H, W) receives the derivatives by `view`.

        Returns:
            The loss, and its derivatives by gain (3,) and offset (3,).
        """
        height = self._shape[1]
        ends = [height * part // _PARTS for part in range(_PARTS + 1)]
        parts = [(c, ends[i], ends[i + 1]) for c in range(3) for i in range(_PARTS) if ends[i + 1] > ends[i]]
        count = np.prod(self._shape)

        def prepare(part: tuple[int, int, int]) -> None:
            c, first, last = part
            _prepare(
                view[c],
                gain[c],
                offset[c],
                target.photo[c],
                target.counts,
                first,
                last,
                self._view[c],
                self._xx[c],
                self._xy[c],
            )

        def similarity(part: tuple[int, int, int]) -> float:
            c, first, last = part
            found: float = _similarity(
                self._view[c],
                self._xx[c],
                self._xy[c],
                target.means[c],
                target.squares[c],
                first,
                last,
                _FLOAT(-SSIM_WEIGHT / count),
                self._by_x[c],
                self._by_xx[c],
                self._by_xy[c],
            )
            return found

        def derivatives(part: tuple[int, int, int]) -> tuple[float, float, float]:
            c, first, last = part
            found: tuple[float, float, float] = _derivatives(
                view[c],
                self._view[c],
                gain[c],
                offset[c],
                target.photo[c],
                target.counts,
                self._by_x[c],
                self._by_xx[c],
                self._by_xy[c],
                first,
                last,
                _FLOAT((1 - SSIM_WEIGHT) / count),
                gradient[c],
            )
            return found

        self._spread(prepare, parts)
        ssim = sum(self._spread(similarity, parts)) / count
        sums = np.array(self._spread(derivatives, parts))  # (parts, 3)
        of_channels = sums[:, 1:].reshape(3, -1, 2).sum(axis=1)
        loss = (1 - SSIM_WEIGHT) * sums[:, 0].sum() / count + SSIM_WEIGHT * (1 - ssim)
        return float(loss), of_channels[:, 0], of_channels[:, 1]


@compiled(fastmath=_FAST)
def _blur_row(source: NDArray[np.float32], row: int, padded: NDArray[np.float32], target: NDArray[np.float32]) -> None:
    """One row (W,) of the window's mean of (H, W); `padded` (W + 10,) is room to work in."""
    height, width = source.shape
    for column in range(width + 2 * _HALF):
        padded[column] = _ZERO
    if _HALF <= row < height - _HALF:
        a0, a1, a2, a3, a4 = source[row - 5], source[row - 4], source[row - 3], source[row - 2], source[row - 1]
        a6, a7, a8, a9, a10 = source[row + 1], source[row + 2], source[row + 3], source[row + 4], source[row + 5]
        a5 = source[row]
        for c in range(width):
            outer = _W0 * (a0[c] + a10[c]) + _W1 * (a1[c] + a9[c]) + _W2 * (a2[c] + a8[c])
            padded[c + _HALF] = outer + _W3 * (a3[c] + a7[c]) + _W4 * (a4[c] + a6[c]) + _W5 * a5[c]
    else:
        for i in range(-_HALF, _HALF + 1):
            if 0 <= row + i < height:
                for c in range(width):
                    padded[c + _HALF] += _WEIGHTS[i + _HALF] * source[row + i, c]
    for c in range(width):
        outer = _W0 * (padded[c] + padded[c + 10]) + _W1 * (padded[c + 1] + padded[c + 9])
        outer += _W2 * (padded[c + 2] + padded[c + 8]) + _W3 * (padded[c + 3] + padded[c + 7])
        target[c] = outer + _W4 * (padded[c + 4] + padded[c + 6]) + _W5 * padded[c + 5]


@compiled(fastmath=_FAST)
def _blur(source: NDArray[np.float32], target: NDArray[np.float32]) -> None:
    """The window's mean at every pixel."""
    padded = np.empty(source.shape[1] + 2 * _HALF, np.float32)
    for row in range(len(source)):
        _blur_row(source, row, padded, target[row])


@compiled(fastmath=_FAST)
def _beyond(value: np.float32, wanted: np.float32) -> bool:
    """Whether a photo is cut off where a view is brighter still, or darker."""
    return bool((wanted >= _HIGHEST and value > wanted) or (wanted <= _LOWEST and value < wanted))


@compiled(fastmath=_FAST)
def _prepare(
    raw: NDArray[np.float32],
    gain: np.float32,
    offset: np.float32,
    photo: NDArray[np.float32],
    mask: NDArray[np.bool_],
    first: int,
    last: int,
    view: NDArray[np.float32],
    squares: NDArray[np.float32],
    products: NDArray[np.float32],
) -> None:
    """The corrected view, its square and its product with the photo, all (H, W), in a range of rows."""
    for row in range(first, last):
        for c in range(raw.shape[1]):
            value = gain * raw[row, c] + offset
            value = value if mask[row, c] and not _beyond(value, photo[row, c]) else photo[row, c]
            view[row, c] = value
            squares[row, c] = value * value
            products[row, c] = value * photo[row, c]


@compiled(fastmath=_FAST)
def _similarity(
    view: NDArray[np.float32],
    squares: NDArray[np.float32],
    products: NDArray[np.float32],
    photo_mean: NDArray[np.float32],
    photo_square: NDArray[np.float32],
    first: int,
    last: int,
    factor: np.float32,
    by_x: NDArray[np.float32],
    by_xx: NDArray[np.float32],
    by_xy: NDArray[np.float32],
) -> float:
    """Sum of SSIM over a range of rows, and `factor` times its derivatives by the three means of the view."""
    width = view.shape[1]
    padded = np.empty(width + 2 * _HALF, np.float32)
    mean, square, product = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    total = 0.0
    for row in range(first, last):
        _blur_row(view, row, padded, mean)
        _blur_row(squares, row, padded, square)
        _blur_row(products, row, padded, product)
        of_row = _ZERO
        for c in range(width):
            a, b = mean[c], photo_mean[row, c]
            numerator_1 = _TWO * a * b + _C1
            numerator_2 = _TWO * (product[c] - a * b) + _C2
            denominator_1 = a * a + b * b + _C1
            denominator_2 = square[c] - a * a + photo_square[row, c] - b * b + _C2
            inverse = _ONE / (denominator_1 * denominator_2)
            ssim = numerator_1 * numerator_2 * inverse
            of_square = -ssim / denominator_2
            of_product = _TWO * numerator_1 * inverse
            of_mean = _TWO * b * numerator_2 * inverse - ssim * _TWO * a / denominator_1
            of_row += ssim
            by_x[row, c] = factor * (of_mean - _TWO * a * of_square - b * of_product)
            by_xx[row, c] = factor * of_square
            by_xy[row, c] = factor * of_product
        total += np.float64(of_row)
    return total


@compiled(fastmath=_FAST)
def _derivatives(
    raw: NDArray[np.float32],
    view: NDArray[np.float32],
    gain: np.float32,
    offset: np.float32,
    photo: NDArray[np.float32],
    mask: NDArray[np.bool_],
    by_x: NDArray[np.float32],
    by_xx: NDArray[np.float32],
    by_xy: NDArray[np.float32],
    first: int,
    last: int,
    l1_weight: np.float32,
    gradient: NDArray[np.float32],
) -> tuple[float, float, float]:
    """Derivatives by the raw view in a range of rows; sums of absolute differences, and derivatives by gain, offset."""
    width = view.shape[1]
    padded = np.empty(width + 2 * _HALF, np.float32)
    of_x, of_xx, of_xy = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    difference, of_gain, of_offset = 0.0, 0.0, 0.0
    for row in range(first, last):
        _blur_row(by_x, row, padded, of_x)
        _blur_row(by_xx, row, padded, of_xx)
        _blur_row(by_xy, row, padded, of_xy)
        row_difference, row_gain, row_offset = _ZERO, _ZERO, _ZERO
        for c in range(width):
            away = view[row, c] - photo[row, c]
            row_difference += abs(away)
            sign = l1_weight if away > _ZERO else (-l1_weight if away < _ZERO else _ZERO)
            slope = sign + of_x[c] + _TWO * view[row, c] * of_xx[c] + photo[row, c] * of_xy[c]
            slope = slope if mask[row, c] and not _beyond(gain * raw[row, c] + offset, photo[row, c]) else _ZERO
            row_gain += slope * raw[row, c]
            row_offset += slope
            gradient[row, c] = gain * slope
        difference += np.float64(row_difference)
        of_gain += np.float64(row_gain)
        of_offset += np.float64(row_offset)
    return difference, of_gain, of_offset
