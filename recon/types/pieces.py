"""Going through a prediction that does not fit into memory, some views at a time."""

from __future__ import annotations

from collections.abc import Iterator

from recon.types.mapped import is_mapped, release
from recon.types.prediction import MAPS, Prediction

_PIXELS_AT_ONCE = 4_000_000
"""Of all views that are in memory together."""


def in_pieces(prediction: Prediction) -> Iterator[tuple[slice, Prediction]]:
    """The views of a prediction in order: which they are, and a prediction of them alone.

    One that is in memory comes as it is, in one piece. Of one that is mapped from the disk (`recon.types.mapped`) a few
    views come at a time, and the memory of those before is given back.
    """
    if not is_mapped(prediction.depth):
        yield slice(0, len(prediction.depth)), prediction
        return
    views, height, width = prediction.depth.shape
    step = max(_PIXELS_AT_ONCE // (height * width), 1)
    for start in range(0, views, step):
        chosen = slice(start, min(start + step, views))
        yield chosen, prediction.window(chosen)
        release_maps(prediction)


def release_maps(prediction: Prediction) -> None:
    """Give back the memory that a mapped prediction takes; what is looked at again is read from the disk again."""
    release(*(getattr(prediction, name) for name in MAPS))
