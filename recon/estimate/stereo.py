"""Multi-view stereo as an estimator: views and their cameras to depth in the scale of the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.choices import STEREO
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.estimate.given_cameras import with_given_cameras
from recon.estimate.own_sizes import from_corner, to_corner
from recon.types import MadeBy, Prediction

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sources.fitting import Views
    from recon.stereo.multi_view import StereoDepth, StereoOptions
    from recon.types.cameras import Cameras

PROFILE = Profile(
    name="multi-view stereo",
    kind="stereo",
    abilities=Abilities(several_views=True, confidence=True, sky=True),
    needs=Needs(cameras=True, exact_cameras=True, least_views=2),
    fit=Fit(own_size=True),
    parts=frozenset({STEREO}),
    failures="the photos may show too little in common, or be taken from too few places: give more, in smaller "
    "steps, or take a network",
    failures_of_given="the cameras may not be those of the photos (their order, their convention, intrinsics of "
    "another size), or the photos may show too little in common",
    word="mvs",
)


def _depth(views: Views, options: StereoOptions, progress: TellPart | None) -> StereoDepth:
    """Of the views, each photo at its own size."""
    from recon.stereo.multi_view import StereoDepth, multi_view_depth

    def find(pixels: NDArray[np.uint8], cameras: Cameras, masks: NDArray[np.bool_] | None) -> StereoDepth:
        return multi_view_depth(pixels, cameras, views.points, options, progress, views.names, masks)

    boxes = views.photo_boxes
    if boxes is None or views.cameras.intrinsics is None:
        return find(views.pixels, views.cameras, views.masks)
    intrinsics = views.cameras.intrinsics.copy()
    intrinsics[:, :2] -= boxes[:, :2, None] * intrinsics[:, 2:]
    cameras = replace(views.cameras, intrinsics=intrinsics, sizes=boxes[:, 2:])
    masks = None if views.masks is None else to_corner(views.masks, boxes)
    found = find(to_corner(views.pixels, boxes), cameras, masks)
    return StereoDepth(
        *(
            from_corner(part, boxes, around)
            for part, around in zip((found.depth, found.conf, found.filled, found.sky), (0, 1, 0, 0), strict=True)
        )
    )


@dataclass(frozen=True)
class StereoEstimator:
    """Depth of calibrated views by multi-view stereo: no weights, two views or more."""

    options: StereoOptions
    warnings: Sequence[str] = ()
    """What was warned of while it was chosen."""
    profile: Profile = PROFILE

    def prepare(self) -> None:
        """Compile the loops."""
        from recon.stereo.compile_ahead import compile_ahead

        compile_ahead(self.options)

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`; the points of the views bound the depth, and are found by matching without them.

        Raises InputError as `recon.stereo.multi_view.multi_view_depth`.
        """
        found = _depth(views, self.options, progress)
        prediction = with_given_cameras(views, found.depth, MadeBy("stereo", self.profile.name))
        return replace(prediction, conf=found.conf, sky=found.sky, filled=found.filled if self.options.fill else None)

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"name": "mvs", "options": asdict(self.options)}
