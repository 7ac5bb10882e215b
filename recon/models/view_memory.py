"""How much memory a network takes for each view that it looks at together with others.

Measured with random weights at 504 × 280 pixels: bytes for each view, pixel and channel of the encoder, beside the
weights and what does not grow with the views. On a CPU (fp32) da3-small takes 0.50 to 0.59 from 2 to 24 views, da3-base
0.54. On an H200 (bf16) from 32 to 96 views da3-small takes 0.41, da3-base, da3-large and da3-giant 0.39; torch reserves
up to a fifth more.
"""

from __future__ import annotations

_ON_CPU, _ON_CUDA = 0.6, 0.5


def bytes_per_pixel(channels: int) -> tuple[float, float]:
    """What each pixel of each view takes, on the CPU and on CUDA, of an encoder with so many channels."""
    return _ON_CPU * channels, _ON_CUDA * channels
