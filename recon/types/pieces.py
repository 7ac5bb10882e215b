"""Going through a prediction that does not fit into memory, some views at a time."""

from __future__ import annotations

from collections.abc import Iterator

from recon.types.mapped import is_mapped, release
from recon.types.prediction import MAPS, Prediction

_PIXELS_AT_ONCE, _VIEWS_AT_ONCE = 2_000_000, 64
"""In memory together; what compares views with each other grows with the square of how many there are."""


def in_pieces(prediction: Prediction, around: int = 0) -> Iterator[tuple[slice, slice, Prediction]]:
    """The views of a prediction in order, some at a time: which they are, which they are in a prediction of them and
    of `around` more on either side, and that prediction.

    One that is in memory comes as it is, in one piece. Of one that is mapped from the disk (`recon.types.mapped`) a few
    views come at a time, and the memory of those before is given back.
    """
    views, height, width = prediction.depth.shape
    if not is_mapped(prediction.depth):
        yield slice(0, views), slice(0, views), prediction
        return
    step = min(max(_PIXELS_AT_ONCE // (height * width), 1), _VIEWS_AT_ONCE)
    for start in range(0, views, step):
        end = min(start + step, views)
        first, last = max(start - around, 0), min(end + around, views)
        yield slice(start, end), slice(start - first, end - first), prediction.window(slice(first, last))
        release_maps(prediction)


def release_maps(prediction: Prediction) -> None:
    """Give back the memory that a mapped prediction takes; what is looked at again is read from the disk again."""
    release(*(getattr(prediction, name) for name in MAPS), *(prediction.__dict__.get(name) for name in _DERIVED))


_DERIVED = ("valid", "valid_or_filled")
"""What a prediction keeps once it has been asked for."""
