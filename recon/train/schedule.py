"""Learning rates and the moving average over the course of a training: functions of the step alone."""

from __future__ import annotations

import math
from typing import Literal


def rate_factor(step: int, steps: int, warm_up: int, decay: Literal["linear", "cosine", "none"]) -> float:
    """What the rates are multiplied by in `step` of `steps`, the first being 0; never 0 itself.

    It rises linearly over `warm_up` steps to 1, and falls from there to 0 behind the last step.
    """
    rising = min(1.0, (step + 1) / (warm_up + 1)) if warm_up else 1.0
    left = 1 - max(0, step - warm_up) / max(1, steps - warm_up)
    falling = {"linear": left, "cosine": (1 + math.cos(math.pi * (1 - left))) / 2, "none": 1.0}[decay]
    return rising * falling


def average_decay(step: int, decay: float) -> float:
    """Decay of the moving average after `step` updates before this one: shorter while there have been few."""
    return min(decay, (1 + step) / (10 + step))
