"""Matrix products and attention that use the whole CPU.

On x86, torch hands float32 `linear` and attention to MKL, which on AMD processors stops at AVX2: half the machine's
rate. Convolutions go to oneDNN, which uses AVX-512 on every processor that has it. A 1 × 1 convolution over a
channels-last image *is* a matrix product on the same memory, so these functions ask for that instead, where it pays.
Elsewhere (GPUs, other processors, export to ONNX) they are the plain torch functions.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

_MIN_ROWS = 64
"""Fewer rows than this gain nothing."""
_QUERY_BLOCK = 768
"""Query rows whose scores are held at once: many enough for the products, few enough for the cache."""
_MAX_KEYS = 60_000
"""With so many keys the scores of a block take 180 MB; with more, torch's own tiled attention saves memory."""


@functools.cache
def _onednn_is_faster() -> bool:
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _use_onednn(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.onnx.is_in_onnx_export()
        and _onednn_is_faster()
    )


def _matmul_transposed(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`rows @ weight.T + bias` for contiguous rows (M, K) and weight (N, K), as a 1 × 1 convolution: (M, N)."""
    m, k = rows.shape
    image_bchw = rows.view(1, 1, m, k).permute(0, 3, 1, 2)  # (1, K, 1, M), channels last
    product_bchw = F.conv2d(image_bchw, weight[:, :, None, None], bias)  # (1, N, 1, M), channels last
    return product_bchw.permute(0, 2, 3, 1).reshape(m, -1)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, by the faster route. x (..., K), weight (N, K), bias (N,) -> (..., N)."""
    # Sizes are compared last: in an export they may be symbols, which a comparison would bind to an outcome.
    if x.dtype != torch.float32 or not _use_onednn(x) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    if x.numel() < _MIN_ROWS * x.shape[-1]:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    return _matmul_transposed(rows.contiguous(), weight, bias).view(*x.shape[:-1], -1)


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Scaled dot-product attention, softmax(q kᵀ / √D) v, by the faster route. All (B, H, N, D); gives (B, N, H · D).

    The faster route computes in float32 also under autocast: on a Zen 5 CPU that took two thirds of the time of torch's
    half-precision attention, and it is more accurate.
    """
    b, h, n, d = queries.shape
    needs_grad = torch.is_grad_enabled() and queries.requires_grad
    if needs_grad or not _use_onednn(queries) or not _MIN_ROWS <= n <= _MAX_KEYS:
        mixed = F.scaled_dot_product_attention(queries.to(values.dtype), keys.to(values.dtype), values)
        return mixed.transpose(1, 2).reshape(b, n, h * d)  # (B, H, N, D) -> (B, N, H * D)
    with torch.autocast("cpu", enabled=False):
        queries = (queries.float() * d**-0.5).contiguous()
        keys = keys.float().contiguous()
        values_t = values.float().transpose(2, 3).contiguous()  # (B, H, D, N)
        mixed = queries.new_empty(b, n, h, d)
        for scene in range(b):
            for head in range(h):
                for start in range(0, n, _QUERY_BLOCK):
                    stop = min(start + _QUERY_BLOCK, n)
                    scores = _matmul_transposed(queries[scene, head, start:stop], keys[scene, head], None)
                    weights = torch.softmax(scores, dim=-1)  # (rows, N)
                    mixed[scene, start:stop, head] = _matmul_transposed(weights, values_t[scene, head], None)
    return mixed.view(b, n, h * d)
