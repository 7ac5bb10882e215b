"""Colours of photos brought together where a texture changes from one to another: exposure, white balance, vignetting.

First every photo gets one factor for each channel, so that photos agree on what they show together. What is left is
spread out around seams by the adjustment of Waechter et al. 2014, after Lempitsky and Ivanov, CVPR 2007: each photo has
an offset at each vertex it is used at, smooth over its triangles, so that on a seam the photos of both sides agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMOOTH = 0.1
"""Weight of the difference between offsets of neighbouring vertices; that of a difference on a seam is 1."""
_SMALL = 0.03
"""Weight of an offset itself: away from seams it fades."""
_MOST = 64.0
"""Of 255: an offset beyond it follows a mistake, not the light."""
_DARK, _BRIGHT = 10.0, 245.0
"""Of 255: colours beyond have been cut off, and say nothing of the exposure."""
_LEAST_SHARED = 20
"""Points that two photos show, for these to say something of their exposures."""
_SAME = 0.02
"""Photos whose factors all are this near to 1 stay as they are."""
_ACCURACY, _STEPS = 1e-3, 300


@dataclass(frozen=True)
class Corners:
    """Where triangles and photos meet: one corner for each vertex and view that a triangle at it has."""

    vertex: NDArray[np.int32]
    """(C,)."""
    view: NDArray[np.int32]
    """(C,) -1 for triangles without one."""
    faces: NDArray[np.int32]
    """(F, 3) corners of each triangle."""


def exposure_factors(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 3) what the red, green and blue of each photo are to be multiplied by, 1 in the geometric mean.

    The factors that come nearest to the median ratio between each two photos, in the least squares of logarithms.

    Args:
        colors: (N, P, 3) what each photo shows of P points; NaN for those it does not show.
    """
    count = len(colors)
    logarithms = np.log(np.where((colors >= _DARK) & (colors <= _BRIGHT), colors, np.nan))
    found = np.zeros((count, 3))
    for channel in range(3):
        rows, wanted = [np.full((1, count), 1.0)], [0.0]
        for one in range(count):
            for other in range(one):
                ratio = logarithms[one, :, channel] - logarithms[other, :, channel]
                ratio = ratio[~np.isnan(ratio)]
                if len(ratio) < _LEAST_SHARED:
                    continue
                weight = float(np.sqrt(len(ratio)))
                row = np.zeros((1, count))
                row[0, one], row[0, other] = -weight, weight
                rows.append(row)
                wanted.append(weight * float(np.median(ratio)))
        found[:, channel] = np.linalg.lstsq(np.concatenate(rows), np.array(wanted), rcond=None)[0]
    return np.exp(found if np.abs(found).max(initial=0) > _SAME else np.zeros_like(found)).astype(np.float32)


def corners_of(faces: NDArray[np.int32], chosen: NDArray[np.int32]) -> Corners:
    """The corners of triangles (F, 3) of vertices, of which each has a view `chosen` (F,)."""
    size = int(chosen.max(initial=-1)) + 2
    keys = faces.astype(np.int64) * size + (chosen[:, None] + 1)
    unique, places = np.unique(keys, return_inverse=True)
    vertex, view = (unique // size).astype(np.int32), (unique % size - 1).astype(np.int32)
    return Corners(vertex, view, places.reshape(-1, 3).astype(np.int32))


def level_seams(corners: Corners, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, 3) what to add to the colours (C, 3) of the corners, and likewise between them, so that seams vanish."""
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import cg

    count = len(corners.vertex)
    # Corners are sorted by vertex: one after the other at the same vertex are two photos at a seam.
    seams = np.flatnonzero(corners.vertex[1:] == corners.vertex[:-1])
    if not len(seams):
        return np.zeros((count, 3), np.float32)
    edges = np.concatenate([corners.faces[:, [0, 1]], corners.faces[:, [1, 2]], corners.faces[:, [2, 0]]])
    first = np.concatenate([seams, edges[:, 0]])
    second = np.concatenate([seams + 1, edges[:, 1]])
    weights = np.concatenate([np.ones(len(seams)), np.full(len(edges), _SMOOTH / 2)])  # inner edges are there twice
    links = coo_array((weights, (first, second)), shape=(count, count)).tocsr()
    links = links + links.T
    matrix = diags_array(np.asarray(links.sum(axis=1)).ravel() + _SMALL) - links
    wanted = np.zeros((count, 3))
    difference = (colors[seams + 1] - colors[seams]).astype(np.float64)
    np.add.at(wanted, seams, difference)
    np.add.at(wanted, seams + 1, -difference)
    scaled = diags_array(1 / matrix.diagonal())
    found = [cg(matrix, wanted[:, channel], rtol=_ACCURACY, maxiter=_STEPS, M=scaled)[0] for channel in range(3)]
    return np.clip(np.stack(found, axis=1), -_MOST, _MOST).astype(np.float32)
