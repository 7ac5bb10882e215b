"""Whether the camera of a long input has moved at all, or only turned: then no view can tell how right its depth is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.geometry.cameras import camera_centres
from recon.run.windows.assemble import Share
from recon.types import FloatArray
from recon.types.pieces import release_maps

_ON_THE_SPOT = 0.02
"""Diagonal of the box around all camera centres, relative to the usual depth, below which the camera only turns."""


def turns_on_the_spot(extrinsics: FloatArray | None, shares: Sequence[Share]) -> str | None:
    """What to say of a camera that hardly moves from its place; None where it moves, or nothing is known of it.

    Args:
        extrinsics: (N, 3, 4) world-to-camera of all views.
        shares: what the whole takes from each window.
    """
    if extrinsics is None or len(extrinsics) < 2:
        return None
    extent = float(np.linalg.norm(np.ptp(camera_centres(extrinsics.astype(np.float64)), axis=0)))
    distances = [_usual_depth(share) for share in shares if share.photos]
    known = [distance for distance in distances if distance is not None]
    share = extent / float(np.median(known)) if known else np.inf
    if share >= _ON_THE_SPOT:
        return None
    return (
        f"the camera stays in one place, within {share:.1%} of the distance to what it sees, and only turns: no view "
        "can tell how right the depth of another one is"
    )


def _usual_depth(share: Share) -> float | None:
    """Median of the first view of a share, in the unit of the whole."""
    view = share.views[0]
    prediction = share.window.open().depth.prediction
    one = prediction.window(slice(view, view + 1))
    release_maps(prediction)
    seen = one.depth[one.valid]
    return float(np.median(seen)) * share.similarities[0].scale * share.depth_factor if len(seen) else None
