"""A prediction of views whose cameras are known before, whatever gave the depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import to_3x4
from recon.types import MadeBy, Prediction

if TYPE_CHECKING:
    from recon.sources.fitting import Views


def with_given_cameras(views: Views, depth: NDArray[np.float32], made_by: MadeBy | None) -> Prediction:
    """`depth` (N, H, W) of views, in the scale of their cameras, beside the cameras themselves, in float32."""
    cameras = views.cameras
    assert cameras.world_to_camera is not None
    assert cameras.intrinsics is not None
    return Prediction(
        depth=depth,
        processed_images=views.pixels,
        made_by=made_by,
        extrinsics=to_3x4(cameras.world_to_camera).astype(np.float32),
        intrinsics=cameras.intrinsics.astype(np.float32),
        units="aligned",
        image_names=tuple(views.names),
        original_sizes=views.original_sizes,
        processed_to_original=views.processed_to_original,
    )
