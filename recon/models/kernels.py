"""Matrix products and attention by the faster of two routes.

On x86, torch hands float32 `linear` and attention to MKL, which on some AMD processors computes at half the machine's
rate (Zen 5: it stops at AVX2), on others at the full one (Zen 4). Convolutions go to oneDNN, which uses AVX-512
wherever there is any, and a 1 × 1 convolution over a channels-last image *is* a matrix product on the same memory.
Which route is faster is measured once, in a few milliseconds. Elsewhere (GPUs, export to ONNX) these are the plain
torch functions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_MIN_ROWS = 64
"""Fewer rows than this gain nothing."""
_QUERY_BLOCK = 768
"""Query rows whose scores are held at once: many enough for the products, few enough for the cache."""
_MAX_KEYS = 60_000
"""With so many keys the scores of a block take 180 MB; with more, torch's own tiled attention saves memory."""

_CLEARLY = 1.25
"""How many times faster oneDNN must be. The routes round differently, so a close race must not be decided by chance:
the same run is to give the same bytes. Measured on one core: 0.9 to 1.1 on a Zen 4, about 2 on a Zen 5."""
_TRIAL_SHAPE = (256, 384, 384)
_TRIALS = 4

_measuring = threading.Lock()
_measured: bool | None = None


def _onednn_is_faster() -> bool:
    """Whether oneDNN's matrix products are clearly faster here than those of `torch.nn.functional.linear`."""
    global _measured
    with _measuring:
        if _measured is None:
            _measured = _onednn_can_be_used() and _onednn_wins_trial()
    return _measured


def _onednn_can_be_used() -> bool:
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _onednn_wins_trial() -> bool:
    m, k, n = _TRIAL_SHAPE
    rows, weight = torch.ones(m, k), torch.ones(n, k)

    def shortest(product: Callable[[], Tensor]) -> float:
        product()
        times = []
        for _ in range(_TRIALS):
            start = time.thread_time()  # not the clock on the wall: others may use this processor, too
            product()
            times.append(time.thread_time() - start)
        return min(times)

    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        plain = shortest(lambda: F.linear(rows, weight))
        onednn = shortest(lambda: _matmul_transposed(rows, weight, None))
    return onednn * _CLEARLY < plain


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
    kernel = weight[:, :, None, None]
    if torch.is_grad_enabled() and (rows.requires_grad or weight.requires_grad):
        product_bchw = F.conv2d(image_bchw, kernel, bias)
    else:  # `conv2d` leaves oneDNN aside on a single thread
        product_bchw = torch.mkldnn_convolution(image_bchw, kernel, bias, (0, 0), (1, 1), (1, 1), 1)
    return product_bchw.permute(0, 2, 3, 1).reshape(m, -1)  # (1, N, 1, M), channels last


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
    """Scaled dot-product attention, softmax(q kᵀ / √D) v, by the faster route.

    The faster route computes in float32 also under autocast: on a Zen 5 CPU that took two thirds of the time of torch's
    half-precision attention, and it is more accurate.

    Args:
        queries: (B, H, M, D).
        keys, values: (B, H, N, D).

    Returns:
        (B, M, H · D).
    """
    b, h, m, d = queries.shape
    needs_grad = torch.is_grad_enabled() and queries.requires_grad
    if needs_grad or not _use_onednn(queries) or m < _MIN_ROWS or not _MIN_ROWS <= keys.shape[2] <= _MAX_KEYS:
        mixed = F.scaled_dot_product_attention(queries.to(values.dtype), keys.to(values.dtype), values)
        return mixed.transpose(1, 2).reshape(b, m, h * d)  # (B, H, M, D) -> (B, M, H * D)
    with torch.autocast("cpu", enabled=False):
        queries = (queries.float() * d**-0.5).contiguous()
        keys = keys.float().contiguous()
        values_t = values.float().transpose(2, 3).contiguous()  # (B, H, D, N)
        mixed = queries.new_empty(b, m, h, d)
        for scene in range(b):
            for head in range(h):
                for start in range(0, m, _QUERY_BLOCK):
                    stop = min(start + _QUERY_BLOCK, m)
                    scores = _matmul_transposed(queries[scene, head, start:stop], keys[scene, head], None)
                    weights = torch.softmax(scores, dim=-1)  # (rows, N)
                    mixed[scene, start:stop, head] = _matmul_transposed(weights, values_t[scene, head], None)
    return mixed.view(b, m, h * d)
