"""Which mappers were tried, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pycolmap

FIRST = "the first, as it takes least time"
BENT = "the lens may be a fisheye, and is mapped as one"


@dataclass(frozen=True)
class MappingTrial:
    """One attempt at placing all photos."""

    by: Literal["global", "incremental"]
    """Of all photos at once, or growing from two."""
    why: str
    """What left doubts about the attempts before it."""
    photos: int
    """That its largest model places."""
    models: int
    doubt: str
    """About the best model so far; empty where there is none."""


def trial(found: Sequence[pycolmap.Reconstruction], at_once: bool, why: str, doubt: str) -> MappingTrial:
    """What one attempt ended in."""
    photos = max((int(model.num_reg_images()) for model in found), default=0)
    return MappingTrial("global" if at_once else "incremental", why, photos, len(found), doubt)
