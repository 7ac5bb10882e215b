"""How alike two pictures are: PSNR and SSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError

WINDOW = 11
"""Pixels along a side of the SSIM window."""
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(image: NDArray[Any], truth: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 · log10(1 / mean squared error); infinite for equal pictures.

    Args:
        image: (H, W, 3) or (H, W), uint8 or floats in [0, 1].
        truth: the same shape.
        mask: (H, W) False where a pixel is not to be compared; at least one is.

    Raises:
        InputError: shapes that differ, or floats that are not finite.
    """
    first, second = _pair(image, truth)
    squares = (first - second) ** 2
    error = float((squares if mask is None else squares[mask]).mean())
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(image: NDArray[Any], truth: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> float:
    """Mean structural similarity, 1 for equal pictures (Wang et al., IEEE TIP 2004, eq. 13, with its constants).

    Gaussian window of 11 × 11 pixels with σ 1.5, population covariance, mean over the positions where the window lies
    in the picture and over the channels: scikit-image's `structural_similarity` with `gaussian_weights=True` and
    `use_sample_covariance=False`.

    Args:
        image: (H, W, 3) or (H, W), uint8 or floats in [0, 1], at least 11 pixels along each side.
        truth: the same shape.
        mask: (H, W) False where a window is not to be centred; at least one is, off the outermost 5 pixels.

    Raises:
        InputError: shapes that differ, pictures too small, or floats that are not finite.
    """
    first, second = _pair(image, truth)
    if min(first.shape[:2]) < WINDOW:
        raise InputError(f"SSIM needs pictures of at least {WINDOW}×{WINDOW} pixels, got {first.shape[:2]}")
    mean_1, mean_2 = _blur(first), _blur(second)
    variance_1 = _blur(first * first) - mean_1 * mean_1
    variance_2 = _blur(second * second) - mean_2 * mean_2
    covariance = _blur(first * second) - mean_1 * mean_2
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    similarity = luminance * structure  # (H - 10, W - 10, ...)
    margin = WINDOW // 2
    return float((similarity if mask is None else similarity[mask[margin:-margin, margin:-margin]]).mean())


def _pair(image: NDArray[Any], truth: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64 in [0, 1]."""
    if image.shape != truth.shape:
        raise InputError(f"pictures to compare must have one size, got {image.shape} and {truth.shape}")
    return _unit_range(image), _unit_range(truth)


def _unit_range(image: NDArray[Any]) -> NDArray[np.float64]:
    if image.dtype == np.uint8:
        return image.astype(np.float64) / 255
    if not np.isfinite(image).all():
        raise InputError("a picture to compare holds NaN or infinity")
    return image.astype(np.float64)


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian average at the (H - 10, W - 10) positions where the window lies in the picture (H, W, ...)."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows = sum(w * image[i : image.shape[0] - WINDOW + 1 + i] for i, w in enumerate(weights))
    return np.asarray(sum(w * rows[:, i : rows.shape[1] - WINDOW + 1 + i] for i, w in enumerate(weights)))
