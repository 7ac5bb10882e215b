"""Multi-view stereo in the place of a network: views and their cameras to a prediction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.cameras import Cameras
from recon.geometry.cameras import to_3x4
from recon.types import Prediction

if TYPE_CHECKING:
    from recon.sources.colmap import SparsePoints
    from recon.sources.fitting import ProcessedViews
    from recon.stereo.multi_view import Progress, StereoOptions


@dataclass(frozen=True)
class StereoModel:
    """Depth of calibrated views by multi-view stereo: no weights, two views or more."""

    options: StereoOptions
    name: str = "mvs"
    warnings: tuple[str, ...] = ()
    """What was warned of while it was chosen."""

    def predict(
        self,
        views: ProcessedViews,
        cameras: Cameras,
        sparse: SparsePoints | None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Depth of N views in the scale of their cameras.

        Args:
            views: the images.
            cameras: (N, 4, 4) and (N, 3, 3) in pixels of the processed images, both needed.
            sparse: points of the scene in the cameras' frame, where there are some; they bound the depth.
            progress: told of each view.

        Raises:
            InputError: as `multi_view_depth`.
        """
        from recon.stereo.multi_view import multi_view_depth

        found = multi_view_depth(views.images, cameras, sparse, self.options, progress, views.names)
        assert cameras.world_to_camera is not None
        assert cameras.intrinsics is not None
        return Prediction(
            depth=found.depth,
            processed_images=views.images,
            conf=found.conf,
            extrinsics=to_3x4(cameras.world_to_camera).astype(np.float32),
            intrinsics=cameras.intrinsics.astype(np.float32),
            units="aligned",
            image_names=tuple(views.names),
            original_sizes=views.original_sizes,
            processed_to_original=views.processed_to_original,
        )

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": self.name, "options": asdict(self.options)}
