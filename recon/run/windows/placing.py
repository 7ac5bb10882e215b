"""One world for all windows: from how pairs of them lie to each other to where each view is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recon.geometry.similarity import Similarity
from recon.run.windows.joints import WindowEdge
from recon.run.windows.window import Window

SAME = Similarity(1.0, np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Placement:
    """Where a window is."""

    similarity: Similarity
    """From its own world to that of the whole."""
    part: int
    """Windows of different parts say nothing of how they lie to each other; 0 is the first."""


def place(windows: Sequence[Window], edges: Sequence[WindowEdge]) -> list[Placement]:
    """Where each window is: the first of a part as it is, each other one as it lies in the window before."""
    before = {edge.second: edge for edge in edges if edge.second == edge.first + 1}
    placed: list[Placement] = []
    for window in windows:
        edge = before.get(window.number)
        if not placed or edge is None:
            placed.append(Placement(SAME, placed[-1].part + 1 if placed else 0))
        else:
            last = placed[-1]
            placed.append(Placement(last.similarity.compose(edge.joint.similarity), last.part))
    return placed


def owners(windows: Sequence[Window]) -> list[list[int]]:
    """For each window the numbers of the photos whose views the whole takes from it.

    Of those that neighbours share, each takes the half that is farther from its own end: there it knows more around.
    """
    ends = []
    for first, second in pairwise(windows):
        shared = sorted(set(first.photos) & set(second.photos))
        ends.append(met_at(shared) if shared else (second.photos[0] if second.photos else second.span[0]))
    taken: list[list[int]] = []
    last = -1
    for window, end in zip(windows, [*ends, None], strict=True):
        own = [photo for photo in window.photos if photo > last and (end is None or photo < end)]
        last = max(own[-1] if own else last, last)
        taken.append(own)
    return taken


def met_at(shared: Sequence[int]) -> int:
    """Of the photos that two neighbours share, in order, the first whose view the whole takes from the second."""
    return shared[len(shared) // 2]


def spread(
    windows: Sequence[Window], placements: Sequence[Placement], owned: Sequence[Sequence[int]]
) -> list[list[Similarity]]:
    """For each window, and each photo that is its own, the map from the window's world to that of the whole."""
    return [[placement.similarity] * len(own) for placement, own in zip(placements, owned, strict=True)]
