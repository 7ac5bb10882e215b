"""PSNR by hand, SSIM against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.splats.view_metrics import psnr, ssim
from tests.seeds import numpy_random


def pictures(height: int = 40, width: int = 53) -> tuple[np.ndarray, np.ndarray]:
    """A smooth (H, W, 3) uint8 picture and a noisy copy."""
    rng = numpy_random(2)
    rows, columns = np.mgrid[:height, :width]
    plain = 128 + 90 * np.sin(rows[..., None] / 6 + columns[..., None] / [5, 8, 13])
    noisy = plain + rng.normal(0, 12, plain.shape)
    return plain.astype(np.uint8), np.clip(noisy, 0, 255).astype(np.uint8)


def test_psnr_by_hand() -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    assert psnr(black, np.full_like(black, 255)) == pytest.approx(0)
    assert psnr(black, np.full_like(black, 51)) == pytest.approx(20 * np.log10(5))
    assert psnr(black, black) == float("inf")


def test_bytes_and_floats_agree() -> None:
    plain, noisy = pictures()
    assert psnr(plain / 255, noisy) == pytest.approx(psnr(plain, noisy))
    assert ssim(plain / 255, noisy / np.float32(255)) == pytest.approx(ssim(plain, noisy), rel=1e-5)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [(40, 53), (11, 11), (11, 64)])
def test_ssim_is_that_of_scikit_image(size: tuple[int, int], grey: bool) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    plain, noisy = (picture[..., 0] if grey else picture for picture in pictures(*size))
    expected = metrics.structural_similarity(
        plain,
        noisy,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=None if grey else 2,
    )
    assert ssim(plain, noisy) == pytest.approx(expected, abs=1e-12)
    assert psnr(plain, noisy) == pytest.approx(metrics.peak_signal_noise_ratio(plain, noisy, data_range=255))


def test_pixels_that_are_masked_do_not_count() -> None:
    plain, noisy = pictures()
    mask = np.zeros(plain.shape[:2], bool)
    mask[:, :30] = True
    spoiled = noisy.copy()
    spoiled[:, 36:] = 0  # the windows about the pixels left of 30 reach up to 35
    assert psnr(spoiled, plain, mask) == pytest.approx(psnr(noisy[:, :30], plain[:, :30]))
    assert ssim(spoiled, plain, mask) == pytest.approx(ssim(noisy[:, :35], plain[:, :35]))
    assert ssim(spoiled, plain) < ssim(spoiled, plain, mask)
    everything = np.ones_like(mask)
    assert (psnr(noisy, plain, everything), ssim(noisy, plain, everything)) == (psnr(noisy, plain), ssim(noisy, plain))


def test_equal_pictures() -> None:
    plain, _ = pictures()
    assert ssim(plain, plain) == pytest.approx(1)


def test_worse_pictures_score_lower() -> None:
    plain, noisy = pictures()
    assert ssim(plain, noisy) < ssim(plain, (plain.astype(float) * 0.5 + noisy * 0.5).astype(np.uint8)) < 1


def test_wrong_input() -> None:
    plain, noisy = pictures()
    with pytest.raises(InputError, match="one size"):
        psnr(plain, noisy[:-1])
    with pytest.raises(InputError, match="at least 11"):
        ssim(plain[:10], noisy[:10])
    with pytest.raises(InputError, match="NaN"):
        ssim(np.where(plain > 200, np.nan, plain / 255), noisy)
