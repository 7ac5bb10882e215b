"""What every loss has to stand: an evaluation in numpy, finite differences, and masks that nothing passes through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.seeds import numpy_random

Loss = Callable[[Tensor], Tensor]
"""Of the prediction alone, all else fixed; gives one number or one for each image."""


def map_like(shape: tuple[int, ...], key: int, low: float = 0.5, high: float = 3.0) -> Tensor:
    """A random map in double precision, on which finite differences are exact enough."""
    return torch.from_numpy(numpy_random(key).uniform(low, high, shape))


def some_mask(shape: tuple[int, ...], key: int, share: float = 0.7) -> Tensor:
    return torch.from_numpy(numpy_random(key, 1).random(shape) < share)


def assert_gradient_is_right(loss: Loss, prediction: Tensor, key: int = 0, pixels: int = 12) -> None:
    """The gradient against central differences, at random numbers of the prediction."""
    prediction = prediction.double().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(prediction).sum(), prediction)
    step = 1e-6
    for index in numpy_random(key, 2).integers(prediction.numel(), size=pixels):
        change = torch.zeros(prediction.numel(), dtype=torch.float64)
        change[index] = step
        change = change.reshape(prediction.shape)
        with torch.no_grad():
            slope = (loss(prediction + change).sum() - loss(prediction - change).sum()) / (2 * step)
        torch.testing.assert_close(gradient.flatten()[index], slope, rtol=2e-4, atol=1e-7)


def assert_outside_is_not_seen(loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, outside: Tensor) -> None:
    """Neither the loss nor any gradient changes where junk, NaN and infinity among it, fills both maps outside.

    Args:
        loss: of the prediction, and of junk to put into the truth outside the mask (0 for none).
        prediction: (..., H, W).
        outside: (..., H, W) pixels that are not in the mask.
    """

    def value_and_gradient(junk: Tensor) -> tuple[Tensor, Tensor]:
        spoilt = torch.where(outside, junk, prediction).detach().requires_grad_()
        value = loss(spoilt, junk)
        (gradient,) = torch.autograd.grad(value.sum(), spoilt)
        return value.detach(), gradient

    assert outside.any()
    clean = value_and_gradient(torch.zeros_like(prediction))
    assert torch.isfinite(clean[0]).all()
    assert clean[0].abs().sum() > 0
    assert (clean[1][~outside] != 0).any()
    for junk in (torch.nan, torch.inf, -torch.inf, -5.0, 1e30):
        value, gradient = value_and_gradient(torch.full_like(prediction, junk))
        assert torch.equal(value, clean[0])
        assert torch.equal(gradient, clean[1])
        assert (gradient[outside] == 0).all()


def numpy_of(*tensors: Tensor) -> tuple[NDArray, ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


def rotation(key: int) -> NDArray[np.float64]:
    """A random rotation (3, 3)."""
    q, r = np.linalg.qr(numpy_random(key, 3).standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q
