"""The fast routes against torch's own functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recon.models import kernels


@pytest.fixture(params=["fast", "plain"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both routes on every machine: the fast one is right everywhere, if not fast."""
    monkeypatch.setattr(kernels, "_onednn_is_faster", lambda: request.param == "fast")
    return request.param


@pytest.mark.parametrize("shape", [(3, 70, 24), (1, 24), (2, 5, 40, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear(route: str, shape: tuple[int, ...], with_bias: bool) -> None:
    x, weight = torch.randn(shape), torch.randn(40, 24)
    bias = torch.randn(40) if with_bias else None
    torch.testing.assert_close(kernels.linear(x, weight, bias), F.linear(x, weight, bias), rtol=1e-4, atol=1e-5)


def test_linear_takes_strided_rows(route: str) -> None:
    x, weight = torch.randn(100, 2, 24)[:, 1], torch.randn(8, 24)
    torch.testing.assert_close(kernels.linear(x, weight), F.linear(x, weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 63, 64, 513, 1100])
def test_attention(route: str, tokens: int) -> None:
    q, k, v = (torch.randn(2, 3, tokens, 16) for _ in range(3))
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(kernels.attention(q, k, v), expected, rtol=1e-4, atol=1e-5)


def test_attention_takes_strided_heads(route: str) -> None:
    q, k, v = torch.randn(2, 100, 3, 4, 8).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(kernels.attention(q, k, v), expected, rtol=1e-4, atol=1e-5)


def test_attention_survives_large_scores(route: str) -> None:
    q, k = torch.randn(1, 1, 128, 16) * 100, torch.randn(1, 1, 128, 16) * 100
    v = torch.randn(1, 1, 128, 16)
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double()).float()[0]
    torch.testing.assert_close(kernels.attention(q, k, v), expected, rtol=1e-3, atol=1e-3)


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
