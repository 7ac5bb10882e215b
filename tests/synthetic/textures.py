"""Procedural solid textures: what a surface of a synthetic scene is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Pattern = Literal[
    "uniform", "tiles", "plaster", "stone", "bricks", "flagstones", "planks", "marble", "terrazzo", "weave", "print"
]
"""`uniform` is one colour without any detail; `tiles` repeats exactly; the others never repeat."""

PATTERNS: tuple[str, ...] = get_args(Pattern)


@dataclass(frozen=True)
class Texture:
    """A pattern that covers space, evaluated at the surface, with detail from `scale` down to a millimetre."""

    pattern: Pattern
    """What is drawn."""
    colors: tuple[str, ...]
    """One to four sRGB colours "#rrggbb"; the first dominates, joints take the last."""
    scale: float = 0.5
    """Metres: the size of a brick, a stone or the largest blotch."""
    detail: float = 0.25
    """Relative contrast of the fine noise on top of the pattern."""
    seed: int = 0
    """Which of the endless variants."""


def linear_color(color: str) -> NDArray[np.float64]:
    """(3,) linear RGB in [0, 1] of "#rrggbb" in sRGB (IEC 61966-2-1)."""
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """8-bit sRGB of linear light, clipped to [0, 1], rounded to nearest."""
    clipped = np.clip(linear, 0, 1)
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)
