"""The loss beside a photo, against torch's autograd in float64."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.refine.optimisation.photo_loss import CUT_OFF, PhotoLoss, Target
from tests.seeds import numpy_random

GAIN, OFFSET = np.float32([1.1, 0.9, 1.0]), np.float32([0.02, -0.03, 0])


def true_loss(view: Tensor, gain: Tensor, offset: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """Written from the definition: windows that reach beyond the picture see zeros."""
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / 4.5)
    kernel = torch.outer(window, window)[None, None] / window.sum() ** 2

    def mean(values: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(values[:, None], kernel, padding=5)[:, 0]

    x = gain[:, None, None] * view + offset[:, None, None]
    beyond = ((photo >= CUT_OFF[1]) & (x > photo)) | ((photo <= CUT_OFF[0]) & (x < photo))
    x = torch.where(mask & ~beyond, x, photo)
    a, b = mean(x), mean(photo)
    xx, yy, xy = mean(x * x) - a * a, mean(photo * photo) - b * b, mean(x * photo) - a * b
    ssim = (2 * a * b + 1e-4) * (2 * xy + 9e-4) / ((a * a + b * b + 1e-4) * (xx + yy + 9e-4))
    return 0.8 * (x - photo).abs().mean() + 0.2 * (1 - ssim.mean())


def pictures(size: tuple[int, int], share: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """A view, a photo that is like it, and a mask of which `share` counts."""
    rng = numpy_random(*size)
    coarse = rng.uniform(0, 1, (3, *size))
    photo = np.cumsum(np.cumsum(coarse - 0.5, axis=1), axis=2)
    photo = np.clip(1.4 * (photo - photo.min()) / max(np.ptp(photo), 1e-9) - 0.2, 0, 1)  # with some black and white
    view = np.clip(photo + rng.normal(0, 0.1, photo.shape), 0, 1.2)
    return view.astype(np.float32), photo.astype(np.float32), rng.uniform(size=size) < share


def found_loss(
    size: tuple[int, int], share: float, spread: Callable[..., list[Any]]
) -> tuple[float, NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    view, photo, mask = pictures(size, share)
    gradient = np.full_like(view, np.nan)
    loss, of_gain, of_offset = PhotoLoss(size, spread)(view, GAIN, OFFSET, Target(photo, mask), gradient)
    return loss, gradient, of_gain, of_offset


def in_order(function: Callable[[Any], Any], items: Any) -> list[Any]:
    return [function(item) for item in items]


@pytest.mark.parametrize("size", [(40, 53), (7, 9), (1, 1), (12, 200)])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
def test_loss_and_derivatives_are_those_of_autograd(size: tuple[int, int], share: float) -> None:
    view, photo, mask = pictures(size, share)
    inputs = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in (view, GAIN, OFFSET)]
    truth = true_loss(*inputs, torch.tensor(photo, dtype=torch.float64), torch.tensor(mask))
    truth.backward()
    loss, *gradients = found_loss(size, share, in_order)
    assert loss == pytest.approx(float(truth.detach()), abs=2e-6)
    for name, found, tensor in zip(("view", "gain", "offset"), gradients, inputs, strict=True):
        assert tensor.grad is not None
        true = tensor.grad.numpy()
        assert np.linalg.norm(found - true) <= 1e-5 * np.linalg.norm(true), name
        assert (np.linalg.norm(true) > 0) == bool(mask.any()), name


def test_loss_does_not_depend_on_threads() -> None:
    alone = found_loss((60, 70), 0.8, in_order)
    with ThreadPoolExecutor(5) as pool:
        together = found_loss((60, 70), 0.8, lambda function, items: list(pool.map(function, items)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
