"""One window of a long input, and what the estimator made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recon.geometry.shared_views import SharedViews
from recon.run.found_depth import FoundDepth
from recon.types.pieces import release_maps


@dataclass(frozen=True)
class WindowDepth:
    """What the road gives for one window: depth and cameras in a world of its own, or in that of known cameras."""

    depth: FoundDepth
    photos: tuple[int, ...]
    """Of each view, the number of its photo in the whole input; ascending."""


@dataclass(frozen=True)
class Window:
    """A window that is kept on the disk."""

    number: int
    span: range
    """Numbers of the photos that it was made of; not all need be usable."""
    open: Callable[[], WindowDepth]
    """Its outcome, mapped from the disk: to be dropped after use."""

    @cached_property
    def photos(self) -> tuple[int, ...]:
        """As of `WindowDepth`."""
        return self.open().photos

    def views_of(self, photos: Sequence[int]) -> list[int]:
        """Which of its views show the photos of these numbers, all of which it has."""
        place = {photo: view for view, photo in enumerate(self.photos)}
        return [place[photo] for photo in photos]

    def views(self, photos: Sequence[int]) -> SharedViews | None:
        """Its views of the photos of these numbers, in memory; None without cameras."""
        outcome, chosen = self.open(), self.views_of(photos)
        prediction = outcome.depth.prediction
        if prediction.extrinsics is None or prediction.intrinsics is None:
            return None
        each = [prediction.window(slice(view, view + 1)) for view in chosen]
        found = SharedViews(
            depth=np.concatenate([one.depth for one in each]),
            usable=np.concatenate([one.valid for one in each]),
            conf=None if prediction.conf is None else np.concatenate([one.conf for one in each]),
            intrinsics=prediction.intrinsics[chosen],
            world_to_camera=prediction.extrinsics[chosen],
        )
        release_maps(prediction)
        return found
