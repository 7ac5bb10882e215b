"""How well the depth maps of one scene agree with each other: what can be said of their quality without the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.geometry.unprojection import project_points, unproject_depth
from recon.types import FloatArray

WITHIN = 0.01
"""Relative difference of depth up to which two views agree."""
HIDDEN = 0.25
"""A view that sees something nearer by this share has the point hidden from it, and says nothing of it."""
APART = 4.0
"""A view is apart from the rest where it differs by so many times what views differ by in the median."""
_SAMPLES = 200_000
"""Pixels of all views together that are compared with all other views."""
_FEWEST = 20
"""Comparisons that a view needs for anything to be said of it."""


@dataclass(frozen=True)
class DepthAgreement:
    """Of N depth maps, over an even sample of their pixels."""

    median_difference: float | None
    """Between a point's depth in another view and what that view sees there, relative; None where no two views show
    the same."""
    agreeing: float | None
    """Share of these comparisons that differ by at most `WITHIN`."""
    confirmed: float | None
    """Share of the sampled pixels that at least one other view agrees on, of those that another view could."""
    apart: tuple[int, ...]
    """Views that differ from the others much more than is usual, or share nothing with them."""


@dataclass(frozen=True)
class DepthDifferences:
    """Of some views, to others."""

    of_view: tuple[NDArray[np.float64], ...]
    """Of each view: how far others are off where they say something, relative."""
    has_depth: tuple[bool, ...]
    """Of each view, whether it has any."""
    seen: int
    """Sampled pixels that another view sees."""
    confirmed: int
    """Of these, those that one agrees on."""


def depth_agreement(
    depth: FloatArray, usable: NDArray[np.bool_], intrinsics: FloatArray, world_to_camera: FloatArray
) -> DepthAgreement:
    """Compare N depth maps with each other.

    Args:
        depth: (N, H, W) z-depth.
        usable: (N, H, W) True where it is to be relied on.
        intrinsics: (N, 3, 3) in pixels.
        world_to_camera: (N, 3, 4) or (N, 4, 4).
    """
    return agreement_of([depth_differences(depth, usable, intrinsics, world_to_camera, range(len(depth)))])


def depth_differences(
    depth: FloatArray,
    usable: NDArray[np.bool_],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
    views: Sequence[int],
    each: int | None = None,
    most: int | None = None,
) -> DepthDifferences:
    """Compare some `views` of N depth maps with all of them; other arguments as of `depth_agreement`.

    `each`: pixels of a view that are compared [as many as make a fair sample of N views]. `most`: differences that are
    kept of each view [all].
    """
    count = len(depth)
    each = max(_SAMPLES // (count * max(count - 1, 1)), 50) if each is None else each
    of_view: list[NDArray[np.float64]] = []
    seen, confirmed = 0, 0
    for view in views:
        differences = _differences(view, each, depth, usable, intrinsics, world_to_camera)  # (N, P), NaN: says nothing
        says = np.isfinite(differences)
        least = np.where(says, np.abs(differences), np.inf).min(axis=0, initial=np.inf)  # (P,)
        seen, confirmed = seen + int(says.any(axis=0).sum()), confirmed + int((least <= WITHIN).sum())
        found = np.abs(differences[says])
        if most is not None and len(found) > most:
            found = found[np.linspace(0, len(found) - 1, most).astype(np.intp)]
        of_view.append(found)
    return DepthDifferences(tuple(of_view), tuple(bool(usable[view].any()) for view in views), seen, confirmed)


def agreement_of(parts: Sequence[DepthDifferences]) -> DepthAgreement:
    """What the differences of all views, in order, come to."""
    of_view = [found for part in parts for found in part.of_view]
    has_depth = [known for part in parts for known in part.has_depth]
    all_of_them = np.concatenate(of_view) if of_view else np.zeros(0)
    if len(all_of_them) == 0:
        return DepthAgreement(None, None, None, ())
    median = float(np.median(all_of_them))
    limit = APART * max(median, WITHIN)
    apart = [
        view
        for view, found in enumerate(of_view)
        if has_depth[view] and (len(found) < _FEWEST or float(np.median(found)) > limit)
    ]
    seen, confirmed = sum(part.seen for part in parts), sum(part.confirmed for part in parts)
    return DepthAgreement(median, float(np.mean(all_of_them <= WITHIN)), confirmed / max(seen, 1), tuple(apart))


def _differences(
    view: int,
    most: int,
    depth: FloatArray,
    usable: NDArray[np.bool_],
    intrinsics: FloatArray,
    world_to_camera: FloatArray,
) -> NDArray[np.float64]:
    """(N, P) for at most `most` pixels of one view: what each other view sees there, relative to the depth it should
    see; NaN where it does not see the place, has no depth there or something nearer."""
    count, height, width = depth.shape
    known = np.flatnonzero(usable[view])
    sample = known[np.linspace(0, len(known) - 1, min(most, len(known))).astype(np.intp)]
    this = slice(view, view + 1)
    points = unproject_depth(depth[this], intrinsics[this], world_to_camera[this]).reshape(-1, 3)[sample]
    pixels, expected = project_points(np.broadcast_to(points, (count, *points.shape)), intrinsics, world_to_camera)
    with np.errstate(invalid="ignore"):
        within = ((pixels >= 0) & (pixels < (width, height))).all(axis=-1)
        inside = np.asarray(within & (expected > 0), np.bool_)  # (N, P)
    inside[view] = False
    columns, rows = np.moveaxis(np.where(inside[..., None], pixels, 0).astype(np.intp), -1, 0)
    others = np.arange(count)[:, None]
    there = np.where(inside & usable[others, rows, columns], depth[others, rows, columns], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        differences = there / expected - 1
        differences[differences < -HIDDEN] = np.nan
    return np.asarray(differences, np.float64)
