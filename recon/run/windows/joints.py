"""How neighbouring windows lie to each other: measured where they share views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from recon.geometry.shared_views import Joint, compare_views, join_views
from recon.run.windows.window import Window

_UNRELATED = 0.25
"""Where what two windows share differs by more than this share of its depth in the median, they are not joined."""


@dataclass(frozen=True)
class WindowEdge:
    """Two windows, and how the second lies in the world of the first."""

    first: int
    second: int
    """Numbers of the windows."""
    shared: tuple[int, ...]
    """Numbers of the photos that both have."""
    joint: Joint


def neighbour_edges(windows: Sequence[Window], *, placed: bool, keep_scale: bool) -> list[WindowEdge]:
    """An edge for each two neighbours that can be joined.

    Args:
        windows: in order.
        placed: all are in the world of known cameras: it is measured how they differ, and nothing is moved.
        keep_scale: all have one unit, such as the metre.
    """
    edges = []
    for first, second in pairwise(windows):
        edge = measure(first, second, placed=placed, keep_scale=keep_scale)
        if edge is not None:
            edges.append(edge)
    return edges


def measure(first: Window, second: Window, *, placed: bool, keep_scale: bool) -> WindowEdge | None:
    """How `second` lies in the world of `first`, by the photos that both have; None where that cannot be told."""
    shared = tuple(sorted(set(first.photos) & set(second.photos)))
    if not shared:
        return None
    target, source = first.views(shared), second.views(shared)
    if target is None or source is None:
        return None
    if placed:
        joint: Joint | None = compare_views(target, source)
    else:
        joint = join_views(target, source, keep_scale=keep_scale)
        if joint is not None and joint.residual is not None and joint.residual > _UNRELATED:
            joint = None
    return None if joint is None else WindowEdge(first.number, second.number, shared, joint)
