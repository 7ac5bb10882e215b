"""The fast routes against torch's own functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recon.models import kernels


@pytest.fixture(params=["fast", "plain"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both routes on every machine: the fast one is right everywhere, if not fast."""
    monkeypatch.setattr(kernels, "_onednn_is_faster", lambda: request.param == "fast")
    return request.param


UNIT = 2.0**-24
"""Rounding of one operation in float32, relative."""


def assert_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """A sum of n rounded products is off by at most n units of the sum of their sizes, whatever its order."""
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    sizes = F.linear(x.double().abs(), weight.double().abs(), None if bias is None else bias.double().abs())
    error = (kernels.linear(x, weight, bias).double() - exact).abs()
    assert (error <= (x.shape[-1] + 1) * UNIT * sizes).all()


def assert_attention(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Scores off by d change weights by at most a factor e^2d; the rounding of the weighted mean comes on top.

    A score, its scaling and its difference to the largest are D + 3 operations, the mean and its weights N + 5.
    """
    q64, k64, v64 = q.double(), k.double(), v.double()
    tokens, channels = q.shape[-2:]
    expected = F.scaled_dot_product_attention(q64, k64, v64)
    sizes = q64.abs() @ k64.abs().transpose(-1, -2) / channels**0.5  # (B, H, N, N)
    d = (channels + 3) * UNIT * sizes.amax(dim=-1, keepdim=True)  # (B, H, N, 1)
    of_values = F.scaled_dot_product_attention(q64, k64, v64.abs())
    bound = (torch.expm1(2 * d) + (tokens + 5) * UNIT * torch.exp(2 * d)) * of_values
    error = (kernels.attention(q, k, v).double() - expected.transpose(1, 2).flatten(2)).abs()
    assert (error <= bound.transpose(1, 2).flatten(2)).all()


@pytest.mark.parametrize("shape", [(3, 70, 24), (1, 24), (2, 5, 40, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear(route: str, shape: tuple[int, ...], with_bias: bool) -> None:
    assert_linear(torch.randn(shape), torch.randn(40, 24), torch.randn(40) if with_bias else None)


def test_linear_takes_strided_rows(route: str) -> None:
    assert_linear(torch.randn(100, 2, 24)[:, 1], torch.randn(8, 24))


@pytest.mark.parametrize("tokens", [1, 63, 64, 513, 1100])
def test_attention(route: str, tokens: int) -> None:
    assert_attention(*(torch.randn(2, 3, tokens, 16) for _ in range(3)))


def test_attention_takes_strided_heads(route: str) -> None:
    assert_attention(*torch.randn(2, 100, 3, 4, 8).permute(2, 0, 3, 1, 4))


def test_attention_survives_large_scores(route: str) -> None:
    """Scores of tens of thousands, whose exponentials no float holds."""
    q, k, v = (torch.randn(1, 1, 128, 16) for _ in range(3))
    assert_attention(100 * q, 100 * k, v)


def test_fast_attention_stays_float32_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_onednn_is_faster", lambda: True)
    q, k, v = (torch.randn(1, 2, 100, 16) for _ in range(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = kernels.attention(q, k, v)
    torch.testing.assert_close(mixed, kernels.attention(q, k, v), rtol=0, atol=0)


def test_gradients_flow(route: str) -> None:
    q, k, v = (torch.randn(1, 2, 80, 8, requires_grad=True) for _ in range(3))
    weight = torch.randn(5, 16, requires_grad=True)
    kernels.linear(kernels.attention(q, k, v), weight).sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (q, k, v, weight))


def test_inputs_are_left_alone(route: str) -> None:
    q, k, v = (torch.randn(1, 2, 80, 8) for _ in range(3))
    before = [x.clone() for x in (q, k, v)]
    kernels.attention(q, k, v)
    assert all(torch.equal(x, y) for x, y in zip((q, k, v), before, strict=True))
