"""Colours of HDR and wide-gamut video to sRGB: what a good SDR screen would show of them.

Curves are those of ITU-R BT.2100 (PQ and HLG); that of any other video counts as sRGB's, as it does everywhere. Values
are relative to the white of a sheet of paper, 203 candela per square metre as BT.2408 has it. Up to a knee nothing
changes; brighter light is compressed towards white.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""Transfer characteristics (ITU-T H.273, table 3)."""
BT2020, P3 = 9, 12
"""Colour primaries (ITU-T H.273, table 2); P3 with the white D65."""

_PAPER_WHITE = 203.0
_PQ_PEAK, _HLG_PEAK, _HLG_GAMMA = 10000.0, 1000.0, 1.2
_KNEE = 0.8
_CODES = 65536
_STEPS = 4096
"""Of the table of sRGB's curve, over the square root of light."""

_TO_BT709 = {
    BT2020: np.array(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
        np.float32,
    ),
    P3: np.array(
        [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]], np.float32
    ),
}
"""Linear light to the primaries of BT.709 and sRGB (BT.2087, and the same computed for P3)."""
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
"""Of BT.2020's primaries."""


def is_beyond_srgb(curve: int, primaries: int) -> bool:
    """Whether a frame of this transfer characteristic and these primaries needs more than a change of its matrix."""
    return curve in (PQ, HLG) or primaries in _TO_BT709


def to_srgb(pixels: NDArray[np.uint16], curve: int, primaries: int) -> NDArray[np.uint8]:
    """(H, W, 3) in sRGB.

    Args:
        pixels: (H, W, 3), signal of the full range 0 to 65535.
        curve: transfer characteristic; any but `PQ` and `HLG` counts as sRGB's.
        primaries: `BT2020`, `P3`, or others, which count as BT.709's.
    """
    rows = max(1, 2_000_000 // max(pixels.shape[1], 1))
    parts = [_part(pixels[at : at + rows], curve, primaries) for at in range(0, len(pixels), rows)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _part(pixels: NDArray[np.uint16], curve: int, primaries: int) -> NDArray[np.uint8]:
    light = _light(curve)[pixels]  # (h, W, 3) float32, 1 is paper white
    if curve == HLG:
        # The scene's light to the screen's (BT.2100, table 5), brought back to the white it is seen beside.
        luminance = light @ _LUMINANCE
        light *= (np.maximum(luminance, 1e-6) ** np.float32(_HLG_GAMMA - 1) * (_HLG_PEAK / _PAPER_WHITE))[..., None]
    if primaries in _TO_BT709:
        light = light @ _TO_BT709[primaries].T
    np.maximum(light, 0, out=light)
    if curve in (PQ, HLG):
        brightest = light.max(axis=-1)
        above = np.maximum((brightest - _KNEE) / (1 - _KNEE), 0)
        shown = np.where(above > 0, _KNEE + (1 - _KNEE) * above / (1 + above), brightest)
        light *= (shown / np.maximum(brightest, 1e-6))[..., None]
    steps = np.sqrt(np.minimum(light, 1)) * np.float32(_STEPS - 1) + np.float32(0.5)
    return _srgb()[steps.astype(np.uint16)]


@cache
def _light(curve: int) -> NDArray[np.float32]:
    """(65536,) light of each signal; of HLG the scene's, from 0 to 1."""
    signal = np.arange(_CODES) / (_CODES - 1)
    if curve == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * _PQ_PEAK / _PAPER_WHITE
    elif curve == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def _srgb() -> NDArray[np.uint8]:
    """Values of sRGB (IEC 61966-2-1) by the square root of light, in `_STEPS` steps."""
    light = (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(signal * 255).astype(np.uint8)
